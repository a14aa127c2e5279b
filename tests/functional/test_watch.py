# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Watches: every event, in order, none twice and none left out, whatever breaks meanwhile."""

from __future__ import annotations

import queue
import threading
import time
import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _watch, errors
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from conftest import ProxyTo
from harness import Cluster

#: Seconds until a watch that has been started is surely there.
SETTLED = 0.3


class Background:
    """Runs something that yields or returns results, in a thread."""

    def __init__(self, results: t.Callable[[], t.Iterable[EtcdResult]]) -> None:
        self._found: "queue.Queue[t.Any]" = queue.Queue()
        self._results = results
        threading.Thread(target=self._run, daemon=True).start()
        time.sleep(SETTLED)

    def _run(self) -> None:
        try:
            for result in self._results():
                self._found.put(result)
        except errors.EtcdException as exc:
            self._found.put(exc)

    def next(self, seconds: float = 15.0) -> t.Any:
        """The next result, or the exception that was the end."""
        return self._found.get(timeout=seconds)

    def values(self, count: int) -> t.List[t.Any]:
        """The values of the next results."""
        return [self.next().node.value for unused in range(count)]

    def nothing_more(self) -> bool:
        """Whether nothing else came."""
        return self._found.empty()


def test_blocks_until_the_key_changes(client: Client, key: str) -> None:
    """The present value is no event, and neither is another key's change."""
    client.write(key, "before")
    waiting = Background(lambda: [client.read(key, wait=True)])
    client.write(key + "-other", "x")
    time.sleep(SETTLED)
    assert waiting.nothing_more()
    written = client.write(key, "after")
    event = waiting.next()
    assert (event.action, event.node.value, event.prev_node.value) == ("set", "after", "before")
    assert event.node.modified_index == written.node.modified_index


def test_on_a_key_that_does_not_exist_yet(client: Client, key: str) -> None:
    """Nor does its directory."""
    waiting = Background(lambda: [client.read(key + "/a/b", wait=True)])
    client.write(key + "/a/b", "x")
    assert waiting.next().node.value == "x"


def test_index_from_the_past(client: Client, key: str) -> None:
    """At or after the index, at once."""
    first = client.write(key, "1").node.modified_index
    client.write(key, "2")
    client.delete(key)
    client.write(key, "3", ttl=1000)
    assert client.read(key, wait=True, wait_index=first, timeout=5).node.value == "1"
    second = client.read(key, wait=True, waitIndex=first + 1, timeout=5)
    assert second.node.value == "2"
    events = client.watch(key, index=first, timeout=5)
    found = [next(events) for unused in range(4)]
    assert [event.action for event in found] == ["set", "set", "delete", "set"]
    assert [event.node.value for event in found] == ["1", "2", None, "3"]


def test_index_of_the_future(client: Client, key: str) -> None:
    """Events before it are passed over."""
    now = client.write(key, "0").node.modified_index
    waiting = Background(lambda: [client.read(key, wait=True, wait_index=now + 2)])
    client.write(key, "1")
    client.write(key, "2")
    assert waiting.next().node.value == "2"


def test_every_kind_of_event(client: Client, key: str) -> None:
    """All that can happen to keys below a directory."""
    start = client.mkdir(key).node.modified_index
    client.compare_and_swap(key + "/a", "1", prev_exist=False)
    client.compare_and_swap(key + "/a", "2", prev_value="1")
    client.compare_and_swap(key + "/a", "3", prev_exist=True)
    client.compare_and_delete(key + "/a", prev_value="3")
    client.create_in_order(key, "job")
    client.write(key + "/short", "x", ttl=1)
    events = client.watch(key, index=start + 1, recursive=True, timeout=5)
    actions = [next(events).action for unused in range(7)]
    assert actions == [
        "create",
        "compareAndSwap",
        "update",
        "compareAndDelete",
        "create",
        "set",
        "expire",
    ]
    client.rmdir(key, recursive=True)
    gone = next(events)
    assert (gone.action, gone.node.key, gone.node.dir) == ("delete", key, True)


def test_hidden_keys(client: Client, key: str) -> None:
    """They make no event for who watches from outside, but are found in the past (observed)."""
    start = client.mkdir(key).node.modified_index
    waiting = Background(lambda: client.watch(key, recursive=True))
    client.write(key + "/_hidden", "x")
    time.sleep(SETTLED)
    assert waiting.nothing_more()
    client.write(key + "/shown", "y")
    assert waiting.next().node.key == key + "/shown"
    events = client.watch(key, index=start + 1, recursive=True, timeout=5)
    assert [next(events).node.key for unused in range(2)] == [key + "/_hidden", key + "/shown"]


def test_refresh_is_silent(client: Client, key: str) -> None:
    """It wakes no watcher, and is not found in the past either."""
    start = client.write(key, "x").node.modified_index
    waiting = Background(lambda: client.watch(key, index=start + 1))
    client.update_ttl(key, 100)
    time.sleep(SETTLED)
    assert waiting.nothing_more()
    client.write(key, "y")
    assert waiting.next().node.value == "y"


def test_timeout(client: Client, key: str) -> None:
    """EtcdWatchTimeout, with the index from which a new watch misses nothing."""
    client.write(key, "x")
    started = time.monotonic()
    with pytest.raises(errors.EtcdWatchTimeout) as caught:
        client.read(key, wait=True, timeout=0.5)
    assert 0.4 < time.monotonic() - started < 3.0
    client.write(key, "while nobody watched")
    index = caught.value.index
    assert index is not None
    event = client.read(key, wait=True, wait_index=index + 1, timeout=5)
    assert event.node.value == "while nobody watched"
    with pytest.raises(errors.EtcdWatchTimeout):
        for unused in client.watch(key, timeout=0.3):
            pass


def test_killed_member(own_three: Cluster, key: str) -> None:
    """Thirty events while the member that serves the watch is killed and comes back."""
    leader = own_three.leader()
    victim = next(one for one in own_three.members if one is not leader)
    rest = [one.endpoint for one in own_three.members if one is not victim]
    writer = Client(leader.endpoint)
    watching = Background(lambda: Client([victim.endpoint, *rest]).watch(key))
    for number in range(30):
        if number == 10:
            victim.kill()
        if number == 20:
            victim.start()
        writer.write(key, number)
    assert watching.values(30) == [str(number) for number in range(30)]
    time.sleep(SETTLED)
    assert watching.nothing_more()


def test_connections_that_break(three: Cluster, proxy_to: ProxyTo, key: str) -> None:
    """The connection of the watch is cut again and again."""
    proxy = proxy_to(three.endpoints[0])
    writer = Client(three.endpoints[1])
    watching = Background(lambda: Client([proxy.url, three.endpoints[2]]).watch(key))
    for number in range(12):
        if number % 3 == 0:
            proxy.set_mode("refuse")
            proxy.set_mode("pass")
        if number % 3 == 1:
            time.sleep(0.05)
        writer.write(key, number)
    assert watching.values(12) == [str(number) for number in range(12)]
    time.sleep(SETTLED)
    assert watching.nothing_more()


def test_event_while_the_connection_was_down(three: Cluster, proxy_to: ProxyTo, key: str) -> None:
    """A watch from "now on" that breaks goes on from the index at which it began, elsewhere."""
    proxy = proxy_to(three.endpoints[0])
    follower = Client([proxy.url, three.endpoints[1]])
    waiting = Background(lambda: [follower.read(key, wait=True)])
    proxy.set_mode("refuse")
    Client(three.endpoints[2]).write(key, "x")
    event = waiting.next()
    assert event.node.value == "x"
    assert event.endpoint == three.endpoints[1]


def test_cut_in_the_middle_of_an_event(
    single: Cluster, proxy_to: ProxyTo, client: Client, key: str
) -> None:
    """Half an event is none; it is asked for again."""
    proxy = proxy_to(single.endpoints[0])
    proxy.set_mode("truncate", match="GET", times=1)
    start = client.write(key, "x" * 100).node.modified_index
    events = Client(proxy.url).watch(key, index=start, timeout=5)
    assert next(events).node.value == "x" * 100
    assert len(proxy.requests) == 2


def test_member_that_is_stopped_in_the_middle(
    own_three: Cluster, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch is renewed from time to time, so a silent connection does not hold it for ever."""
    monkeypatch.setattr(_watch, "RENEW", 0.5)
    leader = own_three.leader()
    victim = next(one for one in own_three.members if one is not leader)
    watcher = Client([victim.endpoint, leader.endpoint], timeout=1.0)
    watching = Background(lambda: watcher.watch(key))
    victim.pause()
    writer = Client(leader.endpoint)
    for number in range(3):
        writer.write(key, number)
    assert watching.values(3) == ["0", "1", "2"]


def test_renewal_goes_unnoticed(
    single: Cluster, proxy_to: ProxyTo, client: Client, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is missed while it happens."""
    monkeypatch.setattr(_watch, "RENEW", 0.1)
    proxy = proxy_to(single.endpoints[0])
    watching = Background(lambda: Client(proxy.url).watch(key))
    for number in range(10):
        client.write(key, number)
        time.sleep(0.05)
    assert watching.values(10) == [str(number) for number in range(10)]
    time.sleep(SETTLED)
    assert len(proxy.requests) > 12


@pytest.fixture
def long_ago(client: Client, key: str) -> int:
    """An index that the server has forgotten."""
    index = client.write(key, "long ago").node.modified_index
    for number in range(1001):
        client.write(key + "-fill", number)
    return int(index)


def test_cleared_history(client: Client, key: str, long_ago: int) -> None:
    """A watch reads the present state instead and goes on; a single wait says so."""
    client.write(key, "present")
    events = client.watch(key, index=long_ago + 1, timeout=5)
    state = next(events)
    assert (state.action, state.node.value) == ("get", "present")
    client.write(key, "next")
    assert next(events).node.value == "next"
    with pytest.raises(errors.EtcdEventIndexCleared) as caught:
        client.read(key, wait=True, wait_index=long_ago + 1, timeout=5)
    assert (caught.value.code, caught.value.http_status) == (401, 400)
    client.delete(key)
    events = client.watch(key, index=long_ago + 1, timeout=5)
    state = next(events)
    assert (state.action, state.node) == ("delete", None)
    client.write(key, "again")
    assert next(events).node.value == "again"


def _write_elsewhere(client: Client, key: str, count: int) -> None:
    """So many events that the server forgets those before."""
    composer = client.composer()
    writes = ((number, composer.write(key + "-elsewhere", number)) for number in range(count))
    assert len(list(client.send_all(writes, connections=8))) == count


def test_busy_store(client: Client, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two openings of the watch the server forgets more than it remembers."""
    monkeypatch.setattr(_watch, "RENEW", 0.5)
    client.write(key, "before")
    watching = Background(lambda: client.watch(key))
    waiting = Background(lambda: [client.read(key, wait=True)])
    below = Background(lambda: client.watch(key + "-dir", recursive=True))
    for unused in range(3):
        _write_elsewhere(client, key, 1100)
        time.sleep(1.0)
    assert watching.nothing_more() and waiting.nothing_more() and below.nothing_more()
    client.write(key, "after")
    client.write(key + "-dir/a", "x")
    assert watching.next().node.value == waiting.next().node.value == "after"
    assert below.next().node.value == "x"
    time.sleep(SETTLED)
    assert watching.nothing_more() and below.nothing_more()


def test_the_only_member_restarts(own_single: Cluster, key: str) -> None:
    """The watch and the single wait go on, with what was written after."""
    client = Client(own_single.endpoints)
    client.write(key, "before")
    watching = Background(lambda: client.watch(key))
    waiting = Background(lambda: [Client(own_single.endpoints).read(key, wait=True)])
    member = own_single.members[0]
    member.kill()
    time.sleep(1.0)
    member.start()
    member.wait_healthy()
    client.write(key, "1")
    client.write(key, "2")
    assert watching.values(2) == ["1", "2"]
    assert waiting.next().node.value == "1"


def test_proxy_that_holds_the_head_back(
    single: Cluster, proxy_to: ProxyTo, client: Client, key: str
) -> None:
    """It hands on nothing until the answer is whole, which is when there is an event."""
    client.write(key, "before")
    proxy = proxy_to(single.endpoints[0])
    proxy.set_mode("delay", match=lambda method, target: "wait=true" in target)
    behind = Client(proxy.url, timeout=1.0)
    started = time.monotonic()
    with pytest.raises(errors.EtcdWatchTimeout):
        Client(proxy.url).read(key, wait=True, timeout=1.5)
    assert time.monotonic() - started < 6.0
    watching = Background(lambda: behind.watch(key))
    time.sleep(2.0)
    for number in range(3):
        client.write(key, number)
    assert watching.values(3) == ["0", "1", "2"]


def test_all_down(own_single: Cluster, key: str) -> None:
    """A watch ends with an error when no endpoint answers for as long as an operation may take."""
    watching = Background(lambda: Client(own_single.endpoints, total_timeout=2.0).watch(key))
    own_single.members[0].kill()
    exc = watching.next()
    assert isinstance(exc, errors.EtcdUnreachable)
    assert exc.index is not None
