# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each of the clients does, and notes of what it was told."""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Incomplete, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._api.keys import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.key import manage_key
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.tree import manage_tree
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from ansible_collections.quorum.etcd.plugins.modules import etcd_key, etcd_tree
from .history import Kind, Operation, Outcome

ROOT = "/chaos"
COUNTER = "/chaos/counter"
SHORT = "/chaos/short"
QUEUE = "/chaos/queue"
LONGEST_TTL = 3


_REGISTERS = [f"/chaos/register/{number}" for number in range(4)]
TASKS = [f"/chaos/task/{number}" for number in range(3)]
IN_A_TREE = 12


class Worker:
    """One process.

    Args:
        name: of the process.
        seed: decides, with the name, what it does.
        note: is given what it was told.
    """

    def __init__(
        self, name: str, seed: str, client: Client, note: Callable[[Operation], None]
    ) -> None:
        self.name = name
        self.random = random.Random(f"{seed} {name}")
        self._client = client
        self._note = note
        self._values = (f"{name}.{number}" for number in itertools.count())
        self._tree: dict[str, str] = {}

    def read(self) -> None:
        """Somebody who only reads."""
        self._read(self.random.choice([*_REGISTERS, *TASKS, COUNTER]))

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
        """A key that lives for some seconds, and sometimes for longer than it was to at first."""
        value = next(self._values)
        key = f"{SHORT}/{value}"
        if not self._write(key, value, prev_exist=False, ttl=self.random.randint(1, LONGEST_TTL)):
            return
        while self.random.random() < 0.6:
            time.sleep(self.random.uniform(0.0, 0.8))
            ttl = self.random.randint(1, LONGEST_TTL)
            began = time.monotonic()
            outcome, result = _outcome(lambda ttl=ttl: self._client.update_ttl(key, ttl))
            index = None if result is None else result.node.modified_index
            self._record(Kind.REFRESH, key, began, outcome, value=value, index=index, ttl=ttl)

    def append(self) -> None:
        """Add to a queue, and mostly take from it what was added."""
        value = next(self._values)
        began = time.monotonic()
        outcome, result = _outcome(lambda: self._client.create_in_order(QUEUE, value))
        node = None if result is None else result.node
        made, index = (None, None) if node is None else (node.key, node.modified_index)
        self._record(Kind.APPEND, QUEUE, began, outcome, value=value, index=index, made=made)
        if made is not None and index is not None and self.random.random() < 0.9:
            self._delete(made, index)
        time.sleep(self.random.uniform(0.0, 0.1))

    def run_task(self) -> None:
        """Declare a key that others declare too, and declare it again."""
        key, value = self.random.choice(TASKS), next(self._values)
        options = dict(defaults(etcd_key.ARGUMENT_SPEC), key=key, value=value)
        for unused in range(2):
            about: dict[str, Any] = {"value": value, "settles": True}
            began = time.monotonic()
            try:
                report = manage_key(options, lambda: self._client, apply=True)
            except errors.EtcdOutcomeUnknown as exc:
                outcome = Outcome.UNKNOWN
                about["why"] = str(exc)
            except (errors.EtcdException, Refusal) as exc:
                outcome = Outcome.NOT_DONE
                about["why"] = str(exc)
            else:
                outcome = Outcome.DONE if report["changed"] else Outcome.UNCHANGED
                about["index"] = report["modified_index"] if report["changed"] else None
            self._record(Kind.WRITE, key, began, outcome, **about)

    def apply_tree(self) -> None:
        """Declare a tree of which some keys are as they were."""
        path = f"/chaos/tree/{self.name}"
        if self.random.random() < 0.7 or not self._tree:
            self._tree = {f"k{number}": next(self._values) for number in range(IN_A_TREE)}
        options = dict(defaults(etcd_tree.ARGUMENT_SPEC), path=path, tree=self._tree, concurrency=4)
        began = time.monotonic()
        try:
            report = manage_tree(options, lambda: self._client, apply=True)
        except Incomplete as exc:
            report = exc.report
        except errors.EtcdException as exc:
            report = {"msg": str(exc)}
        for name, (outcome, why) in tree_outcomes(self._tree, report).items():
            about = {"value": self._tree[name], "settles": True, "why": why}
            self._record(Kind.WRITE, f"{path}/{name}", began, outcome, **about)

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

    def _write(self, key: str, value: str, ttl: int | None = None, **conditions: Any) -> bool:
        """Whether it was done."""
        began = time.monotonic()
        outcome, result = _outcome(
            lambda: self._client.compare_and_swap(key, value, ttl=ttl, **conditions)
        )
        index = None if result is None else result.node.modified_index
        self._record(Kind.WRITE, key, began, outcome, value=value, index=index, ttl=ttl)
        return outcome is Outcome.DONE

    def _delete(self, key: str, prev_index: int) -> None:
        began = time.monotonic()
        outcome, result = _outcome(
            lambda: self._client.compare_and_delete(key, prev_index=prev_index)
        )
        index = None if result is None else result.node.modified_index
        self._record(Kind.DELETE, key, began, outcome, index=index, prev_index=prev_index)

    def _record(self, kind: Kind, key: str, began: float, outcome: Outcome, **about: Any) -> None:
        self._note(Operation(self.name, kind, key, began, time.monotonic(), outcome, **about))


def defaults(spec: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The options of a task that gives none."""
    return {name: option.get("default") for name, option in spec.items()}


def tree_outcomes(
    tree: Mapping[str, str], report: Mapping[str, Any]
) -> dict[str, tuple[Outcome, str]]:
    """What a task says of each key of its tree, and why.

    What is in none of the report's lists was as it should be; a task that did not get as far as to
    begin has no lists.
    """
    if "done" not in report:
        return dict.fromkeys(tree, (Outcome.NOT_DONE, report["msg"]))
    told = dict.fromkeys(tree, (Outcome.UNCHANGED, ""))
    for key in report["done"]:
        told[_name(key)] = (Outcome.DONE, "")
    for key in (*report.get("lost", ()), *report.get("not_tried", ())):
        told[_name(key)] = (Outcome.NOT_DONE, "")
    for failed in report.get("failed_keys", ()):
        unknown = failed["outcome"] == "unknown"
        outcome = Outcome.UNKNOWN if unknown else Outcome.NOT_DONE
        told[_name(failed["key"])] = (outcome, failed["reason"])
    # Directories are in the lists too.
    return {name: told[name] for name in tree}


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _outcome(write: Callable[[], EtcdResult]) -> tuple[Outcome, EtcdResult | None]:
    """What the client says of a write: all errors but one say that it was not carried out."""
    try:
        return Outcome.DONE, write()
    except errors.EtcdOutcomeUnknown:
        return Outcome.UNKNOWN, None
    except errors.EtcdException:
        return Outcome.NOT_DONE, None
