# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The arguments that Ansible hands to a module."""

from __future__ import annotations

import contextlib
import json
from unittest import mock

from ansible.module_utils import basic


@contextlib.contextmanager
def module_arguments(**arguments):
    """Let a module that is made in this context have these arguments.

    ansible-core has a function for this from 2.19 on; this works with 2.18 too, which knows no
    profiles.
    """
    text = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode("utf-8")
    with mock.patch.object(basic, "_ANSIBLE_ARGS", text):
        with mock.patch.object(basic, "_ANSIBLE_PROFILE", "legacy", create=True):
            yield


def file_module(*, check_mode=False, **options):
    """A module with these of Ansible's options for files."""
    with module_arguments(_ansible_check_mode=check_mode, **options):
        return basic.AnsibleModule({}, supports_check_mode=True, add_file_common_args=True)
