# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One of the processes of test_counter.py: increments one counter key through the client.

The value is JSON, {"n": the count, "by": who wrote it}. A bare number could not tell whose
increment an event is, and that is what has to be known after a write whose answer never came.

Usage: counter_worker.py '{"endpoints": [...], "key": ..., "name": ..., "times": ..., "how": ...}'

It starts when a line comes on standard input, and prints a report in JSON.
"""

from __future__ import annotations

import collections
import json
import random
import sys
import time
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _apply, errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    ActionKind,
    KeyAction,
    KeyState,
)
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    Answer,
    AttemptFailed,
    Endpoint,
    Patience,
    Request,
    Tls,
)
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from interpose import AttemptsOnly

#: What a cluster without a leader answers to a read, and what a write answers that never left.
_NOT_NOW = (errors.EtcdUnreachable, errors.EtcdServerError, errors.EtcdRaftInternal)


class CountingHttp(AttemptsOnly):
    """The real thing; counts the attempts that went wrong."""

    def __init__(self, counts: t.Counter[str]) -> None:
        super().__init__(tls=Tls())
        self._counts = counts

    def exchange(self, endpoint: Endpoint, request: Request, patience: Patience) -> Answer:
        """Send the request once."""
        try:
            answer = super().exchange(endpoint, request, patience)
        except AttemptFailed as exc:
            self._counts["failure: " + exc.reason] += 1
            raise
        if answer.status >= 500:
            self._counts["failure: HTTP %d" % answer.status] += 1
        return answer


def _next(value: t.Optional[str], by: str) -> str:
    return json.dumps({"n": json.loads(value or "null")["n"] + 1, "by": by})


class Worker:
    """Increments the counter, in one of two ways."""

    def __init__(self, endpoints: t.List[str], key: str) -> None:
        self.counts: t.Counter[str] = collections.Counter()
        self._client = Client(endpoints, http=CountingHttp(self.counts))
        self._key = key

    def by_client(self, by: str) -> None:
        """One increment, by the bare compare-and-swap of the client."""
        while True:
            try:
                node = self._client.read(self._key, quorum=True).node
            except _NOT_NOW:
                self._pause("no reading")
                continue
            value = _next(node.value, by)
            if self._swap(node.modified_index, value, by):
                return
            self._pause("lost race")

    def by_converge(self, by: str) -> None:
        """One increment, by the loop that every module uses."""
        base: t.List[KeyState] = []

        def plan(current: t.Optional[KeyState]) -> KeyAction:
            assert current is not None
            base[:] = [current]
            return KeyAction(ActionKind.SWAP, self._key, current, _next(current.value, by))

        while True:
            base.clear()
            try:
                _apply.converge(self._client, self._key, plan)
                return
            except errors.EtcdConflict:
                self._pause("lost ten races")
            except (errors.EtcdOutcomeUnknown, *_NOT_NOW) as exc:
                self._pause("converge gave up: " + type(exc).__name__)
                if base and self._settle(base[0].modified_index, _next(base[0].value, by), by):
                    return

    def _swap(self, index: int, value: str, by: str) -> bool:
        try:
            self._client.compare_and_swap(self._key, value, prev_index=index)
            return True
        except errors.EtcdTestFailed:
            return False
        except errors.EtcdUnreachable:
            self._pause("not sent")
            return False
        except errors.EtcdOutcomeUnknown:
            self.counts["outcome unknown"] += 1
            return self._settle(index, value, by)

    def _settle(self, index: int, value: str, by: str) -> bool:
        """Whether the write that was planned on this index was carried out; waits to be certain."""
        while True:
            try:
                event = self._client.read(self._key, wait=True, wait_index=index + 1, timeout=1.0)
                return bool(json.loads(event.node.value)["by"] == by)
            except errors.EtcdWatchTimeout:
                # Nothing so far, and it may still come: a second copy shares its condition.
                try:
                    self._client.compare_and_swap(self._key, value, prev_index=index)
                    return True
                except (errors.EtcdTestFailed, errors.EtcdOutcomeUnknown, *_NOT_NOW):
                    self._pause("settling")
            except _NOT_NOW:
                self._pause("settling")

    def _pause(self, why: str) -> None:
        self.counts[why] += 1
        time.sleep(random.random() * 0.1)


def main() -> None:
    """Do what the command line says."""
    order = json.loads(sys.argv[1])
    worker = Worker(order["endpoints"], order["key"])
    increment = worker.by_converge if order["how"] == "converge" else worker.by_client
    sys.stdin.readline()
    for number in range(order["times"]):
        increment("%s-%d" % (order["name"], number))
        worker.counts["done"] += 1
    print(json.dumps(worker.counts))


if __name__ == "__main__":
    main()
