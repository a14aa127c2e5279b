# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps of the machine's clock, which are taken back."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Iterator


class ClockHeld(Exception):
    """This machine, or this user, does not move the clock; the message says why."""


class Clock:
    """The wall clock of the whole machine, so that nobody else should be at work on it.

    A context manager. After it the clock is right, by the monotonic clock, which nobody moves.
    """

    def __init__(self) -> None:
        self._ahead = 0

    def __enter__(self) -> Clock:
        # Also when we are told to end, the clock is set right.
        signal.signal(signal.SIGTERM, lambda *_unused: sys.exit(1))
        self._ahead = _wall() - time.monotonic_ns()
        try:
            self._set_right()
        except OSError as exc:
            raise ClockHeld(f"the clock of this machine cannot be set: {exc}") from exc
        return self

    def __exit__(self, *unused: object) -> None:
        self._set_right()

    @contextlib.contextmanager
    def wrong(self, seconds: float) -> Iterator[None]:
        """The clock is ahead by so much meanwhile, or behind."""
        time.clock_settime_ns(time.CLOCK_REALTIME, _wall() + int(seconds * 1e9))
        try:
            yield
        finally:
            self._set_right()

    def _set_right(self) -> None:
        time.clock_settime_ns(time.CLOCK_REALTIME, time.monotonic_ns() + self._ahead)


def _wall() -> int:
    return time.clock_gettime_ns(time.CLOCK_REALTIME)
