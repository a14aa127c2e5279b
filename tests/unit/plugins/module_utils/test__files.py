# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _files
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal


@pytest.fixture(name="kind", params=["nameless", "named", "no proc"])
def fixture_kind(request, monkeypatch):
    """With a file system that knows files without a name, and without."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE")
    elif request.param == "no proc":
        real = os.link

        def link(src, *args, **options):
            return real(src.replace("/proc/", "/no-proc/"), *args, **options)

        monkeypatch.setattr(os, "link", link)
    return request.param


def test_a_file_is_private_and_beside_the_other_one(tmp_path, kind):
    path = tmp_path / "a file"
    with _files.written_aside(str(path), "ä\n€\n") as name:
        (found,) = tmp_path.iterdir()
        assert (str(found), found.name[:8]) == (name, ".a file.")
        assert found.read_bytes() == "ä\n€\n".encode()
        assert stat.S_IMODE(found.stat().st_mode) == 0o600
        assert not path.exists()
        os.replace(name, path)
    assert _files.read_text(str(path)) == "ä\n€\n"
    assert [one.name for one in tmp_path.iterdir()] == ["a file"]


@pytest.mark.parametrize("exc", [OSError(5, "broken"), KeyboardInterrupt(), SystemExit(1)])
def test_what_is_not_renamed_is_removed(tmp_path, kind, exc):
    with pytest.raises(type(exc)):
        with _files.written_aside(str(tmp_path / "file"), "text"):
            raise exc
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("exc", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_what_is_interrupted_before_it_is_complete_leaves_nothing(tmp_path, monkeypatch, kind, exc):
    def fsync(handle):
        raise exc

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises((Refusal, KeyboardInterrupt)) as caught:
        with _files.written_aside(str(tmp_path / "file"), "text"):
            raise AssertionError("it is not complete")
    assert list(tmp_path.iterdir()) == []
    if isinstance(exc, OSError):
        assert "file cannot be written: No space left" in str(caught.value)


KILLED = """
import os, signal, sys
from ansible_collections.quorum.etcd.plugins.module_utils import _files
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
with _files.written_aside(sys.argv[1], "text"):
    pass
"""


def test_nothing_is_left_of_a_process_that_is_killed(tmp_path):
    probe = os.open(str(tmp_path), os.O_TMPFILE | os.O_WRONLY)  # this file system knows them
    os.close(probe)
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "file")],
        env=dict(os.environ, PYTHONPATH=path),
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_a_name_without_a_folder(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    with _files.written_aside("file", "text") as name:
        os.replace(name, "file")
    _files.flush_folder("file")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "text"


def test_a_folder_that_is_not_there(tmp_path, kind):
    with pytest.raises(Refusal, match="cannot be written: No such file or directory"):
        with _files.written_aside(str(tmp_path / "nowhere" / "file"), "text"):
            raise AssertionError("it is not written")


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(Refusal, match="nowhere cannot be read: No such file or directory"):
        _files.read_text(str(tmp_path / "nowhere"))
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(Refusal, match="binary is not valid UTF-8"):
        _files.read_text(str(tmp_path / "binary"))
