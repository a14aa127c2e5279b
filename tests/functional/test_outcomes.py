# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An empty value, a missing key, an unreachable cluster, a forbidden key, a server without v2."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _apply, errors
from ansible_collections.quorum.etcd.plugins.module_utils._plan import key as key_plan
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from harness import Cluster, ports


@pytest.fixture
def readers(
    single: Cluster, without_v2: Cluster, with_auth: Cluster, key: str
) -> t.Dict[str, t.Callable[[], t.Any]]:
    """One read for each outcome."""
    Client(single.endpoints).write(key + "/empty", "")
    nobody = "127.0.0.1:%d" % ports.free_port()
    return {
        "empty": lambda: Client(single.endpoints).read(key + "/empty").node.value,
        "missing": lambda: Client(single.endpoints).read(key + "/missing"),
        "unreachable": lambda: Client(nobody, total_timeout=1.0).read(key),
        "forbidden": lambda: Client(with_auth.endpoints).read(key),
        "without v2": lambda: Client(without_v2.endpoints).read(key),
    }


def _outcome(call: t.Callable[[], t.Any]) -> t.Any:
    try:
        return call()
    except errors.EtcdException as exc:
        return type(exc)


def test_five_outcomes(readers: t.Dict[str, t.Callable[[], t.Any]]) -> None:
    """They are five different things."""
    outcomes = {name: _outcome(call) for name, call in readers.items()}
    assert outcomes == {
        "empty": "",
        "missing": errors.EtcdKeyNotFound,
        "unreachable": errors.EtcdUnreachable,
        "forbidden": errors.EtcdUnauthorized,
        "without v2": errors.EtcdV2NotServed,
    }
    classes = [one for one in outcomes.values() if one != ""]
    for one in classes:
        # None of them is a kind of another: catching one does not catch the next.
        assert not any(issubclass(one, other) for other in classes if other is not one)


def test_what_the_errors_say(readers: t.Dict[str, t.Callable[[], t.Any]]) -> None:
    """Each error says what happened and where."""
    with pytest.raises(errors.EtcdKeyNotFound) as missing:
        readers["missing"]()
    assert (missing.value.code, missing.value.http_status) == (100, 404)
    assert missing.value.index
    assert str(missing.value).startswith("Key not found: /t-")
    with pytest.raises(errors.EtcdUnreachable) as unreachable:
        readers["unreachable"]()
    assert unreachable.value.http_status is unreachable.value.code is None
    assert "connection refused" in str(unreachable.value)
    with pytest.raises(errors.EtcdUnauthorized) as forbidden:
        readers["forbidden"]()
    assert (forbidden.value.code, forbidden.value.http_status) == (110, 401)
    with pytest.raises(errors.EtcdV2NotServed) as without:
        readers["without v2"]()
    assert (without.value.code, without.value.http_status) == (None, 404)
    assert "--enable-v2" in str(without.value)
    assert "3.6" in str(without.value)


@pytest.mark.parametrize("wanted", [key_plan.Wanted.ABSENT, key_plan.Wanted.PRESENT])
def test_a_server_without_v2_is_not_a_missing_key(
    wanted: key_plan.Wanted, without_v2: Cluster, key: str
) -> None:
    """Making a key absent on a server without v2 fails, as making it present does."""
    wish = key_plan.Wish(key=key, wanted=wanted, value="x")
    client = Client(without_v2.endpoints)
    with pytest.raises(errors.EtcdV2NotServed):
        _apply.converge(client, key, lambda current: key_plan.plan(current, wish))


CALLS: t.Dict[str, t.Callable[[Client], t.Any]] = {
    "write": lambda client: client.write("/a", "1"),
    "delete": lambda client: client.delete("/a"),
    "create_in_order": lambda client: client.create_in_order("/a", "1"),
    "read-wait": lambda client: client.read("/a", wait=True, timeout=5),
    "members": lambda client: client.members(),
    "leader": lambda client: client.leader(),
    "add_member": lambda client: client.add_member(["http://127.0.0.1:7"]),
    "remove_member": lambda client: client.remove_member("1234"),
    "stats_self": lambda client: client.stats_self(),
    "stats_leader": lambda client: client.stats_leader(),
    "stats_store": lambda client: client.stats_store(),
    "auth_enabled": lambda client: client.auth_enabled(),
    "users": lambda client: client.users(),
    "delete_role": lambda client: client.delete_role("r"),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_operation_names_a_server_without_v2(name: str, without_v2: Cluster) -> None:
    """Not only reads do."""
    with pytest.raises(errors.EtcdV2NotServed):
        CALLS[name](Client(without_v2.endpoints))


@pytest.mark.parametrize("first", ["write", "create_in_order", "read"])
def test_an_endpoint_without_v2_is_passed_over(
    first: str, without_v2: Cluster, single: Cluster, key: str
) -> None:
    """Reads and writes go to the next endpoint, and that one is asked first from then on."""
    client = Client(without_v2.endpoints + single.endpoints)
    calls: t.Dict[str, t.Callable[[], t.Any]] = {
        "write": lambda: client.write(key, "1"),
        "create_in_order": lambda: client.create_in_order(key, "1"),
        "read": lambda: client.read("/"),
    }
    done = calls[first]()
    assert (done.endpoint, done.attempts) == (single.endpoints[0], 2)
    assert client.write(key + "-2", "1").attempts == 1


def test_a_server_without_v2_still_tells_version_and_health(without_v2: Cluster) -> None:
    """What is not v2 works."""
    client = Client(without_v2.endpoints)
    assert client.version() == without_v2.binary.version
    assert client.health is True
