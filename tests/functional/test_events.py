# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which events those see who watch a key, and what a write without a condition promises."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Incomplete, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.key import manage_key
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.tree import manage_tree
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from conftest import ProxyTo
from harness import Cluster, FaultProxy
from options import left_out

Report = t.Dict[str, t.Any]


@pytest.fixture
def proxy(single: Cluster, proxy_to: ProxyTo) -> FaultProxy:
    """A proxy before the node."""
    found: FaultProxy = proxy_to(single.endpoints[0])
    return found


def _key(client: Client, key: str, **options: t.Any) -> Report:
    return manage_key(dict(left_out("etcd_key"), key=key, **options), lambda: client, apply=True)


def _tree(client: Client, path: str, tree: t.Any, **options: t.Any) -> Report:
    return manage_tree(
        dict(left_out("etcd_tree"), path=path, tree=tree, **options), lambda: client, apply=True
    )


def _events(client: Client, path: str, since: int) -> t.List[str]:
    """The actions of all events at the path and below it after this index."""
    end = client.write(path + "-end", "").node.modified_index
    found: t.List[str] = []
    for event in client.watch("/", index=since + 1, recursive=True, timeout=5):
        if event.node.modified_index >= end:
            return found
        found.append(event.action)
    return found


@pytest.mark.parametrize(
    "guarded, expected",
    [
        (True, ["create", "compareAndSwap", "compareAndSwap", "compareAndDelete"]),
        (False, ["set", "set", "set", "delete"]),
    ],
)
def test_the_life_of_a_key(guarded: bool, expected: t.List[str], client: Client, key: str) -> None:
    """Made, changed, refreshed, without its TTL, removed; each state once, and each a change."""
    since = client.write(key + "-begin", "").node.modified_index
    for options in (
        {"value": "1"},
        {"value": "2", "ttl": 900},
        {"value": "2", "ttl": 600},
        {"value": "2", "ttl": 0},
        {"state": "absent"},
    ):
        assert _key(client, key, guarded=guarded, **options)["changed"]
        assert not _key(client, key, guarded=guarded, **options)["changed"]
    assert _events(client, key, since) == expected


@pytest.mark.parametrize(
    "guarded, made, changed",
    [
        (True, ["create"] * 2, ["compareAndDelete"] * 2 + ["compareAndSwap", "create", "delete"]),
        (False, ["create", "set"], ["create", "delete", "delete", "delete", "set"]),
    ],
)
def test_the_life_of_a_tree(
    guarded: bool, made: t.List[str], changed: t.List[str], client: Client, key: str
) -> None:
    """Directories are made and removed alike."""
    since = client.write(key + "-begin", "").node.modified_index
    tree: t.Dict[str, t.Any] = {"a": "1", "d": {}}
    assert _tree(client, key, tree, guarded=guarded)["changed"]
    assert sorted(_events(client, key, since)) == made
    client.write(key + "/z", "")
    client.write(key + "/d/y", "")
    since = client.write(key + "-begin", "").node.modified_index
    tree = {"a": "2", "e": {}}
    report = _tree(client, key, tree, guarded=guarded, purge=True)
    assert (report["counts"]["updated"], report["counts"]["deleted"]) == (1, 2)
    assert sorted(_events(client, key, since)) == sorted(changed)
    assert not _tree(client, key, tree, guarded=guarded, purge=True)["changed"]


@pytest.mark.parametrize("guarded", [True, False])
def test_another_client_between_the_read_and_the_write(
    guarded: bool, client: Client, proxy: FaultProxy, key: str
) -> None:
    """What the option is about: a plain set takes away what the other one wrote."""
    client.write(key, "old")
    written: t.List[t.Any] = []

    def be_faster(method: str, unused: str) -> bool:
        if method == "PUT" and not written:
            written.append(client.write(key, "theirs"))
        return False

    proxy.set_mode("pass", match=be_faster)
    report = _key(Client(proxy.url), key, value="new", guarded=guarded)
    assert client.read(key).node.value == "new"
    assert report["prev_value"] == ("theirs" if guarded else "old")
    assert [seen.method for seen in proxy.requests].count("PUT") == (2 if guarded else 1)


def test_another_client_makes_a_directory_of_it(
    client: Client, proxy: FaultProxy, key: str
) -> None:
    """No plain set or delete touches a directory."""

    def be_faster(method: str, unused: str) -> bool:
        if method in ("PUT", "DELETE"):
            client.delete(key)
            client.write(key + "/precious", "x")
        return False

    for options in ({"value": "new"}, {"state": "absent"}):
        client.write(key, "old")
        proxy.set_mode("pass", match=be_faster)
        with pytest.raises(Refusal, match="is a directory"):
            _key(Client(proxy.url), key, guarded=False, **options)
        assert client.read(key + "/precious").node.value == "x"
        client.rmdir(key, recursive=True)


@pytest.mark.parametrize("name", ["set", "delete", "tree"])
def test_a_late_write_is_waited_for(name: str, client: Client, proxy: FaultProxy, key: str) -> None:
    """A copy of its own would undo what others write until the first one arrives."""
    client.write(key + "/k", "old")
    proxy.set_mode("delay", match=lambda method, unused: method != "GET", times=1, delay=1.5)
    late = Client(proxy.url, timeout=0.4, total_timeout=20)
    if name == "tree":
        assert _tree(late, key, {"k": "new"}, guarded=False)["done"] == [key + "/k"]
    else:
        options = {"value": "new"} if name == "set" else {"state": "absent"}
        assert _key(late, key + "/k", guarded=False, **options)["changed"]
    client.write(key + "/k", "precious")
    assert len([seen for seen in proxy.requests if seen.method != "GET"]) == 1
    assert client.read(key + "/k").node.value == "precious"


def test_a_write_that_never_arrives(client: Client, proxy: FaultProxy, key: str) -> None:
    """Unknown, and not sent again."""
    client.write(key + "/k", "old")
    proxy.set_mode("hang", match="PUT")
    hurried = Client(proxy.url, timeout=0.4, total_timeout=1.5)
    with pytest.raises(errors.EtcdOutcomeUnknown, match="is not sent again"):
        _key(hurried, key + "/k", value="new", guarded=False)
    with pytest.raises(Incomplete) as caught:
        _tree(hurried, key, {"k": "new"}, guarded=False)
    assert caught.value.report["failed_keys"][0]["outcome"] == "unknown"
    assert [seen.method for seen in proxy.requests].count("PUT") == 2


def test_what_does_not_go_together(client: Client, key: str) -> None:
    """A condition, and the wish to write without one."""
    for options in ({"prev_value": "x"}, {"prev_index": 5}, {"prev_exist": False}):
        with pytest.raises(Refusal, match="guarded: false"):
            _key(client, key, value="new", guarded=False, **options)
    with pytest.raises(Refusal, match="guarded: false"):
        _tree(client, key, {"a": "1"}, guarded=False, on_conflict="fail")
