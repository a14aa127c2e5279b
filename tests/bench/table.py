# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Interleaved measurements, and tables of what came out."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Contender = Callable[[], None]

_SHORT = "SHORT"


class Samples:
    """Seconds that each contender took, one number for each round."""

    def __init__(self, names: Sequence[str]) -> None:
        self._seconds: dict[str, list[float]] = {name: [] for name in names}

    @property
    def names(self) -> tuple[str, ...]:
        """All contenders, in their order."""
        return tuple(self._seconds)

    @property
    def rounds(self) -> int:
        """How many rounds there were."""
        return max(map(len, self._seconds.values()))

    def add(self, name: str, seconds: float) -> None:
        """Record what a contender took in its next round."""
        self._seconds[name].append(seconds)

    def measured(self, name: str) -> bool:
        """Whether there is a sample of it."""
        return bool(self._seconds[name])

    def median(self, name: str) -> float:
        """Median of all rounds."""
        return statistics.median(self._seconds[name])

    def ratio(self, name: str, other: str) -> float:
        """How many times as long it took as another: median of the ratios of each round.

        The two of a round ran one after the other, so a machine that gets slower meanwhile does
        not show.
        """
        pairs = zip(self._seconds[name], self._seconds[other])
        return statistics.median(one / two for one, two in pairs)

    def excess(self, name: str, other: str) -> float:
        """How many seconds longer it took than another: median of the differences of each round."""
        pairs = zip(self._seconds[name], self._seconds[other])
        return statistics.median(one - two for one, two in pairs)


class Rounds:
    """Counts rounds: as many as are wanted, or as fit into a time, but three at least.

    On a machine that is busy with other things, a benchmark measures less and does not take longer.
    """

    def __init__(self, wanted: int, *, seconds: float) -> None:
        self._wanted = wanted
        self._least = min(wanted, 3)
        self._until = time.monotonic() + seconds

    def __iter__(self) -> Iterator[int]:
        for number in range(self._wanted):
            if number >= self._least and time.monotonic() > self._until:
                return
            yield number


def interleave(
    contenders: Mapping[str, Contender], *, rounds: int, seconds: float, batch: int = 1
) -> Samples:
    """Run A B C A B C ...; a sample is the seconds of one call, as the mean of a batch.

    The first round is not counted.
    """
    samples = Samples(tuple(contenders))
    for number in Rounds(rounds + 1, seconds=seconds):
        for name, call in contenders.items():
            began = time.perf_counter()
            for unused in range(batch):
                call()
            taken = (time.perf_counter() - began) / batch
            if number > 0:
                samples.add(name, taken)
    return samples


def exponent(points: Iterable[tuple[float, float]]) -> float:
    """The power of x that y grows with, 1 for straight growth: least squares of the logarithms.

    Args:
        points: x and y, both above 0, with two different x at least.
    """
    logarithms = [(math.log(x), math.log(y)) for x, y in points]
    return statistics.linear_regression(*zip(*logarithms)).slope


@dataclass(frozen=True)
class Check:
    """A measured number and its targets: the least that it is to be, or the most.

    Attributes:
        measured: None where it could not be measured.
        must: what has to be met.
        beyond: what would be better than is asked.
        least: whether the targets are lower bounds.
        why: why it could not be measured.
    """

    what: str
    measured: float | None
    must: float | None = None
    beyond: float | None = None
    least: bool = False
    unit: str = ""
    why: str = ""

    def shortfalls(self) -> list[str]:
        """What it misses, in a line each."""
        return [
            f"{self.what}: {self._shown(self.measured)}, {kind} {self._target(target)}"
            for kind, target in (("must", self.must), ("beyond", self.beyond))
            if target is not None and self._mark(target) == _SHORT
        ]

    def cells(self) -> list[str]:
        """Its row in the table of checks."""
        cells = [self.what, self._shown(self.measured)]
        for target in (self.must, self.beyond):
            cells += ["", ""] if target is None else [self._target(target), self._mark(target)]
        return cells

    def _mark(self, target: float) -> str:
        if self.measured is None:
            return "?"
        met = self.measured >= target if self.least else self.measured <= target
        return "ok" if met else _SHORT

    def _target(self, target: float) -> str:
        return f"{'>=' if self.least else '<='} {self._shown(target)}"

    def _shown(self, number: float | None) -> str:
        if number is None:
            return "not measured"
        return f"{number:.1f} {self.unit}" if self.unit else f"{number:.2f}"


def print_checks(checks: Sequence[Check]) -> None:
    """Every measured number with its targets."""
    print_table(
        ["", "measured", "must", "", "beyond", ""],
        [check.cells() for check in checks],
        left=(0, 3, 5),
    )


def print_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)
) -> None:
    """Columns of text, aligned right but for those named."""
    everything = [head, *rows]
    widths = [max(len(row[column]) for row in everything) for column in range(len(head))]
    for number, row in enumerate(everything):
        cells = (
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        )
        print("  " + "  ".join(cells).rstrip())
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths).rstrip())
    print(flush=True)


def rate(seconds: float) -> str:
    """Calls in a second, from the seconds of one."""
    return f"{1 / seconds:,.0f}/s" if math.isfinite(seconds) and seconds > 0 else "?"


def milliseconds(seconds: float) -> str:
    """Seconds, for people."""
    return f"{seconds * 1000:,.1f} ms"
