# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module etcd_info takes where endpoints do not answer: the time of one that does not."""

from __future__ import annotations

import time
import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.info import SUBSETS, gather_info
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from conftest import ProxyTo
from harness import Cluster

_TIMEOUT = 1.5
_A_LITTLE = 1.0
_MANY = 12


def _gather(client: Client) -> t.Tuple[t.Dict[str, t.Any], float]:
    """Everything that there is to gather, and the seconds that it took."""
    began = time.monotonic()
    report = gather_info({"gather": list(SUBSETS)}, lambda: client, apply=True)
    return report, time.monotonic() - began


@pytest.mark.parametrize("mode", ["hang", "blackhole"])
def test_silent_endpoints_cost_one_timeout(mode: str, three: Cluster, proxy_to: ProxyTo) -> None:
    """However many they are, and whether they accept connections or not."""
    silent = [proxy_to(three.endpoints[0]) for unused in range(_MANY)]
    for proxy in silent:
        proxy.set_mode(mode)
    urls = [proxy.url for proxy in silent]
    client = Client([*urls, *three.endpoints], timeout=_TIMEOUT, connect_timeout=_TIMEOUT)
    report, seconds = _gather(client)
    assert _TIMEOUT <= seconds < _TIMEOUT + _A_LITTLE
    reachable = [one["reachable"] for one in report["endpoints"]]
    assert reachable == [False] * _MANY + [True] * 3
    assert all(one["reason"] for one in report["endpoints"][:_MANY])
    assert report["quorum"] == {"size": 3, "needed": 2, "healthy": 3}
    assert report["stats"]["self"]["name"] in ("m1", "m2", "m3")


@pytest.mark.parametrize("mode", ["hang", "blackhole"])
def test_nothing_but_silence(mode: str, three: Cluster, proxy_to: ProxyTo) -> None:
    """Only then it fails, no later, and names each."""
    silent = [proxy_to(three.endpoints[0]) for unused in range(_MANY)]
    for proxy in silent:
        proxy.set_mode(mode)
    client = Client([proxy.url for proxy in silent], timeout=_TIMEOUT, connect_timeout=_TIMEOUT)
    began = time.monotonic()
    with pytest.raises(errors.EtcdUnreachable) as caught:
        _gather(client)
    assert time.monotonic() - began < _TIMEOUT + _A_LITTLE
    for proxy in silent:
        assert proxy.url in str(caught.value)
