# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of the host.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import typing as t

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


@contextlib.contextmanager
def written_aside(name: str, text: str) -> t.Iterator[str]:
    """A file beside another one, that only its owner may read, with this text, flushed to the disk.

    Where the file system can do that, it has no name until it is complete, so that nothing is left
    of it if the process is killed before. On the way out it is removed, unless it was renamed.

    Args:
        name: of the file that it is to replace.

    Yields:
        Its name.

    Raises:
        Refusal: it cannot be written.
    """
    folder = os.path.dirname(name) or "."
    try:
        temporary = _complete_file(folder, ".%s." % os.path.basename(name), text)
    except OSError as exc:
        raise Refusal("%s cannot be written: %s" % (name, exc.strerror)) from exc
    try:
        yield temporary
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _complete_file(folder: str, prefix: str, text: str) -> str:
    """Make a file in the folder with this text; its name."""
    name = _completed_without_name(folder, prefix, text)
    if name is None:
        handle, name = tempfile.mkstemp(prefix=prefix, dir=folder)
        with _removed_unless_complete(name):
            _write(handle, text)
    return name


def _completed_without_name(folder: str, prefix: str, text: str) -> t.Optional[str]:
    """Make a file that gets its name once it is complete; None where there are no such files.

    They are Linux's own, and not every file system has them.
    """
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None:
        return None
    try:
        handle = os.open(folder, flag | os.O_WRONLY, 0o600)
    except OSError as exc:
        # EISDIR is what a kernel says that does not know the flag.
        if exc.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            return None
        raise
    try:
        _write(os.dup(handle), text)
        return _named(handle, folder, prefix)
    finally:
        os.close(handle)


def _named(handle: int, folder: str, prefix: str) -> t.Optional[str]:
    """Give a file without a name one that no other has; None where that cannot be."""
    name = os.path.join(folder, prefix + os.urandom(8).hex())
    there = os.open(folder, os.O_RDONLY)
    try:
        # Only with a folder to look from does Python have the link followed.
        os.link("/proc/self/fd/%d" % handle, name, src_dir_fd=there, follow_symlinks=True)
    except (FileNotFoundError, PermissionError):
        # There is no /proc, or it may not be used for this.
        return None
    finally:
        os.close(there)
    return name


@contextlib.contextmanager
def _removed_unless_complete(name: str) -> t.Iterator[None]:
    complete = False
    try:
        yield
        complete = True
    finally:
        if not complete:
            os.unlink(name)


def _write(handle: int, text: str) -> None:
    with open(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(name: str) -> None:
    """Have the disk know a file's new name too."""
    handle = os.open(os.path.dirname(name) or ".", os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
