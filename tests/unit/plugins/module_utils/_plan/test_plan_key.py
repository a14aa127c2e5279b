# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    ActionKind,
    KeyAction,
    KeyState,
    Refusal,
)
from ansible_collections.quorum.etcd.plugins.module_utils._plan.key import (
    Refresh,
    Wanted,
    Wish,
    plan,
    state_after,
    state_before,
    wish_from_options,
)
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException
from ansible_collections.quorum.etcd.plugins.modules import etcd_key
from ansible_collections.quorum.etcd.tests.unit.fakes.options import defaults

UNSET = dict(defaults(etcd_key.ARGUMENT_SPEC), key="/k")


def wish(**options):
    return wish_from_options(dict(UNSET, **options))


# -- reading a task's options


def test_a_wish_with_everything_in_it():
    assert wish(
        key="k/",
        value="v",
        ttl=60,
        refresh="below",
        refresh_below=30,
        prev_value="old",
        prev_index=5,
        prev_exist=True,
    ) == Wish(
        key="/k",
        wanted=Wanted.PRESENT,
        value="v",
        ttl=60,
        refresh=Refresh.BELOW,
        refresh_below=30,
        prev_value="old",
        prev_index=5,
        prev_exist=True,
        slash=True,
    )


@pytest.mark.parametrize(
    "value, text, as_json",
    [
        ("v", "v", False),
        ("", "", False),
        (" v\n", " v\n", False),
        ('{"b": 1}', '{"b": 1}', False),
        (42, "42", False),
        (1.5, "1.5", False),
        (True, "true", False),
        (False, "false", False),
        ({"b": 1, "a": [1, "\u043a"]}, '{"a":[1,"\u043a"],"b":1}', True),
        ([], "[]", True),
        ({}, "{}", True),
    ],
)
def test_the_text_of_a_value(value, text, as_json):
    found = wish(value=value, prev_value=value)
    assert (found.value, found.as_json) == (text, as_json)
    assert found.prev_value == text


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"state": "absent"}, Wish("/k", Wanted.ABSENT)),
        ({"state": "absent", "value": "v"}, Wish("/k", Wanted.ABSENT, "v")),
        ({"state": "enqueued", "value": "v"}, Wish("/k", Wanted.ENQUEUED, "v")),
        (
            {"state": "enqueued", "value": "v", "key": "/", "ttl": 5},
            Wish("/", Wanted.ENQUEUED, "v", ttl=5),
        ),
        ({"value": "v", "ttl": 0}, Wish("/k", Wanted.PRESENT, "v", ttl=0)),
        ({"value": "v", "prev_value": ""}, Wish("/k", Wanted.PRESENT, "v", prev_value="")),
        ({"value": "v", "prev_exist": False}, Wish("/k", Wanted.PRESENT, "v", prev_exist=False)),
        (
            {"value": "v", "ttl": 5, "refresh": "always"},
            Wish("/k", Wanted.PRESENT, "v", ttl=5, refresh=Refresh.ALWAYS),
        ),
        (
            {"value": "v", "ttl": 5, "refresh": "below", "refresh_below": 5},
            Wish("/k", Wanted.PRESENT, "v", ttl=5, refresh=Refresh.BELOW, refresh_below=5),
        ),
    ],
)
def test_wishes(options, expected):
    assert wish(**options) == expected


@pytest.mark.parametrize(
    "options, says",
    [
        ({}, "value is missing, or null"),
        ({"state": "enqueued"}, "value is missing, or null"),
        ({"key": "/", "value": "v"}, 'the key "/" is the root directory'),
        ({"key": "/", "state": "absent"}, 'the key "/" is the root directory'),
        ({"value": "v", "refresh": "always"}, "refresh: always needs ttl"),
        ({"value": "v", "refresh": "always", "ttl": 0}, "refresh: always needs ttl"),
        ({"value": "v", "refresh": "below", "refresh_below": 5}, "refresh: below needs ttl"),
        ({"value": "v", "ttl": 9, "refresh": "below"}, "refresh_below go together"),
        ({"value": "v", "ttl": 9, "refresh_below": 5}, "refresh_below go together"),
        (
            {"value": "v", "ttl": 9, "refresh": "always", "refresh_below": 5},
            "refresh_below go together",
        ),
        (
            {"value": "v", "ttl": 9, "refresh": "below", "refresh_below": 0},
            "a number of seconds from 1 up to ttl, not 0",
        ),
        (
            {"value": "v", "ttl": 9, "refresh": "below", "refresh_below": 10},
            "a number of seconds from 1 up to ttl, not 10",
        ),
        ({"value": "v", "state": "enqueued", "prev_value": ""}, "state: enqueued always makes"),
        ({"value": "v", "state": "enqueued", "prev_index": 5}, "state: enqueued always makes"),
        ({"value": "v", "state": "enqueued", "prev_exist": False}, "state: enqueued always makes"),
        ({"value": "v", "state": "enqueued", "prev_exist": True}, "state: enqueued always makes"),
        ({"value": "v", "prev_exist": False, "prev_value": ""}, "prev_exist: false excludes"),
        ({"value": "v", "prev_exist": False, "prev_index": 5}, "prev_exist: false excludes"),
        ({"value": float("nan")}, "value is of type float and cannot be written as JSON"),
        ({"value": {"a": float("inf")}}, "value is of type dict and cannot be written as JSON"),
        ({"value": {1: "a", "b": 2}}, "value is of type dict and cannot be written as JSON"),
        ({"value": "v", "prev_value": [object()]}, "prev_value is of type list and cannot"),
    ],
)
def test_options_that_do_not_go_together(options, says):
    with pytest.raises(Refusal) as caught:
        wish(**options)
    assert says in str(caught.value)
    assert caught.value.state is None


@pytest.mark.parametrize(
    "options",
    [
        {"value": "v", "key": ""},
        {"value": "v", "key": "/a//b"},
        {"value": "v", "ttl": -1},
        {"value": "v", "ttl": 2**63},
        {"value": "v", "prev_index": 0},
        {"value": "\ud800"},
        {"value": ["\ud800"]},
        {"value": "v", "prev_value": "\ud800"},
    ],
)
def test_what_etcd_cannot_take(options):
    with pytest.raises(ClientException):
        wish(**options)


@pytest.mark.parametrize("ttl", [-1, 2**63])
def test_a_wrong_ttl_names_the_way_to_have_none(ttl):
    with pytest.raises(ClientException) as caught:
        wish(value="v", ttl=ttl)
    assert "write 0 for a key that lives for ever" in str(caught.value)


# -- deciding


def at(value="v", ttl=None, index=5, is_dir=False):
    expiration = None if ttl is None else "soon"
    return KeyState(None if is_dir else value, is_dir, ttl, expiration, 4, index)


NONE = None
KEY = at()
DIR = at(is_dir=True)

NOTHING, CREATE, SWAP, REFRESH, DELETE, ENQUEUE = (
    ActionKind.NOTHING,
    ActionKind.CREATE,
    ActionKind.SWAP,
    ActionKind.REFRESH,
    ActionKind.DELETE,
    ActionKind.ENQUEUE,
)

V = {"value": "v"}
ALWAYS = {"value": "v", "ttl": 60, "refresh": "always"}
BELOW = {"value": "v", "ttl": 60, "refresh": "below", "refresh_below": 30}

PLANS = [
    # (what is there, what the task says, what to do, the value then, the TTL then)
    # a key that is missing
    (NONE, V, CREATE, "v", None),
    (NONE, {"value": ""}, CREATE, "", None),
    (NONE, {"value": "v", "ttl": 60}, CREATE, "v", 60),
    (NONE, {"value": "v", "ttl": 0}, CREATE, "v", None),
    (NONE, ALWAYS, CREATE, "v", 60),
    (NONE, {"value": "v", "prev_exist": False}, CREATE, "v", None),
    # the value is as wanted
    (at("v"), V, NOTHING, "v", None),
    (at(""), {"value": ""}, NOTHING, "", None),
    (at("v", 50), V, NOTHING, "v", 50),
    (at("v", 0), V, NOTHING, "v", 0),
    (at("42"), {"value": 42}, NOTHING, "42", None),
    (at("true"), {"value": True}, NOTHING, "true", None),
    # it is not
    (at("old"), V, SWAP, "v", None),
    (at(""), V, SWAP, "v", None),
    (at("v"), {"value": ""}, SWAP, "", None),
    (at("v"), {"value": "v "}, SWAP, "v ", None),
    (at("True"), {"value": True}, SWAP, "true", None),
    # a TTL that the task does not name is kept when the value changes
    (at("old", 50), V, SWAP, "v", 50),
    (at("old", 1), V, SWAP, "v", 1),
    (at("old", 0), V, SWAP, "v", 1),
    # one that it names is set
    (at("old", 50), {"value": "v", "ttl": 60}, SWAP, "v", 60),
    (at("old"), {"value": "v", "ttl": 60}, SWAP, "v", 60),
    (at("old", 50), {"value": "v", "ttl": 0}, SWAP, "v", None),
    (at("old"), {"value": "v", "ttl": 0}, SWAP, "v", None),
    # JSON that says the same is the same, for mappings and lists only
    (at('{"b": 2, "a": 1}'), {"value": {"a": 1, "b": 2}}, NOTHING, '{"b": 2, "a": 1}', None),
    (at('{"a":1,"b":2}'), {"value": {"b": 2, "a": 1}}, NOTHING, '{"a":1,"b":2}', None),
    (at("[1, 2]"), {"value": [1, 2]}, NOTHING, "[1, 2]", None),
    (at('["\\u043a"]'), {"value": ["\u043a"]}, NOTHING, '["\\u043a"]', None),
    (at("[2, 1]"), {"value": [1, 2]}, SWAP, "[1,2]", None),
    (at('{"a": 1}'), {"value": {"a": True}}, SWAP, '{"a":true}', None),
    (at('{"a": 1}'), {"value": {"a": "1"}}, SWAP, '{"a":"1"}', None),
    (at("{"), {"value": {}}, SWAP, "{}", None),
    (at("[" * 100000), {"value": []}, SWAP, "[]", None),
    (at("[NaN]"), {"value": [1]}, SWAP, "[1]", None),
    (at('{"a": 1}'), {"value": '{"a":1}'}, SWAP, '{"a":1}', None),
    (at('{"b": 2, "a": 1}', 50), {"value": {"a": 1, "b": 2}, "ttl": 60}, NOTHING, None, 50),
    (at("[1, 2]"), {"value": [1, 2], "ttl": 60}, REFRESH, "[1, 2]", 60),
    (at("[1, 2]", 50), {"value": [1, 2], "ttl": 0}, SWAP, "[1, 2]", None),
    # the TTL as a wished state
    (at("v"), {"value": "v", "ttl": 60}, REFRESH, "v", 60),
    (at("v", 60), {"value": "v", "ttl": 60}, NOTHING, "v", 60),
    (at("v", 1), {"value": "v", "ttl": 60}, NOTHING, "v", 1),
    (at("v", 61), {"value": "v", "ttl": 60}, REFRESH, "v", 60),
    (at("v", 0), {"value": "v", "ttl": 60}, REFRESH, "v", 60),
    (at("v"), {"value": "v", "ttl": 0}, NOTHING, "v", None),
    (at("v", 50), {"value": "v", "ttl": 0}, SWAP, "v", None),
    (at("v", 0), {"value": "v", "ttl": 0}, SWAP, "v", None),
    # refresh
    (at("v", 60), ALWAYS, REFRESH, "v", 60),
    (at("v", 1), ALWAYS, REFRESH, "v", 60),
    (at("v"), ALWAYS, REFRESH, "v", 60),
    (at("old", 50), ALWAYS, SWAP, "v", 60),
    (at("v", 60), BELOW, NOTHING, "v", 60),
    (at("v", 30), BELOW, NOTHING, "v", 30),
    (at("v", 29), BELOW, REFRESH, "v", 60),
    (at("v", 61), BELOW, REFRESH, "v", 60),
    (at("v", 0), BELOW, REFRESH, "v", 60),
    (at("v"), BELOW, REFRESH, "v", 60),
    # conditions that hold
    (at("v"), {"value": "new", "prev_value": "v"}, SWAP, "new", None),
    (at(""), {"value": "new", "prev_value": ""}, SWAP, "new", None),
    (at("v", index=5), {"value": "new", "prev_index": 5}, SWAP, "new", None),
    (at("v"), {"value": "new", "prev_exist": True}, SWAP, "new", None),
    (
        at("v", index=5),
        {"value": "new", "prev_value": "v", "prev_index": 5, "prev_exist": True},
        SWAP,
        "new",
        None,
    ),
    (at("v"), {"value": "v", "prev_value": "v"}, NOTHING, "v", None),
    # absent
    (NONE, {"state": "absent"}, NOTHING, None, None),
    (KEY, {"state": "absent"}, DELETE, None, None),
    (at("v", 50), {"state": "absent"}, DELETE, None, None),
    (KEY, {"state": "absent", "prev_value": "v"}, DELETE, None, None),
    (KEY, {"state": "absent", "prev_index": 5}, DELETE, None, None),
    (KEY, {"state": "absent", "prev_exist": True}, DELETE, None, None),
    (NONE, {"state": "absent", "prev_exist": False}, NOTHING, None, None),
    # enqueued
    (NONE, {"state": "enqueued", "value": "v"}, ENQUEUE, "v", None),
    (DIR, {"state": "enqueued", "value": "v"}, ENQUEUE, "v", None),
    (DIR, {"state": "enqueued", "value": "v", "ttl": 60}, ENQUEUE, "v", 60),
    (DIR, {"state": "enqueued", "value": "v", "ttl": 0}, ENQUEUE, "v", None),
]


@pytest.mark.parametrize("current, options, kind, value, ttl", PLANS)
def test_plan(current, options, kind, value, ttl):
    action = plan(current, wish(**options))
    assert action.kind is kind
    assert action.changes is (kind is not NOTHING)
    assert action.key == "/k"
    assert action.before is (None if kind is ENQUEUE else current)
    after = state_after(action)
    if value is not None:
        assert after == {"value": value, "ttl": ttl}
    if kind in (CREATE, SWAP, REFRESH, ENQUEUE):
        assert (action.value, action.ttl) == (value, ttl)


REFUSED = [
    # a directory or a key is in the way
    (DIR, V, "/k is a directory, not a key with a value; quorum.etcd.etcd_dir", False),
    (DIR, {"state": "absent"}, "/k is a directory", False),
    (DIR, {"value": "v", "prev_exist": False}, "/k is a directory", False),
    (KEY, {"state": "enqueued", "value": "v"}, "/k is a key with a value, and in-order", False),
    # conditions that do not hold
    (NONE, {"value": "v", "prev_exist": True}, "it does not exist, and prev_exist is true", False),
    (KEY, {"value": "v", "prev_exist": False}, "it exists, and prev_exist is false", True),
    (NONE, {"value": "v", "prev_value": "x"}, "it does not exist, and prev_value is given", False),
    (NONE, {"value": "v", "prev_value": ""}, "it does not exist, and prev_value is given", False),
    (NONE, {"value": "v", "prev_index": 5}, "it does not exist, and prev_index is given", False),
    (KEY, {"value": "v", "prev_value": "x"}, "its value is not prev_value", True),
    (KEY, {"value": "v", "prev_value": ""}, "its value is not prev_value", True),
    (
        KEY,
        {"value": "v", "prev_index": 6},
        "its modified index is 5, and prev_index is 6",
        True,
    ),
    (
        KEY,
        {"value": "v", "prev_value": "x", "prev_index": 6},
        "its value is not prev_value; its modified index is 5, and prev_index is 6",
        True,
    ),
    (KEY, {"value": "v", "prev_value": "v", "prev_index": 6}, "its modified index is 5", True),
    (KEY, {"value": "v", "prev_value": "x", "prev_index": 5}, "its value is not", True),
    # conditions are compared as texts, also where the value is JSON
    (at("[1, 2]"), {"value": "v", "prev_value": [1, 2]}, "its value is not prev_value", True),
    # also where the key is as wanted already, and for absent
    (NONE, {"state": "absent", "prev_exist": True}, "it does not exist", False),
    (NONE, {"state": "absent", "prev_value": "v"}, "it does not exist", False),
    (KEY, {"state": "absent", "prev_index": 6}, "its modified index is 5", True),
    (KEY, {"state": "absent", "prev_exist": False}, "it exists", True),
]


@pytest.mark.parametrize("current, options, says, shows", REFUSED)
def test_plan_refuses(current, options, says, shows):
    with pytest.raises(Refusal) as caught:
        plan(current, wish(**options))
    assert says in str(caught.value)
    assert caught.value.state is (current if shows else None)
    assert caught.value.error is error_of(current, options)


def error_of(current, options):
    """The class that tells a playbook what is there instead."""
    if current is NONE:
        return errors.EtcdKeyNotFound
    if options.get("state") == "enqueued":
        return errors.EtcdNotDir
    if current.is_dir:
        return errors.EtcdNotFile
    return errors.EtcdNodeExist if options.get("prev_exist") is False else errors.EtcdTestFailed


def test_a_refusal_says_no_value():
    with pytest.raises(Refusal) as caught:
        plan(at("hunter2"), wish(value="v", prev_value="hunter3"))
    assert "hunter" not in str(caught.value)


# -- what a diff shows


@pytest.mark.parametrize(
    "kind, before, value, ttl, shown_before, shown_after",
    [
        (CREATE, NONE, "v", 60, None, {"value": "v", "ttl": 60}),
        (SWAP, at("o", 5), "v", None, {"value": "o", "ttl": 5}, {"value": "v", "ttl": None}),
        (REFRESH, at("v"), "v", 60, {"value": "v", "ttl": None}, {"value": "v", "ttl": 60}),
        (DELETE, at("v", 5), None, None, {"value": "v", "ttl": 5}, None),
        (ENQUEUE, NONE, "v", None, None, {"value": "v", "ttl": None}),
        (NOTHING, at("v", 5), "v", 5, {"value": "v", "ttl": 5}, {"value": "v", "ttl": 5}),
        (NOTHING, NONE, None, None, None, None),
    ],
)
def test_states(kind, before, value, ttl, shown_before, shown_after):
    action = KeyAction(kind, "/k", before, value, ttl)
    assert state_before(action) == shown_before
    assert state_after(action) == shown_after


@pytest.mark.parametrize("key, sent", [("k", "/k"), ("/k/", "/k/")])
@pytest.mark.parametrize(
    "options", [{"value": "v"}, {"state": "absent"}, {"value": "v", "state": "enqueued"}]
)
def test_the_key_is_sent_as_the_task_wrote_it(key, sent, options):
    wished = wish(key=key, **options)
    action = plan(None, wished)
    assert (wished.sent_as, action.key, action.sent_as) == (sent, "/k", sent)


CONDITIONS = [{"prev_value": "v"}, {"prev_index": 5}, {"prev_exist": True}]


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize(
    "options, kind",
    [({"value": "w"}, ActionKind.SWAP), ({"state": "absent"}, ActionKind.DELETE)],
)
def test_a_condition_of_the_user_has_to_know_whose_write_it_was(condition, options, kind):
    for given, exclusive in ((condition, True), ({}, False)):
        action = plan(at("v"), wish(**options, **given))
        assert (action.kind, action.exclusive) == (kind, exclusive)


@pytest.mark.parametrize("prev_exist, exclusive", [(False, True), (None, False)])
def test_so_has_a_creation_that_is_to_be_the_only_one(prev_exist, exclusive):
    action = plan(None, wish(value="v", prev_exist=prev_exist))
    assert (action.kind, action.exclusive) == (ActionKind.CREATE, exclusive)


@pytest.mark.parametrize("condition", CONDITIONS + [{}])
def test_after_a_refresh_all_but_the_index_is_as_before(condition):
    action = plan(at("v"), wish(value="v", ttl=60, **condition))
    assert (action.kind, action.exclusive) == (ActionKind.REFRESH, "prev_index" in condition)


def test_an_in_order_key_has_to_be_ours():
    assert plan(None, wish(value="v", state="enqueued")).exclusive


@pytest.mark.parametrize("guarded", [True, False])
def test_a_write_is_guarded_as_the_task_says(guarded):
    assert plan(at("v"), wish(value="w", guarded=guarded)).guarded is guarded


@pytest.mark.parametrize("condition", CONDITIONS + [{"prev_exist": False}])
def test_no_condition_goes_with_a_write_that_is_not_guarded(condition):
    with pytest.raises(Refusal, match="guarded: false"):
        wish(value="w", guarded=False, **condition)
    assert wish(value="w", guarded=True, **condition).guarded
