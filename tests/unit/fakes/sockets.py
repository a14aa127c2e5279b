# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sockets that do not block, and a selector for them, in virtual time."""

from __future__ import annotations

import selectors
import typing as t

from .network import FakeClock

#: The last byte of each message, by which a socket knows that all of it has come.
END = b"!"


class ScriptedSocket:
    """A connected socket whose peer follows a script.

    Args:
        answers: what follows each message: a list of (seconds after what was before, bytes or the
            exception that reading raises). Empty bytes are the end of the connection.
        takes, pause: how many bytes the network takes at once, and the seconds until it takes more.
        unasked: what can be read before anything was sent, as in `answers`.
    """

    def __init__(self, clock: FakeClock, *answers: t.Any, **options: t.Any) -> None:
        self._clock = clock
        self._answers = list(answers)
        self._takes = options.get("takes", 1 << 30)
        self._pause = options.get("pause", 0.0)
        self._writable = clock.now
        self._coming = []  # type: t.List[t.Tuple[float, t.Any]]
        self._schedule(options.get("unasked", []))
        self.sent = b""
        self.closed = False

    def _schedule(self, script: t.Sequence[t.Tuple[float, t.Any]]) -> None:
        due = self._clock.now
        for seconds, what in script:
            due += seconds
            self._coming.append((due, what))

    @property
    def messages(self) -> t.List[bytes]:
        """What was sent, message by message."""
        return [one for one in self.sent.split(END) if one]

    def setblocking(self, flag: bool) -> None:
        """As of a socket."""

    def send(self, data: t.Any) -> int:
        if self._clock.now < self._writable:
            raise BlockingIOError
        taken = bytes(data[: self._takes])
        self.sent += taken
        self._writable = self._clock.now + self._pause
        if taken.endswith(END) and self._answers:
            answer = self._answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            self._schedule(answer)
        return len(taken)

    def recv(self, most: int) -> bytes:
        if not self._coming or self._coming[0][0] > self._clock.now:
            raise BlockingIOError
        what = self._coming.pop(0)[1]
        if isinstance(what, Exception):
            raise what
        assert len(what) <= most
        return bytes(what)

    def close(self) -> None:
        self.closed = True

    def due(self, events: int) -> float:
        """The moment from which on one of these events is there."""
        found = [float("inf")]
        if events & selectors.EVENT_READ and self._coming:
            found.append(self._coming[0][0])
        if events & selectors.EVENT_WRITE:
            found.append(self._writable)
        return min(found)


class _Key(t.NamedTuple):
    events: int
    data: t.Any


class FakeSelector:
    """Takes the place of `selectors.DefaultSelector` for scripted sockets."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._keys = {}  # type: t.Dict[ScriptedSocket, _Key]

    def register(self, sock: ScriptedSocket, events: int, data: t.Any) -> None:
        assert sock not in self._keys and not sock.closed
        self._keys[sock] = _Key(events, data)

    def modify(self, sock: ScriptedSocket, events: int, data: t.Any) -> None:
        assert sock in self._keys
        self._keys[sock] = _Key(events, data)

    def unregister(self, sock: ScriptedSocket) -> None:
        del self._keys[sock]

    def get_key(self, sock: ScriptedSocket) -> _Key:
        return self._keys[sock]

    def select(self, timeout: float) -> t.List[t.Tuple[_Key, int]]:
        until = self._clock.now + timeout
        first = min([until] + [sock.due(key.events) for sock, key in self._keys.items()])
        self._clock.now = max(self._clock.now, first)
        return [
            (key, key.events)
            for sock, key in self._keys.items()
            if sock.due(key.events) <= self._clock.now
        ]

    def close(self) -> None:
        self._keys.clear()
