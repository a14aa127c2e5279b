# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the tests run: a copy of the checkout at the path that Ansible wants, virtual environments, a home."""

from __future__ import annotations

import configparser
import copy
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .commands import Commands, Failed, Processes
from .machine import Python, search_path

# ansible-test looks for get-pip under the version of pip that it wants: ansible-core 2.18 and 2.19, 2.20 and newer.
_GET_PIP = ("get_pip_24_2.py", "get_pip_25_2.py")

_FOREIGN = re.compile(
    r"^(ANSIBLE_|ETCD|PYTEST_|PYTHONPATH$|PYTHONHOME$|VIRTUAL_ENV$|PYENV_VERSION$|GIT_)"
)
"""Settings of whoever runs the tests that would change what they do."""

_PIP_OPTIONS = (
    "index-url",
    "extra-index-url",
    "find-links",
    "trusted-host",
    "cert",
    "client-cert",
    "proxy",
    "timeout",
)

_PYTHONS_OF_CORE = """
import json
from ansible_test._util.target.common import constants
print(json.dumps([constants.CONTROLLER_PYTHON_VERSIONS, constants.REMOTE_ONLY_PYTHON_VERSIONS]))
"""


@dataclass(frozen=True)
class Core:
    """An ansible-core in a virtual environment of its own."""

    version: str
    python: Python
    bin: Path
    targets: tuple[str, ...]
    """The minor versions of Python that this ansible-core supports, the controller's included."""


class Workspace:
    """Everything under `.cache` that the tests use."""

    def __init__(self, root: Path, pythons: Mapping[str, Python]) -> None:
        self.root = root
        self.pythons = pythons
        self.cache = root / ".cache"
        self.collections = self.cache / "test"
        self.logs = self.cache / "logs"
        self.processes = Processes()
        self._home = self.cache / "home"
        self._installing = threading.Lock()

    @property
    def copy(self) -> Path:
        """The copy of the checkout that commands run in."""
        return self.collections / "ansible_collections" / "quorum" / "etcd"

    def twin(self, name: str) -> Workspace:
        """The same with a copy and a home folder of its own, for what runs at the same time.

        Two runs of ansible-test that find no SSH key in one home both make one, and one of them fails.
        """
        twin = copy.copy(self)
        twin.collections = self.cache / name
        twin._home = self.cache / f"home-{name}"
        twin._set_up_home()
        twin._fill()
        return twin

    def prepare(self) -> None:
        """Copy the checkout as it is, uncommitted work included, and set up the home folder."""
        self._be_alone()
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir()
        self._set_up_home()
        self._fill()

    def _set_up_home(self) -> None:
        self._forget_old_pythons()
        stand_ins = self._home / ".ansible" / "test" / "cache"
        stand_ins.mkdir(parents=True, exist_ok=True)
        for name in _GET_PIP:
            shutil.copyfile(self.root / "tests" / "tools" / "get_pip.py", stand_ins / name)
        _configure_pip(self._home, self.cache / "pip")

    def _fill(self) -> None:
        shutil.rmtree(self.collections, ignore_errors=True)
        self.copy_to(self.copy)

    def _be_alone(self) -> None:
        self.cache.mkdir(exist_ok=True)
        self._lock = (self.cache / "lock").open("w", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise Failed("another run of the tests is under way in this checkout") from exc

    def _forget_old_pythons(self) -> None:
        """Remove ansible-test's virtual environments if they may belong to a Python that is gone."""
        known = self._home / "pythons"
        now = "".join(f"{python.path} {python.version}\n" for python in self.pythons.values())
        if not known.is_file() or known.read_text(encoding="utf-8") != now:
            shutil.rmtree(self._home / ".ansible" / "test" / "venv", ignore_errors=True)
            self._home.mkdir(parents=True, exist_ok=True)
            known.write_text(now, encoding="utf-8")

    def copy_to(self, folder: Path) -> list[str]:
        """Copy what git knows or would add into a git repository at `folder`; returns the files' names."""
        commands = self.commands("copy")
        folder.mkdir(parents=True)
        # The person's own settings, which may call the checkout safe, are not in our home folder.
        git = ("git", "-c", f"safe.directory={self.root}")
        output = commands.run(*git, "ls-files", "-co", "--exclude-standard", "-z", cwd=self.root)
        names = [name for name in output.split("\0") if name and (self.root / name).is_file()]
        # In a folder of its own, as two stages may copy at the same time.
        with tempfile.TemporaryDirectory(dir=self.cache) as own:
            listing, archive = Path(own, "files"), Path(own, "files.tar")
            listing.write_text("".join(f"{name}\0" for name in names), encoding="utf-8")
            commands.run("tar", "--null", "-T", listing, "-cf", archive, cwd=self.root)
            commands.run("tar", "-xf", archive, cwd=folder)
        commands.run("git", "init", "-q", cwd=folder)
        commands.run("git", "add", "-A", cwd=folder)
        return names

    def commands(self, stage: str, bin_folder: Path | None = None) -> Commands:
        """What runs the commands of a stage in the copy; programs of `bin_folder` come first."""
        folders = [str(bin_folder)] if bin_folder else []
        system = search_path()
        folders.extend(
            folder
            for folder in (str(python.path.parent) for python in self.pythons.values())
            if folder not in system
        )
        environment = {
            name: value for name, value in os.environ.items() if not _FOREIGN.match(name)
        }
        environment.update(
            PATH=os.pathsep.join(dict.fromkeys(folders + system)),
            HOME=str(self._home),
            LANG="C.UTF-8",
            LC_ALL="C.UTF-8",
            PIP_DISABLE_PIP_VERSION_CHECK="1",
        )
        return Commands(self.processes, self.logs / f"{stage}.log", self.copy, environment)

    def venv(self, name: str, python: Python, requirements: Iterable[str]) -> Path:
        """The `bin` folder of a virtual environment with these requirements, made unless it is there."""
        wanted = "\n".join(requirements)
        digest = hashlib.sha256(f"{python.path} {python.version}\n{wanted}".encode()).hexdigest()
        folder = self.cache / "venvs" / name
        stamp = folder / ".complete"
        with self._installing:
            if not stamp.is_file() or stamp.read_text() != digest:
                self._install(name, python, folder, wanted)
                stamp.write_text(digest)
        return folder / "bin"

    def _install(self, name: str, python: Python, folder: Path, wanted: str) -> None:
        print(f"    installing the environment {name}", flush=True)
        commands = self.commands(f"install-{name}")
        commands.run(python.path, "-m", "venv", "--clear", folder, cwd=self.root)
        listing = folder / "requirements.txt"
        listing.write_text(wanted, encoding="utf-8")
        try:
            commands.run(
                folder / "bin" / "python", "-m", "pip", "install", "-r", listing, cwd=self.root
            )
        except Failed as exc:
            reason = _why_pip_failed(commands.log)
            raise Failed(
                f"pip could not install the environment {name}: {reason} (see {commands.log.name})"
            ) from exc

    def requirements(self, file: str) -> list[str]:
        """The requirements in a file of the checkout, without comments and blank lines."""
        path = self.root / file
        if not path.is_file():
            raise Failed(f"{file} is missing")
        lines = (
            line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()
        )
        return [line for line in lines if line]

    def core(self, version: str | None, python: Python) -> Core:
        """An ansible-core with what requirements-dev.txt pins; `version` replaces the pin of ansible-core."""
        lines = self.requirements("requirements-dev.txt")
        pin = next(line for line in lines if line.startswith("ansible-core=="))
        if version is None:
            version = pin.removeprefix("ansible-core==")
        lines = [f"ansible-core=={version}" if line == pin else line for line in lines]
        name = f"core-{version}"
        bin_folder = self.venv(name, python, lines)
        # What a command printed is read from its log, which another stage on this core would write to.
        with self._installing:
            answer = self.commands(f"install-{name}").run(
                bin_folder / "python", "-c", _PYTHONS_OF_CORE, cwd=self.root
            )
        controllers, remotes = json.loads(answer)
        return Core(
            version=version, python=python, bin=bin_folder, targets=(*remotes, *controllers)
        )


def _configure_pip(home: Path, downloads: Path) -> None:
    """Take over the person's own settings, as neither their home nor their PIP_* variables reach ansible-test's pip.

    Have it say errors only: its other words would fill the logs.
    """
    settings = configparser.RawConfigParser()
    settings.read([Path.home() / ".pip" / "pip.conf", Path.home() / ".config" / "pip" / "pip.conf"])
    if not settings.has_section("global"):
        settings.add_section("global")
    for option in _PIP_OPTIONS:
        if value := os.environ.get(f"PIP_{option.upper().replace('-', '_')}"):
            settings.set("global", option, value)
    settings.set("global", "cache-dir", str(downloads))
    settings.set("global", "quiet", "2")
    file = home / ".config" / "pip" / "pip.conf"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as stream:
        settings.write(stream)


def _why_pip_failed(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace")
    if "after connection broken by" in text:
        return "the package index cannot be reached"
    errors = re.findall(r"^ERROR: (.*)$", text, re.MULTILINE)
    return errors[-1] if errors else "no reason given"
