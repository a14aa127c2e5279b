# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`_apply.converge` through faults: what a task asks for is done once, and reported truthfully."""

from __future__ import annotations

import threading
import time
import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _apply, errors
from ansible_collections.quorum.etcd.plugins.module_utils._plan import key as key_plan
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    Answer,
    Endpoint,
    Patience,
    Request,
    Tls,
)
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from conftest import ProxyTo
from harness import Cluster, FaultProxy
from interpose import AttemptsOnly, Meddling

ABSENT, ENQUEUED = key_plan.Wanted.ABSENT, key_plan.Wanted.ENQUEUED
ALWAYS = key_plan.Refresh.ALWAYS


def _wish(key: str, wanted: key_plan.Wanted = key_plan.Wanted.PRESENT, **more: t.Any) -> t.Any:
    return key_plan.Wish(key=key, wanted=wanted, **more)


class Task(t.NamedTuple):
    """What is there, what is wished, and how it must end."""

    before: t.Optional[t.Dict[str, t.Any]]
    wish: t.Callable[[str], key_plan.Wish]
    verb: str
    event: t.Optional[str]
    after: t.Optional[t.Tuple[str, t.Optional[int]]]


TASKS = {
    "create": Task(None, lambda key: _wish(key, value="new"), "PUT", "create", ("new", None)),
    "create-with-ttl": Task(
        None, lambda key: _wish(key, value="new", ttl=900), "PUT", "create", ("new", 900)
    ),
    "create-empty": Task(None, lambda key: _wish(key, value=""), "PUT", "create", ("", None)),
    "swap": Task(
        {"value": "old"},
        lambda key: _wish(key, value="new"),
        "PUT",
        "compareAndSwap",
        ("new", None),
    ),
    "swap-keeps-ttl": Task(
        {"value": "old", "ttl": 900},
        lambda key: _wish(key, value="new"),
        "PUT",
        "compareAndSwap",
        ("new", 900),
    ),
    "drop-ttl": Task(
        {"value": "old", "ttl": 900},
        lambda key: _wish(key, value="old", ttl=0),
        "PUT",
        "compareAndSwap",
        ("old", None),
    ),
    "delete": Task(
        {"value": "old"}, lambda key: _wish(key, ABSENT), "DELETE", "compareAndDelete", None
    ),
    "refresh": Task(
        {"value": "old", "ttl": 500},
        lambda key: _wish(key, value="old", ttl=900, refresh=ALWAYS),
        "PUT",
        None,
        ("old", 900),
    ),
}

#: Fault -> whether the server carries the write out under it.
FAULTS = {
    "cut_after_forward": True,
    "error_after_commit": True,
    "truncate": True,
    "cut_before_forward": False,
    "reset": False,
    "hang": False,
}


@pytest.fixture
def key(key: str) -> str:
    """A key that has a directory for itself and its neighbours."""
    return key + "/key"


@pytest.fixture
def proxy(single: Cluster, proxy_to: ProxyTo) -> FaultProxy:
    """A proxy before the node."""
    found: FaultProxy = proxy_to(single.endpoints[0])
    return found


def _converge(client: Client, wish: key_plan.Wish) -> _apply.Outcome:
    return _apply.converge(client, wish.key, lambda current: key_plan.plan(current, wish))


def _prepare(client: Client, key: str, task: Task) -> int:
    """Make what the task finds; the store's index afterwards."""
    if task.before is None:
        return int(client.write(key + "-neighbour", "x").x_etcd_index or 0)
    return int(client.write(key, **task.before).x_etcd_index or 0)


def _events(client: Client, key: str, since: int) -> t.List[EtcdResult]:
    """All events on the key after this index."""
    end = client.write(key.rpartition("/")[0] + "/end", "").node.modified_index
    found: t.List[EtcdResult] = []
    for event in client.watch(key.rpartition("/")[0], index=since + 1, recursive=True, timeout=5):
        if event.node.modified_index >= end:
            return found
        found.extend([event] if event.node.key == key else [])
    return found


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault(fault: str, name: str, client: Client, proxy: FaultProxy, key: str) -> None:
    """Changed, once, whether the write got through before the answer was lost or not."""
    task = TASKS[name]
    since = _prepare(client, key, task)
    proxy.set_mode(fault, match=task.verb, times=1)
    outcome = _converge(Client(proxy.url, timeout=0.4), task.wish(key))
    assert outcome.action.changes
    sent = [seen.method for seen in proxy.requests if seen.method != "GET"]
    # A refresh leaves no event that could tell, so one that is always due is done again.
    once = FAULTS[fault] and name != "refresh"
    assert sent == [task.verb] * (1 if once else 2)
    events = _events(client, key, since)
    assert [event.action for event in events] == ([task.event] if task.event else [])
    if task.after is None:
        with pytest.raises(errors.EtcdKeyNotFound):
            client.read(key)
        return
    node = client.read(key).node
    assert node.value == task.after[0]
    assert (node.ttl is None) == (task.after[1] is None)
    assert node.ttl is None or node.ttl > (task.after[1] or 0) - 20
    if task.before is None:
        assert node.created_index == node.modified_index
    if outcome.node is not None:
        assert outcome.node.modified_index == node.modified_index
    # And a second run finds nothing to do, unless it is a heartbeat.
    if name != "refresh":
        assert not _converge(client, task.wish(key)).action.changes


@pytest.mark.parametrize("fault", FAULTS)
def test_in_order_creation_is_never_repeated(
    fault: str, client: Client, proxy: FaultProxy, key: str
) -> None:
    """The outcome is unknown, the task fails and says so, and there is one child at most."""
    proxy.set_mode(fault, match="POST", times=1)
    with pytest.raises(errors.EtcdOutcomeUnknown) as caught:
        _converge(
            Client(proxy.url, timeout=0.4, total_timeout=1.0), _wish(key, ENQUEUED, value="job")
        )
    assert "may or may not" in str(caught.value)
    assert [seen.method for seen in proxy.requests].count("POST") == 1
    client.write(key + "/mark", "")
    children = [one for one in client.read(key).node.nodes if one.value == "job"]
    assert len(children) == (1 if FAULTS[fault] else 0)


def test_three_faults_in_a_row(client: Client, proxy: FaultProxy, key: str) -> None:
    """Two copies that never arrived, and one whose answer was cut."""
    since = int(client.write(key, "old").x_etcd_index or 0)
    proxy.set_mode("cut_before_forward", match="PUT")
    meddling = Meddling(
        lambda: proxy.set_mode("reset", match="PUT"),
        lambda: proxy.set_mode("cut_after_forward", match="PUT"),
    )
    outcome = _converge(Client(proxy.url, http=meddling), _wish(key, value="new"))
    assert outcome.action.changes
    assert [event.node.value for event in _events(client, key, since)] == ["new"]
    assert [seen.method for seen in proxy.requests].count("PUT") == 3


def test_overwritten_before_we_could_look(client: Client, proxy: FaultProxy, key: str) -> None:
    """Ours was carried out and then overwritten: it was a change, and it is not repeated."""
    client.write(key, "old")
    proxy.set_mode("cut_after_forward", match="PUT", times=1)
    meddling = Client(proxy.url, http=Meddling(lambda: client.write(key, "other")))
    outcome = _converge(meddling, _wish(key, value="new"))
    assert outcome.action.changes
    assert outcome.node.value == "new"
    assert client.read(key).node.value == "other"
    assert [seen.method for seen in proxy.requests].count("PUT") == 1


def test_deleted_before_we_could_look(client: Client, proxy: FaultProxy, key: str) -> None:
    """The same for a key that was created and is gone again."""
    proxy.set_mode("cut_after_forward", match="PUT", times=1)
    client.write(key + "-neighbour", "x")
    meddling = Client(proxy.url, http=Meddling(lambda: client.delete(key)))
    outcome = _converge(meddling, _wish(key, value="new"))
    assert outcome.action.changes
    assert outcome.node.value == "new"
    with pytest.raises(errors.EtcdKeyNotFound):
        client.read(key)
    assert [seen.method for seen in proxy.requests].count("PUT") == 1


def test_another_writer_was_faster(client: Client, proxy: FaultProxy, key: str) -> None:
    """Ours never arrived and somebody else wrote meanwhile: read and planned anew on that."""
    client.write(key, "old")
    proxy.set_mode("cut_before_forward", match="PUT", times=1)
    meddling = Client(proxy.url, http=Meddling(lambda: client.write(key, "other")))
    outcome = _converge(meddling, _wish(key, value="new"))
    assert outcome.action.changes
    assert outcome.action.before is not None
    assert outcome.action.before.value == "other"
    assert client.read(key).node.value == "new"


def test_another_writer_did_the_same(client: Client, proxy: FaultProxy, key: str) -> None:
    """Ours never arrived and somebody else deleted the key: nothing was changed by us."""
    client.write(key, "old")
    proxy.set_mode("cut_before_forward", match="DELETE", times=1)
    meddling = Client(proxy.url, http=Meddling(lambda: client.delete(key)))
    outcome = _converge(meddling, _wish(key, ABSENT))
    assert not outcome.action.changes
    assert [seen.method for seen in proxy.requests].count("DELETE") == 1


def test_no_reading_back(client: Client, proxy: FaultProxy, key: str) -> None:
    """When the key cannot be read afterwards, the outcome stays unknown and is called so."""
    client.write(key, "old")
    proxy.set_mode("cut_after_forward", match="PUT", times=1)
    meddling = Client(proxy.url, http=Meddling(lambda: proxy.set_mode("refuse")), total_timeout=1.0)
    began = time.monotonic()
    with pytest.raises(errors.EtcdOutcomeUnknown) as caught:
        _converge(meddling, _wish(key, value="new"))
    assert "reading the key back failed too" in str(caught.value)
    assert 1.0 <= time.monotonic() - began < 4.0


@pytest.mark.parametrize("arrived", [True, False])
@pytest.mark.parametrize("name", ["create", "swap", "delete"])
def test_an_outage_after_a_lost_answer_is_waited_out(
    name: str, arrived: bool, own_single: Cluster, proxy_to: ProxyTo, key: str
) -> None:
    """A cluster that is down for a moment can still tell, and is asked again until it does."""
    task = TASKS[name]
    (member,) = own_single.members
    client = Client(own_single.endpoints)
    _prepare(client, key, task)
    proxy = proxy_to(own_single.endpoints[0])
    proxy.set_mode(
        "cut_after_forward" if arrived else "cut_before_forward", match=task.verb, times=1
    )
    again = threading.Timer(1.5, member.start)

    def outage() -> None:
        member.kill()
        again.start()

    outcome = _converge(Client(proxy.url, http=Meddling(outage)), task.wish(key))
    again.join()
    assert outcome.action.changes
    assert [seen.method for seen in proxy.requests].count(task.verb) == (1 if arrived else 2)
    member.wait_healthy()
    if task.after is None:
        with pytest.raises(errors.EtcdKeyNotFound):
            client.read(key)
    else:
        assert client.read(key).node.value == task.after[0]


def test_forgotten_history(client: Client, proxy: FaultProxy, key: str) -> None:
    """When the server has forgotten what followed our write, nobody can tell, and we say so."""
    client.write(key, "old")

    def many_writes() -> None:
        for number in range(1001):
            client.write(key + "-other", number)
        client.write(key, "other")

    proxy.set_mode("cut_after_forward", match="PUT", times=1)
    with pytest.raises(errors.EtcdOutcomeUnknown) as caught:
        _converge(Client(proxy.url, http=Meddling(many_writes)), _wish(key, value="new"))
    assert "forgotten" in str(caught.value)


def test_race_without_faults(client: Client, proxy: FaultProxy, key: str) -> None:
    """A writer that is always faster wins in the end, with an error that names the key."""

    def be_faster(method: str, unused: str) -> bool:
        if method == "PUT":
            client.write(key, "faster")
        return False

    client.write(key, "old")
    proxy.set_mode("pass", match=be_faster)
    with pytest.raises(errors.EtcdConflict) as caught:
        _converge(Client(proxy.url), _wish(key, value="new"))
    assert key in str(caught.value)
    assert client.read(key).node.value == "faster"
    assert [seen.method for seen in proxy.requests].count("PUT") == _apply.ATTEMPTS


@pytest.mark.parametrize("name", TASKS)
def test_preview_sends_reads_only(name: str, client: Client, proxy: FaultProxy, key: str) -> None:
    """Check mode: the index does not move, the log shows GETs, and the real run does the same."""
    task = TASKS[name]
    _prepare(client, key, task)
    index = client.read("/").x_etcd_index
    wish = task.wish(key)
    planned = _apply.preview(Client(proxy.url), key, lambda current: key_plan.plan(current, wish))
    assert client.read("/").x_etcd_index == index
    assert {seen.method for seen in proxy.requests} == {"GET"}
    done = _converge(client, wish)
    assert planned.action.changes is done.action.changes is True
    assert key_plan.state_after(planned.action) == key_plan.state_after(done.action)
    assert key_plan.state_before(planned.action) == key_plan.state_before(done.action)


def test_second_copy_cannot_be_sent(client: Client, proxy: FaultProxy, key: str) -> None:
    """A first copy that is still on its way keeps the outcome unknown, whatever comes after."""

    class OneWrite(AttemptsOnly):
        """Only the first write leaves."""

        def exchange(self, endpoint: Endpoint, request: Request, patience: Patience) -> Answer:
            if request.method == "PUT" and "PUT" in [seen.method for seen in proxy.requests]:
                endpoint = endpoint._replace(port=1)
            return super().exchange(endpoint, request, patience)

    client.write(key, "old")
    proxy.set_mode("delay", match="PUT", delay=1.0)
    with pytest.raises(errors.EtcdOutcomeUnknown):
        hasty = Client(proxy.url, timeout=0.3, total_timeout=3.0, http=OneWrite(tls=Tls()))
        _converge(hasty, _wish(key, value="new"))
