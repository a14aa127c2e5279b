# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The arithmetic of the benchmark."""

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.tests.bench.table import (
    Check,
    Rounds,
    Samples,
    exponent,
    interleave,
    milliseconds,
    rate,
)

SECONDS = {"a": [1.0, 2.0, 9.0], "b": [2.0, 8.0, 3.0]}


@pytest.fixture
def samples():
    found = Samples(tuple(SECONDS))
    for name, seconds in SECONDS.items():
        for one in seconds:
            found.add(name, one)
    return found


def test_medians_are_of_each_contender_and_ratios_of_each_round(samples):
    assert samples.rounds == 3
    assert samples.median("a") == 2.0
    assert samples.median("b") == 3.0
    # Of 2, 4 and 1/3, and not the ratio of the medians.
    assert samples.ratio("b", "a") == 2.0
    # Of 1, 6 and -6.
    assert samples.excess("b", "a") == 1.0


def test_what_has_no_sample_is_not_measured():
    found = Samples(("a", "b"))
    found.add("a", 1.0)
    assert found.measured("a")
    assert not found.measured("b")


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_is_found(power):
    assert exponent((x, 7 * x**power) for x in (1000, 10000, 100000)) == pytest.approx(power)


def test_the_exponent_is_the_best_fit_of_all_points():
    # Through (1, 1), (10, 100) and (100, 100), the line of least squares has the slope 1.
    assert exponent([(1, 1), (10, 100), (100, 100)]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("check", "marks", "shortfalls"),
    [
        pytest.param(Check("x", 1.35, 1.35, 1.2), ["ok", "SHORT"], ["x: 1.35, beyond <= 1.20"]),
        pytest.param(
            Check("x", 1.36, 1.35, 1.2),
            ["SHORT", "SHORT"],
            ["x: 1.36, must <= 1.35", "x: 1.36, beyond <= 1.20"],
        ),
        pytest.param(Check("x", 1.3, 1.3, least=True), ["ok", ""], []),
        pytest.param(Check("x", 1.2, 1.3, least=True), ["SHORT", ""], ["x: 1.20, must >= 1.30"]),
        pytest.param(Check("x", 2.0), ["", ""], []),
        pytest.param(Check("x", 0.0, 5.0, unit="ms"), ["ok", ""], []),
        pytest.param(
            Check("x", 401.0, 400.0, unit="MB"), ["SHORT", ""], ["x: 401.0 MB, must <= 400.0 MB"]
        ),
        pytest.param(Check("x", None, 1.3, why="no wrk"), ["?", ""], []),
    ],
)
def test_what_misses_a_target_is_marked_and_listed(check, marks, shortfalls):
    assert [check.cells()[3], check.cells()[5]] == marks
    assert check.shortfalls() == shortfalls


def test_what_could_not_be_measured_says_so():
    assert Check("x", None, 1.3, least=True).cells() == [
        "x",
        "not measured",
        ">= 1.30",
        "?",
        "",
        "",
    ]


def test_the_first_round_is_not_counted():
    calls = []
    contenders = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    found = interleave(contenders, rounds=3, seconds=60, batch=2)
    assert calls == ["a", "a", "b", "b"] * 4
    assert found.rounds == 3


@pytest.mark.parametrize(
    ("wanted", "seconds", "rounds"), [(5, 60, 5), (5, -1, 3), (2, -1, 2)], ids=str
)
def test_a_slow_machine_runs_fewer_rounds_but_three(wanted, seconds, rounds):
    assert len(list(Rounds(wanted, seconds=seconds))) == rounds


def test_numbers_are_shown_with_their_unit():
    assert rate(0.0004) == "2,500/s"
    assert rate(0.0) == "?"
    assert milliseconds(1.2345) == "1,234.5 ms"
