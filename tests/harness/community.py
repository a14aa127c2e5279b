# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection community.general, whose lookup ours is held against."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

#: The release of `ansible` for the ansible-core of requirements.txt; it bundles the collection.
_BUNDLE = "ansible==12.3.0"
_COLLECTION = "ansible_collections/community/general/"
_CACHE = Path(__file__).resolve().parents[2] / ".cache" / "make" / "community.general"
_LIMIT = 300.0


class CannotBeHadError(Exception):
    """The collection cannot be installed; the message says why."""


def collections_path() -> Path:
    """A folder for ANSIBLE_COLLECTIONS_PATH that holds the collection and nothing else.

    It is downloaded once (54 MB from PyPI), and kept in the checkout's cache.

    Raises:
        CannotBeHadError: no package index offers it.
    """
    if not _CACHE.is_dir():
        _CACHE.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE.parent) as folder:
            _unpack(_download(Path(folder)), Path(folder) / "collections")
            shutil.move(str(Path(folder) / "collections"), str(_CACHE))
    return _CACHE


def _download(folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    try:
        ended = subprocess.run(
            [*pip, "--no-deps", "--only-binary=:all:", "--dest", str(folder), _BUNDLE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LIMIT,
        )
    except subprocess.TimeoutExpired as exc:
        raise CannotBeHadError(f"pip did not download {_BUNDLE} in {_LIMIT:.0f} s") from exc
    if ended.returncode != 0:
        said = ended.stderr.strip().splitlines()
        raise CannotBeHadError(f"pip could not download {_BUNDLE}: {said[-1] if said else '?'}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def _unpack(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(_COLLECTION)]
        if not names:
            raise CannotBeHadError(f"{_BUNDLE} does not hold community.general")
        archive.extractall(folder, names)
