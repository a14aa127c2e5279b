# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Below a key that holds a value nothing exists: what is to be absent there is, and nothing can be made."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.backup import save_tree
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.dir import manage_dir
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.key import manage_key
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.tree import manage_tree
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.wait import wait_for_key
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from host_files import PlainFiles
from options import left_out

TASKS = {
    "etcd_key": (manage_key, "key"),
    "etcd_dir": (manage_dir, "path"),
    "etcd_tree": (manage_tree, "path"),
}

ABSENT: t.Dict[str, t.Tuple[str, str, t.Dict[str, t.Any]]] = {
    "key": ("etcd_key", "/f/x", {}),
    "key two names below": ("etcd_key", "/f/x/y", {}),
    "key that must not exist": ("etcd_key", "/f/x", {"prev_exist": False}),
    "directory": ("etcd_dir", "/f/x", {}),
    "directory with all in it": ("etcd_dir", "/f/x", {"recursive": True}),
    "whole tree": ("etcd_tree", "/f/x", {}),
    "tree": ("etcd_tree", "/f/x", {"tree": {"a": "x"}}),
    "tree with hidden keys": (
        "etcd_tree",
        "/f/x",
        {"tree": {"_a": {"_b": "x"}}, "include_hidden": True},
    ),
    "tree of the value's path": ("etcd_tree", "/f", {"tree": {"a": "x", "d": {"b": "x"}}}),
    "tree above the value": ("etcd_tree", "", {"tree": {"f": {"a": "x", "d": {}}}}),
    "tree above the value, force": ("etcd_tree", "", {"tree": {"f": {"a": "x"}}, "force": True}),
}


@pytest.fixture
def index(client: Client, key: str) -> t.Callable[[], int]:
    """A value at /f, and what tells the store's index."""
    client.write(key + "/f", "precious")
    return lambda: client.read("/", quorum=True).x_etcd_index or 0


@pytest.mark.parametrize("apply", [True, False], ids=["run", "check mode"])
@pytest.mark.parametrize("name", ABSENT)
def test_absent(
    client: Client, key: str, index: t.Callable[[], int], name: str, apply: bool
) -> None:
    """The state holds, so nothing changes, and nothing is written."""
    module, path, options = ABSENT[name]
    task, named = TASKS[module]
    before = index()
    wished = dict(left_out(module), **{named: key + path, "state": "absent"}, **options)
    report = task(wished, lambda: client, apply=apply)  # type: ignore[operator]
    assert report["changed"] is False
    assert client.read(key + "/f").node.value == "precious"
    assert index() == before


@pytest.mark.parametrize(
    "module, path, options",
    [
        ("etcd_key", "/f/x", {"value": "x"}),
        ("etcd_key", "/f/x", {"value": "x", "state": "enqueued"}),
        ("etcd_dir", "/f/x", {}),
        ("etcd_tree", "/f/x", {"tree": {"a": "x"}, "force": True}),
    ],
)
def test_present(
    client: Client,
    key: str,
    index: t.Callable[[], int],
    module: str,
    path: str,
    options: t.Dict[str, t.Any],
) -> None:
    """It cannot be made, and the failure names the key with the value."""
    task, named = TASKS[module]
    before = index()
    with pytest.raises(Refusal) as caught:
        task(  # type: ignore[operator]
            dict(left_out(module), **{named: key + path}, **options), lambda: client, apply=True
        )
    assert "cannot exist: %s/f above it is a key with a value" % key in str(caught.value)
    assert index() == before


@pytest.mark.parametrize("options", [{"prev_exist": True}, {"prev_index": 1}, {"prev_value": "x"}])
def test_absent_with_a_condition(
    client: Client, key: str, index: t.Callable[[], int], options: t.Dict[str, t.Any]
) -> None:
    """A condition that asks for a key that is there does not hold."""
    wished = dict(left_out("etcd_key"), key=key + "/f/x", state="absent", **options)
    with pytest.raises(Refusal) as caught:
        manage_key(wished, lambda: client, apply=True)
    assert "it does not exist" in str(caught.value)


def test_value_where_an_empty_directory_is_named(
    client: Client, key: str, index: t.Callable[[], int]
) -> None:
    """The tree names the key itself then, as a directory; that is a mistake, or to be forced."""
    wished = dict(left_out("etcd_tree"), path=key, tree={"f": {}}, state="absent")
    with pytest.raises(Refusal) as caught:
        manage_tree(wished, lambda: client, apply=True)
    assert "%s/f is a key with a value" % key in str(caught.value)
    report = manage_tree(dict(wished, force=True), lambda: client, apply=True)
    assert report["done"] == [key + "/f", key]


def test_hidden_directory_in_the_place_of_a_value(
    client: Client, key: str, index: t.Callable[[], int]
) -> None:
    """A read of what is hidden below the value does not keep the value from being replaced."""
    wished = dict(
        left_out("etcd_tree"), path=key, tree={"f": {"_h": "x"}}, include_hidden=True, force=True
    )
    assert manage_tree(wished, lambda: client, apply=True)["done"] == [key + "/f", key + "/f/_h"]
    assert client.read(key + "/f/_h").node.value == "x"


def test_wait(client: Client, key: str, index: t.Callable[[], int]) -> None:
    """It is absent at once."""
    wished = dict(left_out("etcd_wait"), key=key + "/f/x", condition="absent")
    report = wait_for_key(wished, lambda: client, apply=True)
    assert report["met"] and not report["exists"]


def test_parent_becomes_a_value_between_read_and_write(
    client: Client, key: str, index: t.Callable[[], int]
) -> None:
    """What was to be deleted went with its directory: deleted by somebody else, and unchanged."""

    class Meddling(Client):
        """Somebody else replaces the directory right before the deletion."""

        def compare_and_delete(self, *args: t.Any, **options: t.Any) -> t.Any:
            client.rmdir(key + "/d", recursive=True)
            client.write(key + "/d", "x")
            return super().compare_and_delete(*args, **options)

    client.write(key + "/d/x", "x")
    meddling = Meddling(list(client.endpoints()))
    wished = dict(left_out("etcd_key"), key=key + "/d/x", state="absent")
    assert manage_key(wished, lambda: meddling, apply=True)["changed"] is False


def test_backup(client: Client, key: str, index: t.Callable[[], int], tmp_path: Path) -> None:
    """A directory there does not exist; a hidden key there is one that is missing."""
    wished = dict(left_out("etcd_backup"), path=key + "/f/x", dest=str(tmp_path / "b.json"))
    with pytest.raises(Refusal) as caught:
        save_tree(wished, lambda: client, apply=True, files=PlainFiles())
    assert "does not exist" in str(caught.value)
    wished.update(path=key, hidden=[key + "/f/_x"])
    (warning,) = save_tree(wished, lambda: client, apply=True, files=PlainFiles())["warnings"]
    assert key + "/f/_x does not exist" in warning
