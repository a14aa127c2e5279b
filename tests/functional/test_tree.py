# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module etcd_tree, as a function, on real servers: many writes, and what can befall them."""

from __future__ import annotations

import itertools
import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Incomplete
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.tree import manage_tree
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client, Permissions
from conftest import ProxyTo
from harness import Certs, Cluster, FaultProxy
from options import left_out

UNSET = left_out("etcd_tree")

#: Two hundred keys in ten directories.
TREE = {
    "d%d" % one: {"k%02d" % two: "%d-%d" % (one, two) for two in range(20)} for one in range(10)
}


def run(client: Client, path: str, tree: t.Any, **options: t.Any) -> t.Dict[str, t.Any]:
    """Run the task."""
    apply = options.pop("apply", True)
    return manage_tree(dict(UNSET, path=path, tree=tree, **options), lambda: client, apply=apply)


def found(client: Client, path: str) -> t.Dict[str, t.Any]:
    """The tree that is there: values, and directories as mappings."""

    def nested(node: t.Any) -> t.Any:
        if not node.dir:
            return node.value
        return {child.key.rpartition("/")[2]: nested(child) for child in node.nodes}

    tree: t.Dict[str, t.Any] = nested(client.read(path, recursive=True, quorum=True).node)
    return tree


def written_once(client: Client, path: str) -> bool:
    """Whether no key was written a second time after it was created."""
    nodes = client.read(path, recursive=True, quorum=True).node.walk()
    return all(created == modified for *unused, created, modified in nodes)


@pytest.fixture
def proxy(single: Cluster, proxy_to: ProxyTo) -> FaultProxy:
    """A proxy before the node."""
    made: FaultProxy = proxy_to(single.endpoints[0])
    return made


def nth_write(number: int) -> t.Callable[[str, str], bool]:
    """Matches one write, the one of this number."""
    numbers = itertools.count(1)
    return lambda method, unused: method != "GET" and next(numbers) == number


def test_first_run_and_second(proxy: FaultProxy, client: Client, key: str) -> None:
    """All of it is written, once; an unchanged tree is one request."""
    report = run(Client(proxy.url), key, TREE)
    assert report["counts"]["created"] == 200 == len(set(report["done"]))
    assert found(client, key) == TREE
    assert written_once(client, key)
    assert len([seen for seen in proxy.requests if seen.method == "PUT"]) == 200
    assert proxy.connections > 5
    proxy.forget()
    assert not run(Client(proxy.url), key, TREE)["changed"]
    assert [seen.method for seen in proxy.requests] == ["GET"]


def test_check_mode_sends_reads_only(proxy: FaultProxy, client: Client, key: str) -> None:
    """And predicts what is then done."""
    client.write(key + "/old", "x")
    index = client.read("/").x_etcd_index
    predicted = run(Client(proxy.url), key, TREE, purge=True, apply=False)
    assert client.read("/").x_etcd_index == index
    assert {seen.method for seen in proxy.requests} == {"GET"}
    done = run(client, key, TREE, purge=True)
    assert predicted["counts"] == done["counts"]
    assert sorted(predicted["done"]) == sorted(done["done"])
    assert predicted["diff"]() == done["diff"]()


def test_hard_names_and_values(client: Client, key: str) -> None:
    """What a tree holds is what is read back, and found unchanged."""
    tree = {
        "a#b;c?d%41 e": "A+++B 100%&x=y",
        "ключ": {"õäö🙂": "a\nb\n\0", "+": "", "x" * 300: "-param"},
        "v": "<&>" * 20000,
        "empty": {},
    }
    assert run(client, key, tree)["changed"]
    assert found(client, key) == tree
    assert not run(client, key, tree)["changed"]


def test_purge_force_and_absent(client: Client, key: str) -> None:
    """Values that are long, so that the answers to their removal come in chunks."""
    run(client, key, dict(TREE, long={"k%d" % one: "x" * 5000 for one in range(30)}, v="v"))
    after = {"d1": "now a value", "v": {"w": "x"}}
    report = run(client, key, after, purge=True, force=True)
    assert report["counts"]["deleted"] == 200 + 30 + 1
    assert found(client, key) == after
    assert run(client, key, None, state="absent")["changed"]
    with pytest.raises(errors.EtcdKeyNotFound):
        client.read(key)


def test_ttl_is_kept_set_and_dropped(client: Client, key: str) -> None:
    """As etcd_key does it."""
    run(client, key, {"a": "1", "b": "2"}, ttl=900)
    run(client, key, {"a": "new", "b": "2"})
    assert {one.ttl is None for one in client.read(key).node.nodes} == {False}
    run(client, key, {"a": "new"}, ttl=0)
    ttls = {one.key[-1]: one.ttl for one in client.read(key).node.nodes}
    assert ttls["a"] is None and ttls["b"] is not None
    assert run(client, key, {"b": "2"}, ttl=800)["counts"]["refreshed"] == 1


#: What the proxy does to one of the writes; all but the last two end its connection.
FAULTS = [
    "cut_after_forward",
    "cut_before_forward",
    "truncate",
    "reset",
    "hang",
    "garbage",
    "error_after_commit",
]


@pytest.mark.parametrize("number", [1, 77, 200])
@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault(fault: str, number: int, proxy: FaultProxy, client: Client, key: str) -> None:
    """Whatever befalls a write: all of it is there, each key written once, and said to be done."""
    proxy.set_mode(fault, match=nth_write(number), times=1)
    report = run(Client(proxy.url, timeout=0.7), key, TREE)
    assert report["counts"]["created"] == 200 == len(set(report["done"]))
    assert found(client, key) == TREE
    assert written_once(client, key)


@pytest.mark.parametrize("harm", ["kill", "pause"])
def test_a_member_is_lost_in_the_middle(
    harm: str, own_three: Cluster, proxy_to: ProxyTo, key: str
) -> None:
    """The member that the writes go to; the others go on, and nothing is written twice."""
    lost = own_three.members[0]
    proxy = proxy_to(own_three.endpoints[0])
    harmful = nth_write(100)

    def at_the_hundredth(method: str, target: str) -> bool:
        if harmful(method, target):
            getattr(lost, harm)()
        return False

    proxy.set_mode("pass", match=at_the_hundredth)
    others = own_three.endpoints[1:]
    # A read that was under way when the leader was lost is answered with an error after 7 seconds.
    client = Client([proxy.url, *others], timeout=8)
    report = run(client, key, TREE)
    assert report["counts"]["created"] == 200 == len(set(report["done"]))
    assert report["endpoint"] in others
    checking = Client(others)
    assert found(checking, key) == TREE
    assert written_once(checking, key)


def test_another_writer(proxy: FaultProxy, client: Client, key: str) -> None:
    """Who loses a race reads again and plans anew; the other's write is seen, not overwritten blindly."""
    run(client, key, TREE)
    wished = {name: dict.fromkeys(values, "new") for name, values in TREE.items()}
    fiftieth = nth_write(50)

    def be_faster(method: str, target: str) -> bool:
        if fiftieth(method, target):
            client.write(target[len("/v2/keys") :], "faster")
            client.write(key + "/d9/k19", "faster")
        return False

    proxy.set_mode("pass", match=be_faster)
    report = run(Client(proxy.url), key, wished)
    assert report["counts"]["updated"] == 200
    assert found(client, key) == wished
    assert [seen.method for seen in proxy.requests].count("GET") == 2


def test_another_writer_and_no_second_plan(proxy: FaultProxy, client: Client, key: str) -> None:
    """With on_conflict: fail, what the other wrote stays, and every key is accounted for."""
    tenth = nth_write(10)

    def be_faster(method: str, target: str) -> bool:
        if tenth(method, target):
            client.write(target[len("/v2/keys") :], "faster")
        return False

    proxy.set_mode("pass", match=be_faster)
    with pytest.raises(Incomplete) as caught:
        run(Client(proxy.url), key, TREE, on_conflict="fail", concurrency=4)
    report = caught.value.report
    (failed,) = report["failed_keys"]
    assert failed["outcome"] == "not_done"
    assert client.read(failed["key"]).node.value == "faster"
    left = set(report["not_tried"])
    for name, values in TREE.items():
        for last, value in values.items():
            whole = "%s/%s/%s" % (key, name, last)
            if whole in report["done"]:
                assert client.read(whole).node.value == value
            elif whole != failed["key"]:
                assert whole in left
                with pytest.raises(errors.EtcdKeyNotFound):
                    client.read(whole)
    assert run(client, key, TREE)["changed"]
    assert found(client, key) == TREE


def test_all_endpoints_are_gone(proxy: FaultProxy, client: Client, key: str) -> None:
    """Half way, for good: what was under way is unknown, the rest was not tried."""
    hundredth = nth_write(100)

    def go_down(method: str, target: str) -> bool:
        return hundredth(method, target)

    proxy.set_mode("cut_after_forward", match=go_down)
    tree_client = Client(proxy.url, timeout=0.5, connect_timeout=0.5, total_timeout=2)
    original = tree_client.read

    def no_more_reads(*arguments: t.Any, **options: t.Any) -> t.Any:
        if any(seen.method == "PUT" for seen in proxy.requests):
            proxy.set_mode("refuse")
        return original(*arguments, **options)

    tree_client.read = no_more_reads  # type: ignore[method-assign]
    with pytest.raises(Incomplete) as caught:
        run(tree_client, key, TREE, concurrency=4)
    report = caught.value.report
    assert caught.value.changed
    assert {one["outcome"] for one in report["failed_keys"]} == {"unknown"}
    accounted = report["done"] + report["not_tried"] + [one["key"] for one in report["failed_keys"]]
    assert len(accounted) == 200 == len(set(accounted))
    there = {one[0] for one in client.read(key, recursive=True).node.walk() if not one[2]}
    assert set(report["done"]) <= there
    assert not there & set(report["not_tried"])


def test_https(secure: Cluster, pem: Certs, key: str) -> None:
    """Over TLS with client certificates, answers in chunks included."""
    client = Client(
        secure.endpoints,
        ca_cert=pem.ca_cert,
        client_cert=pem.client_cert,
        client_key=pem.client_key,
    )
    tree = dict(TREE, long={"k%d" % one: "x" * 5000 for one in range(30)})
    assert run(client, key, tree)["counts"]["created"] == 230
    assert found(client, key) == tree
    assert run(client, key, {}, purge=True, purge_all=True)["counts"]["deleted"] == 230
    assert found(client, key) == {}


def test_a_user_who_may_write_a_part(with_auth: Cluster, key: str) -> None:
    """Who was refused, and what; the rest is as it was."""
    root = Client(with_auth.endpoints, username="root", password="pw")
    name = key.strip("/")
    root.create_role(name, Permissions(("%s*" % key,), ("%s/d0/*" % key,)))
    root.create_user(name, "secret", roles=[name])
    tree = {"d0": dict.fromkeys("abc", "x"), "d1": dict.fromkeys("abc", "x")}
    client = Client(with_auth.endpoints, username=name, password="secret")
    with pytest.raises(Incomplete) as caught:
        run(client, key, tree, concurrency=1)
    report = caught.value.report
    assert report["done"] == [key + "/d0/" + name for name in "abc"]
    (failed,) = report["failed_keys"]
    assert failed["outcome"] == "not_done"
    assert "the user %s may not write %s/d1/a" % (name, key) in failed["reason"]
    assert report["not_tried"] == [key + "/d1/b", key + "/d1/c"]
    assert run(root, key, tree)["counts"]["created"] == 3
