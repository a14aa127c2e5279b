# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of the host.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import os
import tempfile

from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal


def read_text(name: str) -> str:
    """The text of a file.

    Raises:
        Refusal: it cannot be read, or is not UTF-8.
    """
    try:
        with open(name, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError as exc:
        raise Refusal("%s is not valid UTF-8" % name) from exc
    except OSError as exc:
        raise Refusal("%s cannot be read: %s" % (name, exc.strerror)) from exc


def write_private(name: str, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all.

    It is written under another name in the same folder, flushed to the disk, and renamed.

    Raises:
        Refusal: it cannot be written; what was there is as it was.
    """
    folder = os.path.dirname(name) or "."
    try:
        handle, temporary = tempfile.mkstemp(prefix=".%s." % os.path.basename(name), dir=folder)
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, name)
        except OSError:
            os.unlink(temporary)
            raise
        _flush_folder(folder)
    except OSError as exc:
        raise Refusal("%s cannot be written: %s" % (name, exc.strerror)) from exc


def _flush_folder(folder: str) -> None:
    """Have the disk know the file's new name too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
