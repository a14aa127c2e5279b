# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Importing files of the collection as Python imports all others: with their bytecode kept.

PRIVATE to the collection: it can change at any time.

Ansible forks a process for each task, and its loader of collections compiles what a plugin imports
each time anew, which takes longer than a hundred reads do. Python's own loader writes what it has
compiled to ``__pycache__``, where that can be written, and takes it from there while the file is the
same.
"""

from __future__ import annotations

import contextlib
import sys
import typing as t
from importlib import machinery

#: The packages that this is done for.
_OURS = __name__.rpartition(".")[0].rpartition(".")[0] + "."


class _Finder:
    """Finds the files of this collection for Python's import."""

    def __init__(self) -> None:
        self._folders = {}  # type: t.Dict[str, machinery.FileFinder]

    def find_spec(
        self, name: str, path: t.Optional[t.Sequence[str]] = None, target: t.Any = None
    ) -> t.Optional[machinery.ModuleSpec]:
        if not name.startswith(_OURS) or not path:
            return None
        folder = next(iter(path))
        if folder not in self._folders:
            python = (machinery.SourceFileLoader, machinery.SOURCE_SUFFIXES)
            self._folders[folder] = machinery.FileFinder(folder, python)
        found = self._folders[folder].find_spec(name)
        # Folders are left to Ansible, which makes packages of them.
        return None if found is None or found.loader is None else found


_FINDER = _Finder()


@contextlib.contextmanager
def kept() -> t.Iterator[None]:
    """What is imported of this collection meanwhile has its bytecode kept."""
    sys.meta_path.insert(0, _FINDER)
    try:
        yield
    finally:
        sys.meta_path.remove(_FINDER)
