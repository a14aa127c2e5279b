# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils.client import (
    Client,
    Member,
    Permissions,
    Role,
    User,
)
from ansible_collections.quorum.etcd.plugins.module_utils._types import Failure
from ansible_collections.quorum.etcd.tests.unit.fakes.network import (
    BLACK_HOLE,
    FOR_EVER,
    MISSING,
    NO_QUORUM,
    REFUSED,
    RESET,
    SILENT,
    FakeClock,
    FakeExchange,
    FakeHttp,
    Reply,
    error_reply,
    node_reply,
)


class World:
    """A client whose one endpoint, a, gives these replies."""

    def __init__(self, *replies, **options):
        self.clock = FakeClock()
        self.http = FakeHttp(self.clock, {"a": list(replies)})
        self.client = Client(
            "a", http=self.http, clock=self.clock, sleep=self.clock.sleep, **options
        )

    @property
    def sent(self):
        """Each request as one text: method, target, and the body if there is one."""
        return [
            " ".join([one.method, one.target] + ([one.body.decode()] if one.body else []))
            for one in self.http.sent
        ]


ANY = Reply(
    200,
    {
        "action": "any",
        "node": {"key": "/k", "modifiedIndex": 7},
        "etcdserver": "3.5.1",
        "etcdcluster": "3.5.0",
    },
)

REQUESTS = [
    (lambda c: c.read("/k"), "GET /v2/keys/k"),
    (lambda c: c.read("k"), "GET /v2/keys/k"),
    (lambda c: c.read("/"), "GET /v2/keys/"),
    (
        lambda c: c.read("/k", recursive=True, sorted=True, quorum=True),
        "GET /v2/keys/k/?recursive=true&sorted=true&quorum=true",
    ),
    (lambda c: c.read("/k", wait=True), "GET /v2/keys/k?wait=true"),
    (
        lambda c: c.read("/k", wait=True, wait_index=5, recursive=True),
        "GET /v2/keys/k/?recursive=true&waitIndex=5&wait=true",
    ),
    (lambda c: c.read("/k", wait=True, waitIndex=5), "GET /v2/keys/k?waitIndex=5&wait=true"),
    (lambda c: c.write("/k", "v"), "PUT /v2/keys/k value=v"),
    (lambda c: c.write("/k", ""), "PUT /v2/keys/k value="),
    (lambda c: c.write("/k", 42, ttl=60), "PUT /v2/keys/k value=42&ttl=60"),
    (lambda c: c.write("/k", "v", 60), "PUT /v2/keys/k value=v&ttl=60"),
    (lambda c: c.create_in_order("/q", "v", ttl=5), "POST /v2/keys/q value=v&ttl=5"),
    (lambda c: c.delete("/k"), "DELETE /v2/keys/k"),
    (lambda c: c.mkdir("/d"), "PUT /v2/keys/d dir=true&prevExist=false"),
    (lambda c: c.mkdir("/d", ttl=5), "PUT /v2/keys/d dir=true&prevExist=false&ttl=5"),
    (lambda c: c.rmdir("/d"), "DELETE /v2/keys/d?dir=true"),
    (lambda c: c.rmdir("/d", recursive=True), "DELETE /v2/keys/d/?dir=true&recursive=true"),
    (
        lambda c: c.update_ttl("/k", 60),
        "PUT /v2/keys/k ttl=60&refresh=true&prevExist=true",
    ),
    (
        lambda c: c.update_ttl("/k", 60, prev_index=5),
        "PUT /v2/keys/k ttl=60&refresh=true&prevExist=true&prevIndex=5",
    ),
    (lambda c: c.update_dir_ttl("/d", 60), "PUT /v2/keys/d dir=true&prevExist=true&ttl=60"),
    (lambda c: c.update_dir_ttl("/d", None), "PUT /v2/keys/d dir=true&prevExist=true"),
    (
        lambda c: c.compare_and_swap("/k", "v", "old", 5, True, 60),
        "PUT /v2/keys/k prevValue=old&prevIndex=5&prevExist=true&value=v&ttl=60",
    ),
    (
        lambda c: c.compare_and_swap("/k", "v", prev_exist=False),
        "PUT /v2/keys/k prevExist=false&value=v",
    ),
    (
        lambda c: c.compare_and_swap("/k", "", prev_index=5),
        "PUT /v2/keys/k prevIndex=5&value=",
    ),
    (
        lambda c: c.compare_and_delete("/k", "a b", 5),
        "DELETE /v2/keys/k?prevValue=a+b&prevIndex=5",
    ),
    (lambda c: c.compare_and_delete("/k", prev_index=5), "DELETE /v2/keys/k?prevIndex=5"),
    (
        lambda c: c.add_member("http://x:2380"),
        'POST /v2/members {"peerURLs": ["http://x:2380"]}',
    ),
    (
        lambda c: c.update_member("a1", ["http://x:1", "http://y:2"]),
        'PUT /v2/members/a1 {"peerURLs": ["http://x:1", "http://y:2"]}',
    ),
    (lambda c: c.remove_member("a1"), "DELETE /v2/members/a1"),
    (lambda c: c.leader(), "GET /v2/members/leader"),
    (lambda c: c.members(), "GET /v2/members"),
    (lambda c: c.version(), "GET /version"),
    (lambda c: c.version_server(), "GET /version"),
    (lambda c: c.version_cluster(), "GET /version"),
    (lambda c: c.health, "GET /health"),
    (lambda c: c.health_of("http://a:2379"), "GET /health"),
    (lambda c: c.stats_self(), "GET /v2/stats/self"),
    (lambda c: c.stats_leader(), "GET /v2/stats/leader"),
    (lambda c: c.stats_store(), "GET /v2/stats/store"),
    (lambda c: c.user("u v"), "GET /v2/auth/users/u%20v"),
    (lambda c: c.delete_user("u"), "DELETE /v2/auth/users/u"),
    (lambda c: c.roles(), "GET /v2/auth/roles"),
    (lambda c: c.role("r"), "GET /v2/auth/roles/r"),
    (lambda c: c.create_role("r"), 'PUT /v2/auth/roles/r {"role": "r"}'),
    (
        lambda c: c.create_role("r", Permissions(read=("/a*",))),
        'PUT /v2/auth/roles/r {"role": "r", "permissions": {"kv": {"read": ["/a*"], "write": []}}}',
    ),
    (
        lambda c: c.update_role("r", grant=Permissions(write=("/a",))),
        'PUT /v2/auth/roles/r {"role": "r", "grant": {"kv": {"read": [], "write": ["/a"]}}}',
    ),
    (lambda c: c.delete_role("r"), "DELETE /v2/auth/roles/r"),
    (lambda c: c.auth_enabled(), "GET /v2/auth/enable"),
    (lambda c: c.enable_auth(), "PUT /v2/auth/enable"),
    (lambda c: c.disable_auth(), "DELETE /v2/auth/enable"),
]


@pytest.mark.parametrize("call, sent", REQUESTS, ids=[sent for unused, sent in REQUESTS])
def test_what_an_operation_sends(call, sent):
    world = World(ANY)
    call(world.client)
    assert world.sent == [sent]


@pytest.mark.parametrize("prefix", ["v2", "/v2/", "other"])
def test_the_prefix_can_be_another(prefix):
    world = World(ANY, version_prefix=prefix)
    world.client.read("/k")
    assert world.sent == ["GET /%s/keys/k" % prefix.strip("/")]


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "/",
        "v2\r\nX: y",
        "v2 ",
        "v2\0",
        "v2?x=y",
        "v2#x",
        "a//b",
        "../v2",
        ".",
        "%2e",
        "\u00fc",
        2,
        None,
    ],
)
def test_a_prefix_that_is_no_path_is_refused_before_anything_is_sent(prefix):
    with pytest.raises(errors.ClientException, match="version_prefix is the first segment"):
        Client("a", version_prefix=prefix)


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.read("/a//b"),
        lambda c: c.read("/k", wait_index=5),
        lambda c: c.read("/k", waitIndex=5),
        lambda c: c.read("/k", timeout=5),
        lambda c: c.read("/k", wait=True, quorum=True),
        lambda c: c.read("/k", wait=True, sorted=True),
        lambda c: c.read("/k", wait=True, wait_index=0),
        lambda c: c.write("/k", None),
        lambda c: c.write("/k", "v", ttl=0),
        lambda c: c.write("/k", "v", ttl=True),
        lambda c: c.compare_and_swap("/k", "v"),
        lambda c: c.compare_and_swap("/k", "v", prev_value=""),
        lambda c: c.compare_and_swap("/k", "v", prev_index=0),
        lambda c: c.compare_and_swap("/k", "v", prev_value="x", prev_exist=False),
        lambda c: c.compare_and_swap("/k", "v", prev_index=5, prev_exist=False),
        lambda c: c.compare_and_delete("/k"),
        lambda c: c.compare_and_delete("/k", prev_value=""),
        lambda c: c.compare_and_delete("/k", prev_index=-1),
        lambda c: c.update_ttl("/k", 0),
        lambda c: c.update_ttl("/k", None),
        lambda c: c.update_dir_ttl("/d", 0),
        lambda c: c.add_member([]),
        lambda c: c.add_member(""),
        lambda c: c.remove_member(""),
        lambda c: c.remove_member("a/b"),
        lambda c: c.user("a/b"),
        lambda c: c.update_user("u", password=""),
        lambda c: c.health_of("ftp://a"),
    ],
)
def test_what_is_refused_before_anything_is_sent(call):
    world = World(ANY)
    with pytest.raises(errors.ClientException):
        call(world.client)
    assert world.sent == []


@pytest.mark.parametrize(
    "arguments, says",
    [
        ({"host": "a", "srv_domain": "d"}, "leave out one of the two"),
        ({"srv_name": "x"}, "srv_name needs srv_domain"),
        ({"client_cert": "/c"}, "belong together"),
        ({"password": "p"}, "a password needs a username"),
        ({"username": "a:b"}, "cannot hold a colon"),
        ({"protocol": "ftp"}, "protocol is http or https"),
        ({"host": []}, "there is no endpoint"),
        ({"timeout": 0}, "timeout is a number of seconds above 0"),
        ({"timeout": "1"}, "timeout is a number of seconds above 0"),
        ({"hedge_delay": True}, "hedge_delay is a number of seconds above 0"),
    ],
)
def test_a_wrong_argument_of_the_client(arguments, says):
    with pytest.raises(errors.ClientException) as caught:
        Client(**arguments)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "arguments, urls",
    [
        ({}, ("http://127.0.0.1:2379",)),
        ({"host": "a"}, ("http://a:2379",)),
        ({"host": ["a", ("b", 4001)]}, ("http://a:2379", "http://b:4001")),
        ({"host": "a", "port": 1, "protocol": "https"}, ("https://a:1",)),
        ({"host": ["a", "b"], "allow_reconnect": False}, ("http://a:2379",)),
    ],
)
def test_the_endpoints_of_a_client(arguments, urls):
    assert Client(**arguments).endpoints() == urls


# -- answers


def test_versions():
    reply = Reply(200, {"etcdserver": "3.5.1", "etcdcluster": "3.5.0"})
    client = World(reply).client
    assert (client.version(), client.version_server(), client.version_cluster()) == (
        "3.5.1",
        "3.5.1",
        "3.5.0",
    )


@pytest.mark.parametrize(
    "reply, healthy",
    [
        (Reply(200, {"health": "true"}), True),
        (Reply(200, {"health": "true", "reason": ""}), True),
        (Reply(503, {"health": "false", "reason": "RAFT NO LEADER"}), False),
        (REFUSED, False),
        (Reply(200, {}), False),
    ],
)
def test_health_is_never_an_error(reply, healthy):
    assert World(reply).client.health is healthy


def test_the_health_of_one_endpoint():
    client = World(Reply(503, {"health": "false", "reason": "RAFT NO LEADER"})).client
    result = client.health_of("a")
    assert (result.health, result.body["reason"]) == (False, "RAFT NO LEADER")
    with pytest.raises(errors.EtcdUnreachable):
        World(REFUSED).client.health_of("a")


def test_members():
    raw = {"id": "a1", "name": "n", "peerURLs": ["http://x:2380"], "clientURLs": ["http://x:2379"]}
    new = {"id": "b2", "name": "", "peerURLs": ["http://y:2380"], "clientURLs": []}
    members = World(Reply(200, {"members": [raw, new]})).client.members()
    assert members == (
        Member("a1", "n", ("http://x:2380",), ("http://x:2379",)),
        Member("b2", "", ("http://y:2380",), ()),
    )


def test_users_and_roles_of_servers_old_and_new():
    new = {"user": "u", "roles": [{"role": "r", "permissions": {}}]}
    assert World(Reply(200, new)).client.user("u") == User("u", ("r",))
    old = {"user": "u", "roles": ["r"]}
    assert World(Reply(200, old)).client.user("u") == User("u", ("r",))
    assert World(Reply(200, {"users": None})).client.users() == ()
    assert World(Reply(200, {"users": [{"user": "a"}, "b"]})).client.users() == ("a", "b")
    role = {"role": "r", "permissions": {"kv": {"read": ["/a"], "write": None}}}
    assert World(Reply(200, role)).client.role("r") == Role("r", Permissions(("/a",), ()))


def test_a_user_that_exists_is_not_created_again():
    world = World(Reply(200, {"users": [{"user": "u"}]}))
    with pytest.raises(errors.EtcdAuthConflict):
        world.client.create_user("u", "p")
    assert world.sent == ["GET /v2/auth/users"]


def test_a_user_that_does_not_exist_is_not_created_by_an_update():
    world = World(Reply(200, {"users": None}))
    with pytest.raises(errors.EtcdAuthNotFound):
        world.client.update_user("u", password="p")
    assert world.sent == ["GET /v2/auth/users"]


WITHOUT_V2 = Reply(404, b"404 page not found\n")
LEADS = Reply(200, {"leader": "d"})


def test_the_leaders_statistics_are_asked_of_every_endpoint():
    clock = FakeClock()
    follower = Reply(403, {"message": "not current leader"})
    http = FakeHttp(clock, {"a": [follower], "b": [REFUSED], "c": [WITHOUT_V2], "d": [LEADS]})
    client = Client(["a", "b", "c", "d"], http=http, clock=clock, sleep=clock.sleep)
    assert client.stats_leader().leader == "d"
    assert http.hosts == ["a", "b", "c", "d"]


def test_followers_say_more_than_silent_endpoints():
    clock = FakeClock()
    follower = Reply(403, {"message": "not current leader"})
    http = FakeHttp(clock, {"a": [REFUSED], "b": [follower], "c": [REFUSED]})
    client = Client(["a", "b", "c"], http=http, clock=clock, sleep=clock.sleep)
    with pytest.raises(errors.EtcdNotLeader):
        client.stats_leader()


# -- watches


def event(index, action="set"):
    return Reply(
        200,
        {"action": action, "node": {"key": "/k", "value": "v%d" % index, "modifiedIndex": index}},
        {"X-Etcd-Index": "9"},
    )


def quiet(index=40):
    """A watch that ends without an event after its 60 seconds."""
    return Reply(200, b"", {"X-Etcd-Index": str(index)}, after=5.0)


CLEARED = error_reply(400, 401, "The event in requested index is outdated and cleared", "[5/1]")


def test_a_watch_that_ends_without_an_event_goes_on_after_its_index():
    world = World(quiet(40), quiet(41), event(42))
    assert world.client.read("/k", wait=True).node.value == "v42"
    assert world.sent == [
        "GET /v2/keys/k?wait=true",
        "GET /v2/keys/k?waitIndex=41&wait=true",
        "GET /v2/keys/k?waitIndex=41&wait=true",
    ]


def test_a_watch_with_a_timeout_ends():
    world = World(quiet(40))
    with pytest.raises(errors.EtcdWatchTimeout) as caught:
        world.client.read("/k", wait=True, timeout=12)
    assert caught.value.index == 40
    assert "no event on /k in 12 seconds" in caught.value.message
    assert [round(one.read_timeout, 3) for one in world.http.sent] == [12, 7, 2]


#: A watch that is open for as long as it may be silent; the store's index at its opening was 40.
OPEN = Reply(failure=Failure.TIMEOUT, reason="no answer in time", after=FOR_EVER, index=40)


def test_a_watch_that_is_silent_is_renewed_after_a_read_from_the_same_index_on():
    """The read finds an endpoint that answers; the connection of the watch may be stuck."""
    world = World(OPEN, node_reply(), OPEN, node_reply(), event(50))
    assert world.client.read("/k", wait=True).node.value == "v50"
    assert world.sent == [
        "GET /v2/keys/k?wait=true",
        "GET /v2/keys/k?quorum=true",
        "GET /v2/keys/k?waitIndex=41&wait=true",
        "GET /v2/keys/k?quorum=true",
        "GET /v2/keys/k?waitIndex=41&wait=true",
    ]
    assert [one.read_timeout for one in world.http.sent[::2]] == [15.0] * 3


def test_a_watch_outlives_reads_that_find_no_quorum():
    world = World(OPEN, NO_QUORUM, NO_QUORUM, event(50))
    assert world.client.read("/k", wait=True).node.value == "v50"


def test_in_a_busy_store_a_watch_goes_on_where_its_last_opening_was():
    world = World(event(7), OPEN, node_reply(), CLEARED, event(50))
    events = world.client.watch("/k")
    assert [next(events).node.value for unused in range(2)] == ["v7", "v50"]
    assert world.sent[-2:] == [
        "GET /v2/keys/k?waitIndex=8&wait=true",
        "GET /v2/keys/k?waitIndex=41&wait=true",
    ]


#: The key as it was before index 8, and written since; refreshed; and gone.
UNTOUCHED = node_reply(modifiedIndex=7)
WRITTEN = node_reply(value="new", modifiedIndex=45)
REFRESHED = node_reply(modifiedIndex=45, createdIndex=5, ttl=100)


@pytest.mark.parametrize("wait", ["watch", "read"])
@pytest.mark.parametrize("state", [UNTOUCHED, REFRESHED])
def test_where_events_of_others_are_forgotten_nothing_has_happened(wait, state):
    """Neither an event that never was, nor an error."""
    if wait == "watch":
        world = World(event(7), OPEN, state, CLEARED, CLEARED, state, event(50))
        events = world.client.watch("/k")
        assert [next(events).node.value for unused in range(2)] == ["v7", "v50"]
    else:
        world = World(OPEN, state, CLEARED, state, event(50))
        assert world.client.read("/k", wait=True).node.value == "v50"
    # It goes on right after the read that has shown it.
    assert world.sent[-1] == "GET /v2/keys/k?waitIndex=10&wait=true"


@pytest.mark.parametrize(
    "state, action, value", [(WRITTEN, "get", "new"), (MISSING, "delete", None)]
)
def test_where_an_event_of_the_key_is_forgotten_its_state_is_told(state, action, value):
    world = World(event(7), OPEN, UNTOUCHED, CLEARED, CLEARED, state, event(50))
    events = world.client.watch("/k")
    next(events)
    told = next(events)
    assert (told.action, told.node.value if told.node else None) == (action, value)
    assert next(events).node.value == "v50"
    world = World(OPEN, UNTOUCHED, CLEARED, state)
    with pytest.raises(errors.EtcdEventIndexCleared):
        world.client.read("/k", wait=True)


def test_a_second_gap_is_compared_with_what_the_first_one_showed():
    gap = [OPEN, UNTOUCHED, CLEARED, CLEARED]
    world = World(event(7), *gap, UNTOUCHED, *gap, MISSING)
    events = world.client.watch("/k", recursive=True)
    next(events)
    assert next(events).action == "delete"


@pytest.mark.parametrize("trouble", [REFUSED, RESET, BLACK_HOLE])
def test_a_watch_survives_endpoints_that_are_away(trouble):
    world = World(event(7), *[trouble] * 4, event(9))
    events = world.client.watch("/k")
    assert [next(events).node.value for unused in range(2)] == ["v7", "v9"]
    assert set(world.sent[1:]) == {"GET /v2/keys/k?waitIndex=8&wait=true"}


def test_a_watch_whose_endpoints_stay_away_tells_where_to_go_on():
    world = World(event(7), REFUSED, total_timeout=5.0)
    events = world.client.watch("/k")
    next(events)
    began = world.clock.now
    with pytest.raises(errors.EtcdUnreachable) as caught:
        next(events)
    assert caught.value.index == 7
    assert 4.5 < world.clock.now - began <= 5.0


def test_a_wait_ends_in_time_where_the_head_of_the_answer_is_held_back():
    """As by a proxy that hands on nothing until there is an event."""
    world = World(SILENT)
    began = world.clock.now
    with pytest.raises(errors.EtcdWatchTimeout):
        world.client.read("/k", wait=True, wait_index=5, timeout=2.0)
    assert world.clock.now - began == pytest.approx(2.0)


def test_a_watch_goes_on_where_the_head_of_the_answer_is_held_back():
    world = World(SILENT, node_reply(), SILENT, node_reply(), event(50))
    assert world.client.read("/k", wait=True).node.value == "v50"
    assert world.sent[-1] == "GET /v2/keys/k?waitIndex=10&wait=true"


def test_a_watch_that_ends_at_once_each_time_is_not_reopened_in_a_tight_loop():
    at_once = Reply(200, b"", {"X-Etcd-Index": "40"})
    world = World(at_once)
    with pytest.raises(errors.EtcdWatchTimeout):
        world.client.read("/k", wait=True, timeout=1)
    assert len(world.http.sent) <= 7


def test_watch_yields_every_event_once():
    world = World(event(7), event(9), event(12))
    events = world.client.watch("/k")
    assert [next(events).node.value for unused in range(3)] == ["v7", "v9", "v12"]
    assert world.sent == [
        "GET /v2/keys/k?wait=true",
        "GET /v2/keys/k?waitIndex=8&wait=true",
        "GET /v2/keys/k?waitIndex=10&wait=true",
    ]


def test_watch_survives_a_history_that_was_cleared():
    world = World(CLEARED, node_reply(value="now"), event(12))
    events = world.client.watch("/k", index=1)
    first, second = next(events), next(events)
    assert (first.action, first.node.value) == ("get", "now")
    assert second.node.value == "v12"
    assert world.sent[1:] == [
        "GET /v2/keys/k?quorum=true",
        "GET /v2/keys/k?waitIndex=10&wait=true",
    ]


def test_watch_tells_of_a_key_that_went_unseen():
    world = World(CLEARED, MISSING, event(12))
    first = next(world.client.watch("/k", index=1))
    assert (first.action, first.node, first.x_etcd_index) == ("delete", None, 9)


def test_a_read_of_a_history_that_was_cleared_is_an_error():
    with pytest.raises(errors.EtcdEventIndexCleared):
        World(CLEARED).client.read("/k", wait=True, wait_index=1)


# -- every endpoint asked itself


class Hosts:
    """Implements `_transport.ExchangesRequests`: a reply for each host and path, or each host."""

    def __init__(self, clock, replies):
        self._clock = clock
        self._replies = replies
        self.asked = []

    def exchange(self, endpoint, request, patience):
        self.asked.append((endpoint.host, request.target, request.anonymous))
        found = self._replies[endpoint.host]
        reply = found if isinstance(found, Reply) else found.get(request.target, NOT_FOUND)
        return FakeExchange(self._clock, reply, endpoint, patience).finish()

    def begin(self, endpoint, request, patience):
        return None


class SequentialRace:
    """Runs each call when it is started."""

    def __init__(self):
        self._returned = []

    def start(self, call):
        self._returned.append(call())

    def next(self, seconds):
        return self._returned.pop(0) if self._returned else None


NOT_FOUND = Reply(404, b"404 page not found\n")
HEAD = {
    "X-Etcd-Index": "9",
    "X-Raft-Index": "11",
    "X-Raft-Term": "2",
    "X-Etcd-Cluster-Id": "cdf8",
}


def survey(**replies):
    clock = FakeClock()
    client = Client(sorted(replies), http=Hosts(clock, replies), clock=clock, sleep=clock.sleep)
    client._transport._new_race = SequentialRace
    return client.survey()


def test_a_survey_of_a_member():
    (found,) = survey(
        a={
            "/version": Reply(200, {"etcdserver": "3.5.1", "etcdcluster": "3.5.0"}),
            "/health": Reply(200, {"health": "true"}),
            "/v2/stats/self": Reply(200, {"id": "a1", "name": "etcd1"}),
            "/v2/members": Reply(200, {"members": [{"id": "a1"}]}, HEAD),
            "/v2/members/leader": Reply(200, {"id": "a1"}, HEAD),
            "/v2/keys/": Reply(200, {"action": "get", "node": {"dir": True}}, HEAD),
            "/v2/auth/enable": Reply(200, {"enabled": False}),
        }
    )
    assert (found.endpoint, found.reachable, found.reason) == ("http://a:2379", True, None)
    assert (found.version, found.cluster_version, found.healthy) == ("3.5.1", "3.5.0", True)
    assert (found.v2_served, found.is_leader, found.auth_enabled) == (True, True, False)
    assert (found.etcd_index, found.raft_index, found.raft_term) == (9, 11, 2)
    assert (found.cluster_id, found.member_id, found.name) == ("cdf8", "a1", "etcd1")


def test_a_survey_of_an_endpoint_that_does_not_answer():
    (found,) = survey(a=REFUSED)
    assert (found.reachable, found.reason) == (False, "connection refused")
    assert (found.version, found.healthy, found.v2_served) == (None, None, None)


def test_a_survey_of_a_server_without_the_v2_api():
    unhealthy = {"health": "false", "reason": "RAFT NO LEADER"}
    (found,) = survey(
        a={
            "/version": Reply(200, {"etcdserver": "3.6.0", "etcdcluster": "3.6.0"}),
            "/health": Reply(503, unhealthy),
        }
    )
    assert (found.reachable, found.healthy, found.reason) == (True, False, "RAFT NO LEADER")
    assert (found.v2_served, found.version, found.is_leader) == (False, "3.6.0", None)


def test_a_survey_has_the_order_of_the_endpoints():
    assert [one.endpoint for one in survey(a=REFUSED, b=NOT_FOUND, c=REFUSED)] == [
        "http://a:2379",
        "http://b:2379",
        "http://c:2379",
    ]


def member_reply(member_id, **health):
    """What the endpoint of a member answers."""
    return {
        "/v2/stats/self": Reply(200, {"id": member_id, "name": member_id}),
        "/health": Reply(200, health or {"health": "true"}),
    }


class Members:
    """A client, and what its `survey_members` finds out of members with these client URLs."""

    def __init__(self, endpoints, replies, **client_urls):
        clock = FakeClock()
        self.http = Hosts(clock, replies)
        client = Client(endpoints, http=self.http, clock=clock, sleep=clock.sleep)
        client._transport._new_race = SequentialRace
        members = [Member(name, name, (), tuple(urls)) for name, urls in client_urls.items()]
        self.found = client.survey_members(members)

    @property
    def healthy(self):
        return {name: one.healthy for name, one in self.found.items()}


def test_members_are_asked_at_the_endpoints_first_and_then_where_they_advertise():
    world = Members(
        ["vip"],
        {"vip": member_reply("m1"), "two": member_reply("m2")},
        m1=["http://one:2379"],
        m2=["http://TWO:2379/"],
    )
    assert world.healthy == {"m1": True, "m2": True}
    assert world.http.asked == [
        ("vip", "/v2/stats/self", False),
        ("vip", "/health", False),
        ("two", "/v2/stats/self", True),
        ("two", "/health", True),
    ]


@pytest.mark.parametrize(
    "urls, replies, reason",
    [
        ([], {}, "it has not started, or advertises no client URL"),
        (["unix://x:1"], {}, "unix://x:1 is not a URL that can be asked"),
        (["http://two:2379"], {"two": REFUSED}, "http://two:2379: connection refused"),
        (
            ["http://two:2379"],
            {"two": member_reply("m3")},
            "http://two:2379 is answered by another member",
        ),
        # It was asked already, as an endpoint.
        (["http://one:2379"], {}, "http://one:2379 is answered by another member"),
        (["http://down:2379"], {}, "http://down:2379: connection refused"),
        (
            ["http://two:2379", "unix://x:1"],
            {"two": REFUSED},
            "http://two:2379: connection refused; unix://x:1 is not a URL that can be asked",
        ),
    ],
)
def test_why_a_member_could_not_be_asked(urls, replies, reason):
    replies = dict(replies, one=member_reply("m1"), down=REFUSED)
    world = Members(["one", "down"], replies, m1=["http://one:2379"], m2=urls)
    assert (world.found["m2"].reachable, world.found["m2"].healthy) == (False, None)
    assert world.found["m2"].reason == reason
    assert world.healthy["m1"] is True
    assert [host for host, unused, anonymous in world.http.asked if not anonymous].count(
        "down"
    ) == 1


@pytest.mark.parametrize(
    "endpoints, asked",
    [
        (["https://one:2379"], False),
        (["https://one:2379", "https://down:2379"], False),
        (["https://one:2379", "http://down:2379"], True),
    ],
)
def test_http_urls_are_not_asked_where_the_endpoints_are_https(endpoints, asked):
    replies = {"one": member_reply("m1"), "two": member_reply("m2"), "down": REFUSED}
    world = Members(endpoints, replies, m1=["https://one:2379"], m2=["http://two:2379"])
    assert ("two" in {host for host, unused, unused_too in world.http.asked}) is asked
    if not asked:
        reason = "http://two:2379 is http, and the endpoints are https, so it is not asked"
        assert world.found["m2"].reason == reason


def test_a_member_that_is_asked_at_two_urls_is_healthy_if_one_of_them_says_so():
    replies = {"a": member_reply("m1", health="false"), "b": member_reply("m1")}
    assert Members(["a", "b"], replies, m1=[]).healthy == {"m1": True}
    assert Members(["b", "a"], replies, m1=[]).healthy == {"m1": True}


def test_a_member_that_does_not_say_who_it_is_is_known_by_its_url():
    health = {"/health": Reply(200, {"health": "true"})}
    world = Members(["a"], {"a": health, "b": health}, m1=["http://A"], m2=["http://b"])
    assert world.healthy == {"m1": True, "m2": True}


class Outage:
    """A question that fails for some seconds, and what it was to raise."""

    def __init__(self, clock, seconds, exc):
        self._clock = clock
        self._until = clock() + seconds
        self._exc = exc
        self.asked = 0

    def __call__(self):
        self.asked += 1
        if self._clock() < self._until:
            raise self._exc
        return "answer"


@pytest.mark.parametrize(
    "exc",
    [
        errors.EtcdUnreachable("nobody"),
        errors.EtcdTimeout("nobody in time"),
        errors.EtcdLeaderElect("no leader"),
    ],
)
def test_a_question_is_asked_until_it_is_answered(exc):
    world = World(total_timeout=5.0)
    assert world.client.until_answered(Outage(world.clock, 4.0, exc)) == "answer"
    silence = Outage(world.clock, 100.0, exc)
    began = world.clock()
    with pytest.raises(type(exc)):
        world.client.until_answered(silence)
    assert 5.0 <= world.clock() - began < 6.0
    # The second question after such a silence costs no time, and an answer ends the silence.
    asked = silence.asked
    with pytest.raises(type(exc)):
        world.client.until_answered(silence)
    assert silence.asked == asked + 1
    assert world.client.until_answered(lambda: "at once") == "at once"
    assert world.client.until_answered(Outage(world.clock, 4.0, exc)) == "answer"


@pytest.mark.parametrize(
    "exc",
    [
        errors.EtcdKeyNotFound("no such key"),
        errors.EtcdUnauthorized("no"),
        errors.EtcdTLSFailure("a certificate"),
        errors.EtcdDiscoveryFailed("no such name"),
    ],
)
def test_an_answer_that_will_not_change_is_not_asked_for_again(exc):
    world = World()
    question = Outage(world.clock, 1.0, exc)
    with pytest.raises(type(exc)):
        world.client.until_answered(question)
    assert question.asked == 1


#: What v2 takes no condition for, and what a caller sends without one and asks it of.
UNRESOLVABLE = [
    lambda c: c.create_in_order("/q", "v"),
    lambda c: c.rmdir("/d"),
    lambda c: c.rmdir("/d", recursive=True),
    lambda c: c.update_dir_ttl("/d", 5),
    lambda c: c.update_dir_ttl("/d", None),
    lambda c: c.write("/k", "v", fresh_connection=True),
    lambda c: c.delete("/k", fresh_connection=True),
]
RESOLVABLE = [
    lambda c: c.read("/k"),
    lambda c: c.write("/k", "v"),
    lambda c: c.delete("/k"),
    lambda c: c.mkdir("/d"),
    lambda c: c.compare_and_swap("/k", "v", prev_exist=True),
    lambda c: c.compare_and_delete("/k", prev_index=5),
    lambda c: c.update_ttl("/k", 5),
]


@pytest.mark.parametrize("fresh, calls", [(True, UNRESOLVABLE), (False, RESOLVABLE)])
def test_what_cannot_be_resolved_gets_a_fresh_connection(fresh, calls):
    composer = Client("a").composer()
    assert [call(composer).fresh_connection for call in calls] == [fresh] * len(calls)
