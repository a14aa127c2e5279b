# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carrying out many planned writes side by side, and knowing what became of each.

PRIVATE to the collection: it can change at any time.

The writes go over several connections to one endpoint. When that endpoint stops answering, those
that were under way are settled one by one (`_carry_out.carry_out`), and the others go on wherever an
answer came from.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _carry_out, errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import KeyAction
from ansible_collections.quorum.etcd.plugins.module_utils._in_doubt import LostRace, Outcome
from ansible_collections.quorum.etcd.plugins.module_utils._reading import Reading
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult

#: A directory that is to go, and was seen to be empty, holds something by now.
_RACE = _carry_out.RACE + (errors.EtcdDirNotEmpty,)

#: How many connections to one endpoint are of use.
MOST = 64

Stages = t.Sequence[t.Sequence[KeyAction]]


class BatchClient(_carry_out.KeyClient, t.Protocol):
    """What this file needs of `client.Client`."""

    def composer(self) -> t.Any:
        """As `Client` does."""

    def send_all(
        self, requests: t.Iterable[t.Tuple[t.Any, t.Any]], *, connections: int
    ) -> t.Iterator[t.Tuple[t.Any, t.Union[EtcdResult, errors.EtcdException]]]:
        """As `Client` does."""


class Progress:
    """What became of the actions, and the last answer.

    Attributes:
        done: carried out, in the order of the answers.
        lost: not carried out, because another writer came first.
        possible: another writer came, before or after; they were carried out perhaps.
        failed: with the reason.
        not_tried: of the stages and actions that were to follow.

    Each action that was planned is in one of them.

        etcd_index, endpoint: the store's highest index that was seen, and who answered last.
    """

    def __init__(self, etcd_index: int, endpoint: t.Optional[str]) -> None:
        self.done = []  # type: t.List[KeyAction]
        self.lost = []  # type: t.List[KeyAction]
        self.possible = []  # type: t.List[KeyAction]
        self.failed = []  # type: t.List[t.Tuple[KeyAction, Exception]]
        self.not_tried = []  # type: t.List[KeyAction]
        self.etcd_index = etcd_index
        self.endpoint = endpoint

    @property
    def raced(self) -> bool:
        """Whether another writer came between, so that the rest has to be planned again."""
        return bool(self.lost or self.possible)

    def planned_again(self, stages: Stages) -> None:
        """What was lost or not tried is in this new plan, or it need not be done any more.

        What was possibly carried out and need not be done any more counts as carried out: the state
        is another one than before, and as it was to be.
        """
        keys = {action.key for stage in stages for action in stage}
        self.done.extend(action for action in self.possible if action.key not in keys)
        self.lost, self.possible, self.not_tried = [], [], []

    def succeeded(
        self, action: KeyAction, etcd_index: t.Optional[int], endpoint: t.Optional[str]
    ) -> None:
        """This action was carried out."""
        self.done.append(action)
        self.etcd_index = max(self.etcd_index, etcd_index or 0)
        self.endpoint = endpoint or self.endpoint


def carry_out_all(
    client: BatchClient,
    stages: Stages,
    progress: Progress,
    *,
    connections: int,
    lost_is_final: bool,
) -> None:
    """Carry out the stages, one after the other, and the actions of each side by side.

    After a failure nothing new is begun, and what is under way is waited for. After a lost race the
    stage is ended, and the ones after it are left.

    Args:
        progress: is told of each action.
        connections: how many writes are under way at once.
        lost_is_final: whether a lost race is a failure too, and so is an equal write that may be
            another client's.
    """
    for actions in stages:
        if progress.failed or progress.raced:
            progress.not_tried.extend(actions)
        else:
            _Stage(client, actions, progress, lost_is_final).carry_out(connections)


class _Stage:
    """Actions of which none needs another one to be carried out first."""

    def __init__(
        self,
        client: BatchClient,
        actions: t.Sequence[KeyAction],
        progress: Progress,
        lost_is_final: bool,
    ) -> None:
        self._client = client
        self._composer = client.composer()
        self._actions = actions
        self._progress = progress
        self._lost_is_final = lost_is_final
        self._taken = 0
        self._halted = False
        #: The store's index, as it was known when each action that is under way was sent: its event
        #: comes after it.
        self._sent_at = {}  # type: t.Dict[int, int]

    def carry_out(self, connections: int) -> None:
        while self._taken < len(self._actions) and not self._halted:
            before = self._taken
            count = min(connections, len(self._actions) - self._taken)
            unknown = []  # type: t.List[t.Tuple[int, t.Optional[errors.EtcdOutcomeUnknown]]]
            for mark, outcome in self._client.send_all(self._requests(), connections=count):
                if isinstance(outcome, errors.EtcdOutcomeUnknown):
                    unknown.append((mark, outcome))
                elif isinstance(outcome, errors.EtcdUnreachable):
                    # It never left; on its own, a write finds an endpoint that answers.
                    unknown.append((mark, None))
                else:
                    self._conclude(mark, outcome)
            # The time to look for what is not sent again is spent once for all of them.
            deadline = self._client.deadline() if unknown else None
            for mark, exc in unknown:
                if exc is None and self._halted:
                    self._progress.not_tried.append(self._actions[mark])
                else:
                    self._settle(mark, exc, deadline)
            if self._taken == before:
                # That endpoint took nothing; on its own, a write finds one that does.
                self._settle(self._take(), None, None)
        self._progress.not_tried.extend(self._actions[self._taken :])

    def _take(self) -> int:
        mark = self._taken
        self._taken += 1
        self._sent_at[mark] = self._progress.etcd_index
        return mark

    def _requests(self) -> t.Iterator[t.Tuple[int, t.Any]]:
        while self._taken < len(self._actions) and not self._halted:
            mark = self._take()
            yield mark, _carry_out.write(self._composer, self._actions[mark])

    def _conclude(self, mark: int, outcome: t.Union[EtcdResult, errors.EtcdException]) -> None:
        action = self._actions[mark]
        del self._sent_at[mark]
        if isinstance(outcome, EtcdResult):
            try:
                _carry_out.checked(action, outcome)
            except errors.EtcdException as exc:
                self._fail(action, exc)
            else:
                self._progress.succeeded(action, outcome.x_etcd_index, outcome.endpoint)
        elif isinstance(outcome, _RACE):
            self._lose(action)
        else:
            self._fail(action, outcome)

    def _settle(
        self,
        mark: int,
        unknown: t.Optional[errors.EtcdOutcomeUnknown],
        deadline: t.Optional[float],
    ) -> None:
        """Find out what became of an action that was sent (or was not), and carry it out if not."""
        action = self._actions[mark]
        base = Reading(action.before, self._sent_at.pop(mark), None, 1)
        planned = Outcome(action._replace(exclusive=self._lost_is_final), base)
        try:
            outcome = _carry_out.carry_out(self._client, planned, unknown, deadline)
        except LostRace as race:
            if race.possible is None:
                self._lose(action)
            else:
                self._progress.possible.append(action)
        except errors.EtcdDirNotEmpty:
            self._lose(action)
        except errors.EtcdException as exc:
            self._fail(action, exc)
        else:
            self._progress.succeeded(action, outcome.etcd_index, outcome.endpoint)

    def _lose(self, action: KeyAction) -> None:
        if self._lost_is_final:
            self._fail(action, errors.EtcdConflict("%s was changed by another writer" % action.key))
        else:
            self._progress.lost.append(action)

    def _fail(self, action: KeyAction, exc: Exception) -> None:
        self._halted = True
        self._progress.failed.append((action, exc))
