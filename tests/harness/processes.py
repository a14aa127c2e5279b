# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Operating system processes, our own children and those of an earlier command.

A process is known by its pid and its start time, so a pid that was given to somebody else in the
meantime is never signalled.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from .errors import HarnessError

_POLL = 0.02
_PR_SET_PDEATHSIG = 1

# The kernel sends a "parent death" signal when the thread that forked the child ends, not when
# the process does. One thread that lives as long as the interpreter therefore does all forking.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="harness-spawner")
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


class Process:
    """A process that can be signalled and waited for."""

    def __init__(
        self, pid: int, started: t.Optional[int], child: t.Optional[subprocess.Popen[bytes]] = None
    ) -> None:
        self.pid = pid
        self.started = started
        self._child = child

    @classmethod
    def spawn(
        cls,
        command: t.List[str],
        log_path: str,
        *,
        detached: bool,
        environment: t.Optional[t.Dict[str, str]] = None,
    ) -> Process:
        """Start `command` in its own session, output appended to `log_path`.

        A detached process outlives us; any other dies with us, however we die.
        """
        if detached:
            child = _popen(command, log_path, environment, None)
        else:
            child = _SPAWNER.submit(_popen, command, log_path, environment, os.getpid()).result()
        return cls(child.pid, start_time(child.pid), child)

    def running(self) -> bool:
        """Whether it is still there; a zombie is not."""
        if self._child is not None:
            return self._child.poll() is None
        return self.started is not None and start_time(self.pid) == self.started

    def signal(self, number: int) -> None:
        """Send a signal, if the process is still there."""
        if self.running():
            os.kill(self.pid, number)

    def wait(self, timeout: float) -> bool:
        """Wait until it is gone; whether it is."""
        deadline = time.monotonic() + timeout
        while self.running():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL)
        return True

    def kill(self) -> None:
        """SIGKILL, also for a stopped process, and wait."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        if not self.wait(15.0):
            raise HarnessError(f"process {self.pid} survived SIGKILL")

    def terminate(self, timeout: float) -> None:
        """SIGTERM, also for a stopped process, and wait."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        if not self.wait(timeout):
            raise HarnessError(f"process {self.pid} is still there {timeout} s after SIGTERM")


def start_time(pid: int) -> t.Optional[int]:
    """When a process started, in clock ticks since boot; None if there is no live one."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name, in parentheses, may itself hold blanks and parentheses.
    fields = text.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        return None
    return int(fields[19])


def _popen(
    command: t.List[str],
    log_path: str,
    environment: t.Optional[t.Dict[str, str]],
    parent: t.Optional[int],
) -> subprocess.Popen[bytes]:
    def die_with_parent() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    with open(log_path, "ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
            preexec_fn=None if parent is None else die_with_parent,
        )
