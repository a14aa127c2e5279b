# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The internal CA of the role server: an authority in a folder of the controller, and what it issues.

    internal_ca.py authority FOLDER --days N --renew-days N [--newer-than TIME] [--replace-expired]
    internal_ca.py advance FOLDER {issue,drop}
    internal_ca.py node FOLDER --name NAME --days N --renew-days N ... --names SAN...
    internal_ca.py client FOLDER --directory DIRECTORY --name NAME ... --names SAN...

Each command makes only what is missing or due, and prints one JSON object. `--dry-run` makes nothing.

The folder holds `ca.pem`, the certificates of all authorities that are to be trusted, and `ca-key.pem`,
the key of the one that issues. While an authority is renewed, `ca.pem` holds the old one and the new one,
and the new one's key is `ca-next-key.pem` until it takes over. What is under way follows from these three
files. Every step replaces one of them at once, so an interruption between two steps leaves a folder from
which the next run goes on.

It needs `cryptography`, which ansible-core needs as well.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import ipaddress
import json
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BACKDATED = datetime.timedelta(hours=1)
"""How far back a certificate's validity begins: a host whose clock is slow accepts it all the same."""

_TITLE = "etcd internal CA"
"""How the common name of each authority begins that was made here. Others in `ca.pem` are the user's."""

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Unusable(Exception):
    """The folder cannot be used as it is; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a certificate is to be like.

    Attributes:
        names: Subject alternative names, as `DNS:name` or `IP:address`.
        server: Whether it is for a server; it always is for a client.
        days: For how long it is good.
        renew_days: How many days before its end it is replaced.
        newer_than: One that was made before this time is replaced.
        common_name: Empty for none. etcd's v3 gateway refuses clients that show one.
    """

    name: str
    names: tuple[str, ...]
    server: bool
    days: float
    renew_days: float
    newer_than: datetime.datetime | None = None
    common_name: str = ""


@dataclasses.dataclass(frozen=True)
class Authority:
    """What the folder of an authority holds."""

    folder: Path
    trusted: list[x509.Certificate]
    issuer: x509.Certificate
    key: _Key
    next: x509.Certificate | None

    @property
    def retired(self) -> list[x509.Certificate]:
        """Authorities of ours that are still trusted, and do not issue any more."""
        return [
            one
            for one in self.trusted
            if one not in (self.issuer, self.next) and _common_name(one).startswith(_TITLE)
        ]

    @property
    def renewal(self) -> str:
        """The pass of a renewal that was reached: `trust`, `issue`, or nothing if none is under way."""
        return "trust" if self.next else "issue" if self.retired else ""

    def facts(self) -> dict[str, object]:
        """What the role needs to know of it; no secret."""
        return {
            "renewal": self.renewal,
            "issuer": fingerprint(self.issuer),
            "next": fingerprint(self.next) if self.next else "",
            "trusted": [fingerprint(one) for one in self.trusted],
            "ends": _text(_end(self.issuer)),
        }


def load(folder: Path) -> Authority | None:
    """Read the folder of an authority.

    Returns:
        None if there is none yet.

    Raises:
        Unusable: A file is missing, damaged, or does not fit the others.
    """
    if not (folder / "ca.pem").exists():
        return None
    if not (folder / "ca-key.pem").exists():
        raise Unusable(
            f"{folder}/ca.pem has no key: bring back {folder}/ca-key.pem from a backup; a new authority is"
            " none that the running nodes and clients trust"
        )
    trusted = _read_certificates(folder / "ca.pem")
    key = _read_key(folder / "ca-key.pem")
    issuer = _certificate_of(key, trusted)
    if issuer is None:
        raise Unusable(f"{folder}/ca-key.pem is not the key of a certificate in {folder}/ca.pem")
    following = None
    if (folder / "ca-next-key.pem").exists():
        # Without a certificate it is what an interruption left before the certificate was written.
        following = _certificate_of(_read_key(folder / "ca-next-key.pem"), trusted)
    return Authority(folder, trusted, issuer, key, following)


def look_after(
    folder: Path,
    *,
    days: float,
    renew_days: float,
    newer_than: datetime.datetime | None = None,
    replace_expired: bool = False,
    dry_run: bool = False,
    now: datetime.datetime,
) -> dict[str, object]:
    """Make the authority if there is none, and begin its renewal if that is due.

    Args:
        days: For how long a new one is good.
        renew_days: How many days before its end a renewal begins.
        newer_than: One that was made before this time is renewed.
        replace_expired: Let a new one take the place of an expired one, which no server and no client
            accepts any more.

    Returns:
        The facts; `changed`; `expired` if it has expired and was left so; `reason` of what was begun.
    """
    authority = load(folder)
    if authority is None:
        if dry_run:
            return {"changed": True, "expired": False, "reason": "there is none", "renewal": ""}
        _make_first(folder, days, now)
        return _outcome(folder, changed=True, reason="there was none")
    expired = _end(authority.issuer) <= now
    if expired and not (replace_expired and not dry_run):
        return {**authority.facts(), "changed": replace_expired, "expired": True, "reason": ""}
    if expired:
        _replace(authority, days, now)
        return _outcome(folder, changed=True, reason="it had expired")
    reason = _why_renew(authority, renew_days, newer_than, now)
    if not reason:
        return _outcome(folder, changed=False, reason="")
    if not dry_run:
        _begin(authority, days, now)
    return _outcome(folder, changed=True, reason=reason)


def advance(folder: Path, step: str) -> dict[str, object]:
    """Take a renewal one pass on: `issue` after `trust`, `drop` after `issue`.

    Raises:
        Unusable: The renewal is not at the pass before.
    """
    authority = load(folder)
    before = {"issue": "trust", "drop": "issue"}[step]
    if authority is None or authority.renewal != before:
        raise Unusable(f"{folder}: no renewal is at the pass {before!r}, so {step!r} cannot follow")
    if step == "issue":
        _take_over(authority)
    else:
        _drop(authority)
    return _outcome(folder, changed=True, reason="")


def issue(
    folder: Path,
    wanted: Wanted,
    cert: Path,
    key: Path,
    *,
    dry_run: bool = False,
    now: datetime.datetime,
) -> dict[str, object]:
    """Make a certificate and its key, unless there is one that does.

    Returns:
        The facts of the authority; `changed`, and the `reason` for it.
    """
    authority = load(folder)
    if authority is None:
        if dry_run:
            return {"changed": True, "reason": "there is no authority yet"}
        raise Unusable(f"there is no authority in {folder}")
    reason = _why_issue(authority, wanted, cert, key, now)
    if reason and not dry_run:
        secret = _new_key()
        made = _sign_leaf(authority, wanted, secret, now)
        # One that is interrupted in between is found by its key, which does not fit, and made again.
        _write(key, _pem_of_key(secret), 0o600)
        _write(cert, made.public_bytes(serialization.Encoding.PEM), 0o644)
    return {**authority.facts(), "changed": bool(reason), "reason": reason}


def issue_to_client(
    folder: Path,
    wanted: Wanted,
    directory: Path,
    *,
    dry_run: bool = False,
    now: datetime.datetime,
) -> dict[str, object]:
    """Keep `ca.pem`, `cert.pem` and `key.pem` of a client in a directory of its own."""
    outcome = issue(
        folder, wanted, directory / "cert.pem", directory / "key.pem", dry_run=dry_run, now=now
    )
    bundle = folder / "ca.pem"
    if not bundle.exists() or _holds(directory / "ca.pem", bundle.read_bytes()):
        return outcome
    if not dry_run:
        _write(directory / "ca.pem", bundle.read_bytes(), 0o644)
    return {**outcome, "changed": True, "reason": outcome["reason"] or "other authorities"}


def fingerprint(certificate: x509.Certificate) -> str:
    """The SHA-256 of a certificate, in hexadecimal digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def _make_first(folder: Path, days: float, now: datetime.datetime) -> None:
    key, made = _new_authority(days, now)
    _write(folder / "ca-key.pem", _pem_of_key(key), 0o600)
    _write_bundle(folder, [made])


def _begin(authority: Authority, days: float, now: datetime.datetime) -> None:
    """Pass `trust`: the new authority is trusted beside the old one, which goes on issuing."""
    key, made = _new_authority(days, now)
    _write(authority.folder / "ca-next-key.pem", _pem_of_key(key), 0o600)
    _write_bundle(authority.folder, [*authority.trusted, made])


def _take_over(authority: Authority) -> None:
    """Pass `issue`: the new authority issues; the old one's key is gone with this."""
    (authority.folder / "ca-next-key.pem").replace(authority.folder / "ca-key.pem")


def _drop(authority: Authority) -> None:
    """Pass `drop`: what does not issue any more is not trusted any more."""
    retired = authority.retired
    _write_bundle(authority.folder, [one for one in authority.trusted if one not in retired])


def _replace(authority: Authority, days: float, now: datetime.datetime) -> None:
    """All passes at once, where nothing is left that could be refused."""
    folder = authority.folder
    if authority.next is None or _end(authority.next) <= now:
        if authority.next is not None:
            # Its key is about to be overwritten, after which it would be one of the retired.
            _write_bundle(folder, [one for one in authority.trusted if one != authority.next])
            authority = _loaded(folder)
        _begin(authority, days, now)
    _take_over(_loaded(folder))
    _drop(_loaded(folder))


def _why_renew(
    authority: Authority,
    renew_days: float,
    newer_than: datetime.datetime | None,
    now: datetime.datetime,
) -> str:
    """Why a renewal is to begin; empty if it is not, or if one is under way."""
    if authority.renewal:
        return ""
    if _end(authority.issuer) - now < datetime.timedelta(days=renew_days):
        return f"it ends on {_text(_end(authority.issuer))}"
    if newer_than and _made(authority.issuer) < newer_than:
        return f"it was made before {_text(newer_than)}"
    return ""


def _why_issue(
    authority: Authority, wanted: Wanted, cert: Path, key: Path, now: datetime.datetime
) -> str:
    """Why a certificate is to be made; empty if the one that is there does."""
    if not cert.exists() or not key.exists():
        return "there is none"
    try:
        found, secret = _read_certificates(cert)[0], _read_key(key)
    except Unusable as exc:
        return str(exc)
    if _public(found) != _public(secret):
        return "the key is not that of the certificate"
    if not _issued_by(found, authority.issuer):
        return "another authority issued it"
    end = min(now + datetime.timedelta(days=wanted.days), _end(authority.issuer))
    soon = _end(found) - now < datetime.timedelta(days=wanted.renew_days)
    # None can last longer than its authority, so one made now may be no better.
    if soon and (_end(found) <= now or end - _end(found) > datetime.timedelta(days=1)):
        return f"it ends on {_text(_end(found))}"
    if _names(found) != {_general_name(name) for name in wanted.names}:
        return "its names are others"
    if wanted.newer_than and _made(found) < wanted.newer_than:
        return f"it was made before {_text(wanted.newer_than)}"
    # One with a common name that nobody asks for goes on until it is renewed.
    if wanted.common_name and _common_name(found) != wanted.common_name:
        return "its common name is another one"
    return ""


def _new_authority(days: float, now: datetime.datetime) -> tuple[_Key, x509.Certificate]:
    key = _new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{_TITLE} {secrets.token_hex(4)}")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = _builder(name, name, key, now, now + datetime.timedelta(days=days))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(_usage(authority=True), critical=True)
    builder = builder.add_extension(identifier, critical=False)
    return key, builder.sign(key, hashes.SHA256())


def _sign_leaf(
    authority: Authority, wanted: Wanted, key: _Key, now: datetime.datetime
) -> x509.Certificate:
    end = min(now + datetime.timedelta(days=wanted.days), _end(authority.issuer))
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if wanted.server:
        uses.insert(0, ExtendedKeyUsageOID.SERVER_AUTH)
    builder = _builder(_subject(wanted), authority.issuer.subject, key, now, end)
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(authority=False), True),
        (x509.ExtendedKeyUsage(uses), False),
        (x509.SubjectAlternativeName([_general_name(name) for name in wanted.names]), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (_identifier_of(authority.issuer), False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(authority.key, hashes.SHA256())


def _subject(wanted: Wanted) -> x509.Name:
    parts = [
        (NameOID.ORGANIZATION_NAME, _TITLE),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, wanted.name[:64]),
    ]
    if wanted.common_name:
        parts.append((NameOID.COMMON_NAME, wanted.common_name))
    try:
        return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])
    except ValueError as exc:
        raise Unusable(
            f"{wanted.common_name or wanted.name} cannot be in a certificate: {exc}"
        ) from exc


def _identifier_of(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """How what it issues refers to it: as it calls itself, if it does."""
    try:
        named = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        named = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(named)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: _Key,
    now: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(end)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_encipherment=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    kind, _colon, value = name.partition(":")
    try:
        return x509.IPAddress(ipaddress.ip_address(value)) if kind == "IP" else x509.DNSName(value)
    except ValueError as exc:
        raise Unusable(f"a certificate cannot be for {value}: {exc}") from exc


def _names(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return set(found)


def _issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    public = authority.public_key()
    digest = certificate.signature_hash_algorithm
    signed = (certificate.signature, certificate.tbs_certificate_bytes)
    if certificate.issuer != authority.subject or digest is None:
        return False
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(*signed, padding.PKCS1v15(), digest)
        elif isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(*signed, ec.ECDSA(digest))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _certificate_of(key: _Key, certificates: list[x509.Certificate]) -> x509.Certificate | None:
    return next((one for one in certificates if _public(one) == _public(key)), None)


def _public(owner: x509.Certificate | _Key) -> bytes:
    return owner.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _common_name(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _end(certificate: x509.Certificate) -> datetime.datetime:
    # Until version 42 of the library there were only times without a zone.
    if hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_after_utc
    return certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc)


def _made(certificate: x509.Certificate) -> datetime.datetime:
    """When a certificate was made here."""
    if hasattr(certificate, "not_valid_before_utc"):
        return certificate.not_valid_before_utc + BACKDATED
    return certificate.not_valid_before.replace(tzinfo=datetime.timezone.utc) + BACKDATED


def _new_key() -> _Key:
    return rsa.generate_private_key(public_exponent=65537, key_size=3072)


def _pem_of_key(key: _Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _read_key(path: Path) -> _Key:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as exc:
        raise Unusable(f"{path} holds no unencrypted private key in PEM format") from exc
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise Unusable(f"{path} holds a key that is neither an RSA nor an EC one")
    return key


def _read_certificates(path: Path) -> list[x509.Certificate]:
    end = b"-----END CERTIFICATE-----"
    try:
        blocks = path.read_bytes().split(end)[:-1]
        found = [x509.load_pem_x509_certificate(block + end) for block in blocks]
    except (OSError, ValueError) as exc:
        raise Unusable(f"{path} holds no certificate in PEM format") from exc
    if not found:
        raise Unusable(f"{path} holds no certificate in PEM format")
    return found


def _write_bundle(folder: Path, certificates: Sequence[x509.Certificate]) -> None:
    pem = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)
    _write(folder / "ca.pem", pem, 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file under another name first, and give it its name when it is on the disk."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.new")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _holds(path: Path, content: bytes) -> bool:
    return path.exists() and path.read_bytes() == content


def _loaded(folder: Path) -> Authority:
    authority = load(folder)
    assert authority is not None
    return authority


def _outcome(folder: Path, *, changed: bool, reason: str) -> dict[str, object]:
    return {**_loaded(folder).facts(), "changed": changed, "expired": False, "reason": reason}


def _text(time: datetime.datetime) -> str:
    return time.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str) -> datetime.datetime | None:
    if not text:
        return None
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text} is no time; write 2026-12-31T23:59:00Z") from exc
    return found if found.tzinfo else found.replace(tzinfo=datetime.timezone.utc)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Keeps the internal CA of the role server.")
    parser.add_argument("--dry-run", action="store_true", help="make nothing, say what would be")
    commands = parser.add_subparsers(dest="command", required=True)
    lifetime = argparse.ArgumentParser(add_help=False)
    lifetime.add_argument("folder", type=Path)
    lifetime.add_argument("--days", type=float, required=True)
    lifetime.add_argument("--renew-days", type=float, required=True)
    lifetime.add_argument("--newer-than", type=_time, default=None)
    authority = commands.add_parser("authority", parents=[lifetime])
    authority.add_argument("--replace-expired", action="store_true")
    step = commands.add_parser("advance")
    step.add_argument("folder", type=Path)
    step.add_argument("step", choices=["issue", "drop"])
    for kind in ("node", "client"):
        leaf = commands.add_parser(kind, parents=[lifetime])
        leaf.add_argument("--name", required=True)
        leaf.add_argument("--common-name", default="")
        if kind == "client":
            leaf.add_argument("--directory", type=Path, required=True)
        leaf.add_argument("--names", nargs="+", required=True)
    return parser


def _run(arguments: argparse.Namespace, now: datetime.datetime) -> dict[str, object]:
    folder = arguments.folder
    if arguments.command == "advance":
        return advance(folder, arguments.step)
    newer_than = arguments.newer_than
    if newer_than and newer_than > now:
        raise Unusable(
            f"{_text(newer_than)} is in the future: what is made now would always be too old"
        )
    if arguments.command == "authority":
        return look_after(
            folder,
            days=arguments.days,
            renew_days=arguments.renew_days,
            newer_than=newer_than,
            replace_expired=arguments.replace_expired,
            dry_run=arguments.dry_run,
            now=now,
        )
    wanted = Wanted(
        name=arguments.name,
        names=tuple(arguments.names),
        server=arguments.command == "node",
        days=arguments.days,
        renew_days=arguments.renew_days,
        newer_than=newer_than,
        common_name=arguments.common_name,
    )
    if arguments.command == "client":
        directory = arguments.directory
        return issue_to_client(folder, wanted, directory, dry_run=arguments.dry_run, now=now)
    cert, key = folder / f"{wanted.name}.pem", folder / f"{wanted.name}-key.pem"
    return issue(folder, wanted, cert, key, dry_run=arguments.dry_run, now=now)


def main() -> int:
    """Do what the command line asks for, and print the outcome."""
    os.umask(0o077)
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    try:
        print(json.dumps(_run(_parser().parse_args(), now)))
    except (Unusable, OSError) as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
