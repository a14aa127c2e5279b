# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running commands: output goes to a log file as it comes, a failure becomes one line."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

HANGS_AFTER = 20 * 60
"""Seconds after which a command is ended and counts as failed."""


class Failed(Exception):
    """A stage failed; the message is one line that says what did."""


class Skipped(Exception):
    """A stage cannot run on this machine; the message is the reason."""


class Processes:
    """The commands that run at this moment, in whichever thread, so that none outlives us."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    @contextmanager
    def started(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Hold a process and its children for as long as the context lasts; end them with it."""
        with self._lock:
            self._running.add(process)
            stopped = self._stopped
        try:
            if stopped:
                raise SystemExit("stopped")
            yield
        finally:
            _end(process)
            with self._lock:
                self._running.discard(process)

    def stop(self) -> None:
        """End all that runs, and from now on whatever is started."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            _end(process)


class Commands:
    """Runs commands that share a log file, a folder and an environment."""

    def __init__(
        self, processes: Processes, log: Path, cwd: Path, environment: Mapping[str, str]
    ) -> None:
        self.log = log
        self._processes = processes
        self._cwd = cwd
        self._environment = environment

    def run(
        self, *command: str | Path, cwd: Path | None = None, extra: Mapping[str, str] | None = None
    ) -> str:
        """Run a command to its end and return what it printed; raises Failed unless it exits with 0."""
        words = [str(word) for word in command]
        with self.log.open("ab") as file:
            file.write(f"\n$ {shlex.join(words)}\n".encode())
            file.flush()
            start = file.tell()
            status = self._execute(words, file, cwd or self._cwd, extra or {})
        with self.log.open("rb") as file:
            file.seek(start)
            output = file.read().decode(errors="replace")
        if status is None:
            raise Failed(f"`{_short(words)}` did not end within {HANGS_AFTER} s")
        if status != 0:
            raise Failed(f"`{_short(words)}` failed with status {status}")
        return output

    def _execute(
        self, words: list[str], output: IO[bytes], cwd: Path, extra: Mapping[str, str]
    ) -> int | None:
        """The exit status, or None if the command had to be ended."""
        try:
            process = subprocess.Popen(
                words,
                cwd=cwd,
                env={**self._environment, **extra},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as exc:
            raise Failed(f"cannot run {words[0]}: {exc.strerror}") from exc
        with self._processes.started(process):
            try:
                return process.wait(HANGS_AFTER)
            except subprocess.TimeoutExpired:
                return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children, unless it has ended by itself."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _short(words: list[str]) -> str:
    text = shlex.join([Path(words[0]).name, *words[1:]])
    return text if len(text) <= 120 else f"{text[:117]}..."
