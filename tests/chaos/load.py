# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients that read, write, count, wait and run tasks side by side, and note what they are told."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Incomplete, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._api.keys import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.key import manage_key
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.tree import manage_tree
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from ansible_collections.quorum.etcd.plugins.modules import etcd_key, etcd_tree
from .history import Event, Kind, Operation, Outcome, Watched
from .observer import to_event

ROOT = "/chaos"
LAST = "/chaos/last"
COUNTER = "/chaos/counter"

_REGISTERS = [f"/chaos/register/{number}" for number in range(4)]
_TASKS = [f"/chaos/task/{number}" for number in range(3)]
_IN_A_TREE = 12


class Load:
    """The processes, each a thread with a client of its own.

    Args:
        seed: decides what each of them does.
        make_client: makes the client of the process with this number.

    Attributes:
        operations, watched: what they noted.
        faults: what must not be: an exception that nobody expects.
    """

    def __init__(self, seed: str, make_client: Callable[[int], Client]) -> None:
        self.operations: list[Operation] = []
        self.watched: list[Watched] = []
        self.faults: list[str] = []
        self._ended = threading.Event()
        jobs: list[Callable[[_Worker], None]] = [
            *[_Worker.swap] * 2,
            *[_Worker.count] * 2,
            *[_Worker.run_task] * 2,
            _Worker.create,
            _Worker.apply_tree,
            _Worker.read,
        ]
        self._threads = [
            threading.Thread(target=self._repeat, args=(_Worker(name, seed, client, self), job))
            for number, job in enumerate(jobs)
            for name, client in [(f"{job.__name__}-{number}", make_client(number))]
        ]
        self._watching = threading.Thread(target=self._watch, args=(make_client(len(jobs)),))
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

    def _repeat(self, worker: _Worker, job: Callable[[_Worker], None]) -> None:
        while not self._ended.is_set():
            try:
                job(worker)
            except Exception as exc:  # noqa: BLE001 - nothing else may come out of a client
                self.faults.append(f"{worker.name}: {type(exc).__name__}: {exc}")
                return
            time.sleep(worker.random.uniform(0.0, 0.02))

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


class _Worker:
    """One process."""

    def __init__(self, name: str, seed: str, client: Client, load: Load) -> None:
        self.name = name
        self.random = random.Random(f"{seed} {name}")
        self._client = client
        self._note = load.operations.append
        self._values = (f"{name}.{number}" for number in itertools.count())
        self._tree: dict[str, str] = {}

    def read(self) -> None:
        """Somebody who only reads."""
        self._read(self.random.choice([*_REGISTERS, *_TASKS, COUNTER]))

    def swap(self) -> None:
        """Change a register from what was read; sometimes remove it."""
        key = self.random.choice(_REGISTERS)
        found = self._read(key)
        if found is None:
            return
        value, index = found
        if index is None:
            self._write(key, next(self._values), prev_exist=False)
        elif self.random.random() < 0.1:
            self._delete(key, index)
        else:
            self._write(key, next(self._values), prev_index=index)

    def count(self) -> None:
        """Make the counter one larger."""
        found = self._read(COUNTER)
        if found is None:
            return
        text, index = found
        by = next(self._values)
        if index is None or text is None:
            self._write(COUNTER, json.dumps({"n": 1, "by": by}), prev_exist=False)
        else:
            more = json.dumps({"n": json.loads(text)["n"] + 1, "by": by})
            self._write(COUNTER, more, prev_index=index)

    def create(self) -> None:
        """A key that lives for two seconds, and sometimes a little longer."""
        value = next(self._values)
        key = f"/chaos/short/{value}"
        self._write(key, value, prev_exist=False, ttl=2)
        if self.random.random() < 0.5:
            try:
                self._client.update_ttl(key, 2)
            except errors.EtcdException:
                return

    def run_task(self) -> None:
        """Declare a key that others declare too, and declare it again."""
        key, value = self.random.choice(_TASKS), next(self._values)
        options = dict(_defaults(etcd_key.ARGUMENT_SPEC), key=key, value=value)
        for unused in range(2):
            began = time.monotonic()
            index = None
            try:
                report = manage_key(options, lambda: self._client, apply=True)
            except errors.EtcdOutcomeUnknown:
                outcome = Outcome.UNKNOWN
            except (errors.EtcdException, Refusal):
                outcome = Outcome.NOT_DONE
            else:
                outcome = Outcome.DONE if report["changed"] else Outcome.UNCHANGED
                index = report["modified_index"] if report["changed"] else None
            self._record(Kind.WRITE, key, began, outcome, value=value, index=index, settles=True)

    def apply_tree(self) -> None:
        """Declare a tree of which some keys are as they were."""
        path = f"/chaos/tree/{self.name}"
        if self.random.random() < 0.7 or not self._tree:
            self._tree = {f"k{number}": next(self._values) for number in range(_IN_A_TREE)}
        options = dict(
            _defaults(etcd_tree.ARGUMENT_SPEC), path=path, tree=self._tree, concurrency=4
        )
        outcomes = dict.fromkeys(self._tree, Outcome.NOT_DONE)
        began = time.monotonic()
        try:
            report = manage_tree(options, lambda: self._client, apply=True)
            outcomes = dict.fromkeys(self._tree, Outcome.UNCHANGED)
        except Incomplete as exc:
            # What is in none of the three lists was as it should be.
            report = exc.report
            outcomes = dict.fromkeys(self._tree, Outcome.UNCHANGED)
            for key in report["not_tried"]:
                outcomes[key.rpartition("/")[2]] = Outcome.NOT_DONE
            for failed in report["failed_keys"]:
                unknown = failed["outcome"] == "unknown"
                outcome = Outcome.UNKNOWN if unknown else Outcome.NOT_DONE
                outcomes[failed["key"].rpartition("/")[2]] = outcome
        except errors.EtcdException:
            report = {"done": []}
        for key in report["done"]:
            outcomes[key.rpartition("/")[2]] = Outcome.DONE
        for name, value in self._tree.items():
            key = f"{path}/{name}"
            self._record(Kind.WRITE, key, began, outcomes[name], value=value, settles=True)

    def _read(self, key: str) -> tuple[str | None, int | None] | None:
        """Value and index of a key (None, None where there is none); None for no answer."""
        began = time.monotonic()
        try:
            result = self._client.read(key, quorum=True)
        except errors.EtcdKeyNotFound as exc:
            self._record(Kind.READ, key, began, Outcome.DONE, index=exc.index)
            return None, None
        except errors.EtcdException:
            return None
        node = result.node
        index = result.x_etcd_index
        self._record(Kind.READ, key, began, Outcome.DONE, value=node.value, index=index)
        return node.value, node.modified_index

    def _write(self, key: str, value: str, **conditions: Any) -> None:
        began = time.monotonic()
        outcome, result = _outcome(lambda: self._client.compare_and_swap(key, value, **conditions))
        index = None if result is None else result.node.modified_index
        self._record(Kind.WRITE, key, began, outcome, value=value, index=index)

    def _delete(self, key: str, prev_index: int) -> None:
        began = time.monotonic()
        outcome, result = _outcome(
            lambda: self._client.compare_and_delete(key, prev_index=prev_index)
        )
        index = None if result is None else result.node.modified_index
        self._record(Kind.DELETE, key, began, outcome, index=index, prev_index=prev_index)

    def _record(self, kind: Kind, key: str, began: float, outcome: Outcome, **about: Any) -> None:
        self._note(Operation(self.name, kind, key, began, time.monotonic(), outcome, **about))


def _defaults(spec: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The options of a task that gives none."""
    return {name: option.get("default") for name, option in spec.items()}


def _outcome(write: Callable[[], EtcdResult]) -> tuple[Outcome, EtcdResult | None]:
    """What the client says of a write: all errors but one say that it was not carried out."""
    try:
        return Outcome.DONE, write()
    except errors.EtcdOutcomeUnknown:
        return Outcome.UNKNOWN, None
    except errors.EtcdException:
        return Outcome.NOT_DONE, None


def leaves(result: EtcdResult) -> Iterator[tuple[str, str]]:
    """Each key below a directory with its value."""
    for key, value, is_dir, *unused in result.node.walk():
        if not is_dir:
            yield key, value or ""
