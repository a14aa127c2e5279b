# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real etcd clusters on loopback ports.

`Cluster` starts members that die with this process, `Cluster(..., detached=True)` members that
outlive it (what the command line does).
"""

from __future__ import annotations

import atexit
import http.client
import json
import os
import shutil
import signal
import ssl
import tempfile
import time
import typing as t
import uuid
from types import TracebackType
from urllib.parse import urlsplit

from . import ports
from .binaries import Binary
from .errors import HarnessError, PortTaken
from .processes import Process
from .tls import Tls

HEALTHY_WITHIN = 30.0
DIRECTORY_PREFIX = "quorum-etcd-"

_ATTEMPTS = 3
_POLL = 0.05
_PROBE_TIMEOUT = 2.0
_TERM_TIMEOUT = 15.0
_LOG_LINES = 20
_LOG_COLUMNS = 400
_ADDRESS_IN_USE = "address already in use"


class Answer(t.NamedTuple):
    """What a server answered to a probe."""

    status: int
    body: t.Any


class _Ids(t.NamedTuple):
    member_id: t.Optional[str]
    leader_id: t.Optional[str]


class Member:
    """One etcd server: its addresses, its files and its process."""

    def __init__(
        self,
        *,
        name: str,
        endpoint: str,
        peer_url: str,
        data_dir: str,
        log_path: str,
        command: t.List[str],
        tls: t.Optional[Tls] = None,
        detached: bool = False,
        process: t.Optional[Process] = None,
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.peer_url = peer_url
        self.data_dir = data_dir
        self.log_path = log_path
        self.command = command
        self.paused = False
        self._context = tls.client_context() if tls else None
        self._detached = detached
        self._process = process

    def __repr__(self) -> str:
        return f"Member({self.name!r}, {self.endpoint!r}, pid={self.pid})"

    @property
    def process(self) -> t.Optional[Process]:
        """Its process, also one that has ended by itself; None when it was stopped."""
        return self._process

    @property
    def pid(self) -> t.Optional[int]:
        """The process id, None while it does not run."""
        return self._process.pid if self._process and self._process.running() else None

    def start(self) -> None:
        """Start it, or start it again with the same data; does not wait until it is healthy."""
        if self.pid is not None:
            raise HarnessError(f"{self.name} already runs")
        self._process = Process.spawn(
            self.command, self.log_path, detached=self._detached, environment=_environment()
        )
        self.paused = False

    def move_peer_url(self, peer_url: str) -> None:
        """Listen to other members there from the next start on, as the cluster was told."""
        self.command = [
            "%s=%s" % (option.partition("=")[0], peer_url)
            if option.startswith(("--listen-peer-urls=", "--initial-advertise-peer-urls="))
            else option.replace(f"{self.name}={self.peer_url}", f"{self.name}={peer_url}")
            for option in self.command
        ]
        self.peer_url = peer_url

    def begin_anew(self, initial_cluster: str) -> None:
        """Be another member from the next start on: one without data, which was just added.

        `initial_cluster` is `name=peer_url,...` of all members, this one included.
        """
        with os.scandir(self.data_dir) as entries:
            for entry in entries:
                shutil.rmtree(entry.path) if entry.is_dir() else os.unlink(entry.path)
        settings = {"--initial-cluster": initial_cluster, "--initial-cluster-state": "existing"}
        self.command = [
            "%s=%s" % (name, settings.get(name, value)) if equals else name
            for name, equals, value in (option.partition("=") for option in self.command)
        ]

    def wait_ended(self, timeout: float = _TERM_TIMEOUT) -> None:
        """Wait until it ends by itself, as a member does that was removed."""
        deadline = time.monotonic() + timeout
        while self.pid is not None:
            if time.monotonic() >= deadline:
                raise HarnessError(f"{self.name} still runs after {timeout} s")
            time.sleep(_POLL)

    def kill(self) -> None:
        """SIGKILL and wait."""
        if self._process is not None:
            self._process.kill()
        self._process = None
        self.paused = False

    def terminate(self) -> None:
        """SIGTERM and wait: an orderly shutdown, a leader hands over first."""
        if self._process is not None:
            self._process.terminate(_TERM_TIMEOUT)
        self._process = None
        self.paused = False

    def pause(self) -> None:
        """SIGSTOP: connections are still accepted (by the kernel), nothing is answered."""
        self._signal(signal.SIGSTOP)
        self._wait_stopped()
        self.paused = True

    def _wait_stopped(self) -> None:
        """Its threads stop one after the other, and one that still runs may still answer."""
        deadline = time.monotonic() + _TERM_TIMEOUT
        while time.monotonic() < deadline:
            with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
                if stat.read().rpartition(")")[2].split()[0] in "Tt":
                    return
            time.sleep(0.01)
        raise HarnessError(f"{self.name} does not stop")

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)
        self.paused = False

    def wait_healthy(self, timeout: float = HEALTHY_WITHIN) -> None:
        """Wait until it says so itself and knows the version of its cluster."""
        _wait_healthy([self], timeout)

    def healthy(self) -> bool:
        """Whether it is healthy now."""
        health = self.request("GET", "/health")
        if health is None or health.status != 200:
            return False
        version = self.request("GET", "/version")
        return (
            version is not None
            and isinstance(version.body, dict)
            and version.body.get("etcdcluster", "not_decided") != "not_decided"
        )

    def request(
        self,
        method: str,
        target: str,
        body: t.Optional[str] = None,
        timeout: float = _PROBE_TIMEOUT,
    ) -> t.Optional[Answer]:
        """One request on a new connection; None when there was no complete answer."""
        connection = _connection(self.endpoint, self._context, timeout)
        try:
            connection.request(method, target, body)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        try:
            return Answer(answer.status, json.loads(text))
        except ValueError:
            return Answer(answer.status, text)

    def check_running(self) -> None:
        """Raise with the end of its log if it has ended."""
        if self.pid is None:
            log = self.log_tail()
            if _ADDRESS_IN_USE in log:
                raise PortTaken(f"{self.name} lost a port: {self.endpoint}, {self.peer_url}")
            raise HarnessError(f"{self.name} has ended:\n{log}")

    def log_tail(self) -> str:
        """The last lines of its log."""
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(line[:_LOG_COLUMNS] for line in lines[-_LOG_LINES:])

    def _signal(self, number: int) -> None:
        if self._process is None or not self._process.running():
            raise HarnessError(f"{self.name} does not run")
        self._process.signal(number)


class Cluster:
    """A cluster of `size` members; a context manager that starts and stops it."""

    def __init__(
        self,
        binary: Binary,
        size: int = 1,
        v2: bool = True,
        tls: t.Optional[Tls] = None,
        extra_args: t.Sequence[str] = (),
        *,
        detached: bool = False,
        parent_directory: t.Optional[str] = None,
    ) -> None:
        self.binary = binary
        self.size = size
        self.v2 = v2
        self.tls = tls
        self.extra_args = tuple(extra_args)
        self.members: t.List[Member] = []
        self.spares: t.List[Member] = []
        self.directory = ""
        self._detached = detached
        self._parent_directory = parent_directory
        self._token = uuid.uuid4().hex

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(
        self,
        kind: t.Optional[t.Type[BaseException]],
        error: t.Optional[BaseException],
        trace: t.Optional[TracebackType],
    ) -> None:
        self.stop()

    @property
    def endpoints(self) -> t.List[str]:
        """The client URL of every member, running or not."""
        return [member.endpoint for member in self.members]

    def start(self) -> None:
        """Start all members and wait until all are healthy; with other ports if one was taken."""
        if self.directory:
            raise HarnessError("this cluster was already started")
        for attempt in range(1, _ATTEMPTS + 1):
            started = False
            try:
                self._start_once()
                started = True
            except PortTaken:
                if attempt == _ATTEMPTS:
                    raise
            finally:
                if not started:
                    self.stop()
            if started:
                return

    def stop(self) -> None:
        """Kill what still runs and remove all files; may be called again."""
        atexit.unregister(self.stop)
        for member in self.members + self.spares:
            member.kill()
        self.members = []
        self.spares = []
        if self.directory:
            shutil.rmtree(self.directory)
            self.directory = ""

    def member(self, name: str) -> Member:
        """The member of that name."""
        for member in self.members:
            if member.name == name:
                return member
        raise HarnessError(f"no member {name!r}")

    def wait_healthy(self, timeout: float = HEALTHY_WITHIN) -> None:
        """Wait until every member that runs and is not paused is healthy."""
        _wait_healthy(self._responsive(), timeout)

    def leader(self, timeout: float = 10.0) -> Member:
        """The member that leads, one that runs and is not paused."""
        deadline = time.monotonic() + timeout
        while True:
            for member in self._responsive():
                name = self._leader_seen_by(member)
                for leader in self._responsive():
                    if leader.name == name:
                        return leader
            if time.monotonic() >= deadline:
                raise HarnessError(f"no leader after {timeout} s")
            time.sleep(_POLL)

    def new_peer_url(self) -> str:
        """A free peer URL, for a member that is still to be added."""
        url = ports.new_peer_url()
        return url.replace("http:", "https:") if self.tls and self.tls.peers else url

    def add_spare(self, name: str) -> Member:
        """Make a member that is not in the cluster and does not run; it has its place in `spares`.

        Whoever moves members between `members` and `spares` has them added and removed as well.
        """
        peer_url = self.new_peer_url()
        member = self._make_member(
            name, ports.free_port(), peer_url, f"{name}={peer_url}", state="existing"
        )
        os.makedirs(member.data_dir, mode=0o700, exist_ok=True)
        self.spares.append(member)
        return member

    def add_member_process(
        self,
        name: str,
        peer_url: str,
        initial_cluster: str,
        wait: bool = True,
        binary: t.Optional[Binary] = None,
    ) -> Member:
        """Start the server of a member that was added to the cluster by its API.

        `initial_cluster` is `name=peer_url,...` of all members, the new one included; `binary` is
        its server, if it is another than that of the cluster.
        """
        member = self._make_member(
            name, ports.free_port(), peer_url, initial_cluster, state="existing", binary=binary
        )
        self.members.append(member)
        member.start()
        if wait:
            member.wait_healthy()
        return member

    @classmethod
    def at(cls, directory: str, binary: Binary, *, v2: bool, tls: t.Optional[Tls]) -> Cluster:
        """A detached cluster that runs already, to add members to; it knows of none so far."""
        cluster = cls(binary, v2=v2, tls=tls, detached=True)
        cluster.directory = directory
        return cluster

    def _start_once(self) -> None:
        self.directory = tempfile.mkdtemp(prefix=DIRECTORY_PREFIX, dir=self._parent_directory)
        if not self._detached:
            atexit.register(self.stop)
        names = [f"m{number}" for number in range(1, self.size + 1)]
        with ports.reserve(2 * self.size) as reservation:
            client_ports = reservation.ports[: self.size]
            scheme = "https" if self.tls and self.tls.peers else "http"
            peer_urls = [
                f"{scheme}://{ports.HOST}:{port}" for port in reservation.ports[self.size :]
            ]
            initial_cluster = ",".join(f"{name}={url}" for name, url in zip(names, peer_urls))
            self.members = [
                self._make_member(name, port, url, initial_cluster, state="new")
                for name, port, url in zip(names, client_ports, peer_urls)
            ]
        for member in self.members:
            member.start()
        _wait_healthy(self.members, HEALTHY_WITHIN)

    def _make_member(
        self,
        name: str,
        port: int,
        peer_url: str,
        initial_cluster: str,
        state: str,
        binary: t.Optional[Binary] = None,
    ) -> Member:
        scheme = "https" if self.tls else "http"
        endpoint = f"{scheme}://{ports.HOST}:{port}"
        data_dir = os.path.join(self.directory, f"{name}.data")
        log_path = os.path.join(self.directory, f"{name}.log")
        command = [(binary or self.binary).path, f"--name={name}", f"--data-dir={data_dir}"]
        command += [f"--listen-client-urls={endpoint}", f"--advertise-client-urls={endpoint}"]
        command += [f"--listen-peer-urls={peer_url}", f"--initial-advertise-peer-urls={peer_url}"]
        command += [f"--initial-cluster={initial_cluster}", f"--initial-cluster-state={state}"]
        command += [f"--initial-cluster-token={self._token}"]
        command += ["--logger=zap", "--log-outputs=stderr", "--log-level=error"]
        if self.v2:
            command.append("--enable-v2=true")
        if self.tls:
            command += [f"--cert-file={self.tls.server_cert}", f"--key-file={self.tls.server_key}"]
            if self.tls.client_auth:
                command.append("--client-cert-auth=true")
                command.append(f"--trusted-ca-file={self.tls.certs.ca_cert}")
            if self.tls.peers:
                command.append(f"--peer-cert-file={self.tls.server_cert}")
                command.append(f"--peer-key-file={self.tls.server_key}")
                command.append(f"--peer-trusted-ca-file={self.tls.certs.ca_cert}")
                command.append("--peer-client-cert-auth=true")
        command += self.extra_args
        return Member(
            name=name,
            endpoint=endpoint,
            peer_url=peer_url,
            data_dir=data_dir,
            log_path=log_path,
            command=command,
            tls=self.tls,
            detached=self._detached,
        )

    def _responsive(self) -> t.List[Member]:
        return [member for member in self.members if member.pid is not None and not member.paused]

    def _leader_seen_by(self, member: Member) -> t.Optional[str]:
        if self.v2:
            answer = member.request("GET", "/v2/members/leader")
            return answer.body["name"] if answer and answer.status == 200 else None
        leader_id = _v3_status(member).leader_id
        for other in self._responsive():
            own_id = _v3_status(other).member_id
            if own_id is not None and own_id == leader_id:
                return other.name
        return None


def _wait_healthy(members: t.Sequence[Member], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    waiting = list(members)
    while True:
        # All of them each time: one that has ended can be why the others have no leader.
        for member in members:
            member.check_running()
        waiting = [member for member in waiting if not member.healthy()]
        if not waiting:
            return
        if time.monotonic() >= deadline:
            names = ", ".join(member.name for member in waiting)
            logs = "\n".join(f"{member.name}: {member.log_tail()}" for member in waiting)
            raise HarnessError(f"not healthy after {timeout} s: {names}\n{logs}")
        time.sleep(_POLL)


def _v3_status(member: Member) -> _Ids:
    """The ids of the member itself and of its leader."""
    answer = member.request("POST", "/v3/maintenance/status", "{}")
    if answer is None or answer.status != 200:
        return _Ids(None, None)
    return _Ids(answer.body["header"]["member_id"], answer.body.get("leader"))


def _connection(
    endpoint: str, context: t.Optional[ssl.SSLContext], timeout: float
) -> http.client.HTTPConnection:
    parts = urlsplit(endpoint)
    host = parts.hostname or ports.HOST
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=context)
    return http.client.HTTPConnection(host, parts.port, timeout=timeout)


def _environment() -> t.Dict[str, str]:
    """Ours, without what would configure etcd behind our back."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ETCD_") or name == "ETCD_UNSUPPORTED_ARCH"
    }
