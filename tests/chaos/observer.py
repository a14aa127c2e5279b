# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The servers' own event history, read from each of them with as little code as does it."""

from __future__ import annotations

import dataclasses
import http.client
import json
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .history import Event

_PAUSE = 0.05
_SILENCE = 1.0
_CLEARED = 401


class Observer:
    """Follows the events below a key on every server, also on those that join or leave.

    Args:
        last: the key whose event is the last one.

    Attributes:
        gaps: of each endpoint, the indexes that it had forgotten: after the first, to the second.
        disagreements: indexes at which two servers tell different events; there must be none.
    """

    def __init__(self, endpoints: list[str], key: str, last: str) -> None:
        self._key = key
        self._last = last
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._events: dict[int, Event] = {}
        self._told: dict[str, set[int]] = {endpoint: set() for endpoint in endpoints}
        self.gaps: dict[str, list[tuple[int, int]]] = {endpoint: [] for endpoint in endpoints}
        self.disagreements: list[str] = []
        self._threads = {
            endpoint: threading.Thread(target=self._follow, args=(endpoint,), daemon=True)
            for endpoint in endpoints
        }
        for thread in self._threads.values():
            thread.start()

    def finish(self, endpoints: list[str], seconds: float) -> tuple[Event, ...]:
        """All events, once the last one was seen on each of these, which are in the cluster.

        Raises:
            RuntimeError: a member did not tell them all in this time.
        """
        deadline = time.monotonic() + seconds
        for endpoint in endpoints:
            self._threads[endpoint].join(max(deadline - time.monotonic(), 0.0))
            if self._threads[endpoint].is_alive():
                raise RuntimeError(f"{endpoint} has not told all of its events")
        self._ended.set()
        for thread in self._threads.values():
            thread.join()
        return tuple(self._with_hidden(self._events[index]) for index in sorted(self._events))

    def missed(self) -> list[tuple[int, int]]:
        """What no member has told."""
        first, *others = self.gaps.values()
        left = first
        for gaps in others:
            left = [
                (max(a, c), min(b, d)) for a, b in left for c, d in gaps if max(a, c) < min(b, d)
            ]
        return left

    def _follow(self, endpoint: str) -> None:
        connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=_SILENCE)
        index = 1
        while not self._ended.is_set():
            answer = _wait(connection, self._key, index)
            if answer is None:
                time.sleep(_PAUSE)
            elif answer.get("errorCode") == _CLEARED:
                since, index = index - 1, int(answer["index"]) + 1
                self.gaps[endpoint].append((since, index - 1))
            elif "node" in answer:
                index = int(answer["node"]["modifiedIndex"]) + 1
                event = to_event(
                    answer["action"], answer["node"], answer.get("prevNode"), seen=time.monotonic()
                )
                if event is not None:
                    self._add(event, endpoint)
                    if event.key == self._last:
                        return
        # A server that is not in the cluster at the end tells nothing of what it missed.
        self.gaps[endpoint].append((index - 1, sys.maxsize))

    def _add(self, event: Event, endpoint: str) -> None:
        self._told[endpoint].add(event.index)
        with self._lock:
            known = self._events.setdefault(event.index, event)
            if event.prev_index is None:
                # What others say that it replaced is of another event (see `Event.hidden`).
                self._events[event.index] = dataclasses.replace(known, prev_index=None)
        if known != event:
            self.disagreements.append(f"{endpoint}: {event}, others: {known}")

    def _with_hidden(self, event: Event) -> Event:
        """The event, with what it takes all servers to know of it."""
        hidden = any(
            event.index not in told
            and not any(since < event.index <= until for since, until in self.gaps[endpoint])
            for endpoint, told in self._told.items()
        )
        return dataclasses.replace(event, hidden=hidden)


def _wait(connection: http.client.HTTPConnection, key: str, index: int) -> dict[str, Any] | None:
    """The first event at or after the index; None if there was no answer."""
    try:
        connection.request("GET", f"/v2/keys{key}?wait=true&recursive=true&waitIndex={index}")
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        # The next request opens it again.
        connection.close()
        return None
    return answer if isinstance(answer, dict) else None


def to_event(
    action: str,
    node: Mapping[str, Any],
    before: Mapping[str, Any] | None,
    seen: float | None = None,
) -> Event | None:
    """An event as the history has it; None for that of a directory."""
    if node.get("dir"):
        return None
    gone = action in ("delete", "compareAndDelete", "expire")
    return Event(
        index=node["modifiedIndex"],
        key=node["key"],
        value=None if gone else node.get("value", ""),
        prev_index=None if before is None else before["modifiedIndex"],
        expired=action == "expire",
        seen=seen,
    )
