# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another client writes the very same, and our answer is lost: whose write it was, nobody can tell."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Incomplete
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.dir import manage_dir
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.key import manage_key
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.tree import manage_tree
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from conftest import ProxyTo
from harness import Cluster, FaultProxy
from interpose import Meddling
from options import left_out

Options = t.Dict[str, t.Any]


class Task(t.NamedTuple):
    """What is there, what is wished, and what another client does that is equal to it."""

    before: t.Optional[Options]
    options: t.Callable[[int], Options]
    verb: str
    equal: t.Callable[[Client, str, int], t.Any]


def _create(client: Client, key: str, unused: int) -> t.Any:
    return client.compare_and_swap(key, "new", prev_exist=False)


def _create_with_ttl(client: Client, key: str, unused: int) -> t.Any:
    return client.compare_and_swap(key, "new", prev_exist=False, ttl=600)


def _swap(client: Client, key: str, index: int) -> t.Any:
    return client.compare_and_swap(key, "new", prev_index=index)


def _delete(client: Client, key: str, index: int) -> t.Any:
    return client.compare_and_delete(key, prev_index=index)


def _refresh(client: Client, key: str, index: int) -> t.Any:
    return client.update_ttl(key, 600, prev_index=index)


#: With a condition of the user: only one of two equal writers may be told that it was the one.
CONDITIONAL = {
    "lock": Task(None, lambda index: {"value": "new", "prev_exist": False}, "PUT", _create),
    "lock with a TTL": Task(
        None,
        lambda index: {"value": "new", "prev_exist": False, "ttl": 600},
        "PUT",
        _create_with_ttl,
    ),
    "count by value": Task(
        {"value": "old"}, lambda index: {"value": "new", "prev_value": "old"}, "PUT", _swap
    ),
    "count by index": Task(
        {"value": "old"}, lambda index: {"value": "new", "prev_index": index}, "PUT", _swap
    ),
    "swap what exists": Task(
        {"value": "old"}, lambda index: {"value": "new", "prev_exist": True}, "PUT", _swap
    ),
    "give the lock back": Task(
        {"value": "old"}, lambda index: {"state": "absent", "prev_value": "old"}, "DELETE", _delete
    ),
    "take the token": Task(
        {"value": "old"}, lambda index: {"state": "absent", "prev_exist": True}, "DELETE", _delete
    ),
    "refresh by index": Task(
        {"value": "new", "ttl": 900},
        lambda index: {"value": "new", "ttl": 600, "prev_index": index},
        "PUT",
        _refresh,
    ),
}

#: A declared state: it holds, whoever brought it about.
DECLARED = {
    "create": Task(None, lambda index: {"value": "new"}, "PUT", _create),
    "create with a TTL": Task(
        None, lambda index: {"value": "new", "ttl": 600}, "PUT", _create_with_ttl
    ),
    "swap": Task({"value": "old"}, lambda index: {"value": "new"}, "PUT", _swap),
    "delete": Task({"value": "old"}, lambda index: {"state": "absent"}, "DELETE", _delete),
    "refresh": Task(
        {"value": "new", "ttl": 900}, lambda index: {"value": "new", "ttl": 600}, "PUT", _refresh
    ),
    "heartbeat": Task(
        {"value": "new", "ttl": 900},
        lambda index: {"value": "new", "ttl": 600, "refresh": "always", "prev_value": "new"},
        "PUT",
        _refresh,
    ),
}


@pytest.fixture
def key(key: str) -> str:
    """A key that has a directory for itself and its neighbours."""
    return key + "/key"


@pytest.fixture
def proxy(single: Cluster, proxy_to: ProxyTo) -> FaultProxy:
    """A proxy before the node."""
    found: FaultProxy = proxy_to(single.endpoints[0])
    return found


def _prepare(client: Client, key: str, task: Task) -> int:
    """Make what the task finds; its index."""
    client.write(key + "-neighbour", "x")
    if task.before is None:
        return 0
    return int(client.write(key, **task.before).node.modified_index)


def _run(client: Client, key: str, **options: t.Any) -> Options:
    return manage_key(dict(left_out("etcd_key"), key=key, **options), lambda: client, apply=True)


@pytest.mark.parametrize("ours", ["is dropped", "comes second"])
@pytest.mark.parametrize("name", CONDITIONAL)
def test_a_condition_of_the_user(
    name: str, ours: str, client: Client, proxy: FaultProxy, key: str
) -> None:
    """Told unknown, with the index that was found; never that it was ours, as it was not."""
    task = CONDITIONAL[name]
    index = _prepare(client, key, task)
    answers: t.List[t.Any] = []

    def equal(*unused: t.Any) -> None:
        answers.append(task.equal(client, key, index))

    if ours == "is dropped":
        proxy.set_mode("cut_before_forward", match=task.verb, times=1)
        hurried = Client(proxy.url, http=Meddling(equal))
    else:

        def just_before(method: str, unused: str) -> bool:
            if method == task.verb and not answers:
                equal()
            return method == task.verb

        proxy.set_mode("cut_after_forward", match=just_before, times=1)
        hurried = Client(proxy.url)
    with pytest.raises(errors.EtcdOutcomeUnknown) as caught:
        _run(hurried, key, **task.options(index))
    found = answers[0].node.modified_index
    assert caught.value.index == found
    assert "at the index %d" % found in str(caught.value)
    assert [seen.method for seen in proxy.requests].count(task.verb) == 1


@pytest.mark.parametrize("name", CONDITIONAL)
def test_a_condition_of_the_user_and_our_own_write(
    name: str, client: Client, proxy: FaultProxy, key: str
) -> None:
    """Our own write looks the same, so it is unknown too, and the index tells where to look."""
    task = CONDITIONAL[name]
    index = _prepare(client, key, task)
    proxy.set_mode("cut_after_forward", match=task.verb, times=1)
    with pytest.raises(errors.EtcdOutcomeUnknown) as caught:
        _run(Client(proxy.url), key, **task.options(index))
    if task.verb == "PUT":
        assert client.read(key).node.modified_index == caught.value.index
    assert [seen.method for seen in proxy.requests].count(task.verb) == 1


@pytest.mark.parametrize("name", DECLARED)
def test_a_declared_state(name: str, client: Client, proxy: FaultProxy, key: str) -> None:
    """It holds, and it is not as it was read: changed."""
    task = DECLARED[name]
    index = _prepare(client, key, task)
    proxy.set_mode("cut_before_forward", match=task.verb, times=1)
    hurried = Client(proxy.url, http=Meddling(lambda: task.equal(client, key, index)))
    report = _run(hurried, key, **task.options(index))
    assert report["changed"]
    wish = task.options(index)
    if wish.get("state") == "absent":
        with pytest.raises(errors.EtcdKeyNotFound):
            client.read(key)
    else:
        node = client.read(key).node
        assert (node.value, report["value"]) == ("new", "new")
        assert report["modified_index"] == node.modified_index
        assert ("ttl" in wish) == (node.ttl is not None)


def test_the_same_value_for_longer(client: Client, proxy: FaultProxy, key: str) -> None:
    """A key that another client made to live longer is not as the task wants it."""
    client.write(key + "-neighbour", "x")

    def for_longer() -> None:
        client.compare_and_swap(key, "new", prev_exist=False, ttl=90000)

    proxy.set_mode("cut_before_forward", match="PUT", times=1)
    report = _run(Client(proxy.url, http=Meddling(for_longer)), key, value="new", ttl=600)
    assert report["changed"]
    assert client.read(key).node.ttl <= 600


def test_the_same_value_for_ever(client: Client, proxy: FaultProxy, key: str) -> None:
    """With a TTL in ours and none in the other's, it is known not to be ours."""
    client.write(key + "-neighbour", "x")
    proxy.set_mode("cut_before_forward", match="PUT", times=1)
    hurried = Client(proxy.url, http=Meddling(lambda: _create(client, key, 0)))
    with pytest.raises(Exception, match="it exists, and prev_exist is false"):
        _run(hurried, key, value="new", ttl=600, prev_exist=False)


def test_two_directories(client: Client, proxy: FaultProxy, key: str) -> None:
    """With prev_index, the removal of the key that is in the way is a condition of the user."""
    index = client.write(key, "file").node.modified_index
    proxy.set_mode("cut_before_forward", match="DELETE", times=1)
    hurried = Client(
        proxy.url, http=Meddling(lambda: client.compare_and_delete(key, prev_index=index))
    )
    options = dict(left_out("etcd_dir"), path=key, force=True, prev_index=index)
    with pytest.raises(errors.EtcdOutcomeUnknown):
        manage_dir(options, lambda: hurried, apply=True)


def _tree(client: Client, path: str, **options: t.Any) -> Options:
    return manage_tree(
        dict(left_out("etcd_tree"), path=path, tree={"a": "1", "b": "2"}, **options),
        lambda: client,
        apply=True,
    )


def _create_first(client: Client, proxy: FaultProxy, path: str) -> t.List[int]:
    """Have another client create /a with the same value just before ours, whose answer is lost."""
    found: t.List[int] = []

    def just_before(method: str, target: str) -> bool:
        if method == "PUT" and target.endswith("/a") and not found:
            created = client.compare_and_swap(path + "/a", "1", prev_exist=False)
            found.append(created.node.modified_index)
            return True
        return False

    proxy.set_mode("cut_after_forward", match=just_before)
    return found


def test_a_tree_that_must_not_meet_others(client: Client, proxy: FaultProxy, key: str) -> None:
    """on_conflict: fail is a condition of the user for each key."""
    found = _create_first(client, proxy, key)
    with pytest.raises(Incomplete) as caught:
        _tree(Client(proxy.url), key, on_conflict="fail")
    (failed,) = [one for one in caught.value.report["failed_keys"] if one["key"] == key + "/a"]
    assert failed["outcome"] == "unknown"
    assert failed["etcd_index"] == found[0]
    assert "at the index %d" % found[0] in failed["reason"]


def test_a_tree_that_may_meet_others(client: Client, proxy: FaultProxy, key: str) -> None:
    """Else the state holds."""
    _create_first(client, proxy, key)
    report = _tree(Client(proxy.url), key)
    assert sorted(report["done"]) == [key + "/a", key + "/b"]
