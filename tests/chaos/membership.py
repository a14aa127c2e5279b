# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Members that come and go meanwhile, by the tasks that a playbook would have for it."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.member import manage_member
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from ansible_collections.quorum.etcd.plugins.modules import etcd_member
from harness import Cluster, HarnessError, Member

from .history import MemberChange, MemberList, Outcome
from .workers import ROOT, defaults

#: Seconds between two changes, and between two attempts at one.
_PAUSE = (0.5, 3.0)
_AGAIN = 0.2

#: Seconds after which a change, or the start of a member, must have succeeded.
_WITHIN = 120.0

#: Seconds that one task tries for; a change that needs longer fails, and another task follows.
_PATIENCE = 4.0

_UNKNOWN = (errors.EtcdOutcomeUnknown, errors.EtcdReconfigurationRefused)


class Membership:
    """One change after the other, chosen by the seed: the cluster has one more, or one less.

    It goes on while other things go wrong with the members. Only one that is just leaving, or is
    not there yet, is in nobody else's hands.

    Args:
        cluster: with the members that are not in it yet in `spares`; one that has none is left
            as it is.
        client: of all of them.
        at_work: held while something else is done to those that are in the cluster.

    Attributes:
        happened: for the history.
        made: each change that was made, with when it began and when it was done.
        faults: what must not be: an exception that nobody expects.
    """

    def __init__(
        self, seed: str, cluster: Cluster, client: Client, at_work: threading.Lock
    ) -> None:
        self.happened: list[MemberChange | MemberList] = []
        self.made: list[tuple[str, float, float]] = []
        self.faults: list[str] = []
        self._random = random.Random(f"{seed} membership")
        self._cluster = cluster
        self._client = client
        self._at_work = at_work
        self._ended = threading.Event()
        self.look()
        self._thread = threading.Thread(target=self._run)
        if cluster.spares:
            self._thread.start()

    def end(self) -> None:
        """Let the change that is being made be the last one."""
        self._ended.set()

    def join(self) -> None:
        """Wait for the last change."""
        if self._thread.ident is not None:
            self._thread.join()

    def look(self) -> None:
        """Note what each server in the cluster lists, if it answers and has caught up."""
        for member in self._cluster.members:
            caught_up = member.request("GET", f"/v2/keys{ROOT}?quorum=true")
            listed = member.request("GET", "/v2/members")
            if caught_up and listed and (caught_up.status, listed.status) == (200, 200):
                urls = sorted(url for one in listed.body["members"] for url in one["peerURLs"])
                self.happened.append(MemberList(member.endpoint, tuple(urls)))

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._random.uniform(*_PAUSE)):
                more = len(self._cluster.members) - self._cluster.size
                if more < 0 or (more == 0 and self._random.random() < 0.6):
                    self._add(self._random.choice(self._cluster.spares))
                elif self._random.random() < 0.5:
                    self._remove(self._random.choice(self._cluster.members), "a member")
                else:
                    self._remove_leader()
        except Exception as exc:  # noqa: BLE001 - nothing else may come out of a task
            self.faults.append(f"membership: {type(exc).__name__}: {exc}")

    def _add(self, member: Member) -> None:
        began = time.monotonic()
        report = self._until_done(member, present=True)
        member.begin_anew(report["initial_cluster"])
        deadline = time.monotonic() + _WITHIN
        while not member.healthy():
            if time.monotonic() >= deadline:
                raise HarnessError(f"{member.name} is not healthy: {member.log_tail()}")
            if member.pid is None:
                # Also again: one that finds no other member at its first start gives up.
                member.start()
            time.sleep(_AGAIN)
        with self._at_work:
            self._cluster.spares.remove(member)
            self._cluster.members.append(member)
        self.made.append(("a member comes", began, time.monotonic()))

    def _remove_leader(self) -> None:
        try:
            self._remove(self._cluster.leader(), "the leader")
        except HarnessError:
            return

    def _remove(self, member: Member, what: str) -> None:
        with self._at_work:
            self._cluster.members.remove(member)
            self._cluster.spares.append(member)
        began = time.monotonic()
        self._until_done(member, present=False)
        member.kill()
        self.made.append((f"{what} leaves", began, time.monotonic()))

    def _until_done(self, member: Member, *, present: bool) -> dict[str, Any]:
        """Run the task until it succeeds, and look after each time what came of it."""
        options = dict(
            defaults(etcd_member.ARGUMENT_SPEC),
            name=member.name,
            peer_urls=[member.peer_url],
            state="present" if present else "absent",
            retry_timeout=_PATIENCE,
        )
        deadline = time.monotonic() + _WITHIN
        while time.monotonic() < deadline:
            report: dict[str, Any] = {}
            began = time.monotonic()
            try:
                report = manage_member(options, lambda: self._client, apply=True)
            except _UNKNOWN:
                outcome = Outcome.UNKNOWN
            except (errors.EtcdException, Refusal):
                outcome = Outcome.NOT_DONE
            else:
                outcome = Outcome.DONE if report["changed"] else Outcome.UNCHANGED
            ended = time.monotonic()
            self.happened.append(MemberChange(member.peer_url, present, outcome, began, ended))
            self.look()
            if report:
                return report
            time.sleep(_AGAIN)
        raise HarnessError(f"{member.name} did not come or go within {_WITHIN} s")
