# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this machine has: real Python interpreters and programs, without pyenv's shims."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MINORS = tuple(f"3.{minor}" for minor in range(8, 15))

_SYSTEM_FOLDERS = ("/usr/local/bin", "/usr/bin")
_PROBE = "import ensurepip, json, platform, sys, venv; print(json.dumps([platform.python_version(), sys.executable]))"


@dataclass(frozen=True)
class Python:
    """A Python that can make virtual environments."""

    minor: str
    version: str
    path: Path


def search_path() -> list[str]:
    """The folders of PATH, less the shims: a shim exists for a Python that pyenv then refuses to run."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return [folder for folder in folders if folder and Path(folder).name != "shims"]


def find_program(name: str) -> str | None:
    """The program's path, or None."""
    return shutil.which(name, path=os.pathsep.join(search_path()))


def find_pythons() -> dict[str, Python]:
    """One working Python for each minor version that there is, by its minor version."""
    found = {}
    for minor in MINORS:
        python = next(filter(None, map(_probe, _candidates(minor))), None)
        if python is not None:
            found[minor] = python
    return found


def _candidates(minor: str) -> list[Path]:
    name = f"python{minor}"
    folders = [Path(folder) for folder in (*search_path(), *_SYSTEM_FOLDERS)]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    if pyenv.is_dir():
        folders.extend(
            version / "bin" for version in sorted(pyenv.glob(f"versions/{minor}.*"), reverse=True)
        )
    return [folder / name for folder in folders if (folder / name).is_file()]


def _probe(path: Path) -> Python | None:
    result = subprocess.run([path, "-c", _PROBE], capture_output=True, check=False)
    if result.returncode != 0:
        return None
    version, executable = json.loads(result.stdout)
    return Python(minor=".".join(version.split(".")[:2]), version=version, path=Path(executable))


def end_processes_in(folder: Path) -> int:
    """End the processes that work in this folder or below it; returns how many there were.

    The servers that integration targets start outlive ansible-test if it is interrupted.
    """
    left = [pid for pid in _pids() if _works_in(pid, folder)]
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(left)


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/cwd").startswith(f"{folder}{os.sep}")
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return False
