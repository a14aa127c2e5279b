# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The internal CA of the role server: what is made, when, and what an interruption leaves."""

from __future__ import annotations

import datetime
import importlib.util
import sys
from pathlib import Path

import pytest

pytest.importorskip(
    "cryptography", reason="ansible-core on the controller needs it, modules do not"
)

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_PATH = Path(__file__).resolve().parents[2] / "roles" / "server" / "files" / "internal_ca.py"
_SPEC = importlib.util.spec_from_file_location("internal_ca", _PATH)
ca = importlib.util.module_from_spec(_SPEC)
sys.modules["internal_ca"] = ca
_SPEC.loader.exec_module(ca)

NOW = datetime.datetime(2026, 11, 28, 12, 0, tzinfo=datetime.timezone.utc)
NAMES = ("DNS:node1.example", "IP:192.0.2.11", "IP:2001:db8::1")


def later(days):
    return NOW + datetime.timedelta(days=days)


def look_after(folder, *, days=100, renew_days=10, now=NOW, **others):
    return ca.look_after(folder, days=days, renew_days=renew_days, now=now, **others)


def wanted(**others):
    return ca.Wanted(
        **{"name": "node1", "names": NAMES, "server": True, "days": 30, "renew_days": 5, **others}
    )


def issue(folder, *, now=NOW, dry_run=False, **others):
    cert, key = folder / "node1.pem", folder / "node1-key.pem"
    return ca.issue(folder, wanted(**others), cert, key, dry_run=dry_run, now=now)


def certificate(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def _quick_keys(request, monkeypatch):
    """RSA keys take seconds to make."""
    if "slow_keys" not in request.fixturenames:
        monkeypatch.setattr(ca, "_new_key", lambda: ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def slow_keys():
    """For a test of the keys that users get."""


@pytest.fixture
def folder(tmp_path):
    look_after(tmp_path / "pki")
    return tmp_path / "pki"


def test_an_authority_is_made_once(tmp_path):
    folder = tmp_path / "pki"
    first = look_after(folder)
    before = contents(folder)
    second = look_after(folder)
    assert (first["changed"], second["changed"]) == (True, False)
    assert contents(folder) == before
    assert sorted(before) == ["ca-key.pem", "ca.pem"]


def test_nobody_else_can_read_the_keys(folder):
    issue(folder)
    ca.issue_to_client(folder, wanted(server=False), folder / "clients" / "app", now=NOW)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "clients" / "app").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*key.pem")} == {0o600}


def test_a_dry_run_makes_nothing(folder, tmp_path):
    before = contents(folder)
    assert look_after(tmp_path / "none", dry_run=True)["changed"]
    assert look_after(folder, now=later(95), dry_run=True)["changed"]
    assert look_after(folder, now=later(200), replace_expired=True, dry_run=True)["changed"]
    assert issue(folder, dry_run=True)["changed"]
    assert contents(folder) == before
    assert not (tmp_path / "none").exists()


def test_a_key_that_is_missing_is_no_reason_for_another_authority(folder):
    (folder / "ca-key.pem").unlink()
    with pytest.raises(ca.Unusable, match=r"bring back .*ca-key\.pem"):
        look_after(folder)


def test_a_key_of_another_authority_is_refused(folder, tmp_path):
    look_after(tmp_path / "other")
    (tmp_path / "other" / "ca-key.pem").replace(folder / "ca-key.pem")
    with pytest.raises(ca.Unusable, match="is not the key of a certificate"):
        look_after(folder)


@pytest.mark.parametrize("content", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_damaged_authority_is_refused(folder, content):
    (folder / "ca.pem").write_text(content)
    with pytest.raises(ca.Unusable, match="holds no certificate"):
        look_after(folder)


@pytest.mark.parametrize(
    ("now", "newer_than", "due"),
    [
        (later(89), None, False),
        (later(91), None, True),
        (later(1), NOW, False),
        (later(1), later(0.5), True),
    ],
)
def test_a_renewal_begins_by_days_left_or_by_the_time_that_is_asked_for(
    folder, now, newer_than, due
):
    outcome = look_after(folder, now=now, newer_than=newer_than)
    assert (outcome["changed"], outcome["renewal"]) == (due, "trust" if due else "")


def test_a_renewal_goes_through_its_passes(folder):
    first = look_after(folder)
    issue(folder)
    begun = look_after(folder, now=later(91))
    assert begun["issuer"] == first["issuer"]
    assert begun["trusted"] == [first["issuer"], begun["next"]]
    assert not issue(folder, now=later(1))["changed"]

    issuing = ca.advance(folder, "issue")
    assert (issuing["issuer"], issuing["renewal"]) == (begun["next"], "issue")
    assert issuing["trusted"] == begun["trusted"]
    assert issue(folder, now=later(91))["changed"]
    assert not (folder / "ca-next-key.pem").exists()

    dropped = ca.advance(folder, "drop")
    assert (dropped["trusted"], dropped["renewal"]) == ([begun["next"]], "")
    assert not issue(folder, now=later(91))["changed"]
    assert not look_after(folder, now=later(92), newer_than=later(91))["changed"]


@pytest.mark.parametrize("under_way", ["trust", "issue"])
def test_a_renewal_under_way_is_not_begun_again(folder, under_way):
    look_after(folder, now=later(91))
    if under_way == "issue":
        ca.advance(folder, "issue")
    before = contents(folder)
    outcome = look_after(folder, now=later(95), newer_than=later(94))
    assert (outcome["changed"], outcome["renewal"]) == (False, under_way)
    assert contents(folder) == before


@pytest.mark.parametrize(("passes", "step"), [(0, "issue"), (0, "drop"), (1, "drop"), (2, "issue")])
def test_no_pass_is_left_out_or_done_twice(folder, passes, step):
    if passes:
        look_after(folder, now=later(91))
    if passes == 2:
        ca.advance(folder, "issue")
    with pytest.raises(ca.Unusable, match="no renewal is at the pass"):
        ca.advance(folder, step)


def test_every_write_can_be_the_last_one(tmp_path, monkeypatch):
    """Cut short after each of its steps, what is there is complete, and the next run goes on."""

    class Killed(Exception):
        pass

    def all_of_it(folder):
        look_after(folder)
        issue(folder)
        if look_after(folder, now=later(91))["renewal"] == "trust":
            ca.advance(folder, "issue")
        issue(folder, now=later(91))
        if ca.load(folder).renewal == "issue":
            ca.advance(folder, "drop")

    replace = Path.replace

    def limited_to(count):
        left = [count]

        def limited(path, target):
            if not left[0]:
                raise Killed
            left[0] -= 1
            return replace(path, target)

        return limited

    for allowed in range(9):
        folder = tmp_path / str(allowed)
        monkeypatch.setattr(Path, "replace", limited_to(allowed))
        with pytest.raises(Killed):
            all_of_it(folder)
        monkeypatch.setattr(Path, "replace", replace)
        all_of_it(folder)
        authority = ca.load(folder)
        assert (len(authority.trusted), authority.renewal) == (1, "")
        assert ca._issued_by(certificate(folder / "node1.pem"), authority.issuer)


def test_a_foreign_authority_stays_trusted(folder, tmp_path):
    look_after(tmp_path / "other")
    foreign = certificate(tmp_path / "other" / "ca.pem")
    authority = ca.load(folder)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example Corporation")])
    theirs = ca._builder(name, foreign.subject, ca._new_key(), NOW, later(9)).sign(
        ca._new_key(), hashes.SHA256()
    )
    ca._write_bundle(folder, [authority.issuer, theirs])
    assert look_after(folder)["renewal"] == ""
    look_after(folder, now=later(91))
    ca.advance(folder, "issue")
    ca.advance(folder, "drop")
    assert theirs in ca.load(folder).trusted


@pytest.mark.parametrize("renewal", ["", "trust", "issue"])
def test_an_expired_authority_is_named_and_replaced_if_asked_for(folder, renewal):
    issue(folder)
    if renewal:
        look_after(folder, now=later(91))
    if renewal == "issue":
        ca.advance(folder, "issue")
    now = later(300)
    before = contents(folder)
    said = look_after(folder, now=now)
    assert (said["expired"], said["changed"]) == (True, False)
    assert contents(folder) == before
    outcome = look_after(folder, now=now, replace_expired=True)
    assert (outcome["expired"], outcome["changed"], outcome["renewal"]) == (False, True, "")
    assert len(outcome["trusted"]) == 1
    assert not look_after(folder, now=now)["changed"]
    assert issue(folder, now=now)["reason"] == "another authority issued it"


def test_the_new_authority_takes_the_place_of_the_expired_one(folder):
    begun = look_after(folder, now=later(91))
    outcome = look_after(folder, now=later(101), replace_expired=True)
    assert outcome["trusted"] == [begun["next"]]


def test_the_keys_that_users_get(tmp_path, slow_keys):
    look_after(tmp_path)
    assert issue(tmp_path)["changed"]
    for path in (tmp_path / "ca-key.pem", tmp_path / "node1-key.pem"):
        assert ca._read_key(path).key_size == 3072
    assert not issue(tmp_path)["changed"]


def test_what_a_node_gets(folder):
    issue(folder)
    found = certificate(folder / "node1.pem")
    assert found.subject.get_attributes_for_oid(NameOID.COMMON_NAME) == []
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(name.value) for name in names} == {
        "node1.example",
        "192.0.2.11",
        "2001:db8::1",
    }
    uses = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(uses) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert ca._end(found) == later(30)


def test_what_a_client_gets(folder, tmp_path):
    directory = tmp_path / "app"
    for changed in (True, False):
        outcome = ca.issue_to_client(
            folder, wanted(name="app", names=("DNS:app",), server=False), directory, now=NOW
        )
        assert outcome["changed"] is changed
    found = certificate(directory / "cert.pem")
    uses = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert sorted(contents(directory)) == ["ca.pem", "cert.pem", "key.pem"]
    look_after(folder, now=later(91))
    assert ca.issue_to_client(folder, wanted(names=("DNS:app",)), directory, now=NOW)["changed"]
    assert (directory / "ca.pem").read_bytes() == (folder / "ca.pem").read_bytes()


@pytest.mark.parametrize(
    ("now", "others", "reason"),
    [
        (NOW, {}, ""),
        (NOW, {"names": NAMES[::-1]}, ""),
        (NOW, {"names": NAMES[:2]}, "its names are others"),
        (NOW, {"common_name": "billing"}, "its common name is another one"),
        (later(24), {}, ""),
        (later(26), {}, "it ends on 2026-12-28T12:00:00Z"),
        (later(1), {"newer_than": NOW}, ""),
        (later(1), {"newer_than": later(0.5)}, "it was made before 2026-11-29T00:00:00Z"),
    ],
)
def test_why_a_certificate_is_made_again(folder, now, others, reason):
    issue(folder)
    assert issue(folder, now=now, **others)["reason"] == reason
    assert issue(folder, now=now, **others)["reason"] == ""


def test_a_common_name_that_nobody_asks_for_goes_with_the_renewal(folder):
    issue(folder, common_name="node1")
    assert not issue(folder)["changed"]
    assert issue(folder, now=later(26))["changed"]
    assert ca._common_name(certificate(folder / "node1.pem")) == ""


def test_a_certificate_ends_with_its_authority_and_is_not_made_again_for_nothing(folder):
    issue(folder, now=later(80))
    assert ca._end(certificate(folder / "node1.pem")) == later(100)
    assert not issue(folder, now=later(97))["changed"]


@pytest.mark.parametrize("name", ["node1.pem", "node1-key.pem"])
def test_a_damaged_or_missing_file_is_replaced(folder, name):
    issue(folder)
    (folder / name).write_text("nonsense")
    assert issue(folder)["changed"]
    (folder / name).unlink()
    assert issue(folder)["changed"]
    assert not issue(folder)["changed"]


def test_a_key_of_another_certificate_is_noticed(folder):
    issue(folder)
    ca._write(folder / "node1-key.pem", ca._pem_of_key(ca._new_key()), 0o600)
    assert issue(folder)["reason"] == "the key is not that of the certificate"


def test_a_slow_clock_accepts_what_was_just_made(folder):
    issue(folder)
    for name in ("ca.pem", "node1.pem"):
        assert ca._made(certificate(folder / name)) == NOW


@pytest.mark.parametrize(
    "text", ["2026-12-31", "2026-12-31 00:00:00+00:00", "2026-12-31T00:00:00Z"]
)
def test_times_as_yaml_has_them(text):
    assert ca._time(text) == datetime.datetime(2026, 12, 31, tzinfo=datetime.timezone.utc)


def test_a_time_in_the_future_is_refused(folder):
    words = [
        "authority",
        str(folder),
        "--days",
        "9",
        "--renew-days",
        "1",
        "--newer-than",
        "2999-01-01",
    ]
    with pytest.raises(ca.Unusable, match="in the future"):
        ca._run(ca._parser().parse_args(words), NOW)


@pytest.mark.parametrize(
    "others", [{"common_name": "x" * 65}, {"names": ("DNS:ä",)}, {"names": ("IP:1.2.3",)}]
)
def test_a_name_that_no_certificate_can_have_is_refused(folder, others):
    with pytest.raises(ca.Unusable, match="a certificate"):
        issue(folder, **others)
