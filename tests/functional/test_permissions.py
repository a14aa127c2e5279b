# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a role permits: the server looks at the path as it was sent, with its slash or without."""

from __future__ import annotations

import functools
import typing as t
import uuid
from pathlib import Path

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Incomplete, InVain
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.backup import save_tree
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.dir import manage_dir
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.key import manage_key
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.tree import manage_tree
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.wait import wait_for_key
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client, Permissions
from conftest import ProxyTo
from harness import Cluster
from host_files import PlainFiles
from options import left_out

#: Role -> its patterns, where KEY is the directory.
ROLES = {
    "name and star": ("KEY", "KEY/*"),
    "star": ("KEY/*",),
    "name": ("KEY",),
}

As = t.Callable[..., Client]


@pytest.fixture(scope="module")
def root(with_auth: Cluster) -> Client:
    """Root, where guests may do nothing."""
    return Client(with_auth.endpoints, username="root", password="pw")


@pytest.fixture(scope="module")
def key() -> str:
    """The directory, which each test finds as it was; a request with a password costs 60 ms."""
    return "/t-%s" % uuid.uuid4().hex[:12]


@pytest.fixture(scope="module")
def user(with_auth: Cluster, root: Client, key: str) -> As:
    """Makes a client of the user with a role."""
    for role, patterns in ROLES.items():
        found = tuple(one.replace("KEY", key) for one in patterns)
        root.create_role(role + key[1:], Permissions(found, found))
        root.create_user(role + key[1:], "pw", [role + key[1:]])
    return lambda role, endpoint=None: Client(
        endpoint or with_auth.endpoints, username=role + key[1:], password="pw"
    )


@pytest.fixture(autouse=True)
def content(root: Client, key: str) -> None:
    """What is below the directory, and a neighbour whose name begins alike."""
    wished = {key: {"a": "1", "d": {"b": "2"}}, key + "-other": {"c": "3"}}
    for path, below in wished.items():
        tree(root, path=path, tree=below, purge=True, force=True)


def task(run: t.Any, module: str, client: Client, **options: t.Any) -> t.Any:
    """Run a task."""
    return run(dict(left_out(module), **options), lambda: client, apply=True)


tree = functools.partial(task, manage_tree, "etcd_tree")
keys = functools.partial(task, manage_key, "etcd_key")
directory = functools.partial(task, manage_dir, "etcd_dir")
wait = functools.partial(task, wait_for_key, "etcd_wait")


def backup(client: Client, tmp_path: Path, **options: t.Any) -> t.Any:
    run = functools.partial(save_tree, files=PlainFiles())
    return task(run, "etcd_backup", client, dest=str(tmp_path / "b.json"), **options)


def waited(client: Client, key: str, **options: t.Any) -> None:
    """Wait for a change that does not come; the right to wait is what matters."""
    with pytest.raises(InVain):
        wait(client, key=key, condition="changed", wait_timeout=0.3, **options)


#: What is done -> how, with the key that the caller writes, and who may do it when it is written
#: without a slash, and with one.
BOTH, STAR, NAME = "name and star", "star", "name"
OPERATIONS: t.Dict[str, t.Tuple[t.Any, t.Set[str], t.Set[str]]] = {
    "read": (lambda c, key, tmp: c.read(key), {BOTH, NAME}, {BOTH, STAR}),
    "recursive read": (lambda c, key, tmp: c.read(key, recursive=True), {BOTH, STAR}, {BOTH, STAR}),
    "watch": (
        lambda c, key, tmp: waited(c, key),
        {BOTH, NAME},
        {BOTH, STAR},
    ),
    "recursive watch": (
        lambda c, key, tmp: waited(c, key, recursive=True),
        {BOTH, STAR},
        {BOTH, STAR},
    ),
    "tree": (
        lambda c, key, tmp: tree(c, path=key, tree={"a": "x", "n": "y", "e": {}}, purge=True),
        {BOTH, STAR},
        {BOTH, STAR},
    ),
    "tree, all of it goes": (
        lambda c, key, tmp: tree(c, path=key, state="absent"),
        {BOTH},
        {BOTH, STAR},
    ),
    "tree, all of it goes with what is hidden": (
        lambda c, key, tmp: tree(c, path=key, state="absent", include_hidden=True),
        {BOTH, STAR},
        {BOTH, STAR},
    ),
    "backup": (lambda c, key, tmp: backup(c, tmp, path=key), {BOTH, STAR}, {BOTH, STAR}),
    "in-order key": (
        lambda c, key, tmp: keys(c, key=key, value="x", state="enqueued"),
        {BOTH, NAME},
        {BOTH, STAR},
    ),
    "directory is there": (lambda c, key, tmp: directory(c, path=key), {BOTH, NAME}, {BOTH, STAR}),
    "directory goes": (
        lambda c, key, tmp: directory(c, path=key, state="absent", recursive=True),
        {BOTH, STAR},
        {BOTH, STAR},
    ),
    "rmdir": (lambda c, key, tmp: c.rmdir(key, recursive=True), {BOTH, STAR}, {BOTH, STAR}),
}


@pytest.mark.parametrize("slash", ["", "/"], ids=["without slash", "with slash"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_who_may(user: As, key: str, tmp_path: Path, name: str, role: str, slash: str) -> None:
    """A recursive request needs the star; another one the pattern that fits what was written."""
    operation, without, with_slash = OPERATIONS[name]
    client = user(role)
    if role in (with_slash if slash else without):
        operation(client, key + slash, tmp_path)
        return
    with pytest.raises((errors.EtcdUnauthorized, Incomplete)) as caught:
        operation(client, key + slash, tmp_path)
    assert "it takes a role with the pattern %s" % key in str(caught.value)


def test_nothing_else_is_in_reach(user: As, root: Client, key: str) -> None:
    """The slash widens no right: a neighbour whose name begins alike is not below the directory."""
    client = user("name and star")
    for refused in (
        lambda: client.read(key + "-other", recursive=True),
        lambda: client.read(key + "-other/c"),
        lambda: client.rmdir(key + "-other", recursive=True),
        lambda: client.read("/", recursive=True),
    ):
        with pytest.raises(errors.EtcdUnauthorized):
            refused()
    assert root.read(key + "-other/c").node.value == "3"


def test_results_have_the_canonical_key(user: As, key: str, tmp_path: Path) -> None:
    """However the key was written."""
    client = user("star")
    assert keys(client, key=key + "/new/", value="x")["key"] == key + "/new"
    assert keys(client, key=key + "/new/", value="y")["action"] == "swap"
    assert wait(client, key=key + "/new/", condition="equals", value="y")["key"] == key + "/new"
    assert keys(client, key=key + "/new/", state="absent")["key"] == key + "/new"
    found = tree(client, path=key + "/", tree={"a": "2"})
    assert found["done"] == [key + "/a"] and key + "/" not in found.values()
    made = directory(client, path=key + "/dir/", children=True)
    assert made["changed"] and key + "/dir/" not in made.values()
    assert client.read(key + "/dir/").node.key == key + "/dir"


WITH_VALUE: t.Dict[str, t.Callable[[Client, str], t.Any]] = {
    "unchanged": lambda c, key: keys(c, key=key, value="1"),
    "read": lambda c, key: c.read(key),
    "recursive read": lambda c, key: c.read(key, recursive=True),
}


@pytest.mark.parametrize("name", WITH_VALUE)
def test_a_value_is_no_directory(root: Client, key: str, name: str) -> None:
    """The store drops the slash: what is read is the key with its value, and it stays."""
    before = root.read(key + "/a").node
    found = WITH_VALUE[name](root, key + "/a/")
    assert (found["value"] if name == "unchanged" else found.node.value) == "1"
    assert root.read(key + "/a").node == before


@pytest.mark.parametrize(
    "refused",
    [
        lambda c, key: directory(c, path=key),
        lambda c, key: directory(c, path=key, state="absent", recursive=True),
        lambda c, key: tree(c, path=key, tree={"x": "y"}),
        lambda c, key: tree(c, path=key, state="absent", include_hidden=True),
        lambda c, key: keys(c, key=key, value="y", state="enqueued"),
        lambda c, key: c.mkdir(key),
        lambda c, key: c.create_in_order(key, "y"),
        lambda c, key: keys(c, key=key, value="y", prev_exist=False),
    ],
)
def test_a_value_is_not_harmed(root: Client, key: str, refused: t.Any) -> None:
    """What is for directories is refused where a value stands, with the slash as without."""
    before = root.read(key + "/a").node
    with pytest.raises(Exception, match="key with a value|105|104|exists"):
        refused(root, key + "/a/")
    assert root.read(key + "/a").node == before


def test_a_lost_answer_is_looked_up_with_the_slash(
    user: As, with_auth: Cluster, root: Client, key: str, proxy_to: ProxyTo
) -> None:
    """What settles a write is permitted where the write was."""
    proxy = proxy_to(with_auth.endpoints[0])
    client = user("star", proxy.url)
    proxy.set_mode("cut_after_forward", match="DELETE", times=1)
    assert directory(client, path=key, state="absent", recursive=True)["changed"]
    with pytest.raises(errors.EtcdKeyNotFound):
        root.read(key)
    proxy.set_mode("cut_after_forward", match="PUT", times=1)
    directory(client, path=key + "/")
    assert root.read(key).node.dir
