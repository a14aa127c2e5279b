# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils._actions import KeyState, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._plan import wait
from ansible_collections.quorum.etcd.plugins.module_utils._plan.wait import (
    Condition,
    Sight,
    Wish,
    wish_from_options,
)
from ansible_collections.quorum.etcd.plugins.module_utils._results import (
    EtcdResult,
    Node,
    event_index,
)
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException
from ansible_collections.quorum.etcd.plugins.modules import etcd_wait
from ansible_collections.quorum.etcd.tests.unit.fakes.options import defaults

UNSET = dict(defaults(etcd_wait.ARGUMENT_SPEC), key="/k")
SECRET = "hunter2"


def wish(**options):
    return wish_from_options(dict(UNSET, **options))


# -- reading a task's options


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, Wish("/k", Condition.EXISTS)),
        ({"condition": "absent", "key": "k/"}, Wish("/k", Condition.ABSENT, slash=True)),
        ({"condition": "equals", "value": ""}, Wish("/k", Condition.EQUALS, "")),
        ({"condition": "equals", "value": True}, Wish("/k", Condition.EQUALS, "true")),
        (
            {"condition": "equals", "value": {"b": 1, "a": 2}},
            Wish("/k", Condition.EQUALS, '{"a":2,"b":1}', as_json=True),
        ),
        (
            {"condition": "matches", "value": "^a"},
            Wish("/k", Condition.MATCHES, pattern=re.compile("^a")),
        ),
        (
            {"condition": "matches", "value": 42},
            Wish("/k", Condition.MATCHES, pattern=re.compile("42")),
        ),
        (
            {"condition": "changed", "since_index": 7, "recursive": True, "wait_timeout": 0.5},
            Wish("/k", Condition.CHANGED, since_index=7, recursive=True, seconds=0.5),
        ),
        (
            {"condition": "changed", "key": "/", "recursive": True},
            Wish("/", Condition.CHANGED, recursive=True),
        ),
        ({"since_index": 7}, Wish("/k", Condition.EXISTS, since_index=7)),
    ],
)
def test_wishes(options, expected):
    assert wish(**options) == expected


@pytest.mark.parametrize(
    "options, expected, says",
    [
        (
            {"condition": "equals"},
            Refusal,
            "needs value, and it is missing or null; give the value",
        ),
        ({"condition": "matches"}, Refusal, "give the regular expression"),
        ({"value": "v"}, Refusal, "condition: exists takes no value"),
        ({"condition": "absent", "value": "v"}, Refusal, "condition: absent takes no value"),
        ({"condition": "changed", "value": ""}, Refusal, "condition: changed takes no value"),
        ({"recursive": True}, Refusal, "condition: exists is about the key itself"),
        (
            {"condition": "equals", "value": "v", "recursive": True},
            Refusal,
            "condition: equals is about the key itself",
        ),
        ({"condition": "matches", "value": "a["}, Refusal, "at character 2"),
        ({"condition": "matches", "value": "*a"}, Refusal, "nothing to repeat at character 1"),
        ({"condition": "matches", "value": "a{99999999999}"}, Refusal, "too large or too deep"),
        ({"condition": "matches", "value": ["a"]}, Refusal, "a string, not of type list"),
        ({"condition": "equals", "value": float("nan")}, Refusal, "cannot be written as JSON"),
        (
            {"wait_timeout": 0.0},
            ClientException,
            "wait_timeout is a number of seconds above 0 and up to 1000000, not 0.0",
        ),
        ({"wait_timeout": -1.0}, ClientException, "not -1.0"),
        ({"wait_timeout": float("nan")}, ClientException, "not nan"),
        ({"wait_timeout": float("inf")}, ClientException, "not inf"),
        ({"wait_timeout": 1e10}, ClientException, "not 10000000000.0"),
        ({"key": "/"}, Refusal, "condition: changed and recursive: true"),
        ({"key": "/", "condition": "changed"}, Refusal, "root directory"),
        ({"key": "/a//b"}, ClientException, "empty segment"),
        ({"condition": "changed", "since_index": 0}, ClientException, "since_index"),
        ({"condition": "equals", "value": "\udc80"}, ClientException, "UTF-8"),
    ],
)
def test_options_that_are_refused(options, expected, says):
    with pytest.raises(expected) as caught:
        wish(**options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_expression_is_not_shown():
    with pytest.raises(Refusal) as caught:
        wish(condition="matches", value=SECRET + "(")
    assert SECRET not in str(caught.value)


def test_an_index_of_the_future_is_refused():
    wait.check_since_index(wish(), 5)
    wait.check_since_index(wish(since_index=5), 5)
    with pytest.raises(Refusal) as caught:
        wait.check_since_index(wish(since_index=6), 5)
    assert "since_index is 6, and the store's index is 5" in str(caught.value)


# -- states


def at(value, ttl=None):
    return KeyState(value, False, ttl, None, 5, 5)


DIR = KeyState(None, True, None, None, 5, 5)
NONE = None


@pytest.mark.parametrize(
    "options, state, expected",
    [
        ({}, at("v"), True),
        ({}, at(""), True),
        ({}, DIR, True),
        ({}, NONE, False),
        ({"condition": "absent"}, NONE, True),
        ({"condition": "absent"}, at("v"), False),
        ({"condition": "absent"}, DIR, False),
        ({"condition": "equals", "value": "v"}, at("v"), True),
        ({"condition": "equals", "value": "v"}, at("w"), False),
        ({"condition": "equals", "value": "v"}, NONE, False),
        ({"condition": "equals", "value": "v"}, DIR, False),
        ({"condition": "equals", "value": ""}, at(""), True),
        ({"condition": "equals", "value": ""}, DIR, False),
        ({"condition": "equals", "value": ""}, NONE, False),
        ({"condition": "equals", "value": {"a": 1, "b": 2}}, at('{"b": 2, "a": 1}'), True),
        ({"condition": "equals", "value": '{"a":1}'}, at('{"a": 1}'), False),
        ({"condition": "equals", "value": 42}, at("42"), True),
        ({"condition": "matches", "value": "b"}, at("abc"), True),
        ({"condition": "matches", "value": "^b"}, at("abc"), False),
        ({"condition": "matches", "value": ""}, at(""), True),
        ({"condition": "matches", "value": ""}, DIR, False),
        ({"condition": "matches", "value": "x*"}, NONE, False),
        ({"condition": "changed"}, at("v"), False),
        ({"condition": "changed"}, NONE, False),
    ],
)
def test_holds(options, state, expected):
    assert wait.holds(wish(**options), state) is expected


@pytest.mark.parametrize(
    "options, state, expected",
    [
        ({}, NONE, True),
        ({"condition": "absent"}, at("v"), False),
        ({"condition": "equals", "value": "v"}, NONE, False),
        ({"condition": "matches", "value": "v"}, NONE, False),
        ({"condition": "changed"}, at("v"), False),
        ({"condition": "changed"}, NONE, True),
        ({"condition": "changed", "recursive": True}, DIR, True),
    ],
)
def test_watches_below(options, state, expected):
    assert wait.watches_below(wish(**options), Sight(state, 5)) is expected


# -- events


def event(action, key, index=9, value=None, directory=False):
    node = {"key": key, "modifiedIndex": index, "createdIndex": index}
    if value is not None:
        node["value"] = value
    if directory:
        node["dir"] = True
    return EtcdResult({"action": action, "node": node}, {"X-Etcd-Index": "7"}, endpoint="http://a")


NEW_V = KeyState("v", False, None, None, 9, 9)
NEW_DIR = KeyState(None, True, None, None, 9, 9)
SEEN_FROM_BELOW = KeyState(None, True, None, None, 0, 0)


@pytest.mark.parametrize(
    "happened, expected",
    [
        (event("set", "/k", value="v"), NEW_V),
        (event("create", "/k", directory=True), NEW_DIR),
        (event("update", "/k", value="v"), NEW_V),
        (event("compareAndSwap", "/k", value="v"), NEW_V),
        (event("delete", "/k"), NONE),
        (event("compareAndDelete", "/k"), NONE),
        (event("expire", "/k"), NONE),
        (event("delete", "/k", directory=True), NONE),
        (event("set", "/k/a/b", value="v"), SEEN_FROM_BELOW),
        (event("delete", "/k/a"), SEEN_FROM_BELOW),
    ],
)
def test_what_an_event_shows(happened, expected):
    assert wait.sight_of_event(wish(), happened) == Sight(expected, 9)


@pytest.mark.parametrize(
    "happened, expected",
    [
        (event("delete", "/k", directory=True), Sight(NONE, 9)),
        (event("expire", "/k", directory=True), Sight(NONE, 9)),
        # Neither has anything to do with /k/sub.
        (event("delete", "/k/su", directory=True), None),
        (event("delete", "/", directory=True), Sight(NONE, 9)),
        (event("set", "/k", directory=True), None),
        (event("set", "/other", value="v"), None),
    ],
)
def test_what_an_event_above_shows(happened, expected):
    assert wait.sight_of_event(wish(key="/k/sub"), happened) == expected


def test_an_event_without_a_node_shows_nothing_and_has_an_index():
    bare = EtcdResult({"action": "set"}, {"X-Etcd-Index": "7"}, endpoint="http://a")
    assert wait.sight_of_event(wish(), bare) is None
    assert event_index(bare) == 7
    assert event_index(event("set", "/k")) == 9


@pytest.mark.parametrize(
    "options, before, happened, expected",
    [
        ({}, NONE, event("set", "/k", value="v"), True),
        ({}, NONE, event("set", "/k/a", value="v"), True),
        ({"condition": "absent"}, DIR, event("delete", "/k/a"), False),
        ({"condition": "absent"}, at("v"), event("expire", "/k"), True),
        ({"condition": "equals", "value": "v"}, NONE, event("set", "/k", value="w"), False),
        ({"condition": "equals", "value": "v"}, NONE, event("set", "/k", value="v"), True),
        ({"condition": "matches", "value": "v"}, NONE, event("set", "/k", value="av"), True),
        ({"condition": "changed"}, at("v"), event("set", "/k", value="v"), True),
        ({"condition": "changed"}, at("v"), event("delete", "/k"), True),
        ({"condition": "changed"}, DIR, event("set", "/k/a", value="v"), False),
        ({"condition": "changed"}, NONE, event("set", "/k/a", value="v"), True),
        ({"condition": "changed", "recursive": True}, DIR, event("set", "/k/a", value="v"), True),
        ({"condition": "changed", "recursive": True}, DIR, event("expire", "/k/a"), True),
    ],
)
def test_ends_wait(options, before, happened, expected):
    wished = wish(**options)
    now = wait.sight_of_event(wished, happened)
    assert wait.ends_wait(wished, before, happened, now) is expected


# -- where the server has forgotten events


def node(key="/k", value="v", created=5, modified=5, **more):
    return dict(
        {"key": key, "value": value, "createdIndex": created, "modifiedIndex": modified}, **more
    )


def sight(raw, recursive=False):
    return wait.sight_of(None if raw is None else Node(raw), 9, recursive=recursive)


def tree(*nodes):
    return {"key": "/k", "dir": True, "createdIndex": 2, "modifiedIndex": 2, "nodes": list(nodes)}


@pytest.mark.parametrize(
    "before, now, expected",
    [
        (node(), node(), False),
        (None, None, False),
        (None, node(), True),
        (node(), None, True),
        (node(), node(value="w", modified=6), True),
        (node(), node(modified=6), True),
        (node(), node(created=6, modified=6), True),
        (node(ttl=9), node(modified=6, ttl=60), False),
        (node(ttl=9), node(modified=6), True),
        (node(ttl=9), node(created=6, modified=6, ttl=60), True),
        (tree(), tree(node("/k/a")), False),
    ],
)
def test_changed_meanwhile(before, now, expected):
    found = wait.changed_meanwhile(wish(condition="changed"), sight(before), sight(now))
    assert found is expected
    assert not wait.changed_meanwhile(wish(), sight(before), sight(now))


@pytest.mark.parametrize(
    "before, now, expected",
    [
        (tree(), tree(), False),
        (tree(), tree(node("/k/a")), True),
        (tree(node("/k/a")), tree(), True),
        (tree(node("/k/a")), tree(node("/k/a", modified=6)), True),
        (tree(node("/k/a"), node("/k/b")), tree(node("/k/b"), node("/k/a")), False),
    ],
)
def test_changed_meanwhile_below(before, now, expected):
    wished = wish(condition="changed", recursive=True)
    assert wait.changed_meanwhile(wished, sight(before, True), sight(now, True)) is expected


@pytest.mark.parametrize(
    "since, now, recursive, expected",
    [
        (None, node(modified=9), False, False),
        (5, node(modified=5), False, False),
        (5, node(modified=6), False, True),
        (5, None, False, False),
        (5, tree(node("/k/a", modified=6)), False, False),
        (5, tree(node("/k/a", modified=6)), True, True),
    ],
)
def test_changed_since_index(since, now, recursive, expected):
    wished = wish(condition="changed", since_index=since, recursive=recursive)
    assert wait.changed_since_index(wished, sight(now, recursive)) is expected


# -- in vain


@pytest.mark.parametrize(
    "options, last, says",
    [
        (
            {"wait_timeout": 2.0},
            NONE,
            "/k did not come to exist within 2 seconds (wait_timeout)",
        ),
        (
            {"condition": "absent", "wait_timeout": 0.25},
            DIR,
            "/k was not removed within 0.25 seconds",
        ),
        (
            {"condition": "equals", "value": SECRET},
            at("old"),
            "did not get the value within 300 seconds",
        ),
        ({"condition": "equals", "value": SECRET}, DIR, "it is a directory"),
        ({"condition": "matches", "value": SECRET}, NONE, "did not get a value that matches"),
        ({"condition": "changed"}, at("old"), "did not change"),
    ],
)
def test_in_vain(options, last, says):
    text = wait.in_vain(wish(**options), last)
    assert says in text
    assert SECRET not in text
    assert "old" not in text


@pytest.mark.parametrize(
    "options, sent",
    [
        ({"key": "/k"}, "/k"),
        ({"key": "/k/"}, "/k/"),
        ({"key": "/k", "condition": "changed", "recursive": True}, "/k/"),
        ({"key": "/", "condition": "changed", "recursive": True}, "/"),
    ],
)
def test_the_key_is_sent_as_the_task_wrote_it_and_with_a_slash_when_it_is_recursive(options, sent):
    assert wish(**options).sent_as == sent
