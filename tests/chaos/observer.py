# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The servers' own event history, read from each of them with as little code as does it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .history import Event

_PAUSE = 0.05
_SILENCE = 2.0
_CLEARED = 401


class Observer:
    """Follows the events below a key on every member.

    Args:
        last: the key whose event is the last one.

    Attributes:
        gaps: of each member, the indexes that it had forgotten: after the first, up to the second.
        disagreements: indexes at which two servers tell different events; there must be none.
    """

    def __init__(self, endpoints: list[str], key: str, last: str) -> None:
        self._key = key
        self._last = last
        self._lock = threading.Lock()
        self._events: dict[int, Event] = {}
        self.gaps: dict[str, list[tuple[int, int]]] = {endpoint: [] for endpoint in endpoints}
        self.disagreements: list[str] = []
        self._threads = [
            threading.Thread(target=self._follow, args=(endpoint,), daemon=True)
            for endpoint in endpoints
        ]
        for thread in self._threads:
            thread.start()

    def finish(self, seconds: float) -> tuple[Event, ...]:
        """All events, once the last one was seen on each member.

        Raises:
            RuntimeError: a member did not tell them all in this time.
        """
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
            if thread.is_alive():
                raise RuntimeError(f"{thread.name} has not told all of its events")
        return tuple(self._events[index] for index in sorted(self._events))

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
        threading.current_thread().name = endpoint
        index = 1
        while True:
            answer = _wait(endpoint, self._key, index)
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

    def _add(self, event: Event, endpoint: str) -> None:
        with self._lock:
            known = self._events.setdefault(event.index, event)
        if known != event:
            self.disagreements.append(f"{endpoint}: {event}, others: {known}")


def _wait(endpoint: str, key: str, index: int) -> dict[str, Any] | None:
    """The first event at or after the index; None if there was no answer."""
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=_SILENCE)
    try:
        connection.request("GET", f"/v2/keys{key}?wait=true&recursive=true&waitIndex={index}")
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
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
