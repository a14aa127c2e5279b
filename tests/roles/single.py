# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts about what single hosts get: settings, certificates, names, a package, a unit, snapshots."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from checks import (
    Hosts,
    begin,
    check_members,
    check_refused,
    check_unchanged,
    check_untouched,
    client_of,
    in_namespaces,
    installed,
    make_certificate,
    pid_of,
    processes,
    restart_all,
    step,
)
from harness.binaries import Binary
from harness.namespaces import Bridge, NoNamespaces
from hosts import Host
from load import check_all_there
from play import Cluster, NotSeen, Wrong

if TYPE_CHECKING:
    from harness.dnsserver import DnsServer

_DOMAIN = "cluster.example"
_UNIT = "/etc/systemd/system/etcd.service"
_PKI = "/etc/etcd/pki"
_WAL = "/srv/etcd-wal/node"
_QUOTA = 67108864
_SETTINGS: dict[str, object] = {
    "etcd_server_wal_dir": _WAL,
    "etcd_server_quota_backend_bytes": _QUOTA,
    "etcd_server_snapshot_count": 5000,
    "etcd_server_heartbeat_interval": 160,
    "etcd_server_election_timeout": 1600,
    "etcd_server_settings": {
        "listen-metrics-urls": "http://127.0.0.1:2381",
        "max-txn-ops": 150,
    },
}
_LOGGED = {
    "3.4": [
        rf"dedicated WAL dir = {_WAL}/wal",
        r"snapshot count = 5000",
        r"heartbeat = 160ms",
        r"election = 1600ms",
    ],
    "3.5": [
        f'"wal-dir":"{_WAL}/wal"',
        r'"snapshot-count":5000',
        r'"heartbeat-interval":"160ms"',
        r'"election-timeout":"1\.6s"',
        f'"quota-size-bytes":{_QUOTA}',
    ],
}
"""What each server says of its settings when it starts."""

_OWNED = {
    "/etc/etcd/pki/current/key.pem": "etcd:etcd 600",
    "/etc/etcd/pki/current/peer-key.pem": "etcd:etcd 600",
    "/etc/etcd/initial.json": "root:etcd 640",
    "/etc/etcd/started.json": "root:etcd 640",
    "/var/log/etcd": "etcd:etcd 750",
    _WAL: "etcd:etcd 700",
}


def settings(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """Each server has the settings that it was given, and certificates of the user's own."""
    spaces = in_namespaces(hosts)
    with step("another run beside this one has another network"), Bridge() as other:
        if any(host.address.startswith(f"{other.network}.") for host in spaces):
            raise Wrong(f"both have {other.network}.0/24")
    for host, binary, form in zip(spaces, binaries, ("environment", "yaml"), strict=False):
        cluster = _with_own_files(host, work, binary)
        cluster.variables.update(_SETTINGS, etcd_server_config_format=form)
        with step(f"etcd {binary.version} runs with settings and certificates of the user's own"):
            cluster.must("server")
            check_members(cluster, 1)
            _check_settings(host, binary)
            _check_owners(host)
        with step("the second run changes nothing"):
            check_unchanged(cluster)
        with step("one file for clients and members, and it is on the host: the node takes it"):
            _put_files_on(host, cluster)
            cluster.must("server")
            check_members(cluster, 1)
            check_unchanged(cluster)


def _with_own_files(host: Host, work: Path, binary: Binary) -> Cluster:
    """One node that is to have certificates of one authority for clients, of another for members."""
    cluster = Cluster([host], work, installed(binary, work))
    peers = work / "peers"
    make_certificate(cluster.pki, host.name, f"IP:{host.address}")
    if host.name != "node1":
        make_certificate(cluster.pki, "node1", "DNS:client.example")
    make_certificate(peers, host.name, f"IP:{host.address}")
    cluster.variables.update(
        etcd_server_tls_mode="files",
        etcd_server_tls_ca=str(cluster.pki / "ca.pem"),
        etcd_server_tls_cert=str(cluster.pki / f"{host.name}.pem"),
        etcd_server_tls_key=str(cluster.pki / f"{host.name}-key.pem"),
        etcd_server_peer_tls_ca=str(peers / "ca.pem"),
        etcd_server_peer_tls_cert=str(peers / f"{host.name}.pem"),
        etcd_server_peer_tls_key=str(peers / f"{host.name}-key.pem"),
    )
    return cluster


def _put_files_on(host: Host, cluster: Cluster) -> None:
    for kind in ("ca", "cert", "key"):
        source = Path(str(cluster.variables[f"etcd_server_tls_{kind}"]))
        shutil.copy(source, host.root / "srv" / f"{kind}.pem")
        cluster.variables[f"etcd_server_tls_{kind}"] = f"/srv/{kind}.pem"
        del cluster.variables[f"etcd_server_peer_tls_{kind}"]
    cluster.variables["etcd_server_tls_files_on"] = "host"


def _check_settings(host: Host, binary: Binary) -> None:
    log = host.run("cat", f"/var/log/etcd/{host.name}.log")
    minor = binary.version.rpartition(".")[0]
    if missing := [text for text in _LOGGED[minor] if not re.search(text, log)]:
        raise Wrong(f"the log does not say {missing}:\n{log[:6000]}")
    program = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:2381/metrics').read().decode())"
    metrics = host.run(sys.executable, "-c", program)
    found = re.search(r"^etcd_server_quota_backend_bytes (\S+)$", metrics, re.MULTILINE)
    if not found or float(found[1]) != _QUOTA:
        raise Wrong(f"the quota is {found and found[1]}, and not {_QUOTA}")
    if "0.wal" not in host.run("ls", f"{_WAL}/wal"):
        raise Wrong(f"there is no write-ahead log in {_WAL}/wal")


def _check_owners(host: Host) -> None:
    owned = {**_OWNED, f"/var/lib/etcd/{host.name}": "etcd:etcd 700"}
    for path, wanted in owned.items():
        if (found := host.run("stat", "-c", "%U:%G %a", path).strip()) != wanted:
            raise Wrong(f"{path} is {found}, and not {wanted}")
    if (user := host.run("ps", "-o", "user=", "-C", "etcd").split()) != ["etcd"]:
        raise Wrong(f"etcd runs as {user}")


def discovery(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """Three nodes find each other by the SRV records of a domain, on each server."""
    spaces = in_namespaces(hosts)[:3]
    for binary in binaries:
        folder = work / binary.version
        folder.mkdir()
        _discover_without_tls(Cluster(spaces, folder, installed(binary, folder)), binary)
        _make_bare(spaces)
        _discover_with_tls(Cluster(spaces, folder, installed(binary, folder)))
        _make_bare(spaces)


def _discover_without_tls(cluster: Cluster, binary: Binary) -> None:
    service = f"_etcd-server._tcp.{_DOMAIN}"
    with _domain(cluster, service) as server:
        print(f"==> etcd {binary.version}, and nothing but {service}", flush=True)
        if binary.version.startswith("3.4."):
            for words in (["--check"], []):
                with step(f"it stops before a service is touched {' '.join(words)}"):
                    outcome = cluster.run("server", *words)
                    check_refused(outcome, "finds its nodes by SRV records with TLS only")
                    check_untouched(cluster)
            return
        begin(cluster)
        _check_found_by_dns(cluster, service, server.queries)


def _discover_with_tls(cluster: Cluster) -> None:
    service = f"_etcd-server-ssl-prod._tcp.{_DOMAIN}"
    cluster.variables["etcd_server_discovery_srv_name"] = "prod"
    cluster.variables["etcd_server_tls_mode"] = "internal_ca"
    cluster.variables["etcd_server_config_format"] = "yaml"
    with _domain(cluster, service) as server:
        print(f"==> TLS, and nothing but {service}", flush=True)
        begin(cluster)
        _check_found_by_dns(cluster, service, server.queries)


@contextmanager
def _domain(cluster: Cluster, service: str) -> Iterator[DnsServer]:
    """The only name server of the hosts, with one service, whose records name all of them."""
    from harness.dnsserver import DnsServer, Srv

    names = {f"{host.name}.{_DOMAIN}": host.address for host in cluster.hosts}
    records = {service: [Srv(0, 0, 2380, name) for name in names]}
    gateway = cluster.hosts[0].address.rpartition(".")[0] + ".1"
    command = f"rm -f /etc/resolv.conf && echo nameserver {gateway} >/etc/resolv.conf"
    for host, name in zip(cluster.hosts, names, strict=True):
        host.run("sh", "-c", command)
        cluster.own[host.name] = {
            "etcd_server_address": name,
            "etcd_server_advertise_client_urls": [
                f"{'https' if cluster.encrypted else 'http'}://{host.client}"
            ],
        }
    cluster.variables["etcd_server_discovery_srv"] = _DOMAIN
    with DnsServer(records, names, host=gateway, port=53) as server:
        yield server


def _check_found_by_dns(cluster: Cluster, service: str, queries: list[str]) -> None:
    if service not in queries:
        raise Wrong(f"nobody asked for {service}, but for {sorted(set(queries))}")
    for host in cluster.hosts:
        written = host.run("sh", "-c", "cat /etc/etcd/etcd.env /etc/etcd/etcd.yml 2>&1 || true")
        if _DOMAIN not in written or re.search("ETCD_INITIAL_CLUSTER=|initial-cluster:", written):
            raise Wrong(f"{host.name} has no domain, or a list of the members beside it")


def _make_bare(hosts: list[Host]) -> None:
    for host in hosts:
        host.burn()
        host.start()


def systemd(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """Three hosts whose first process is systemd, with the distribution's package where it can be had."""
    spaces = in_namespaces(hosts)[:3]
    try:
        for host in spaces:
            host.boot_systemd()
    except (NoNamespaces, subprocess.CalledProcessError) as exc:
        raise NotSeen(str(exc)) from exc
    cluster = Cluster(spaces, work, installed(binaries[0], work))
    cluster.variables["etcd_server_service_manager"] = "auto"
    cluster.variables["etcd_server_wal_dir"] = _WAL
    if package := _download("etcd-server", work):
        for host in spaces:
            # Not the index of all manual pages, which takes longer than all else.
            host.run("rm", "-f", "/var/lib/man-db/auto-update")
            host.run("dpkg", "--purge", "--force-depends", "etcd-server")
            shutil.copy(package, host.root / "var/cache/apt/archives" / package.name)
        _forget_packages(spaces[0], package)
        cluster.variables["etcd_server_install_method"] = "package"
        cluster.variables["etcd_server_version"] = ""
    written = begin(cluster)
    if package:
        with step("it is the distribution's package, also where apt knew of none"):
            _check_package(spaces, package)
            spaces[0].run("sh", "-c", "ls /var/lib/apt/lists/*srv_packages*")
    with step("systemd-analyze finds nothing wrong with the unit, and little exposed"):
        _check_unit(spaces[0])
    with step("systemd starts a node again that was killed"):
        _check_restarted(cluster, spaces[0])
    with step("changed settings: every node is restarted, under a load of writes"):
        written += restart_all(cluster, {"etcd_server_snapshot_count": 20000})
    with step("a host marked for removal: it leaves, and its unit goes"):
        cluster.own["node3"] = {"etcd_server_state": "absent"}
        cluster.must("server")
        check_members(cluster, 2)
        if processes(cluster)["node3"] or _show(spaces[2], "FragmentPath") == _UNIT:
            raise Wrong("node3 still has the unit of the role")
    check_all_there(client_of(cluster), written)
    with step("a server that ends whenever systemd starts it is noticed"):
        broken = {"etcd_server_settings": {"max-txn-ops": "none"}, "etcd_server_start_timeout": 300}
        outcome = cluster.run("server", extra={**broken, "etcd_server_allow_downtime": True})
        check_refused(outcome, "ended, and is not there any more|it has ended")
        if "invalid value" not in outcome.output:
            raise Wrong(f"the reason is not shown:\n{outcome.output[-6000:]}")


def _download(package: str, work: Path) -> Path | None:
    """The file of a Debian package, from where apt gets its packages."""
    if shutil.which("apt-get"):
        command = ["apt-get", "download", "-o", "APT::Sandbox::User=root", package]
        subprocess.run(command, cwd=work, capture_output=True, check=False)
    found = next(work.glob(f"{package}_*.deb"), None)
    if not found:
        print(f"==> Not seen: apt does not give {package} here", flush=True)
    return found


def _forget_packages(host: Host, package: Path) -> None:
    """As on a bare host, apt knows no packages; once it looks, it finds this one."""
    archive = host.root / "srv" / "packages"
    archive.mkdir()
    shutil.copy(package, archive)
    fields = subprocess.run(
        ["dpkg-deb", "--field", package], capture_output=True, text=True, check=True
    ).stdout
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    about = f"Filename: ./{package.name}\nSize: {package.stat().st_size}\nSHA256: {digest}\n"
    (archive / "Packages").write_text(fields + about)
    host.run("sh", "-c", "rm -rf /var/lib/apt/lists/* /etc/apt/sources.list*")
    (host.root / "etc/apt/sources.list").write_text("deb [trusted=yes] file:/srv/packages ./\n")


def _check_package(hosts: list[Host], package: Path) -> None:
    version = package.name.split("_")[1]
    for host in hosts:
        found = host.run("dpkg-query", "-W", "-f", "${Version} ${db:Status-Abbrev}", "etcd-server")
        if found.split() != [version, "ii"]:
            raise Wrong(f"{host.name} has {found}")
        program = host.run("readlink", f"/proc/{pid_of(host)}/exe").strip()
        if program != "/usr/bin/etcd":
            raise Wrong(f"{host.name} runs {program}")
        if "/var/lib/etcd/default" in host.run("journalctl", "--no-pager", "-u", "etcd"):
            raise Wrong(
                f"{host.name} has started the service of the package, before that of the role"
            )


def _check_unit(host: Host) -> None:
    command = f"systemd-analyze verify --man=no {_UNIT} 2>&1"
    if said := [line for line in host.run("sh", "-c", command).splitlines() if "etcd" in line]:
        raise Wrong(f"systemd-analyze verify says {said}")
    # Exposure is told in tenths here; 20 is what systemd calls OK, where a unit without
    # hardening has 92.
    host.run("systemd-analyze", "security", "--no-pager", "--threshold=20", "etcd.service")
    if "yes" != _show(host, "NoNewPrivileges") or _show(host, "User") != "etcd":
        raise Wrong("the process runs without the hardening of the unit")


def _check_restarted(cluster: Cluster, host: Host) -> None:
    before = pid_of(host)
    host.run("kill", "-KILL", str(before))
    deadline = time.monotonic() + 60
    while pid_of(host) in (0, before) or _show(host, "ActiveState") != "active":
        if time.monotonic() > deadline:
            raise Wrong(f"systemd did not start etcd again: {_show(host, 'ActiveState')}")
        time.sleep(0.5)
    check_members(cluster, 3)


def _show(host: Host, name: str) -> str:
    return host.run("systemctl", "show", "--value", "-p", name, "etcd.service").strip()


def snapshot(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """Snapshots of the v3 store by each etcdctl, with the v3 store's access control off and on."""
    for host, binary in zip(in_namespaces(hosts), binaries, strict=False):
        etcdctl = _etcdctl(binary, work)
        cluster = Cluster([host], work, installed(binary, work))
        cluster.variables.update(
            _backup_of(host),
            etcd_server_tls_mode="internal_ca",
            # The user of the v3 store; etcdctl shows the node's certificate.
            etcd_server_cert_common_name=host.name,
        )
        with step(f"etcd {binary.version} with TLS"):
            cluster.must("server")
            check_members(cluster, 1)
        with step("the v3 store is asked for, and there is no etcdctl: it says so"):
            host.run("rm", "-f", "/usr/bin/etcdctl", "/usr/local/bin/etcdctl")
            outcome = cluster.run("backup")
            check_refused(outcome, f"etcdctl is neither on .*/opt/etcd/{binary.version}/etcdctl")
            broken = {"etcd_backup_etcdctl": "/bin/false", "etcd_backup_v3": "auto"}
            check_refused(
                cluster.run("backup", extra=broken), "/bin/false does not say its version"
            )
        _unpack(etcdctl, host, binary)
        with step(f"etcdctl {binary.version} is found beside the server, and saves the v3 store"):
            _etcdctl_in(host, "put", "a", "1")
            cluster.must("backup")
            _check_snapshots(host, 1)
            if cluster.must("backup").changed:
                raise Wrong("nothing had changed, and a snapshot was saved")
        for words in ("root", host.name):
            _etcdctl_in(host, "user", "add", words, "--no-password")
        _etcdctl_in(host, "user", "grant-role", "root", "root")
        _etcdctl_in(host, "put", "a", "2")
        _etcdctl_in(host, "auth", "enable")
        always = {"etcd_backup_always": True}
        with step("access control of the v3 store is on: who may not is refused"):
            check_refused(cluster.run("backup", extra=always), "permission denied")
            _check_snapshots(host, 1)
        make_certificate(cluster.pki, "root", "DNS:root.example")
        for end in (".pem", "-key.pem"):
            shutil.copy(cluster.pki / f"root{end}", host.root / "srv" / f"root{end}")
        with step("with the role root, the certificate's user saves it"):
            granted = ("user", "grant-role", host.name, "root")
            _etcdctl_in(host, *granted, cert="/srv/root.pem", key="/srv/root-key.pem")
            cluster.must("backup", extra=always)
            _check_snapshots(host, 2)


def _backup_of(host: Host) -> dict[str, object]:
    return {
        "etcd_backup_v3": "required",
        "etcd_backup_endpoints": [f"https://{host.client}"],
        "etcd_backup_ca_cert": "/etc/etcd/pki/ca.pem",
        "etcd_backup_client_cert": "/etc/etcd/pki/cert.pem",
        "etcd_backup_client_key": "/etc/etcd/pki/key.pem",
    }


def _etcdctl(binary: Binary, work: Path) -> Path:
    """The etcdctl of a server's version: beside it, or of Debian's package.

    Raises:
        NotSeen: if there is none.
    """
    for server in (Path(binary.path), Path(binary.path).resolve()):
        if (beside := server.with_name("etcdctl")).exists():
            return beside
    if package := _download("etcd-client", work):
        folder = work / "etcd-client"
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
        return folder / "usr/bin/etcdctl"
    raise NotSeen(f"there is no etcdctl of etcd {binary.version}, beside {binary.path} or from apt")


def _unpack(etcdctl: Path, host: Host, binary: Binary) -> None:
    """Put etcdctl where a release's archive has it: beside the server."""
    shutil.copy(etcdctl, host.root / f"opt/etcd/{binary.version}/etcdctl")
    # For the commands of the test itself.
    shutil.copy(etcdctl, host.root / "srv/etcdctl")


def _etcdctl_in(
    host: Host, *words: str, cert: str = f"{_PKI}/cert.pem", key: str = f"{_PKI}/key.pem"
) -> None:
    files = (f"--cacert={_PKI}/ca.pem", f"--cert={cert}", f"--key={key}")
    endpoint = f"--endpoints=https://{host.client}"
    host.run("env", "ETCDCTL_API=3", "/srv/etcdctl", endpoint, *files, *words)


def _check_snapshots(host: Host, count: int) -> None:
    found = host.run("sh", "-c", "ls /var/backups/etcd/*.db").split()
    if len(found) != count:
        raise Wrong(f"there are {found}, and not {count}")
