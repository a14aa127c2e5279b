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
from ansible_collections.quorum.etcd.plugins.module_utils._progress import Progress
from ansible_collections.quorum.etcd.plugins.module_utils._types import AttemptFailed

#: Bytes to read or write at once.
_PIECE = 1 << 16

#: Seconds between two looks for connections that have been silent too long.
_TICK = 0.25


class Lost(t.NamedTuple):
    """A message that was sent, at least in part, and got no whole answer.

    Attributes:
        cause: how the connection ended.
        first: whether no byte of any answer came over it before that.
    """

    cause: OSError
    first: bool


#: What became of a message; AttemptFailed where there was no connection to send it over.
Ending = t.Union[AnswerReader, Lost, AttemptFailed]

#: A mark, a message, and whether it must not go over a connection that was idle.
Message = t.Tuple[t.Any, bytes, bool]


class _Stream:
    """One connection and the message that is on it.

    Attributes:
        first: whether no byte of any answer came over the connection before what came last.
        was_idle: whether it was made before, and has been idle since; the server may be closing it.
    """

    __slots__ = (
        "sock",
        "waiting",
        "first",
        "was_idle",
        "mark",
        "size",
        "unsent",
        "answer",
        "progress",
        "deadline",
    )

    def __init__(self, sock: t.Any, first: bool, waiting: t.Tuple[t.Type[OSError], ...]) -> None:
        self.sock = sock
        self.first = first
        self.was_idle = not first
        self.waiting = waiting

    def begin(
        self, mark: t.Any, message: bytes, silence: float, deadline: float, now: float
    ) -> None:
        self.mark = mark
        self.size = len(message)
        self.unsent = memoryview(message)
        self.answer = AnswerReader()
        self.progress = Progress(self.sock, silence, now)
        self.deadline = deadline

    def send(self, now: float) -> None:
        try:
            sent = self.sock.send(self.unsent)
        except self.waiting:
            return
        self.unsent = self.unsent[sent:]
        if self.unsent:
            self.progress.moved(now)
        else:
            self.progress.handed_over(self.size, now)

    def receive(self, now: float) -> None:
        """Read what has come of the answer.

        TLS may have taken more from the connection than it has handed over, so all of it is read.
        """
        answer = self.answer
        while not answer.whole:
            try:
                piece = self.sock.recv(_PIECE)
            except self.waiting:
                return
            self.progress.moved(now)
            answer.feed(piece)
            self.first = False

    def lost(self, cause: OSError) -> Lost:
        return Lost(cause, self.first)


class Streams:
    """Open connections to one endpoint that carry messages side by side.

    Args:
        sockets: connected, and with no answer outstanding; each with whether it is new.
        waiting: what these sockets raise where they would have to wait.
        silence: seconds to bear without a byte of a message or an answer.
        total: seconds from the beginning of a message to the end of its answer.
        clock: seconds, monotonic.
        renew: closes one of the sockets and returns a new one in its place, or raises
            AttemptFailed.

    Attributes:
        usable: the sockets that can go on being used, once `exchange` has ended.
    """

    def __init__(
        self,
        sockets: t.Iterable[t.Tuple[t.Any, bool]],
        *,
        waiting: t.Tuple[t.Type[OSError], ...],
        silence: float,
        total: float,
        clock: t.Callable[[], float],
        renew: t.Callable[[t.Any], t.Any],
    ) -> None:
        self._idle = [_Stream(sock, first, waiting) for sock, first in sockets]
        self._silence = silence
        self._total = total
        self._clock = clock
        self._renew = renew
        self._selector = selectors.DefaultSelector()
        self._busy = set()  # type: t.Set[_Stream]
        self.usable = []  # type: t.List[t.Any]

    def exchange(self, messages: t.Iterator[Message]) -> t.Iterator[t.Tuple[t.Any, Ending]]:
        """Send each message once and yield its mark with what became of it, as the answers come.

        A message is taken when a connection is free for it. Once a connection has broken, no
        further message is taken, and the answers to those that were sent are still waited for.
        """
        for stream in self._idle:
            self._watch(stream)
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
                taking = taking and isinstance(ending, AnswerReader)
                yield mark, ending
            if self._clock() >= look:
                look = self._clock() + _TICK
                for mark, ending in self._silent():
                    taking = False
                    yield mark, ending
        self._selector.close()
        self.usable = [stream.sock for stream in self._idle]

    def _watch(self, stream: _Stream) -> None:
        stream.sock.setblocking(False)
        self._selector.register(stream.sock, selectors.EVENT_READ, stream)

    def _begin(self, stream: _Stream, message: Message) -> t.Optional[t.Union[Lost, AttemptFailed]]:
        mark, data, fresh = message
        if fresh and stream.was_idle:
            self._selector.unregister(stream.sock)
            try:
                stream = _Stream(self._renew(stream.sock), True, stream.waiting)
            except AttemptFailed as exc:
                return exc
            self._watch(stream)
        now = self._clock()
        stream.begin(mark, data, self._silence, now + self._total, now)
        self._busy.add(stream)
        try:
            self._push(stream, now)
        except OSError as exc:
            self._drop(stream)
            return stream.lost(exc)
        return None

    def _push(self, stream: _Stream, now: float) -> None:
        """Send what the connection takes, and be told when it takes more."""
        stream.send(now)
        events = selectors.EVENT_READ
        if stream.unsent:
            events |= selectors.EVENT_WRITE
        if self._selector.get_key(stream.sock).events != events:
            self._selector.modify(stream.sock, events, stream)

    def _turn(self) -> t.Iterator[t.Tuple[t.Any, Ending]]:
        found = self._selector.select(_TICK)
        now = self._clock()
        for ready, unused in found:
            stream = ready.data
            if stream not in self._busy:
                # Its end, which nobody asked for: the next message would be lost with it.
                self._idle.remove(stream)
                self._drop(stream)
                continue
            try:
                if stream.unsent:
                    self._push(stream, now)
                stream.receive(now)
            except OSError as exc:
                self._drop(stream)
                yield stream.mark, stream.lost(exc)
                continue
            answer = stream.answer
            if not answer.whole:
                continue
            if answer.reusable and not stream.unsent:
                stream.was_idle = False
                self._busy.discard(stream)
                self._idle.append(stream)
            else:
                self._drop(stream)
            yield stream.mark, answer

    def _silent(self) -> t.Iterator[t.Tuple[t.Any, Lost]]:
        now = self._clock()
        for stream in list(self._busy):
            if stream.deadline <= now or stream.progress.left(now) <= 0:
                self._drop(stream)
                yield stream.mark, stream.lost(socket.timeout("no answer in time"))

    def _drop(self, stream: _Stream) -> None:
        self._busy.discard(stream)
        self._selector.unregister(stream.sock)
        stream.sock.close()
