# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running stages and saying how each ended."""

from __future__ import annotations

import enum
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .commands import Failed, Skipped
from .workspace import Workspace

TAIL = 60
"""Lines of a failed stage's log that are shown."""


_PRINTING = threading.Lock()


class Outcome(enum.Enum):
    """How a stage ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Stage:
    """A part of the tests. `run` returns a remark, or raises Failed or Skipped."""

    name: str
    title: str
    run: Callable[[Workspace], str]


@dataclass(frozen=True)
class Result:
    """How one stage ended, and what there is to say about it."""

    stage: Stage
    outcome: Outcome
    seconds: float
    remark: str

    def line(self) -> str:
        """One line for people."""
        duration = "" if self.outcome is Outcome.SKIPPED else f" in {self.seconds:.0f} s"
        remark = f": {self.remark}" if self.remark else ""
        return f"{self.outcome.value}{duration}{remark}"


def run_all(stages: Sequence[Stage], workspaces: Sequence[Workspace]) -> list[Result]:
    """Run every stage, also after one that failed, at any time one in each workspace.

    The results are in the order of the stages.
    """
    results: dict[str, Result] = {}
    waiting: queue.SimpleQueue[Stage] = queue.SimpleQueue()

    def work(workspace: Workspace) -> None:
        with suppress(queue.Empty):
            while True:
                stage = waiting.get_nowait()
                results[stage.name] = _run(stage, workspace)

    for stage in stages:
        waiting.put(stage)
    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(work, workspace) for workspace in workspaces]
        try:
            for future in futures:
                future.result()
        finally:
            workspaces[0].processes.stop()
    return [results[stage.name] for stage in stages]


def summarise(results: Sequence[Result], *, seconds: float) -> bool:
    """Print the table and the counts; true if nothing failed."""
    width = max((len(result.stage.name) for result in results), default=0)
    print(f"\n==> Summary (all took {seconds:.0f} s; logs are in .cache/logs)")
    for result in results:
        print(f"    {result.stage.name:{width}}  {result.line()}")
    counts = {outcome: sum(result.outcome is outcome for result in results) for outcome in Outcome}
    print(
        f"\n{', '.join(f'{number} {outcome.value}' for outcome, number in counts.items())}",
        flush=True,
    )
    return not counts[Outcome.FAILED]


def _run(stage: Stage, workspace: Workspace) -> Result:
    _print(f"\n==> {stage.name}: {stage.title}")
    start = time.monotonic()
    tail: list[str] = []
    try:
        outcome, remark = Outcome.PASSED, stage.run(workspace)
    except Skipped as exc:
        outcome, remark = Outcome.SKIPPED, str(exc)
    except (Failed, OSError, ValueError) as exc:
        outcome, remark = Outcome.FAILED, str(exc)
        tail = _tail(workspace.logs / f"{stage.name}.log")
    result = Result(stage, outcome, time.monotonic() - start, remark)
    _print(*tail, f"    {stage.name} {result.line()}")
    return result


def _tail(log: Path) -> list[str]:
    if not log.is_file():
        return []
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [f"    | {line}" for line in lines[-TAIL:]]


def _print(*lines: str) -> None:
    """Print lines that belong together, whatever other threads print."""
    with _PRINTING:
        print(*lines, sep="\n", flush=True)
