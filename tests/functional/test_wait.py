# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for a key: nothing is missed, whatever happens to the servers and on the way to them."""

from __future__ import annotations

import threading
import time
import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _watch, errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import InVain, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._tasks import wait
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from conftest import ProxyTo
from harness import Cluster, FaultProxy

#: Seconds until a watch that has been started is surely there.
SETTLED = 0.3

#: Seconds in which something that has to come at once has come on a busy machine.
AT_ONCE = 8.0

Report = t.Dict[str, t.Any]


def wait_for(
    client: Client, key: str, condition: str, apply: bool = True, **options: t.Any
) -> Report:
    """What the task returns."""
    every = {"value": None, "since_index": None, "recursive": False, "wait_timeout": 20.0}
    chosen = dict(every, key=key, condition=condition, **options)
    return wait.wait_for_key(chosen, lambda: client, apply=apply)


class Waiting:
    """A wait in a thread."""

    def __init__(self, client: Client, key: str, condition: str, **options: t.Any) -> None:
        self._ended: t.Any = None
        self._thread = threading.Thread(
            target=self._run, args=(client, key, condition), kwargs=options, daemon=True
        )
        self._thread.start()
        time.sleep(SETTLED)

    def _run(self, *args: t.Any, **options: t.Any) -> None:
        try:
            self._ended = wait_for(*args, **options)
        except (InVain, errors.EtcdException) as exc:
            self._ended = exc

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    def report(self, seconds: float = 30.0) -> Report:
        """What it returned."""
        self._thread.join(seconds)
        assert isinstance(self._ended, dict), repr(self._ended)
        return self._ended


class Meddling(Client):
    """Somebody else does something right after the first read."""

    def __init__(self, endpoints: t.Sequence[str], meddle: t.Callable[[], t.Any]) -> None:
        super().__init__(list(endpoints))
        self._meddle: t.Optional[t.Callable[[], t.Any]] = meddle

    def read(self, key: str, **options: t.Any) -> t.Any:
        try:
            return super().read(key, **options)
        finally:
            meddle, self._meddle = self._meddle, None
            if meddle is not None:
                meddle()


def is_watch(method: str, target: str) -> bool:
    """Whether a request opens a watch."""
    return method == "GET" and "wait=true" in target


def test_present_states(client: Client, key: str) -> None:
    """A condition that holds ends the wait at once, and nothing is watched."""
    client.write(key + "/v", '{"b": 2, "a": 1}')
    for name, condition, value in (
        ("/v", "exists", None),
        ("", "exists", None),
        ("/missing", "absent", None),
        ("/v/below", "absent", None),
        ("/v", "equals", {"a": 1, "b": 2}),
        ("/v", "matches", '"a": [0-9]'),
    ):
        report = wait_for(client, key + name, condition, value=value)
        assert (report["met"], report["changed"], report["action"]) == (True, False, None)
        assert report["waited"] < AT_ONCE


@pytest.mark.parametrize(
    "condition, value, write",
    [
        ("exists", None, lambda c, key: c.write(key, "x")),
        ("exists", None, lambda c, key: c.mkdir(key)),
        ("exists", None, lambda c, key: c.write(key + "/a/b", "x")),
        ("equals", "x", lambda c, key: c.write(key, "x")),
        ("matches", "^x", lambda c, key: c.write(key, "x")),
        ("changed", None, lambda c, key: c.write(key, "x")),
        ("changed", None, lambda c, key: c.write(key + "/a/b", "x")),
    ],
)
def test_a_key_that_comes_to_exist(
    client: Client, key: str, condition: str, value: t.Any, write: t.Callable[..., t.Any]
) -> None:
    """The event ends the wait."""
    waiting = Waiting(client, key, condition, value=value)
    client.write(key + "-other", "x")
    time.sleep(SETTLED)
    assert not waiting.over
    written = write(client, key)
    report = waiting.report(AT_ONCE)
    assert report["exists"]
    assert report["etcd_index"] == written.node.modified_index
    assert report["value"] == (written.node.value if written.node.key == key else None)
    assert report["waited"] >= SETTLED


@pytest.mark.parametrize(
    "remove, action",
    [
        (lambda c, key: c.delete(key + "/d/k"), "delete"),
        (lambda c, key: c.rmdir(key, recursive=True), "delete"),
        (lambda c, key: c.compare_and_delete(key + "/d/k", prev_value="v"), "compareAndDelete"),
        (lambda c, key: c.compare_and_swap(key + "/d/k", "v", prev_exist=True, ttl=1), "expire"),
    ],
)
@pytest.mark.parametrize("condition", ["absent", "changed"])
def test_a_key_that_goes(
    client: Client, key: str, condition: str, remove: t.Callable[..., t.Any], action: str
) -> None:
    """By whatever way: a wait for a change that is its removal, and a wait for its absence."""
    client.write(key + "/d/k", "v")
    if action == "expire" and condition == "changed":
        remove(client, key)
        waiting = Waiting(client, key + "/d/k", condition)
    else:
        waiting = Waiting(client, key + "/d/k", condition)
        remove(client, key)
    report = waiting.report(10)
    assert (report["exists"], report["value"], report["action"]) == (False, None, action)
    assert report["prev_value"] in ("v", None)


def test_other_values_go_on(client: Client, key: str) -> None:
    """Events that do not meet the condition are passed over, and a value that came and went is met."""
    client.write(key, "old")
    waiting = Waiting(client, key, "equals", value="wanted")
    client.write(key, "other")
    client.delete(key)
    time.sleep(SETTLED)
    assert not waiting.over
    client.write(key, "wanted", ttl=100)
    client.write(key, "gone again")
    report = waiting.report(AT_ONCE)
    assert (report["value"], report["ttl"]) == ("wanted", 100)


def test_change_of_the_same_value_and_refresh(client: Client, key: str) -> None:
    """A write of the same value is a change; a TTL that is set anew is none."""
    client.write(key, "v", ttl=50)
    waiting = Waiting(client, key, "changed")
    client.update_ttl(key, 100)
    time.sleep(SETTLED)
    assert not waiting.over
    client.write(key, "v")
    assert waiting.report(AT_ONCE)["action"] == "set"


def test_recursive(client: Client, key: str) -> None:
    """What is below a directory; without recursive its children are none of its business."""
    client.mkdir(key)
    below = Waiting(client, key, "changed", recursive=True)
    alone = Waiting(client, key, "changed")
    client.write(key + "/a/b", "x")
    report = below.report(AT_ONCE)
    assert (report["event_key"], report["event_value"]) == (key + "/a/b", "x")
    assert (report["key"], report["dir"], report["value"]) == (key, True, None)
    time.sleep(SETTLED)
    assert not alone.over
    client.rmdir(key, recursive=True)
    assert alone.report(AT_ONCE)["exists"] is False


def test_a_directory_whose_name_begins_alike(client: Client, key: str) -> None:
    """The server takes the removal of /a for an event of /ab when it looks into the past."""
    client.mkdir(key)
    start = client.write(key + "-b", "v").node.modified_index
    client.rmdir(key)
    waiting = Waiting(client, key + "-b", "changed", since_index=start)
    assert not waiting.over
    client.write(key + "-b", "w")
    assert waiting.report(AT_ONCE)["value"] == "w"


def test_since_index(client: Client, key: str) -> None:
    """The first event after it, from the past; the store's own index waits; a later one is refused."""
    first = client.write(key, "1").node.modified_index
    second = client.write(key, "2").node.modified_index
    client.delete(key)
    report = wait_for(client, key, "changed", since_index=first)
    assert (report["value"], report["etcd_index"]) == ("2", second)
    report = wait_for(client, key, "changed", since_index=report["etcd_index"])
    assert (report["action"], report["exists"]) == ("delete", False)
    with pytest.raises(InVain):
        wait_for(client, key, "changed", since_index=report["etcd_index"], wait_timeout=0.3)
    assert wait_for(client, key, "equals", value="1", since_index=first - 1)["value"] == "1"
    now = report["etcd_index"]
    with pytest.raises(Refusal) as caught:
        wait_for(client, key, "changed", since_index=now + 1000)
    assert "since_index is %d, and the store's index is " % (now + 1000) in str(caught.value)


def test_time_runs_out(single: Cluster, client: Client, key: str) -> None:
    """A failure with what was seen last; total_timeout does not bound the wait."""
    client.write(key, "old", ttl=100)
    impatient = Client(single.endpoints, total_timeout=0.5, timeout=0.5)
    began = time.monotonic()
    with pytest.raises(InVain) as caught:
        wait_for(impatient, key, "equals", value="wanted", wait_timeout=1.5)
    assert 1.5 <= time.monotonic() - began < 1.5 + AT_ONCE
    report = caught.value.report
    assert (report["met"], report["changed"], report["value"]) == (False, False, "old")
    assert report["waited"] >= 1.5
    assert report["ttl"] in range(90, 101)
    assert "wanted" not in str(caught.value)


def test_check_mode(single: Cluster, proxy_to: ProxyTo, client: Client, key: str) -> None:
    """One read, and no watch."""
    client.write(key, "v")
    proxy = proxy_to(single.endpoints[0])
    report = wait_for(Client(proxy.url), key, "absent", apply=False)
    assert (report["met"], report["value"]) == (False, "v")
    assert len(proxy.requests) == 1
    assert wait_for(Client(proxy.url), key, "exists", apply=False)["met"]


def test_a_change_between_the_read_and_the_watch(single: Cluster, client: Client, key: str) -> None:
    """The watch begins where the read ended."""

    def meddle() -> None:
        client.write(key, "wanted")
        client.delete(key)

    meddling = Meddling(single.endpoints, meddle)
    assert wait_for(meddling, key, "equals", value="wanted")["value"] == "wanted"


def test_a_cleared_history(single: Cluster, client: Client, key: str) -> None:
    """The key is read again and compared, and the watch goes on from there."""

    forgotten = threading.Event()

    def forget() -> None:
        for number in range(1001):
            client.write(key + "-fill", number)
        forgotten.set()

    def change_and_forget() -> None:
        client.write(key, "new")
        forget()

    client.write(key, "old")
    report = wait_for(Meddling(single.endpoints, change_and_forget), key, "changed")
    assert (report["value"], report["action"]) == ("new", None)
    report = wait_for(
        Meddling(single.endpoints, lambda: (client.delete(key), forget())), key, "changed"
    )
    assert report["exists"] is False
    forgotten.clear()
    waiting = Waiting(Meddling(single.endpoints, forget), key, "changed")
    assert forgotten.wait(60)
    time.sleep(2 * SETTLED)
    assert not waiting.over
    client.write(key, "again")
    assert waiting.report(AT_ONCE)["action"] == "set"
    forget()
    # The event is forgotten, and the key tells that it was written.
    report = wait_for(client, key, "changed", since_index=report["etcd_index"])
    assert (report["value"], report["action"]) == ("again", None)


def test_empty_answers(single: Cluster, proxy_to: ProxyTo, client: Client, key: str) -> None:
    """They are no event."""
    proxy = proxy_to(single.endpoints[0])
    proxy.set_mode("error_instead", match=is_watch, times=4, status=200, body=b"")
    waiting = Waiting(Client(proxy.url), key, "exists")
    time.sleep(2)
    client.write(key, "x")
    assert waiting.report()["value"] == "x"


def test_a_connection_that_breaks(three: Cluster, proxy_to: ProxyTo, key: str) -> None:
    """The event happens while nobody watches, and is found elsewhere."""
    proxy = proxy_to(three.endpoints[0])
    writer = Client(three.endpoints[2])
    waiting = Waiting(Client([proxy.url, three.endpoints[1]]), key, "equals", value="wanted")
    proxy.set_mode("refuse")
    writer.write(key, "wanted")
    writer.write(key, "gone again")
    report = waiting.report(AT_ONCE)
    assert (report["value"], report["endpoint"]) == ("wanted", three.endpoints[1])


def test_a_member_that_is_killed(own_three: Cluster, key: str) -> None:
    """Another one serves the watch from then on."""
    leader = own_three.leader()
    victim = next(one for one in own_three.members if one is not leader)
    waiting = Waiting(Client([victim.endpoint, leader.endpoint]), key, "exists")
    victim.kill()
    time.sleep(SETTLED)
    assert not waiting.over
    Client(leader.endpoint).write(key, "x")
    report = waiting.report(AT_ONCE)
    assert (report["value"], report["endpoint"]) == ("x", leader.endpoint)


def test_the_only_member_is_killed_and_comes_back(own_single: Cluster, key: str) -> None:
    """As long as there is time, the task waits for it."""
    member = own_single.members[0]
    waiting = Waiting(Client(own_single.endpoints, connect_timeout=0.5), key, "exists")
    member.kill()
    time.sleep(1)
    assert not waiting.over
    member.start()
    member.wait_healthy()
    Client(own_single.endpoints).write(key, "x")
    assert waiting.report()["value"] == "x"


def test_a_proxy_that_holds_the_head_back(
    single: Cluster, proxy_to: ProxyTo, client: Client, key: str
) -> None:
    """The wait ends with wait_timeout, not with timeout; and an event comes through."""
    proxy = proxy_to(single.endpoints[0])
    proxy.set_mode("delay", match=is_watch)
    began = time.monotonic()
    with pytest.raises(InVain):
        wait_for(Client(proxy.url, timeout=30.0), key, "exists", wait_timeout=1.0)
    assert time.monotonic() - began < AT_ONCE
    waiting = Waiting(Client(proxy.url, timeout=1.0), key, "exists")
    time.sleep(1.5)
    client.write(key, "x")
    assert waiting.report()["value"] == "x"


def test_a_busy_store(client: Client, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server forgets events while nothing happens to the key, and then something does."""
    monkeypatch.setattr(_watch, "RENEW", 0.5)
    waiting = Waiting(client, key, "changed", wait_timeout=60.0)
    composer = client.composer()
    for unused in range(2):
        writes = ((number, composer.write(key + "-other", number)) for number in range(1100))
        assert len(list(client.send_all(writes, connections=8))) == 1100
        time.sleep(1.0)
    assert not waiting.over
    client.write(key, "x")
    report = waiting.report()
    assert (report["value"], report["action"]) == ("x", "set")


def test_all_members_stay_away(own_single: Cluster, key: str) -> None:
    """The failure says that nobody answers any more, and what was seen last."""
    Client(own_single.endpoints).write(key, "old")
    waiting = Waiting(Client(own_single.endpoints), key, "absent", wait_timeout=2.0)
    own_single.members[0].kill()
    with pytest.raises(AssertionError) as caught:
        waiting.report()
    assert "InVain" in str(caught.value)
    assert "no endpoint answers any more" in str(caught.value)


@pytest.mark.parametrize("wanted", ["wanted", "gone again"])
def test_a_member_that_is_stopped(
    own_three: Cluster, key: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent watch is opened anew at one that answers, from where it was."""
    monkeypatch.setattr(_watch, "RENEW", 1.0)
    leader = own_three.leader()
    victim = next(one for one in own_three.members if one is not leader)
    waiting = Waiting(Client([victim.endpoint, leader.endpoint]), key, "equals", value=wanted)
    victim.pause()
    writer = Client(leader.endpoint)
    writer.write(key, "wanted")
    writer.write(key, "gone again")
    report = waiting.report(1.0 + AT_ONCE)
    assert (report["value"], report["endpoint"]) == (wanted, leader.endpoint)


@pytest.mark.parametrize("condition", ["exists", "changed"])
def test_a_stop_until_the_end(own_three: Cluster, key: str, condition: str) -> None:
    """The time is over before the silence is noticed; what happened is not missed all the same."""
    leader = own_three.leader()
    victim = next(one for one in own_three.members if one is not leader)
    client = Client([victim.endpoint, leader.endpoint])
    waiting = Waiting(client, key, condition, wait_timeout=2.0)
    victim.pause()
    writer = Client(leader.endpoint)
    writer.write(key, "x")
    if condition == "changed":
        writer.delete(key)
    report = waiting.report(2.0 + AT_ONCE)
    assert report["met"]
    assert report["endpoint"] == leader.endpoint


def test_a_connection_that_stalls(three: Cluster, proxy_to: ProxyTo, key: str) -> None:
    """A watch that is taken and never answered is opened elsewhere."""
    proxy = proxy_to(three.endpoints[0])
    proxy.set_mode("hang", match=is_watch)
    waiting = Waiting(Client([proxy.url, three.endpoints[1]], timeout=1.0), key, "exists")
    Client(three.endpoints[2]).write(key, "x")
    report = waiting.report(1.0 + AT_ONCE)
    assert (report["value"], report["endpoint"]) == ("x", three.endpoints[1])


def test_a_watch_costs_two_requests(
    single: Cluster, proxy_to: ProxyTo, client: Client, key: str
) -> None:
    """A read, a watch, and nothing while it waits."""
    proxy: FaultProxy = proxy_to(single.endpoints[0])
    waiting = Waiting(Client(proxy.url), key, "exists")
    time.sleep(2)
    client.write(key, "x")
    waiting.report(AT_ONCE)
    assert ["wait=true" in one.target for one in proxy.requests] == [False, True]


def test_no_right_to_read(with_auth: Cluster, key: str) -> None:
    """Forbidden is not absent."""
    with pytest.raises(errors.EtcdUnauthorized):
        wait_for(Client(with_auth.endpoints), key, "absent")


def test_without_v2(without_v2: Cluster, key: str) -> None:
    """A server that does not serve v2 is not one on which the key is absent."""
    with pytest.raises(errors.EtcdV2NotServed):
        wait_for(Client(without_v2.endpoints), key, "absent")
