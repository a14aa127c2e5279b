# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sequential requests: our client against others, over one kept-alive connection each."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

import etcd
import pyetcd
import pyetcd.client
import requests
from ansible_collections.quorum.etcd.plugins.module_utils.client import (
    Client,
    EtcdResult,
)
from harness import ports
from lab import Lab
from table import Check, Contender, Samples, interleave, print_table, rate

BARE = "http.client, bare"
OURS = "our client"
HEDGED = "our client, three endpoints"
SESSION = "requests.Session"
PYETCD = "pyetcd"
PYTHON_ETCD = "python-etcd"

_KEY = "/bench/client"
_PATH = "/v2/keys" + _KEY
_VALUE = "production"
_BATCH = 200
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}

Pair = tuple[Contender, Contender]


def run(lab: Lab) -> list[Check]:
    """Measure GET and PUT."""
    contenders = {
        BARE: _bare(lab.endpoint),
        OURS: _ours([lab.endpoint]),
        HEDGED: _ours([lab.endpoint, *_unused_endpoints()]),
        PYTHON_ETCD: _python_etcd(lab.endpoint),
        PYETCD: _pyetcd(lab.endpoint),
        SESSION: _session(lab.endpoint),
    }
    checks = []
    for number, method in enumerate(("PUT", "GET")):
        calls = {name: pair[number] for name, pair in contenders.items()}
        samples = interleave(calls, rounds=lab.rounds(24), seconds=40, batch=_BATCH)
        _print(method, samples)
        checks += _checks(method, samples)
    return checks


def _print(method: str, samples: Samples) -> None:
    print_table(
        [
            f"sequential {method}, {samples.rounds} rounds of {_BATCH}",
            "median",
            "rate, http.client = 1",
        ],
        [
            [name, rate(samples.median(name)), f"{samples.ratio(BARE, name):.2f}"]
            for name in samples.names
        ],
    )


def _checks(method: str, samples: Samples) -> list[Check]:
    # A rate is the inverse of a time, so the other's time stands first.
    return [
        Check(
            f"{method} rate, {ours} / {other}",
            samples.ratio(other, ours),
            must=must,
            beyond=beyond,
            least=True,
        )
        for ours in (OURS, HEDGED)
        for other, must, beyond in (
            (PYETCD, 1.3, None),
            (PYTHON_ETCD, 1.0, None),
            (SESSION, None, None),
            (BARE, None, 0.6),
        )
    ] + [
        Check(f"{method} rate, three endpoints / one", samples.ratio(OURS, HEDGED), least=True),
    ]


def _unused_endpoints() -> list[str]:
    """Two more endpoints, which nobody asks while the first one answers."""
    return [f"http://{ports.HOST}:{ports.free_port()}" for unused in range(2)]


def _bare(endpoint: str) -> Pair:
    """The standard library alone; the answer is read and not parsed."""
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc)

    def put() -> None:
        connection.request("PUT", _PATH, urlencode({"value": _VALUE}), _FORM)
        connection.getresponse().read()

    def get() -> None:
        connection.request("GET", _PATH)
        connection.getresponse().read()

    return put, get


def _session(endpoint: str) -> Pair:
    """requests as most people use it; the answer is read and not parsed."""
    session = requests.Session()
    url = endpoint + _PATH
    return (
        _check_value(lambda: session.put(url, data={"value": _VALUE}).content, bytes),
        _check_value(lambda: session.get(url).content, bytes),
    )


def _ours(endpoints: list[str]) -> Pair:
    client = Client(endpoints)

    def value(result: EtcdResult) -> str | None:
        return None if result.node is None else result.node.value

    return (
        _check_value(lambda: value(client.write(_KEY, _VALUE)), str),
        _check_value(lambda: value(client.read(_KEY)), str),
    )


def _pyetcd(endpoint: str) -> Pair:
    url = urlsplit(endpoint)
    client = pyetcd.client.Client(host=url.hostname, port=url.port)
    return (
        _check_value(lambda: client.write(_KEY, _VALUE).node["value"], str),
        _check_value(lambda: client.read(_KEY).node["value"], str),
    )


def _python_etcd(endpoint: str) -> Pair:
    url = urlsplit(endpoint)
    client = etcd.Client(host=url.hostname, port=url.port)
    return (
        _check_value(lambda: client.write(_KEY, _VALUE).value, str),
        _check_value(lambda: client.read(_KEY).value, str),
    )


def _check_value(call: Callable[[], object], kind: type) -> Contender:
    """A contender, tried once, so that one that does not work is not taken for a fast one."""
    answer = call()
    if not isinstance(answer, kind) or not answer:
        raise RuntimeError(f"unexpected answer: {answer!r}")

    def contender() -> None:
        call()

    return contender
