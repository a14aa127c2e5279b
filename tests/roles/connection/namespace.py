# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A connection into the namespaces of a process: what nsenter(1) is for, for tests only."""

from __future__ import annotations

import shutil
import subprocess

from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = r"""
name: namespace
short_description: Run tasks in the namespaces of a process
description: Runs commands in the mount, network, PID and host name namespaces of a process of this machine.
author: quorum.etcd contributors (@quorum-etcd)
options:
  namespace_pid:
    description: Id of the process.
    type: int
    required: true
    vars: [{name: ansible_namespace_pid}]
"""


class Connection(ConnectionBase):
    """nsenter into the namespaces; files go through the process's root."""

    transport = "namespace"
    has_pipelining = True

    def _connect(self):
        self._connected = True
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        pid = str(self.get_option("namespace_pid"))
        command = [
            "nsenter",
            "--target",
            pid,
            "--mount",
            "--net",
            "--uts",
            "--pid",
            "--root",
            "--wd",
        ]
        result = subprocess.run(
            [*command, "/bin/sh", "-c", cmd], input=in_data or b"", capture_output=True, check=False
        )
        return result.returncode, result.stdout, result.stderr

    def put_file(self, in_path, out_path):
        super().put_file(in_path, out_path)
        shutil.copyfile(in_path, self._inside(out_path))

    def fetch_file(self, in_path, out_path):
        super().fetch_file(in_path, out_path)
        shutil.copyfile(self._inside(in_path), out_path)

    def _inside(self, path):
        return f"/proc/{self.get_option('namespace_pid')}/root{path}"

    def close(self):
        self._connected = False
