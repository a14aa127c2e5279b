# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients that write equal values to the same keys, so that an event does not tell who made it."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Incomplete, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.key import manage_key
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.tree import manage_tree
from ansible_collections.quorum.etcd.plugins.modules import etcd_key, etcd_tree
from .history import Kind, Outcome
from .workers import SHORT, Worker, defaults, tree_outcomes

EQUAL_COUNTER = "/chaos/alike/counter"
_SWITCH = "/chaos/alike/switch"
_TREE = "/chaos/alike/tree"
#: It is among the keys with a TTL: a holder that does not know that it holds it does not block the
#: others for long.
_LOCK = f"{SHORT}/lock"
_LOCK_TTL = 2
_HELD = "held"
_VALUES = ("on", "off")


class Alike(Worker):
    """One of several processes that all write the same."""

    def count_alike(self) -> None:
        """Make a counter one larger, by a task or by the client: others swap the same two values."""
        found = self._read(EQUAL_COUNTER)
        if found is None:
            return
        text, index = found
        more = json.dumps({"n": 1 if text is None else json.loads(text)["n"] + 1})
        condition = {"prev_exist": False} if index is None else {"prev_index": index}
        if self.random.random() < 0.5:
            self._write(EQUAL_COUNTER, more, **condition)
        else:
            self._declare(EQUAL_COUNTER, more, **condition)
        time.sleep(self.random.uniform(0.0, 0.02))

    def hold_lock(self) -> None:
        """Create a lock with a task, hold it for a moment, and give it back."""
        index = self._declare(_LOCK, _HELD, prev_exist=False, ttl=_LOCK_TTL)
        time.sleep(self.random.uniform(0.0, 0.05))
        if index is not None:
            self._give_back(index)

    def switch(self) -> None:
        """Declare one of two values, without a condition."""
        value = self.random.choice(_VALUES)
        self._declare(_SWITCH, value)
        time.sleep(self.random.uniform(0.0, 0.02))

    def apply_tree_alike(self) -> None:
        """Declare one of two trees, and let nobody else change it meanwhile."""
        tree = dict.fromkeys(("a", "b", "c", "d"), self.random.choice(_VALUES))
        options = dict(defaults(etcd_tree.ARGUMENT_SPEC), path=_TREE, tree=tree, on_conflict="fail")
        began = time.monotonic()
        try:
            report = manage_tree(options, lambda: self._client, apply=True)
        except Incomplete as exc:
            report = exc.report
        except errors.EtcdException as exc:
            report = {"msg": str(exc)}
        for name, (outcome, why) in tree_outcomes(tree, report).items():
            self._record(Kind.WRITE, f"{_TREE}/{name}", began, outcome, value=tree[name], why=why)

    def _declare(
        self, key: str, value: str, *, ttl: int | None = None, **conditions: Any
    ) -> int | None:
        """The index of the key if a task says that it has changed it."""
        options = dict(
            defaults(etcd_key.ARGUMENT_SPEC), key=key, value=value, ttl=ttl, **conditions
        )
        about: dict[str, Any] = {"value": value, "ttl": ttl, "declares": not conditions}
        outcome, report = self._manage(options, about)
        # A condition that fails says so; what it compares with is not read by anybody else.
        index = report["modified_index"] if outcome is Outcome.DONE else None
        self._record(Kind.WRITE, key, about.pop("began"), outcome, index=index, **about)
        return index

    def _give_back(self, index: int) -> None:
        options = dict(
            defaults(etcd_key.ARGUMENT_SPEC), key=_LOCK, state="absent", prev_index=index
        )
        about: dict[str, Any] = {"prev_index": index}
        outcome, unused = self._manage(options, about)
        self._record(Kind.DELETE, _LOCK, about.pop("began"), outcome, **about)

    def _manage(
        self, options: dict[str, Any], about: dict[str, Any]
    ) -> tuple[Outcome, dict[str, Any]]:
        """What a task said; when it began and why it failed go into `about`."""
        about["began"] = time.monotonic()
        try:
            report = manage_key(options, lambda: self._client, apply=True)
        except errors.EtcdOutcomeUnknown as exc:
            about["why"] = str(exc)
            return Outcome.UNKNOWN, {}
        except (errors.EtcdException, Refusal) as exc:
            about["why"] = str(exc)
            return Outcome.NOT_DONE, {}
        return (Outcome.DONE if report["changed"] else Outcome.UNCHANGED), report
