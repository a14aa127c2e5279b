# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import stat

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import (
    _backups,
    _deps,
    _documents,
    errors,
)
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._host_files import HostFiles
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.backup import save_tree
from ansible_collections.quorum.etcd.tests.unit.fakes.arguments import file_module
from ansible_collections.quorum.etcd.tests.unit.fakes.store import FakeStore


@pytest.fixture(name="store")
def fixture_store():
    store = FakeStore()
    store.put("/t/a", "1")
    store.put("/t/d/b", "2")
    store.put("/other", "3")
    return store


@pytest.fixture(name="save")
def fixture_save(store, tmp_path):
    """Runs the task in a folder."""

    def save(dest="backup", *, apply=True, unless_same_as=None, path="/t", hidden=(), **options):
        wished = {
            "dest": str(tmp_path / dest),
            "path": path,
            "hidden": list(hidden),
            "unless_same_as": unless_same_as and str(tmp_path / unless_same_as),
        }
        files = HostFiles(file_module(check_mode=not apply, **options))
        return save_tree(wished, lambda: store, apply=apply, files=files)

    return save


def read(path):
    text = path.read_text(encoding="utf-8")
    return _backups.checked(_documents.parse(text, "backup"))


def test_a_directory_that_an_earlier_task_would_make_is_a_warning_in_check_mode(save, tmp_path):
    done = save()
    report = save("other", path="/nowhere", apply=False)
    assert report["changed"] is True
    assert report["warnings"][0].startswith("/nowhere does not exist, so there is nothing to save")
    assert set(report) == set(done)
    assert not (tmp_path / "other").exists()


def test_a_directory_is_saved(save, store, tmp_path):
    report = save()
    saved = read(tmp_path / "backup")
    assert sorted(saved.nodes) == ["/t", "/t/a", "/t/d", "/t/d/b"]
    assert saved.nodes["/t/d/b"].value == "2"
    assert report == {
        "changed": True,
        "dest": str(tmp_path / "backup"),
        "directory": "/t",
        "key_count": 2,
        "directory_count": 2,
        "cluster_id": None,
        "etcd_index": store.index,
        "saved_at": saved.saved_at,
        "warnings": [],
    }
    assert store.reads == 1


def test_check_mode_writes_no_file(save, store, tmp_path):
    report = save(apply=False)
    assert report["changed"]
    assert list(tmp_path.iterdir()) == []
    done = save()
    assert {**done, "saved_at": None} == {**report, "saved_at": None}


@pytest.mark.parametrize("apply", [True, False])
def test_a_file_that_holds_the_same_is_left(save, store, tmp_path, apply):
    first = save()
    was = (tmp_path / "backup").stat().st_ino
    store.put("/other", "new")
    again = save(apply=apply)
    assert (again["changed"], again["etcd_index"]) == (False, first["etcd_index"])
    later = save("later", unless_same_as="backup", apply=apply)
    assert (later["changed"], later["dest"]) == (False, str(tmp_path / "backup"))
    assert [one.name for one in tmp_path.iterdir()] == ["backup"]
    assert (tmp_path / "backup").stat().st_ino == was


@pytest.mark.parametrize("apply", [True, False])
@pytest.mark.parametrize(
    "had, options, has",
    [
        (0o644, {}, 0o600),
        (0o444, {}, 0o400),
        (0o600, {"mode": "0640"}, 0o640),
        (0o644, {"mode": "u=rw,go="}, 0o600),
    ],
)
def test_a_file_that_holds_the_same_gets_its_mode(save, tmp_path, apply, had, options, has):
    save()
    backup = tmp_path / "backup"
    backup.chmod(had)
    was = backup.stat().st_ino
    again = save(apply=apply, **options)
    assert again["changed"]
    assert stat.S_IMODE(backup.stat().st_mode) == (has if apply else had)
    assert backup.stat().st_ino == was
    if apply:
        assert not save(**options)["changed"]


def test_an_earlier_backup_keeps_its_mode(save, tmp_path):
    save()
    (tmp_path / "backup").chmod(0o644)
    assert not save("later", unless_same_as="backup")["changed"]
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o644


def test_a_damaged_earlier_backup_does_not_need_pyyaml(save, tmp_path, monkeypatch):
    def missing():
        raise _deps.MissingLibrary("PyYAML", "")

    monkeypatch.setattr(_deps, "load_yaml", missing)
    for content in ("cut off {", "a: yaml", ""):
        (tmp_path / "backup").write_text(content, encoding="utf-8")
        assert save(unless_same_as="backup")["changed"]
    assert read(tmp_path / "backup").path == "/t"


def test_a_change_is_saved(save, store, tmp_path):
    save()
    store.put("/t/a", "new")
    assert save("later", unless_same_as="backup")["changed"]
    assert read(tmp_path / "later").nodes["/t/a"].value == "new"
    assert read(tmp_path / "backup").nodes["/t/a"].value == "1"
    assert save()["changed"]
    assert read(tmp_path / "backup").nodes["/t/a"].value == "new"


@pytest.mark.parametrize("content", ["", "{}", '{"a": ', "[1]", '{"quorum.etcd backup": 1}'])
def test_what_is_no_backup_is_not_the_same(save, tmp_path, content):
    (tmp_path / "earlier").write_text(content, encoding="utf-8")
    assert save(unless_same_as="earlier")["changed"]
    (tmp_path / "backup").write_text(content, encoding="utf-8")
    assert save()["changed"]


def test_hidden_keys_are_read_by_name(save, store, tmp_path):
    report = save(hidden=["t/_b/", "/t/_a", "/t/d/_c/e"])
    assert store.reads == 4
    assert [one.split()[3] for one in report["warnings"]] == ["/t/_a", "/t/_b", "/t/d/_c/e"]
    assert read(tmp_path / "backup").hidden == ("/t/_a", "/t/_b", "/t/d/_c/e")
    store.put("/t/_b/x", "4")
    report = save(hidden=["/t/_b"])
    assert report["warnings"] == []
    assert read(tmp_path / "backup").nodes["/t/_b/x"].value == "4"


@pytest.mark.parametrize(
    "options, says, reads",
    [
        ({"path": "/nowhere"}, "/nowhere does not exist, so there is nothing to save", 1),
        ({"path": "/other"}, "/other is a key with a value", 1),
        ({"hidden": ["/other/_a"]}, "the hidden key /other/_a is not below the path /t", 0),
        ({"hidden": ["/t/a_b"]}, "/t/a_b is not hidden", 0),
        ({"dest": "nowhere/backup"}, "backup cannot be written: No such file or directory", 1),
    ],
)
def test_what_is_refused(save, store, options, says, reads):
    with pytest.raises(Refusal, match=says):
        save(**options)
    assert store.reads == reads


def test_a_path_that_cannot_be(save, store):
    with pytest.raises(errors.ClientException, match="an empty segment"):
        save(path="/a//b")
    assert store.reads == 0
