# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files by Ansible's options, with a real AnsibleModule on a real file system."""

from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._host_files import HostFiles
from ansible_collections.quorum.etcd.tests.unit.fakes.arguments import file_module


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


class Watching(HostFiles):
    """Notes how open the files are when one is renamed."""

    def __init__(self, module):
        super().__init__(module)
        move = module.atomic_move

        def atomic_move(src, dest, **options):
            self.seen = [mode(src)] + [mode(one) for one in [dest] if os.path.exists(one)]
            move(src, dest, **options)
            self.seen.append(mode(dest))

        module.atomic_move = atomic_move


@pytest.mark.parametrize(
    "had, options, has",
    [
        (None, {}, 0o600),
        (0o644, {}, 0o600),
        (0o400, {}, 0o400),
        (None, {"mode": "0640"}, 0o640),
        (0o666, {"mode": "0640"}, 0o640),
        (0o600, {"mode": "a+r"}, 0o644),
    ],
)
def test_a_file_is_never_more_open_than_in_the_end(tmp_path, had, options, has):
    path = tmp_path / "file"
    if had is not None:
        path.write_text("old", encoding="utf-8")
        path.chmod(had)
    umask = os.umask(0)
    try:
        files = Watching(file_module(**options))
        files.write(str(path), "new")
        assert os.umask(0) == 0
    finally:
        os.umask(umask)
    assert path.read_text(encoding="utf-8") == "new"
    assert mode(path) == has
    others = stat.S_IRWXG | stat.S_IRWXO
    assert [one for one in files.seen if one & others & ~has] == []
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_who_reads_the_old_file_goes_on(tmp_path):
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")
    with path.open(encoding="utf-8") as still_open:
        HostFiles(file_module()).write(str(path), "new")
        assert still_open.read() == "old"


def test_a_directory_is_not_replaced(tmp_path):
    (tmp_path / "folder" / "in it").mkdir(parents=True)
    with pytest.raises(Refusal, match="folder cannot be written: it is a directory"):
        HostFiles(file_module()).write(str(tmp_path / "folder"), "text")
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("check_mode", [False, True])
def test_attributes_are_set_once(tmp_path, check_mode):
    path = tmp_path / "file"
    path.write_text("text", encoding="utf-8")
    path.chmod(0o644)
    files = HostFiles(file_module(check_mode=check_mode))
    assert files.set_attributes(str(path))
    assert mode(path) == (0o644 if check_mode else 0o600)
    assert files.set_attributes(str(path)) is check_mode


def test_the_attributes_of_a_link_are_those_of_the_file(tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_text("text", encoding="utf-8")
    path.chmod(0o644)
    link.symlink_to(path)
    files = HostFiles(file_module())
    assert files.set_attributes(str(link))
    assert mode(path) == 0o600
    assert not files.set_attributes(str(link))


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_an_owner(tmp_path):
    path = tmp_path / "file"
    files = HostFiles(file_module(owner="1234", group="1235"))
    for text in ("one", "two"):
        files.write(str(path), text)
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)
    assert not files.set_attributes(str(path))
