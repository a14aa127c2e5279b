# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a connection has been silent, measured from the last byte that came or went.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import sys
import typing as t

#: A message above this size may still be in the send buffer long after it was handed over.
_LARGE = 1 << 14


class Progress:
    """Tells a slow peer from a silent one.

    Args:
        sock: the connection.
        limit: seconds of silence to bear; None for no limit.
        now: seconds, monotonic, as in all calls.
    """

    __slots__ = ("limit", "_sock", "_since", "_queued")

    def __init__(self, sock: t.Any, limit: t.Optional[float], now: float) -> None:
        self.limit = limit
        self._sock = sock
        self._since = now
        self._queued = 0

    def moved(self, now: float) -> None:
        """A byte came, or was taken over by the system."""
        self._since = now

    def handed_over(self, size: int, now: float) -> None:
        """The last of a message of this size was taken over by the system."""
        self._since = now
        self._queued = _unsent(self._sock) if size > _LARGE else 0

    def left(self, now: float) -> float:
        """Seconds until the silence is too long; 0 or less once it is."""
        if self.limit is None:
            return float("inf")
        left = self._since + self.limit - now
        if left > 0 or not self._queued:
            return left
        # What the system took over goes out over minutes where the network is slow.
        queued = _unsent(self._sock)
        if queued < self._queued:
            self._since, left = now, self.limit
        self._queued = queued
        return left


def _unsent(sock: t.Any) -> int:
    """Bytes that the peer has not acknowledged yet; 0 where the system does not tell."""
    # Imported here because it is needed for large messages only, and not every system has them.
    try:
        import fcntl
        import termios
    except ImportError:
        return 0
    try:
        answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except OSError:
        return 0
    return int.from_bytes(answer, sys.byteorder)
