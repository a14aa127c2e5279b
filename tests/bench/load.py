# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server's own limit: how many PUTs a second a load generator gets out of it."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from lab import Lab
from table import Check, Rounds, print_table, rate

#: How many connections the targets of `etcd_tree` speak of.
CONNECTIONS = 16

#: Bytes of a value: the mean of those that `etcd_tree` is measured with.
VALUE_SIZE = 110

_SEQUENTIAL = f"PUT rate, our client one after the other / wrk, {CONNECTIONS} connections"
_CONNECTIONS = (1, 4, CONNECTIONS, 64)
_SCRIPT = Path(__file__).resolve().with_name("put.lua")
_DIRECTORY = "/bench/load"
_RATE = re.compile(r"^Requests/sec: +([0-9.]+)$", re.MULTILINE)
_WRONG = re.compile(r"^ *(Non-2xx.*|Socket errors:.*)$", re.MULTILINE)


class CannotBeHadError(Exception):
    """There is no load generator; the message says where to get it."""


def run(lab: Lab) -> list[Check]:
    """Measure the rate with some numbers of connections, and our client's with one."""
    try:
        put_rate(lab, seconds=1)
    except CannotBeHadError as exc:
        return [Check(_SEQUENTIAL, None, why=str(exc))]
    rates: dict[int, list[float]] = {connections: [] for connections in _CONNECTIONS}
    ours = []
    for unused in Rounds(lab.rounds(8), seconds=90):
        for connections, found in rates.items():
            found.append(put_rate(lab, connections=connections, seconds=2))
        ours.append(_our_rate(lab))
    medians = {connections: statistics.median(found) for connections, found in rates.items()}
    print_table(
        [f"PUT of {VALUE_SIZE} bytes, {len(ours)} rounds", "median"],
        [
            *(
                [f"wrk, {connections} connection{'s' * (connections > 1)}", rate(1 / median)]
                for connections, median in medians.items()
            ),
            ["our client, one after the other", rate(1 / statistics.median(ours))],
        ],
    )
    limits = rates[CONNECTIONS]
    return [
        Check(
            _SEQUENTIAL,
            statistics.median(one / limit for one, limit in zip(ours, limits)),
        )
    ]


def put_rate(lab: Lab, *, connections: int = CONNECTIONS, seconds: int = 3) -> float:
    """PUTs a second that wrk gets out of the server.

    Raises:
        CannotBeHadError: wrk is not installed.
        RuntimeError: the server refused some.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise CannotBeHadError(
            "wrk, the load generator, is not installed (Debian: apt install wrk)"
        )
    ended = subprocess.run(
        [
            *(wrk, "--threads", "1", "--connections", str(connections)),
            *("--duration", f"{seconds}s", "--timeout", "10s"),
            *("--script", str(_SCRIPT), lab.endpoint, "--", _DIRECTORY, str(VALUE_SIZE)),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 60,
    )
    found, wrong = _RATE.search(ended.stdout), _WRONG.search(ended.stdout)
    if ended.returncode != 0 or found is None or wrong is not None:
        raise RuntimeError(f"wrk failed:\n{ended.stdout}{ended.stderr}")
    return float(found.group(1))


def _our_rate(lab: Lab) -> float:
    """What one client does that waits for each answer."""
    client, value, count = Client([lab.endpoint]), "v" * VALUE_SIZE, 500
    client.write(_DIRECTORY + "/1", value)
    began = time.perf_counter()
    for number in range(count):
        client.write(f"{_DIRECTORY}/{number + 1}", value)
    return count / (time.perf_counter() - began)
