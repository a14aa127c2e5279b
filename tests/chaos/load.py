# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients that work side by side and note what they are told, and one that watches them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._api.keys import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from .alike import Alike
from .history import Event, Operation, Watched
from .observer import to_event
from .outside import Outside
from .workers import ROOT, Worker

#: The key whose event is the last one.
LAST = "/chaos/last"


class Load:
    """The processes: threads with a client of their own each, and some that run tasks outside.

    Args:
        seed: decides what each of them does.
        endpoints_of: those that the process with this number knows.
        directory: for files.

    Attributes:
        operations, watched: what they noted.
        faults: what must not be: an exception that nobody expects.
    """

    def __init__(
        self, seed: str, endpoints_of: Callable[[int], list[str]], directory: Path
    ) -> None:
        self._seed = seed
        self.operations: list[Operation] = []
        self.watched: list[Watched] = []
        self.faults: list[str] = []
        self._ended = threading.Event()
        note = self.operations.append
        jobs: dict[str, Callable[[], None]] = {}
        inside = [
            *[Worker.swap] * 2,
            *[Worker.count] * 2,
            *[Worker.run_task] * 2,
            *[Worker.create] * 2,
            *[Worker.append] * 2,
            Worker.apply_tree,
            Worker.read,
        ]
        alike = [
            *[Alike.count_alike] * 3,
            *[Alike.hold_lock] * 3,
            *[Alike.switch] * 2,
            *[Alike.apply_tree_alike] * 2,
        ]
        for number, job in enumerate(inside):
            name = f"{job.__name__}-{number}"
            jobs[name] = partial(job, Worker(name, seed, _client(endpoints_of(number)), note))
        for number, act in enumerate(alike, len(jobs)):
            name = f"{act.__name__}-{number}"
            jobs[name] = partial(act, Alike(name, seed, _client(endpoints_of(number)), note))
        for number, run in enumerate([Outside.run_module, Outside.run_playbook], len(jobs)):
            name = f"{run.__name__}-{number}"
            jobs[name] = partial(run, Outside(name, seed, endpoints_of(number), directory, note))
        self._threads = [
            threading.Thread(target=self._repeat, args=(name, job)) for name, job in jobs.items()
        ]
        watcher = _client(endpoints_of(len(jobs)))
        self._watching = threading.Thread(target=self._watch, args=(watcher,))
        for thread in [*self._threads, self._watching]:
            thread.start()

    def end(self) -> None:
        """Let everybody end what it is doing; the watch ends with the event of the key LAST."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def join(self, seconds: float) -> None:
        """Wait for the watch.

        Raises:
            RuntimeError: it does not end.
        """
        self._watching.join(seconds)
        if self._watching.is_alive():
            raise RuntimeError("the watch has not seen the last event")

    def _repeat(self, name: str, job: Callable[[], None]) -> None:
        pauses = random.Random(f"{self._seed} {name} pauses")
        while not self._ended.is_set():
            try:
                job()
            except Exception as exc:  # noqa: BLE001 - nothing else may come out of a client
                self.faults.append(f"{name}: {type(exc).__name__}: {exc}")
                return
            time.sleep(pauses.uniform(0.0, 0.02))

    def _watch(self, client: Client) -> None:
        since = index = 1
        seen: list[Event] = []
        while True:
            try:
                for result in client.watch(ROOT, index=index, recursive=True, timeout=5.0):
                    if result.action == "get":
                        # The server has forgotten events: nobody can have them any more.
                        self._saw(since, index - 1, seen)
                        since = index = (result.x_etcd_index or 0) + 1
                        seen = []
                        continue
                    node = result.node
                    index = node["modifiedIndex"] + 1
                    event = to_event(result.action, node, result.prev_node)
                    if event is not None:
                        seen.append(event)
                        if event.key == LAST:
                            self._saw(since, event.index, seen)
                            return
            except errors.EtcdException:
                time.sleep(0.1)

    def _saw(self, since: int, until: int, events: list[Event]) -> None:
        self.watched.append(Watched("watch", ROOT, since, until, tuple(events)))


def _client(endpoints: list[str]) -> Client:
    return Client(endpoints, connect_timeout=0.5, timeout=8.0, total_timeout=20.0)


def leaves(result: EtcdResult) -> Iterator[tuple[str, str]]:
    """Each key below a directory with its value."""
    for key, value, is_dir, *unused in result.node.walk():
        if not is_dir:
            yield key, value or ""
