# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib
import importlib.machinery
import sys

import pytest
from ansible_collections.quorum.etcd.plugins.plugin_utils import _bytecode

PACKAGE = _bytecode.__name__.rpartition(".")[0]


@pytest.fixture(name="finder")
def fixture_finder():
    before = list(sys.meta_path)
    with _bytecode.kept():
        assert sys.meta_path[1:] == before, "it comes before Ansible's"
        yield sys.meta_path[0]
    assert sys.meta_path == before


def test_files_of_the_collection_are_found_for_pythons_own_loader(finder, tmp_path):
    (tmp_path / "some.py").write_text("FACT = 41\n", encoding="utf-8")
    found = finder.find_spec(PACKAGE + ".some", [str(tmp_path)])
    assert isinstance(found.loader, importlib.machinery.SourceFileLoader)
    assert found.origin == str(tmp_path / "some.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    assert module.FACT == 41


@pytest.mark.parametrize(
    "name",
    [
        PACKAGE + ".folder",
        PACKAGE + ".missing",
        "ansible_collections.quorum.other.plugins.plugin_utils.some",
        "some",
    ],
)
def test_all_else_is_left_to_others(finder, tmp_path, name):
    (tmp_path / "some.py").touch()
    (tmp_path / "folder").mkdir()
    assert finder.find_spec(name, [str(tmp_path)]) is None
    assert finder.find_spec(name, None) is None
