# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a module writes a file of the host: by the options that Ansible has for files.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _files
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal


class AnsibleFiles(t.Protocol):
    """What this file needs of an AnsibleModule with `add_file_common_args`."""

    params: t.Dict[str, t.Any]

    def load_file_common_arguments(
        self, params: t.Mapping[str, t.Any], path: t.Optional[str] = None
    ) -> t.Dict[str, t.Any]:
        """The options for files."""

    def set_fs_attributes_if_different(
        self, file_args: t.Mapping[str, t.Any], changed: bool
    ) -> bool:
        """Give a file owner, group, mode, attributes and security context."""

    def atomic_move(self, src: str, dest: str, unsafe_writes: bool = False) -> None:
        """Rename a file, and keep the owner and mode of the one that it replaces."""


class HostFiles:
    """Files of the host; without the option `mode`, their owner only may read them."""

    def __init__(self, module: AnsibleFiles) -> None:
        self._module = module

    def write(self, name: str, text: str) -> None:
        """Replace a file, whole or not at all.

        At no moment may more users read it than in the end.

        Raises:
            Refusal: it cannot be written; what was there is as it was.
        """
        if os.path.isdir(name):
            raise Refusal("%s cannot be written: it is a directory" % name)
        # atomic_move gives a new file the mode that the umask leaves, and others that of the old.
        umask = os.umask(0o077)
        try:
            with _files.written_aside(name, text) as temporary:
                if os.path.exists(name):
                    self.set_attributes(name)
                unsafe = self._module.params["unsafe_writes"]
                self._module.atomic_move(temporary, name, unsafe_writes=unsafe)
        finally:
            os.umask(umask)
        _files.flush_folder(name)
        self.set_attributes(name)

    def set_attributes(self, name: str) -> bool:
        """Give a file its owner, group and mode; whether it had others.

        In check mode, only find out.
        """
        path = os.path.realpath(name)
        arguments = self._module.load_file_common_arguments(self._module.params, path=path)
        if arguments["mode"] is None:
            arguments["mode"] = stat.S_IMODE(os.stat(path).st_mode) & stat.S_IRWXU
        return bool(self._module.set_fs_attributes_if_different(arguments, False))
