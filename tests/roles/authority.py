# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts about the internal CA: its renewal under load, its end, and the certificates of clients."""

from __future__ import annotations

import base64
import datetime
import http.client
import json
import ssl
import time
from pathlib import Path

from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from checks import (
    Hosts,
    answers,
    begin,
    check_members,
    check_refused,
    check_unchanged,
    client_of,
    installed,
    step,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from harness.binaries import Binary
from load import Load, check_all_there
from play import Cluster, Wrong
from visitors import Visitors, context_of, visit


def renewal(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """The authority is renewed in passes while clients come and go; then it is found expired."""
    cluster = Cluster(hosts[:3], work, installed(binaries[0], work))
    cluster.variables["etcd_server_tls_mode"] = "internal_ca"
    cluster.variables["etcd_server_tls_clients"] = [{"name": "app"}]
    written = begin(cluster)
    app = cluster.pki / "clients" / "app"
    visitors = Visitors(cluster, work / "visitors", *app.iterdir())
    with visitors, Load(client_of(cluster), "/load") as load:
        old = _authorities(cluster)
        _begin_renewal(cluster)
        visitors.give(app / "ca.pem")
        _let_new_issue(cluster, old)
        visitors.give(*app.iterdir())
        _drop_old(cluster)
    visitors.check()
    with step("the second run changes nothing"):
        check_unchanged(cluster)
    with step("whoever has the old certificate is refused"):
        _check_old_refused(cluster, visitors.oldest)
    written += load.acknowledged
    _expire(cluster)
    with step(f"all {len(written)} acknowledged writes are there"):
        check_all_there(client_of(cluster), written)


def certificates(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """Named clients get certificates, and what a common name does with access control, on each server."""
    for host, binary in zip(hosts, binaries, strict=False):
        folder = work / binary.version
        folder.mkdir()
        cluster = Cluster([host], folder, installed(binary, folder))
        cluster.variables["etcd_server_tls_mode"] = "internal_ca"
        cluster.variables["etcd_server_tls_clients"] = [
            {"name": "app"},
            {"name": "billing", "common_name": "billing"},
            {"name": "stranger", "common_name": "nobody"},
        ]
        with step(f"etcd {binary.version}: three clients get certificates"):
            cluster.must("server")
            check_members(cluster, 1)
            check_unchanged(cluster)
        app, billing, stranger = (Asker(cluster, one) for one in ("app", "billing", "stranger"))
        with step("v2: a common name is the user where there are no credentials"):
            _check_v2_users(app, billing, stranger)
            check_unchanged(cluster)
            app.must("DELETE", "/v2/auth/enable", user="root")
        with step("v3: the gateway refuses a common name once access control is on"):
            _check_v3_users(app, billing)
            check_unchanged(cluster)
        with step("certificates of before are replaced; no key is in what Ansible says"):
            _check_replaced(cluster, app)


class Asker:
    """A client with the files that the role made for it."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.folder = cluster.pki / "clients" / name
        self._address = cluster.hosts[0].client

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        user: str = "",
        token: str = "",
        form: str = "",
    ) -> tuple[int, str]:
        """The status and the text of the answer; a user's password is the user's name."""
        context = context_of(self.folder)
        connection = http.client.HTTPSConnection(self._address, context=context, timeout=10)
        headers = {"Content-Type": "application/json"}
        if user:
            pair = base64.b64encode(f"{user}:{user}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        if token:
            headers["Authorization"] = token
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, path, form or json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def must(self, method: str, path: str, body: object = None, *, user: str = "") -> str:
        """The text of the answer to a request that has to succeed."""
        status, text = self.ask(method, path, body, user=user)
        if status not in (200, 201):
            raise Wrong(f"{method} {path}: {status} {text}")
        return text

    def check(self, wanted: int, method: str, path: str, *, user: str = "") -> None:
        """A write to the v2 store ends with this status."""
        status, text = self.ask(method, path, user=user, form="value=1")
        if status != wanted:
            raise Wrong(f"{self.folder.name} as {user or 'nobody'}: {status} {text}, not {wanted}")


def _check_v2_users(app: Asker, billing: Asker, stranger: Asker) -> None:
    app.check(201, "PUT", "/v2/keys/billing/0")
    rights = {"kv": {"read": ["/billing/*"], "write": ["/billing/*"]}}
    app.must("PUT", "/v2/auth/roles/billing", {"role": "billing", "permissions": rights})
    for name, roles in (("root", ["root"]), ("billing", ["billing"])):
        user = {"user": name, "password": name, "roles": roles}
        app.must("PUT", f"/v2/auth/users/{name}", user)
    app.must("PUT", "/v2/auth/enable")
    everything = {"kv": {"read": ["/*"], "write": ["/*"]}}
    guest = {"role": "guest", "revoke": everything}
    app.must("PUT", "/v2/auth/roles/guest", guest, user="root")
    billing.check(201, "PUT", "/v2/keys/billing/1")
    billing.check(401, "PUT", "/v2/keys/other/1")
    stranger.check(401, "PUT", "/v2/keys/billing/2")
    grant = {"role": "guest", "grant": {"kv": {"read": ["/open/*"], "write": ["/open/*"]}}}
    app.must("PUT", "/v2/auth/roles/guest", grant, user="root")
    stranger.check(201, "PUT", "/v2/keys/open/1")
    app.check(201, "PUT", "/v2/keys/billing/2", user="billing")
    # etcd looks for a user without a name, and fails on it.
    try:
        status, text = app.ask("PUT", "/v2/keys/open/2", form="value=1")
    except http.client.RemoteDisconnected:
        return
    raise Wrong(
        f"without a common name and without credentials there is an answer: {status} {text}"
    )


def _check_v3_users(app: Asker, billing: Asker) -> None:
    app.must("POST", "/v3/auth/user/add", {"name": "root", "password": "root"})
    app.must("POST", "/v3/auth/user/grant", {"user": "root", "role": "root"})
    app.must("POST", "/v3/auth/enable", {})
    login = {"name": "root", "password": "root"}
    token = json.loads(app.must("POST", "/v3/auth/authenticate", login))["token"]
    status, text = app.ask("POST", "/v3/kv/range", {"key": "YQ=="}, token=token)
    if status != 200:
        raise Wrong(f"a certificate without a common name, and a token: {status} {text}")
    status, text = billing.ask("POST", "/v3/auth/authenticate", login)
    if status != 400 or "CommonName" not in text:
        raise Wrong(f"a certificate with a common name: {status} {text}")


def _check_replaced(cluster: Cluster, app: Asker) -> None:
    files = [app.folder / "cert.pem", cluster.pki / f"{cluster.hosts[0].name}.pem"]
    before = [file.read_bytes() for file in files]
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
    time.sleep(2)
    cluster.variables["etcd_server_cert_newer_than"] = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    outcome = cluster.must("server", "-vvv", "--diff")
    if any(file.read_bytes() == content for file, content in zip(files, before, strict=True)):
        raise Wrong("a certificate was not replaced")
    if "PRIVATE KEY" in outcome.output:
        raise Wrong("a key is in the output")
    check_members(cluster, 1)
    check_unchanged(cluster)
    for key in cluster.pki.rglob("*key.pem"):
        if key.stat().st_mode & 0o777 != 0o600:
            raise Wrong(f"{key} can be read by others")


def _begin_renewal(cluster: Cluster) -> None:
    """The first pass; asked for by the time when the authority must have been made."""
    now = datetime.datetime.now(datetime.timezone.utc)
    cluster.variables["etcd_server_ca_newer_than"] = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    with step(
        "pass trust is killed with the first node; the next run goes on; every node trusts both"
    ):
        cluster.interrupt("Say until when it has to be healthy", "server")
        outcome = cluster.must("server")
        if "Give its ca.pem to every client" not in outcome.output:
            raise Wrong("the role does not say what to do next")
        _check_trusted(cluster, 2)
    with step("the second run changes nothing, and waits"):
        check_unchanged(cluster)
        _check_trusted(cluster, 2)


def _let_new_issue(cluster: Cluster, old: set[str]) -> None:
    cluster.variables["etcd_server_ca_renew_pass"] = "issue"
    with step("a play on one host does not go on"):
        cluster.must("server", "--limit", cluster.hosts[0].name)
        if not (cluster.pki / "ca-next-key.pem").exists():
            raise Wrong("the new authority issues, and two nodes were not asked")
    with step("pass issue is killed once the new one may issue; the next run issues certificates"):
        cluster.interrupt("Remember the authority as it is now", "server")
        cluster.must("server")
        _check_trusted(cluster, 2)
    with step("every node shows a certificate of the new one"):
        check_members(cluster, 3)
        app = context_of(cluster.pki / "clients" / "app")
        if old & (shown := {visit(host.client, app) for host in cluster.hosts}):
            raise Wrong(f"the nodes show certificates of {shown}; the old is {old}")


def _drop_old(cluster: Cluster) -> None:
    cluster.variables["etcd_server_ca_renew_pass"] = "drop"
    with step("pass drop is killed as it begins; the next run ends the renewal"):
        cluster.interrupt("Take the authority one pass on", "server")
        cluster.must("server")
        _check_trusted(cluster, 1)


def _authorities(cluster: Cluster) -> set[str]:
    """The names of those that are to be trusted."""
    found = x509.load_pem_x509_certificates((cluster.pki / "ca.pem").read_bytes())
    return {one.subject.rfc4514_string().removeprefix("CN=") for one in found}


def _check_trusted(cluster: Cluster, count: int) -> None:
    """As many authorities are trusted by each node as it runs, and by the client."""
    bundle = (cluster.pki / "ca.pem").read_text()
    if bundle.count("BEGIN CERTIFICATE") != count:
        raise Wrong(f"ca.pem does not hold {count} authorities")
    if (cluster.pki / "clients" / "app" / "ca.pem").read_text() != bundle:
        raise Wrong("the client's folder has other authorities")
    for host in cluster.hosts:
        found = host.run(
            "sh", "-c", f"ls {host.config}/pki/*/ca.pem; cat {host.config}/pki/*/ca.pem"
        )
        if found.count("BEGIN CERTIFICATE") != 2 * count or bundle not in found:
            raise Wrong(f"{host.name} has other authorities, or files of before:\n{found}")


def _check_old_refused(cluster: Cluster, folder: Path) -> None:
    context = context_of(folder)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for host in cluster.hosts:
        try:
            visit(host.client, context)
        except ssl.SSLError:
            continue
        raise Wrong(f"{host.name} accepts a certificate of the dropped authority")


def _expire(cluster: Cluster) -> None:
    with step("the authority expires: no node answers any more"):
        expired = _expired(cluster.pki)
        (cluster.pki / "ca.pem").write_text(expired)
        for host in cluster.hosts:
            folder = f"{host.config}/pki/current"
            host.run("sh", "-c", f"printf %s '{expired}' >{folder}/ca.pem")
            host.run(f"{host.config}/etcd-process", "restart")
        if answers(Client(cluster.endpoints, **cluster.credentials, total_timeout=5).members):
            raise Wrong("the nodes answer with an authority that has expired")
    with step("the role says so, and does nothing"):
        check_refused(cluster.run("server"), "the authority in .* expired on .*ca.pem")
    with step("with leave to stop all, it makes another one, and the cluster is back"):
        cluster.must("server", extra={"etcd_server_allow_downtime": True})
        check_members(cluster, 3)
        _check_trusted(cluster, 1)
        check_unchanged(cluster)


def _expired(folder: Path) -> str:
    """The authority of a folder, as it would be if it had ended."""
    authority = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    pem = (folder / "ca-key.pem").read_bytes()
    key = serialization.load_pem_private_key(pem, password=None)
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(authority.subject)
        .issuer_name(authority.issuer)
        .public_key(authority.public_key())
        .serial_number(authority.serial_number)
        .not_valid_before(now - datetime.timedelta(days=9))
        .not_valid_after(now - datetime.timedelta(days=1))
    )
    for extension in authority.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    made = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
    return made.public_bytes(serialization.Encoding.PEM).decode()
