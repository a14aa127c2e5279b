# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many reads at once on real servers: as the lookup does them for many terms."""

from __future__ import annotations

import time
import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client, Permissions
from conftest import ProxyTo
from harness import Certs, Cluster

#: Enough keys to be read side by side.
NUMBER = 60


@pytest.fixture(name="keys")
def fixture_keys(three: Cluster, key: str) -> t.List[str]:
    """Keys that hold their own names; every tenth does not exist."""
    keys = ["%s/k%d" % (key, number) for number in range(NUMBER)]
    client = Client(three.endpoints)
    for one in keys:
        if not one.endswith("7"):
            client.write(one, one)
    return keys


def read_all(client: Client, keys: t.Sequence[str]) -> t.List[t.Optional[str]]:
    """The values in the order of the keys, None for one that does not exist."""
    read = client.composer().read
    outcomes = list(client.read_all([read(one, quorum=True) for one in keys]))
    assert len(outcomes) == len(keys)
    return [
        None if isinstance(one, errors.EtcdKeyNotFound) else one.node.value  # type: ignore[union-attr]
        for one in outcomes
    ]


def expected(keys: t.Sequence[str]) -> t.List[t.Optional[str]]:
    """As `read_all`."""
    return [None if one.endswith("7") else one for one in keys]


@pytest.mark.parametrize("number", [0, 1, 7, 8, NUMBER])
def test_in_their_order(number: int, three: Cluster, keys: t.List[str]) -> None:
    """Few, and many."""
    some = keys[:number]
    assert read_all(Client(three.endpoints), some) == expected(some)


@pytest.mark.parametrize(
    "fault, after",
    [("refuse", 0), ("hang", 0), ("hang", 20), ("cut_after_forward", 20), ("garbage", 20)],
)
def test_an_endpoint_fails(
    fault: str, after: int, three: Cluster, proxy_to: ProxyTo, keys: t.List[str]
) -> None:
    """From the start, or in the middle: the others answer, and soon."""
    proxy = proxy_to(three.endpoints[0])
    client = Client([proxy.url, *three.endpoints[1:]])
    seen = []  # type: t.List[str]

    def later(method: str, target: str) -> bool:
        seen.append(target)
        return len(seen) > after

    proxy.set_mode(fault, match=later if after else None)
    began = time.monotonic()
    assert read_all(client, keys) == expected(keys)
    assert time.monotonic() - began < 5


def test_all_endpoints_fail(three: Cluster, proxy_to: ProxyTo, keys: t.List[str]) -> None:
    """The first that cannot be read is told, and with it the reason."""
    proxy = proxy_to(three.endpoints[0])
    proxy.set_mode("cut_before_forward")
    outcomes = Client(proxy.url, total_timeout=1).read_all(
        [Client(proxy.url).composer().read(one) for one in keys]
    )
    assert isinstance(next(outcomes), errors.EtcdUnreachable)


def test_https(secure: Cluster, pem: Certs, key: str) -> None:
    """Over connections that requests has made."""
    client = Client(
        secure.endpoints,
        ca_cert=pem.ca_cert,
        client_cert=pem.client_cert,
        client_key=pem.client_key,
    )
    client.write(key, "v")
    assert read_all(client, [key] * NUMBER) == ["v"] * NUMBER


def test_who_may_not_read_is_told(with_auth: Cluster, key: str) -> None:
    """The user and the key, as with a read alone."""
    root = Client(with_auth.endpoints, username="root", password="pw")
    name = key.strip("/")
    root.create_role(name, Permissions((key + "/k1*",), ()))
    root.create_user(name, "secret", roles=[name])
    client = Client(with_auth.endpoints, username=name, password="secret")
    read = client.composer().read
    names = ["%s/k%d" % (key, number) for number in (*range(10, 15), *range(20, 25))]
    outcomes = list(client.read_all([read(one) for one in names]))
    refused = [isinstance(one, errors.EtcdUnauthorized) for one in outcomes]
    assert refused == [False] * 5 + [True] * 5
    assert "the user %s may not read %s" % (name, names[5]) in str(outcomes[5])
