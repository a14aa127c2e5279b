# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Twenty processes increment one key fifty times each while a node is killed, and none is lost."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
import time
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from harness import Cluster

PROCESSES = 20
TIMES = 50
TOTAL = PROCESSES * TIMES

_WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "counter_worker.py")
_WITHIN = 240.0


def test_counter(own_three: Cluster, key: str) -> None:
    """The end is exactly 1000, with the leader killed on the way and started again."""
    client = Client(own_three.endpoints)
    client.write(key, json.dumps({"n": 0, "by": "nobody"}))
    workers = [_start(own_three, key, number) for number in range(PROCESSES)]
    try:
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        _wait_until(client, key, TOTAL // 5)
        victim = own_three.leader()
        victim.kill()
        at_the_kill = _count(client, key)
        time.sleep(1.5)
        victim.start()
        reports = [_finish(worker) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    together: t.Counter[str] = collections.Counter()
    for report in reports:
        together.update(report)
    print(json.dumps(together, indent=2))
    own_three.wait_healthy()
    assert [report["done"] for report in reports] == [TIMES] * PROCESSES
    assert _count(client, key) == TOTAL
    assert at_the_kill < TOTAL
    failures = sum(count for what, count in together.items() if what.startswith("failure"))
    assert failures > 0, "no worker noticed that a node was killed: %s" % together


def _start(cluster: Cluster, key: str, number: int) -> subprocess.Popen[str]:
    """A worker; each begins with another node, and half of them use `_apply.converge`."""
    urls = cluster.endpoints
    order = {
        "endpoints": urls[number % 3 :] + urls[: number % 3],
        "key": key,
        "name": "worker%d" % number,
        "times": TIMES,
        "how": "converge" if number % 2 else "client",
    }
    return subprocess.Popen(
        [sys.executable, _WORKER, json.dumps(order)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(worker: subprocess.Popen[str]) -> t.Dict[str, int]:
    output, complaints = worker.communicate(timeout=_WITHIN)
    assert worker.returncode == 0, complaints
    report: t.Dict[str, int] = json.loads(output)
    return report


def _wait_until(client: Client, key: str, count: int) -> None:
    deadline = time.monotonic() + _WITHIN
    while _count(client, key) < count:
        assert time.monotonic() < deadline, "the workers do not get on"
        time.sleep(0.05)


def _count(client: Client, key: str) -> int:
    while True:
        try:
            return int(json.loads(client.read(key, quorum=True).node.value)["n"])
        except (errors.EtcdUnreachable, errors.EtcdServerError, errors.EtcdRaftInternal):
            time.sleep(0.2)
