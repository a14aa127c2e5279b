# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many small exchanges over a few open connections, in one thread.

PRIVATE to the collection: it can change at any time.

Threads that wait for one answer each share Python's one lock, and are no faster together than one
alone where the network has no latency. Here one thread keeps a request on every connection: while
the server works on one, the next is prepared.
"""

from __future__ import annotations

import selectors
import socket
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils._messages import AnswerReader

#: Bytes to read at once.
_PIECE = 1 << 16

#: Seconds between two looks for connections that have been silent too long.
_TICK = 0.25

#: What became of a message: its answer, or how the connection ended.
Ending = t.Union[AnswerReader, OSError]


class _Stream:
    """One connection and the message that is on it."""

    __slots__ = ("sock", "waiting", "mark", "unsent", "answer", "since")

    def __init__(self, sock: t.Any, waiting: t.Tuple[t.Type[OSError], ...]) -> None:
        self.sock = sock
        self.waiting = waiting
        self.mark = None  # type: t.Any
        self.unsent = b""
        self.answer = AnswerReader()
        self.since = 0.0

    def send(self) -> None:
        try:
            sent = self.sock.send(self.unsent)
        except self.waiting:
            return
        self.unsent = self.unsent[sent:]

    def receive(self) -> None:
        """Read what has come of the answer.

        TLS may have taken more from the connection than it has handed over, so all of it is read.
        """
        answer = self.answer
        while not answer.whole:
            try:
                piece = self.sock.recv(_PIECE)
            except self.waiting:
                return
            answer.feed(piece)


class Streams:
    """Open connections to one endpoint that carry messages side by side.

    Args:
        sockets: connected, and with no answer outstanding.
        waiting: what these sockets raise where they would have to wait.
        silence: seconds to bear without a byte of an answer.
        clock: seconds, monotonic.

    Attributes:
        usable: the sockets that can go on being used, once `exchange` has ended.
    """

    def __init__(
        self,
        sockets: t.Iterable[t.Any],
        *,
        waiting: t.Tuple[t.Type[OSError], ...],
        silence: float,
        clock: t.Callable[[], float],
    ) -> None:
        self._idle = [_Stream(sock, waiting) for sock in sockets]
        self._silence = silence
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._busy = set()  # type: t.Set[_Stream]
        self.usable = []  # type: t.List[t.Any]

    def exchange(
        self, messages: t.Iterator[t.Tuple[t.Any, bytes]]
    ) -> t.Iterator[t.Tuple[t.Any, Ending]]:
        """Send each message once and yield its mark with what became of it, as the answers come.

        A message is taken when a connection is free for it. Once a connection has broken, no
        further message is taken, and the answers to those that were sent are still waited for.
        """
        for stream in self._idle:
            stream.sock.setblocking(False)
            self._selector.register(stream.sock, selectors.EVENT_READ, stream)
        taking = True
        look = self._clock() + _TICK
        while True:
            while taking and self._idle:
                message = next(messages, None)
                if message is None:
                    taking = False
                    break
                failure = self._begin(self._idle.pop(), message)
                if failure is not None:
                    taking = False
                    yield message[0], failure
            if not self._busy:
                break
            for mark, ending in self._turn():
                taking = taking and not isinstance(ending, OSError)
                yield mark, ending
            if self._clock() >= look:
                look = self._clock() + _TICK
                for mark, ending in self._silent():
                    taking = False
                    yield mark, ending
        self._selector.close()
        self.usable = [stream.sock for stream in self._idle]

    def _begin(self, stream: _Stream, message: t.Tuple[t.Any, bytes]) -> t.Optional[OSError]:
        stream.mark, stream.unsent = message
        stream.answer = AnswerReader()
        stream.since = self._clock()
        self._busy.add(stream)
        try:
            self._push(stream)
        except OSError as exc:
            self._drop(stream)
            return exc
        return None

    def _push(self, stream: _Stream) -> None:
        """Send what the connection takes, and be told when it takes more."""
        stream.send()
        events = selectors.EVENT_READ
        if stream.unsent:
            events |= selectors.EVENT_WRITE
        if self._selector.get_key(stream.sock).events != events:
            self._selector.modify(stream.sock, events, stream)

    def _turn(self) -> t.Iterator[t.Tuple[t.Any, Ending]]:
        for ready, unused in self._selector.select(_TICK):
            stream = ready.data
            if stream not in self._busy:
                # Its end, which nobody asked for: the next message would be lost with it.
                self._idle.remove(stream)
                self._drop(stream)
                continue
            try:
                if stream.unsent:
                    self._push(stream)
                stream.receive()
            except OSError as exc:
                self._drop(stream)
                yield stream.mark, exc
                continue
            answer = stream.answer
            if not answer.whole:
                continue
            if answer.reusable and not stream.unsent:
                self._busy.discard(stream)
                self._idle.append(stream)
            else:
                self._drop(stream)
            yield stream.mark, answer

    def _silent(self) -> t.Iterator[t.Tuple[t.Any, OSError]]:
        limit = self._clock() - self._silence
        for stream in [one for one in self._busy if one.since < limit]:
            self._drop(stream)
            yield stream.mark, socket.timeout("no answer in time")

    def _drop(self, stream: _Stream) -> None:
        self._busy.discard(stream)
        self._selector.unregister(stream.sock)
        stream.sock.close()
