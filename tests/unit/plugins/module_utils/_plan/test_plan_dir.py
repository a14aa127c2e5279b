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
from ansible_collections.quorum.etcd.plugins.module_utils._plan.dir import (
    LISTED,
    Wish,
    can_set_ttl,
    plan,
    state_after,
    state_before,
    wish_from_options,
)
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException
from ansible_collections.quorum.etcd.plugins.modules import etcd_dir
from ansible_collections.quorum.etcd.tests.unit.fakes.options import defaults

UNSET = dict(defaults(etcd_dir.ARGUMENT_SPEC), path="/d")


def wish(**options):
    return wish_from_options(dict(UNSET, **options))


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, Wish("/d", True)),
        ({"path": "d/", "state": "absent"}, Wish("/d", False, slash=True)),
        ({"ttl": 0}, Wish("/d", True, ttl=0)),
        (
            {"ttl": 60, "recursive": True, "force": True, "prev_index": 5},
            Wish("/d", True, 60, True, True, 5),
        ),
    ],
)
def test_wishes(options, expected):
    assert wish(**options) == expected


@pytest.mark.parametrize(
    "options, expected, says",
    [
        ({"path": "/"}, Refusal, "root directory"),
        ({"path": "/a//b"}, ClientException, "empty segment"),
        ({"ttl": -1}, ClientException, "write 0 for a directory that lives for ever"),
        ({"prev_index": 0}, ClientException, "prev_index"),
    ],
)
def test_options_that_are_refused(options, expected, says):
    with pytest.raises(expected) as caught:
        wish(**options)
    assert says in str(caught.value)


def directory(ttl=None, children=(), index=5):
    return KeyState(None, True, ttl, None, 4, index, tuple(children))


FILE = KeyState("v", False, None, None, 4, 5)
FULL = directory(children=["/d/a", "/d/b"])

NOTHING, MAKE_DIR, SET_DIR_TTL, REMOVE_DIR, DELETE = (
    ActionKind.NOTHING,
    ActionKind.MAKE_DIR,
    ActionKind.SET_DIR_TTL,
    ActionKind.REMOVE_DIR,
    ActionKind.DELETE,
)


@pytest.mark.parametrize(
    "current, options, kind, ttl",
    [
        (None, {}, MAKE_DIR, None),
        (None, {"ttl": 60}, MAKE_DIR, 60),
        (None, {"ttl": 0}, MAKE_DIR, None),
        (directory(), {}, NOTHING, None),
        (directory(50), {}, NOTHING, 50),
        (directory(), {"ttl": 0}, NOTHING, None),
        (directory(60), {"ttl": 60}, NOTHING, 60),
        (directory(1), {"ttl": 60}, NOTHING, 1),
        (directory(61), {"ttl": 60}, SET_DIR_TTL, 60),
        (directory(0), {"ttl": 60}, SET_DIR_TTL, 60),
        (directory(), {"ttl": 60}, SET_DIR_TTL, 60),
        (directory(50), {"ttl": 0}, SET_DIR_TTL, None),
        (FULL, {"prev_index": 5}, NOTHING, None),
        (None, {"state": "absent"}, NOTHING, None),
        (directory(), {"state": "absent"}, REMOVE_DIR, None),
        (FULL, {"state": "absent", "recursive": True}, REMOVE_DIR, None),
        (directory(), {"state": "absent", "prev_index": 5}, REMOVE_DIR, None),
    ],
)
def test_plan(current, options, kind, ttl):
    action = plan(current, wish(**options))
    assert (action.kind, action.key, action.before, action.ttl) == (kind, "/d", current, ttl)
    assert action.recursive is options.get("recursive", False)
    assert action.then is None


@pytest.mark.parametrize("ttl, then_ttl", [(None, None), (0, None), (60, 60)])
def test_a_key_in_the_way_is_deleted_first_where_that_is_forced(ttl, then_ttl):
    action = plan(FILE, wish(force=True, ttl=ttl))
    assert (action.kind, action.before) == (DELETE, FILE)
    assert action.then == KeyAction(MAKE_DIR, "/d", None, ttl=then_ttl)
    assert state_before(action) == "v\n"
    assert state_after(action) == {"dir": True, "ttl": then_ttl}


@pytest.mark.parametrize(
    "current, options, error, says",
    [
        (FILE, {}, errors.EtcdNotDir, "/d is a key with a value; force: true replaces it"),
        (FILE, {"state": "absent"}, errors.EtcdNotDir, "quorum.etcd.etcd_key removes keys"),
        (FILE, {"state": "absent", "force": True}, errors.EtcdNotDir, "etcd_key removes keys"),
        (FULL, {"state": "absent"}, errors.EtcdDirNotEmpty, "/d is not empty: it has 2 children"),
        (FULL, {"prev_index": 6}, errors.EtcdTestFailed, "is to be 6, and it is 5"),
        (None, {"prev_index": 6}, errors.EtcdKeyNotFound, "is to be 6, and it does not exist"),
        (None, {"prev_index": 6, "state": "absent"}, errors.EtcdKeyNotFound, "does not exist"),
    ],
)
def test_plan_refuses(current, options, error, says):
    with pytest.raises(Refusal) as caught:
        plan(current, wish(**options))
    assert says in str(caught.value)
    assert caught.value.error is error


@pytest.mark.parametrize(
    "version, can",
    [
        ("3.4.23", True),
        ("2.3.7", True),
        ("3.5.0", False),
        ("3.5.1", False),
        ("3.10.0", False),
        ("4.0.0", False),
        ("3.5.0-rc.0", False),
        ("not_decided", True),
        ("", True),
    ],
)
def test_can_set_ttl(version, can):
    assert can_set_ttl(version) is can


MANY = ["/d/%03d" % number for number in range(LISTED + 3)]


@pytest.mark.parametrize(
    "kind, before, ttl, shown_before, shown_after",
    [
        (MAKE_DIR, None, 60, {}, {"dir": True, "ttl": 60}),
        (NOTHING, None, None, {}, {}),
        (NOTHING, FULL, None, {"dir": True, "ttl": None}, {"dir": True, "ttl": None}),
        (SET_DIR_TTL, directory(5), 60, {"dir": True, "ttl": 5}, {"dir": True, "ttl": 60}),
        (REMOVE_DIR, directory(), None, {"dir": True, "ttl": None}, {}),
        (REMOVE_DIR, FULL, None, {"dir": True, "ttl": None, "children": ["/d/a", "/d/b"]}, {}),
        (
            REMOVE_DIR,
            directory(children=MANY),
            None,
            {"dir": True, "ttl": None, "children": MANY[:LISTED], "more_children": 3},
            {},
        ),
    ],
)
def test_states(kind, before, ttl, shown_before, shown_after):
    action = KeyAction(kind, "/d", before, ttl=ttl)
    assert state_before(action) == shown_before
    assert state_after(action) == shown_after


@pytest.mark.parametrize(
    "current, options, sent",
    [
        (None, {"path": "/d/"}, "/d/"),
        (None, {"path": "/d", "recursive": True}, "/d"),
        (directory(), {"path": "/d", "state": "absent"}, "/d"),
        (directory(), {"path": "/d/", "state": "absent"}, "/d/"),
        (directory(), {"path": "/d", "state": "absent", "recursive": True}, "/d/"),
    ],
)
def test_the_path_is_sent_as_the_task_wrote_it_and_with_a_slash_when_it_is_recursive(
    current, options, sent
):
    action = plan(current, wish(**options))
    assert (action.key, action.sent_as) == ("/d", sent)


def test_both_writes_of_a_replacement_have_the_slash():
    action = plan(FILE, wish(path="/d/", force=True))
    assert (action.sent_as, action.then.sent_as) == ("/d/", "/d/")
