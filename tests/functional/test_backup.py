# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module etcd_backup and what etcd_tree makes of its files, as functions, on real servers."""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.backup import save_tree
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.tree import manage_tree
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client, Permissions
from harness import Cluster
from host_files import PlainFiles
from options import left_out

UNSET = left_out("etcd_tree")

VALUES = {
    "/a#b;c?d%41 e": "A+++B 100%&x=y",
    "/ключ/õäö🙂": "a\nb\n\0",
    "/ключ/+": "",
    "/long/" + "x" * 300: "<&>" * 20000,
    "/d/_hidden/deep/k": "hidden",
    "/d/_x": "hidden too",
}


def save(client: Client, path: str, dest: Path, **options: t.Any) -> t.Dict[str, t.Any]:
    """Run the task."""
    wished = dict(left_out("etcd_backup"), dest=str(dest), path=path, **options)
    return save_tree(wished, lambda: client, apply=True, files=PlainFiles())


def restore(client: Client, path: str, src: Path, **options: t.Any) -> t.Dict[str, t.Any]:
    """Run the task."""
    wished = dict(UNSET, path=path, src=str(src), src_format="backup", **options)
    return manage_tree(wished, lambda: client, apply=True)


def facts(client: Client, path: str) -> t.Dict[str, t.Tuple[t.Any, ...]]:
    """What a listing shows: value, whether it is a directory, and the TTL in hundreds of seconds."""
    nodes = client.read(path, recursive=True, quorum=True).node.walk()
    return {one[0]: (one[1], one[2], one[3] and -(-one[3] // 100)) for one in nodes}


def test_what_was_saved_is_restored(client: Client, key: str, tmp_path: Path) -> None:
    """Hard names and values, TTLs of keys and directories, empty directories, hidden keys."""
    for name, value in VALUES.items():
        client.write(key + name, value)
    client.write(key + "/short", "x", ttl=500)
    client.mkdir(key + "/dir", ttl=900)
    client.write(key + "/dir/k", "x", ttl=700)
    client.mkdir(key + "/empty")
    hidden = [key + "/d/_hidden", key + "/d/_x"]
    before = [facts(client, one) for one in [key, *hidden]]
    report = save(client, key, tmp_path / "backup", hidden=hidden)
    assert report["warnings"] == []
    assert not save(client, key, tmp_path / "backup", hidden=hidden)["changed"]
    client.rmdir(key, recursive=True)
    assert restore(client, key, tmp_path / "backup", include_hidden=True)["changed"]
    assert [facts(client, one) for one in [key, *hidden]] == before
    assert not restore(client, key, tmp_path / "backup", include_hidden=True)["changed"]


def test_a_key_that_is_refreshed_is_another_one(client: Client, key: str, tmp_path: Path) -> None:
    """One that only counts down is not."""
    client.write(key + "/k", "x", ttl=500)
    assert save(client, key, tmp_path / "one")["changed"]
    time.sleep(1.1)
    assert not save(client, key, tmp_path / "two", unless_same_as=str(tmp_path / "one"))["changed"]
    client.update_ttl(key + "/k", 500)
    assert save(client, key, tmp_path / "two", unless_same_as=str(tmp_path / "one"))["changed"]


def test_what_may_not_be_read_is_not_missing(with_auth: Cluster, key: str, tmp_path: Path) -> None:
    """The task fails, and no file is written."""
    root = Client(with_auth.endpoints, username="root", password="pw")
    root.write(key + "/a", "x")
    root.write(key + "-forbidden/a", "x")
    name = key.strip("/")
    root.create_role(name, Permissions(("%s/*" % key, key), ()))
    root.create_user(name, "secret", roles=[name])
    client = Client(with_auth.endpoints, username=name, password="secret")
    with pytest.raises(errors.EtcdUnauthorized):
        save(client, key + "-forbidden", tmp_path / "backup")
    assert list(tmp_path.iterdir()) == []
    assert save(root, key + "-forbidden", tmp_path / "backup")["key_count"] == 1
