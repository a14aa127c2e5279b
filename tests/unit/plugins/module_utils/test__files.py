# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import stat

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _files
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "a file"
    _files.write_private(str(path), "ä\n€\n")
    assert path.read_bytes() == "ä\n€\n".encode()
    assert _files.read_text(str(path)) == "ä\n€\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["a file"]


def test_a_file_that_is_there_is_replaced(tmp_path):
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o644)
    with path.open(encoding="utf-8") as still_open:
        _files.write_private(str(path), "new")
        assert still_open.read() == "old"
    assert path.read_text(encoding="utf-8") == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_name_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _files.write_private("file", "text")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "text"


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path):
    folder = tmp_path / "folder"
    (folder / "in it").mkdir(parents=True)
    with pytest.raises(Refusal, match="folder cannot be written: Is a directory"):
        _files.write_private(str(folder), "text")
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(Refusal, match="cannot be written: No such file or directory"):
        _files.write_private(str(tmp_path / "nowhere" / "file"), "text")


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(Refusal, match="nowhere cannot be read: No such file or directory"):
        _files.read_text(str(tmp_path / "nowhere"))
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(Refusal, match="binary is not valid UTF-8"):
        _files.read_text(str(tmp_path / "binary"))
