# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module etcd_dir does when answers are lost and when others write at the same time."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Incomplete, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.dir import manage_dir
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from conftest import ProxyTo
from harness import Binary, Cluster, FaultProxy

Report = t.Dict[str, t.Any]

_OPTIONS: t.Dict[str, t.Any] = {
    "path": None,
    "state": "present",
    "ttl": None,
    "recursive": False,
    "force": False,
    "prev_index": None,
    "children": False,
}

#: Fault -> whether the server carries the write out under it.
FAULTS = {
    "cut_after_forward": True,
    "error_after_commit": True,
    "truncate": True,
    "cut_before_forward": False,
    "reset": False,
    "hang": False,
}


class Task(t.NamedTuple):
    """What is there, what is wished, and how it must end."""

    before: t.Callable[[Client, str], t.Any]
    options: t.Dict[str, t.Any]
    verb: str
    events: t.Sequence[str]
    exists: bool


def _filled(client: Client, key: str) -> None:
    client.write(key + "/child", "x")
    client.write(key + "/_hidden", "x")


TASKS = {
    "make": Task(lambda client, key: None, {}, "PUT", ["create"], True),
    "make with a TTL": Task(lambda client, key: None, {"ttl": 900}, "PUT", ["create"], True),
    "remove": Task(
        lambda client, key: client.mkdir(key), {"state": "absent"}, "DELETE", ["delete"], False
    ),
    "remove all": Task(
        _filled, {"state": "absent", "recursive": True}, "DELETE", ["delete"], False
    ),
    "replace, the first step": Task(
        lambda client, key: client.write(key, "precious"),
        {"force": True},
        "DELETE",
        ["compareAndDelete", "create"],
        True,
    ),
    "replace, the second step": Task(
        lambda client, key: client.write(key, "precious"),
        {"force": True},
        "PUT",
        ["compareAndDelete", "create"],
        True,
    ),
}


@pytest.fixture
def key(key: str) -> str:
    """A key that has a directory for itself and its neighbours."""
    return key + "/d"


@pytest.fixture
def proxy(single: Cluster, proxy_to: ProxyTo) -> FaultProxy:
    """A proxy before the node."""
    found: FaultProxy = proxy_to(single.endpoints[0])
    return found


def _manage(client: Client, path: str, **options: t.Any) -> Report:
    return manage_dir(dict(_OPTIONS, path=path, **options), lambda: client, apply=True)


def _events(client: Client, key: str, since: int) -> t.List[str]:
    """Actions of all events on the key itself after this index."""
    parent = key.rpartition("/")[0]
    end = client.write(parent + "/end", "").node.modified_index
    found: t.List[str] = []
    for event in client.watch(parent, index=since + 1, recursive=True, timeout=5):
        if event.node.modified_index >= end:
            return found
        found.extend([event.action] if event.node.key == key else [])
    return found


def _racing(client: Client, proxy: FaultProxy, verb: str, write: t.Callable[[], t.Any]) -> Client:
    """A client whose first request of this kind arrives right after another's write."""
    written: t.List[t.Any] = []

    def be_faster(method: str, unused: str) -> bool:
        if method == verb and not written:
            written.append(write())
        return False

    proxy.set_mode("pass", match=be_faster)
    return Client(proxy.url)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault(fault: str, name: str, client: Client, proxy: FaultProxy, key: str) -> None:
    """Changed, once, whether the write got through before the answer was lost or not."""
    task = TASKS[name]
    task.before(client, key)
    since = client.write(key + "-neighbour", "x").node.modified_index
    proxy.set_mode(fault, match=task.verb, times=1)
    hurried = Client(proxy.url, timeout=0.4, total_timeout=1.5)
    sent_once = task.events == ["delete"]
    if sent_once and not FAULTS[fault]:
        # The server takes no condition for the removal of a directory.
        with pytest.raises(errors.EtcdOutcomeUnknown):
            _manage(hurried, key, **task.options)
        assert client.read(key).node.dir
        return
    assert _manage(hurried, key, **task.options)["changed"]
    sent = [seen.method for seen in proxy.requests if seen.method == task.verb]
    assert len(sent) == (1 if FAULTS[fault] else 2)
    assert _events(client, key, since) == task.events
    if task.exists:
        node = client.read(key).node
        assert node.dir
        assert (node.ttl is None) == ("ttl" not in task.options)
    else:
        with pytest.raises(errors.EtcdKeyNotFound):
            client.read(key)
    assert not _manage(client, key, **task.options)["changed"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_ttl_and_one_fault(
    fault: str, binary: Binary, client: Client, proxy: FaultProxy, key: str
) -> None:
    """The same for the change of a TTL; what etcd 3.5 cannot do is not even sent."""
    client.mkdir(key, ttl=900)
    client.write(key + "/child", "kept")
    proxy.set_mode(fault, match="PUT", times=1)
    hurried = Client(proxy.url, timeout=0.4, total_timeout=1.5)
    if not binary.version.startswith("3.4."):
        with pytest.raises(Refusal):
            _manage(hurried, key, ttl=60)
        assert {seen.method for seen in proxy.requests} == {"GET"}
        assert client.read(key).node.ttl > 800
        return
    if not FAULTS[fault]:
        with pytest.raises(errors.EtcdOutcomeUnknown):
            _manage(hurried, key, ttl=60)
        assert client.read(key).node.ttl > 800
        return
    assert _manage(hurried, key, ttl=60)["changed"]
    node = client.read(key).node
    assert 40 < node.ttl <= 60
    assert [one.value for one in node.nodes] == ["kept"]
    assert not _manage(client, key, ttl=60)["changed"]


def test_a_value_that_comes_meanwhile_is_not_replaced(
    client: Client, proxy: FaultProxy, key: str
) -> None:
    """Between the read, which finds nothing, and the write: the server would take the directory."""
    racing = _racing(client, proxy, "PUT", lambda: client.write(key, "precious"))
    with pytest.raises(Refusal) as caught:
        _manage(racing, key)
    assert "is a key with a value" in str(caught.value)
    assert client.read(key).node.value == "precious"


def test_a_directory_that_comes_meanwhile_is_no_change(
    client: Client, proxy: FaultProxy, key: str
) -> None:
    """Somebody else made it."""
    racing = _racing(client, proxy, "PUT", lambda: client.mkdir(key))
    assert not _manage(racing, key)["changed"]


def test_a_value_that_changes_meanwhile_is_the_one_that_the_report_shows(
    client: Client, proxy: FaultProxy, key: str
) -> None:
    """What is replaced by force is never another value than the one that is shown to go."""
    client.write(key, "old")
    racing = _racing(client, proxy, "DELETE", lambda: client.write(key, "new"))
    done = _manage(racing, key, force=True)
    assert (done["changed"], done["prev_value"]) == (True, "new")
    assert done["diff"]["before"] == "new\n"
    assert client.read(key).node.dir


def test_a_value_that_changes_meanwhile_and_an_index(
    client: Client, proxy: FaultProxy, key: str
) -> None:
    """With prev_index the other value stays."""
    index = client.write(key, "old").node.modified_index
    racing = _racing(client, proxy, "DELETE", lambda: client.write(key, "new"))
    with pytest.raises(Refusal) as caught:
        _manage(racing, key, force=True, prev_index=index)
    assert "its modified index is to be %d" % index in str(caught.value)
    assert client.read(key).node.value == "new"


def test_a_value_that_comes_between_the_two_steps(
    client: Client, proxy: FaultProxy, key: str
) -> None:
    """The first value is gone, which is a change, and the second one is not touched."""
    client.write(key, "first")
    racing = _racing(client, proxy, "PUT", lambda: client.write(key, "second"))
    with pytest.raises(Incomplete) as caught:
        _manage(racing, key, force=True)
    assert caught.value.changed is True
    assert client.read(key).node.value == "second"


def test_a_child_that_comes_meanwhile_stays(client: Client, proxy: FaultProxy, key: str) -> None:
    """An empty directory is only removed while it is empty."""
    client.mkdir(key)
    racing = _racing(client, proxy, "DELETE", lambda: client.write(key + "/child", "precious"))
    with pytest.raises(Refusal) as caught:
        _manage(racing, key, state="absent")
    assert "is not empty" in str(caught.value)
    assert "or one was made just now" in str(caught.value)
    assert client.read(key + "/child").node.value == "precious"


def test_somebody_else_removes_it_meanwhile(client: Client, proxy: FaultProxy, key: str) -> None:
    """Which is no change of ours."""
    client.mkdir(key)
    racing = _racing(client, proxy, "DELETE", lambda: client.rmdir(key))
    assert not _manage(racing, key, state="absent")["changed"]
