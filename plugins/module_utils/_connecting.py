# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reaching a host within a time: its addresses, and a connection to the first that answers.

PRIVATE to the collection: it can change at any time.

Sources: RFC 8305, section 5 (when the next address of a name is tried as well), and getaddrinfo(3),
which knows no timeout and so gets a thread.
"""

from __future__ import annotations

import functools
import socket
import threading
import time
import typing as t

#: Seconds after which the next address of a name is tried as well (RFC 8305: 250 ms recommended).
STAGGER = 0.25

#: Family, type, protocol and socket address, as `socket.getaddrinfo` gives them.
Address = t.Tuple[int, int, int, t.Any]

_T = t.TypeVar("_T")


class NameTimeout(socket.timeout):
    """The name was not resolved in time."""


class Pending(t.Generic[_T]):
    """A call in a thread of its own, for what cannot be interrupted.

    The thread is a daemon: a call that never returns does not hold the process.

    Args:
        call: what to run.
        failures: the exceptions that it may end with.
    """

    def __init__(self, call: t.Callable[[], _T], failures: t.Tuple[t.Type[Exception], ...]) -> None:
        self._call = call
        self._failures = failures
        self._ended = threading.Event()
        self._value = None  # type: t.Any
        self._failure = None  # type: t.Optional[Exception]
        threading.Thread(target=self._run, daemon=True).start()

    def result(self, seconds: float) -> _T:
        """What the call returned; may be called again after a timeout.

        Raises:
            socket.timeout: it has not ended in this time.
        """
        if not self._ended.wait(max(seconds, 0.0)):
            raise socket.timeout("timed out")
        if self._failure is not None:
            raise self._failure
        return self._value  # type: ignore[no-any-return]

    def _run(self) -> None:
        try:
            self._value = self._call()
        except self._failures as exc:
            self._failure = exc
        finally:
            self._ended.set()


class Host:
    """One host and port, whose name may have several addresses.

    A lookup that takes longer than its caller waits goes on, and the next caller gets its result: a
    slow resolver is asked once, not once for each attempt.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._lookup = None  # type: t.Optional[Pending[t.List[Address]]]

    def addresses(self, seconds: float) -> t.List[Address]:
        """The addresses, in the order in which they are to be tried.

        Raises:
            NameTimeout: the name was not resolved in this time.
            socket.gaierror: there is no such name, or it cannot be resolved now.
            UnicodeError: it cannot be the name of a host.
        """
        found = self._if_address()
        if found is not None:
            return found
        lookup = self._lookup
        if lookup is None:
            lookup = self._lookup = Pending(self._look_up, (OSError, UnicodeError))
        try:
            found = lookup.result(seconds)
        except socket.timeout as exc:
            raise NameTimeout("the name was not resolved in time") from exc
        except (OSError, UnicodeError):
            self._lookup = None
            raise
        self._lookup = None
        return found

    def _if_address(self) -> t.Optional[t.List[Address]]:
        """An address needs no lookup, and so no thread."""
        try:
            return self._look_up(socket.AI_NUMERICHOST)
        except socket.gaierror:
            return None

    def _look_up(self, flags: int = 0) -> t.List[Address]:
        found = socket.getaddrinfo(self._host, self._port, 0, socket.SOCK_STREAM, 0, flags)
        return [(one[0], one[1], one[2], one[4]) for one in found]


def connect(addresses: t.Sequence[Address], seconds: float) -> socket.socket:
    """A connection to the first address that takes one.

    Raises:
        socket.timeout: there is none in this time.
        OSError: all addresses have failed; the reason of the last one.
    """
    if len(addresses) == 1:
        return _connect_to(addresses[0], seconds)
    calls = [functools.partial(_connect_to, address, seconds) for address in addresses]
    return first_made(calls, seconds, (OSError,), socket.socket.close)


def _connect_to(address: Address, seconds: float) -> socket.socket:
    sock = socket.socket(*address[:3])
    try:
        sock.settimeout(seconds)
        sock.connect(address[3])
    except OSError:
        sock.close()
        raise
    return sock


def first_made(
    calls: t.Sequence[t.Callable[[], _T]],
    seconds: float,
    failures: t.Tuple[t.Type[Exception], ...],
    discard: t.Callable[[_T], t.Any],
    clock: t.Callable[[], float] = time.monotonic,
) -> _T:
    """What the first of these calls returns.

    Each has a thread of its own. The next one begins when one has failed, and as well when none has
    returned for STAGGER seconds.

    Args:
        calls: at least one.
        failures: what they may end with.
        discard: is given what a call returns that is not needed any more.

    Raises:
        socket.timeout: none has returned in this time.
        Exception: all have failed; the failure of the last one.
    """
    race = _Race(calls, failures, discard)
    return race.first(clock() + seconds, clock)


class _Race(t.Generic[_T]):
    def __init__(
        self,
        calls: t.Sequence[t.Callable[[], _T]],
        failures: t.Tuple[t.Type[Exception], ...],
        discard: t.Callable[[_T], t.Any],
    ) -> None:
        self._todo = list(calls)
        self._failures = failures
        self._discard = discard
        self._changed = threading.Condition()
        self._running = 0
        self._over = False
        self._made = []  # type: t.List[_T]
        self._failure = None  # type: t.Optional[Exception]

    def first(self, deadline: float, clock: t.Callable[[], float]) -> _T:
        with self._changed:
            try:
                while True:
                    if self._todo:
                        self._start(self._todo.pop(0))
                    due = min(clock() + STAGGER, deadline) if self._todo else deadline
                    before = self._running
                    while not self._made and self._running == before and clock() < due:
                        self._changed.wait(max(due - clock(), 0.0))
                    if self._made:
                        return self._made.pop()
                    if not self._running and not self._todo and self._failure is not None:
                        raise self._failure
                    if clock() >= deadline:
                        raise socket.timeout("timed out")
            finally:
                self._over = True
                for made in self._made:
                    self._discard(made)

    def _start(self, call: t.Callable[[], _T]) -> None:
        self._running += 1
        threading.Thread(target=self._run, args=(call,), daemon=True).start()

    def _run(self, call: t.Callable[[], _T]) -> None:
        try:
            made = call()
        except self._failures as exc:
            with self._changed:
                self._running -= 1
                self._failure = exc
                self._changed.notify()
            return
        with self._changed:
            self._running -= 1
            if not self._over:
                self._made.append(made)
                self._changed.notify()
                return
        self._discard(made)
