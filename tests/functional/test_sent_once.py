# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the server takes no condition for, or is to be written without one, is sent once."""

from __future__ import annotations

import time
import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Incomplete
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.dir import manage_dir
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.key import manage_key
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.tree import manage_tree
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from conftest import ProxyTo
from harness import Binary, Cluster, FaultProxy
from interpose import Meddling
from options import left_out

Report = t.Dict[str, t.Any]


@pytest.fixture
def key(key: str) -> str:
    """A key that has a directory for itself and its neighbours."""
    return key + "/d"


@pytest.fixture
def proxy(single: Cluster, proxy_to: ProxyTo) -> FaultProxy:
    """A proxy before the node."""
    found: FaultProxy = proxy_to(single.endpoints[0])
    return found


def _dir(client: Client, path: str, **options: t.Any) -> Report:
    return manage_dir(dict(left_out("etcd_dir"), path=path, **options), lambda: client, apply=True)


def _key(client: Client, key: str, **options: t.Any) -> Report:
    return manage_key(dict(left_out("etcd_key"), key=key, **options), lambda: client, apply=True)


def _tree(client: Client, path: str, **options: t.Any) -> Report:
    return manage_tree(
        dict(left_out("etcd_tree"), path=path, **options), lambda: client, apply=True
    )


def _sent(proxy: FaultProxy, verb: str) -> int:
    return [seen.method for seen in proxy.requests].count(verb)


#: How a task removes the directory with what is in it.
REMOVALS: t.Dict[str, t.Callable[[Client, str], Report]] = {
    "etcd_dir": lambda client, path: _dir(client, path, state="absent", recursive=True),
    "etcd_tree, purge": lambda client, path: _tree(
        client, path.rpartition("/")[0], tree={"other": "x"}, purge=True
    ),
    "etcd_tree, absent": lambda client, path: _tree(client, path, state="absent"),
}


@pytest.mark.parametrize("name", REMOVALS)
def test_a_late_removal_is_waited_for(
    name: str, client: Client, proxy: FaultProxy, key: str
) -> None:
    """It arrives 1.5 s late: the task is not over before, so nothing that comes after it is lost."""
    client.mkdir(key)
    proxy.set_mode("delay", match="DELETE", times=1, delay=1.5)
    assert REMOVALS[name](Client(proxy.url, timeout=0.4, total_timeout=20), key)["changed"]
    assert _sent(proxy, "DELETE") == 1
    client.write(key + "/precious", "x")
    time.sleep(2.0)
    assert client.read(key + "/precious").node.value == "x"


@pytest.mark.parametrize("name", REMOVALS)
@pytest.mark.parametrize("fault", ["cut_before_forward", "reset", "hang"])
def test_a_removal_that_never_arrives(
    fault: str, name: str, client: Client, proxy: FaultProxy, key: str
) -> None:
    """Unknown once the time is over, and not sent again."""
    client.mkdir(key)
    proxy.set_mode(fault, match="DELETE", times=1)
    hurried = Client(proxy.url, timeout=0.4, total_timeout=1.5)
    with pytest.raises((errors.EtcdOutcomeUnknown, Incomplete)) as caught:
        REMOVALS[name](hurried, key)
    if isinstance(caught.value, Incomplete):
        (failed,) = caught.value.report["failed_keys"]
        assert (failed["key"], failed["outcome"]) == (key, "unknown")
    assert "is not sent again" in str(caught.value)
    assert _sent(proxy, "DELETE") == 1
    assert client.read(key).node.dir


def test_many_removals_that_never_arrive(client: Client, proxy: FaultProxy, key: str) -> None:
    """The time to look for them is spent once for all."""
    for number in range(6):
        client.mkdir("%s/%d" % (key, number))
    proxy.set_mode("hang", match="DELETE")
    hurried = Client(proxy.url, timeout=0.4, total_timeout=3)
    began = time.monotonic()
    with pytest.raises(Incomplete) as caught:
        _tree(hurried, key, tree={"other": "x"}, purge=True, concurrency=6)
    assert {one["outcome"] for one in caught.value.report["failed_keys"]} == {"unknown"}
    assert len(caught.value.report["failed_keys"]) == 6
    assert time.monotonic() - began < 3 * 6


def test_somebody_else_removes_it(client: Client, proxy: FaultProxy, key: str) -> None:
    """The state that was declared holds; with prev_index it matters who did it."""
    client.mkdir(key)
    proxy.set_mode("cut_before_forward", match="DELETE", times=1)
    hurried = Client(proxy.url, http=Meddling(lambda: client.rmdir(key)))
    assert _dir(hurried, key, state="absent")["changed"]
    index = client.mkdir(key).node.modified_index
    removed: t.List[int] = []
    proxy.set_mode("cut_before_forward", match="DELETE", times=1)
    hurried = Client(
        proxy.url,
        http=Meddling(lambda: removed.append(client.rmdir(key).node.modified_index)),
    )
    with pytest.raises(errors.EtcdOutcomeUnknown) as caught:
        _dir(hurried, key, state="absent", prev_index=index)
    assert caught.value.index == removed[0]
    assert "at the index %d" % removed[0] in str(caught.value)


def test_removed_and_made_again(client: Client, proxy: FaultProxy, key: str) -> None:
    """The removal of another client shows in the history, and ours may still come: unknown."""
    client.mkdir(key)

    def others() -> None:
        client.rmdir(key)
        client.write(key + "/precious", "x")

    proxy.set_mode("cut_before_forward", match="DELETE", times=1)
    hurried = Client(proxy.url, http=Meddling(others), total_timeout=1)
    with pytest.raises(errors.EtcdOutcomeUnknown):
        _dir(hurried, key, state="absent", recursive=True)
    assert _sent(proxy, "DELETE") == 1


@pytest.mark.parametrize("arrives", [True, False])
def test_the_ttl_of_a_directory(
    arrives: bool, binary: Binary, client: Client, proxy: FaultProxy, key: str
) -> None:
    """The same for the TTL of a directory, which only etcd 3.4 sets."""
    if not binary.version.startswith("3.4."):
        pytest.skip("etcd 3.5 cannot change the TTL of a directory")
    client.mkdir(key, ttl=900)
    if arrives:
        proxy.set_mode("delay", match="PUT", times=1, delay=1.5)
        assert _dir(Client(proxy.url, timeout=0.4, total_timeout=20), key, ttl=60)["changed"]
        assert client.read(key).node.ttl <= 60
    else:
        proxy.set_mode("hang", match="PUT", times=1)
        with pytest.raises(errors.EtcdOutcomeUnknown):
            _dir(Client(proxy.url, timeout=0.4, total_timeout=1.5), key, ttl=60)
        assert client.read(key).node.ttl > 60
    assert _sent(proxy, "PUT") == 1


@pytest.mark.parametrize("fault", ["cut_after_forward", "delay", "cut_before_forward"])
def test_an_in_order_key(fault: str, client: Client, proxy: FaultProxy, key: str) -> None:
    """Unknown in each case, as others may queue the same; the one that was found is named."""
    client.create_in_order(key, "job")
    proxy.set_mode(fault, match="POST", times=1, **({"delay": 1.5} if fault == "delay" else {}))
    hurried = Client(proxy.url, timeout=0.4, total_timeout=4)
    with pytest.raises(errors.EtcdOutcomeUnknown) as caught:
        _key(hurried, key, value="job", state="enqueued")
    assert _sent(proxy, "POST") == 1
    jobs = sorted(node.created_index for node in client.read(key).node.nodes)
    assert caught.value.index == (jobs[1] if len(jobs) > 1 else None)
    assert len(jobs) == (1 if fault == "cut_before_forward" else 2)
