# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils._actions import KeyState, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._backups import Backup, Saved
from ansible_collections.quorum.etcd.plugins.module_utils._plan.tree import plan
from ansible_collections.quorum.etcd.plugins.module_utils._plan.tree_diff import states_after
from ansible_collections.quorum.etcd.plugins.module_utils._plan.tree_restore import (
    directories_with_another_ttl,
    wish_from_backup,
)
from ansible_collections.quorum.etcd.plugins.module_utils._plan.tree_wish import (
    Leaf,
    hidden_keys,
    wish_from_options,
)
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException
from ansible_collections.quorum.etcd.plugins.modules import etcd_tree
from ansible_collections.quorum.etcd.tests.unit.fakes.options import defaults

UNSET = dict(defaults(etcd_tree.ARGUMENT_SPEC), path="/t")


def wish(tree, **options):
    return wish_from_options(dict(UNSET, **options), tree)


def states(**content):
    """States by name below /t: a value, a (value, TTL) pair, or None for a directory."""
    found = {"/t": KeyState(None, True, None, None, 1, 1)}
    for number, (name, one) in enumerate(content.items(), 2):
        value, ttl = one if isinstance(one, tuple) else (one, None)
        key = "/t/" + name.replace("__", "/")
        found[key] = KeyState(value, value is None, ttl, None, number, number)
    return found


def steps(stages):
    """Stages as short text: kind, key below /t, and what is written."""
    return [
        [
            " ".join(
                [one.kind.value, one.key]
                + ([] if one.value is None or one.kind.value == "delete" else [one.value])
                + ([] if one.ttl is None else ["ttl=%d" % one.ttl])
            )
            for one in stage
        ]
        for stage in stages
    ]


@pytest.mark.parametrize(
    "tree, options, leaves, directories",
    [
        ({}, {}, {}, ["/t"]),
        ({"a": "x"}, {}, {"/t/a": Leaf("x")}, ["/t"]),
        ({"a": "x"}, {"path": "/"}, {"/a": Leaf("x")}, ["/"]),
        ({"a": "x"}, {"path": "t/u/"}, {"/t/u/a": Leaf("x")}, ["/t/u"]),
        ({"a": "x"}, {"ttl": 0}, {"/t/a": Leaf("x", False, 0)}, ["/t"]),
        (
            {"n": 42, "b": True, "f": 1.5, "l": [2, {"z": 1}], "e": ""},
            {},
            {
                "/t/n": Leaf("42"),
                "/t/b": Leaf("true"),
                "/t/f": Leaf("1.5"),
                "/t/l": Leaf('[2,{"z":1}]', True),
                "/t/e": Leaf(""),
            },
            ["/t"],
        ),
        (
            {"d": {"e": {}, "a.b-c d": "x"}},
            {},
            {"/t/d/a.b-c d": Leaf("x")},
            ["/t", "/t/d", "/t/d/e"],
        ),
        (
            {"d": {"b": 1, "a": 2}},
            {"leaf_json": True},
            {"/t/d": Leaf('{"a":2,"b":1}', True)},
            ["/t"],
        ),
        ({"d": {}}, {"leaf_json_depth": 1}, {"/t/d": Leaf("{}", True)}, ["/t"]),
        (
            {"d": {"e": {"x": 1}}, "f": {}},
            {"leaf_json_depth": 2},
            {"/t/d/e": Leaf('{"x":1}', True)},
            ["/t", "/t/d", "/t/f"],
        ),
        (
            {"a": None, "d": {"b": "x"}},
            {"state": "absent"},
            {"/t/a": Leaf(None), "/t/d/b": Leaf(None)},
            ["/t", "/t/d"],
        ),
        (None, {"state": "absent"}, {}, ["/t"]),
    ],
)
def test_wishes(tree, options, leaves, directories):
    found = wish(tree, **options)
    assert found.leaves == leaves
    assert sorted(found.directories) == directories
    assert found.everything == (tree is None)


@pytest.mark.parametrize(
    "tree, options, says",
    [
        (None, {}, "tree is missing"),
        ([1], {}, "the tree is a list"),
        ("x", {}, "the tree is one value"),
        (3, {"state": "absent"}, "the tree is one value"),
        ({"a": None}, {}, "/t/a has no value"),
        ({"d": {"": "x"}}, {}, '"" below /t/d cannot be the name of a key'),
        ({".": "x"}, {}, '"." below /t'),
        ({"..": {}}, {}, '".." below /t'),
        ({"a/b": "x"}, {"path": "/"}, '"a/b" below /'),
        ({"a/b": "x"}, {"state": "absent"}, "nest mappings"),
        ({"\udc80": "x"}, {}, "not valid UTF-8"),
        ({"a": "\udc80"}, {}, "not valid UTF-8"),
        ({"a": float("nan")}, {}, "the value of /t/a"),
        (None, {"state": "absent", "path": "/"}, "would remove the whole store"),
        ({}, {"state": "absent", "purge": True}, "purge is for state: present"),
        ({}, {"purge_exclude": ["a"]}, "purge_exclude needs purge: true"),
        ({}, {"purge_limit": 0}, "purge_limit needs purge: true"),
        ({}, {"purge_all": True}, "purge_all needs purge: true"),
        (None, {"state": "absent", "purge_all": True}, "purge_all needs purge: true"),
        ({"a": "x"}, {"purge": True, "purge_limit": -1}, "purge_limit is a number of keys from 0"),
        ({}, {"purge": True}, "write purge_all: true"),
        ({"d": {"e": {}}}, {"purge": True}, "would remove every key below /t"),
        ({}, {"ttl": -1}, "write 0 for keys that live for ever"),
        ({}, {"leaf_json": True, "leaf_json_depth": 2}, "give one of the two"),
        ({}, {"leaf_json_depth": 0}, "1 for those right below it"),
        ({"d": {"_a": {"b": 1}}}, {}, "/t/d/_a is hidden"),
        ({}, {"path": "/a//b"}, "empty segment"),
    ],
)
def test_what_is_refused(tree, options, says):
    with pytest.raises((Refusal, ClientException)) as caught:
        wish(tree, **options)
    assert says in str(caught.value)


def test_hidden_keys_are_those_whose_own_name_is_hidden():
    tree = {"_a": {"_b": {"c": 1}, "d": 2}, "e_": 3, "f": {"_g": 4}}
    found = hidden_keys(wish(tree, include_hidden=True, path="/_p/q"))
    assert found == ["/_p/q/_a", "/_p/q/_a/_b", "/_p/q/f/_g"]
    assert hidden_keys(wish({"_a": 1}, include_hidden=True, path="/")) == ["/_a"]


PLANS = {
    "nothing there": ({}, {"b": "x", "a": "y"}, {}, [["create /t/a y", "create /t/b x"]]),
    "path only": ({}, {}, {}, [["make_dir /t"]]),
    "root": ({}, {"a": "y"}, {"path": "/"}, [["create /a y"]]),
    "as wished": (states(a="x", d=None), {"a": "x", "d": {}}, {}, []),
    "what is not named stays": (states(a="x", z="z"), {"a": "x"}, {}, []),
    "another value": (states(a="x"), {"a": "y"}, {}, [["swap /t/a y"]]),
    "another value keeps the TTL": (states(a=("x", 50)), {"a": "y"}, {}, [["swap /t/a y ttl=50"]]),
    "the same JSON": (states(a='[ 1, {"b": 2} ]'), {"a": [1, {"b": 2}]}, {}, []),
    "another JSON": (states(a="[1]"), {"a": [2]}, {}, [["swap /t/a [2]"]]),
    "a TTL is missing": (states(a="x"), {"a": "x"}, {"ttl": 9}, [["refresh /t/a x ttl=9"]]),
    "a TTL is there": (states(a=("x", 5)), {"a": "x"}, {"ttl": 9}, []),
    "a TTL is longer": (states(a=("x", 99)), {"a": "x"}, {"ttl": 9}, [["refresh /t/a x ttl=9"]]),
    "a TTL is to go": (states(a=("x", 5)), {"a": "x"}, {"ttl": 0}, [["swap /t/a x"]]),
    "new with a TTL": (states(), {"a": "x"}, {"ttl": 9}, [["create /t/a x ttl=9"]]),
    "empty directories": (
        states(),
        {"d": {"e": {}, "f": {}}, "g": {"h": "x"}},
        {},
        [["make_dir /t/d/e", "make_dir /t/d/f"], ["create /t/g/h x"]],
    ),
    "directories of two depths": (
        states(),
        {"d": {"e": {}}, "f": {}},
        {},
        [["make_dir /t/f"], ["make_dir /t/d/e"]],
    ),
    "additions before removals": (
        states(old="x"),
        {"new": "x"},
        {"purge": True},
        [["create /t/new x"], ["delete /t/old"]],
    ),
    "purge, the deepest first": (
        states(d=None, d__e=None, d__e__x="x", d__y="y", k="k"),
        {"k": "k"},
        {"purge": True},
        [
            ["delete /t/d/e/x", "delete /t/d/y"],
            ["remove_dir /t/d/e"],
            ["remove_dir /t/d"],
        ],
    ),
    "purge of a similar name": (
        states(**{"d": None, "d__x": "x", "d-": "y"}),
        {"d-": "y"},
        {"purge": True},
        [["delete /t/d/x"], ["remove_dir /t/d"]],
    ),
    "purge keeps what is excluded": (
        states(d=None, d__x="x", d__y="y", e=None, e__z="z"),
        {},
        {"purge": True, "purge_all": True, "purge_exclude": ["/d/x", "e"]},
        [["delete /t/d/y"]],
    ),
    "purge keeps by a star": (
        states(d=None, d__x="x", d__e=None, d__e__x="x", f="f"),
        {},
        {"purge": True, "purge_all": True, "purge_exclude": ["*x"]},
        [["delete /t/f"]],
    ),
    "purge keeps a name at any depth, and what is below it": (
        states(d=None, d__x="x", e=None, e__d=None, e__d__y="y", e__z="z", dd="d"),
        {"k": "k"},
        {"purge": True, "purge_exclude": ["d"]},
        [["create /t/k k"], ["delete /t/dd", "delete /t/e/z"]],
    ),
    "purge keeps what is right below the path": (
        states(d=None, d__x="x", e=None, e__d="y"),
        {"k": "k"},
        {"purge": True, "purge_exclude": ["/d"]},
        [["create /t/k k"], ["delete /t/e/d"], ["remove_dir /t/e"]],
    ),
    "purge within its limit": (
        states(a="x", d=None, d__x="x"),
        {"a": "x"},
        {"purge": True, "purge_limit": 2},
        [["delete /t/d/x"], ["remove_dir /t/d"]],
    ),
    "a limit is not for what is replaced": (
        states(a=None, a__b="x", z="z"),
        {"a": "v"},
        {"force": True, "purge": True, "purge_limit": 1},
        [["delete /t/a/b"], ["remove_dir /t/a"], ["create /t/a v"], ["delete /t/z"]],
    ),
    "purge everything": (
        states(a="x", d=None),
        {},
        {"purge": True, "purge_all": True},
        [["delete /t/a"], ["remove_dir /t/d"]],
    ),
    "directory to value": (
        states(a=None, a__b="x", a__c=None),
        {"a": "v"},
        {"force": True},
        [["delete /t/a/b"], ["remove_dir /t/a/c"], ["remove_dir /t/a"], ["create /t/a v"]],
    ),
    "value to directory": (
        states(a="x"),
        {"a": {"b": "v"}},
        {"force": True},
        [["delete /t/a"], ["create /t/a/b v"]],
    ),
    "value to empty directory": (
        states(a="x"),
        {"a": {}},
        {"force": True},
        [["delete /t/a"], ["make_dir /t/a"]],
    ),
    "directory to value, with purge": (
        states(a=None, a__b="x", z="z"),
        {"a": "v"},
        {"force": True, "purge": True},
        [["delete /t/a/b"], ["remove_dir /t/a"], ["create /t/a v"], ["delete /t/z"]],
    ),
    "path is a value": (
        {"/t": KeyState("x", False, None, None, 1, 1)},
        {"a": "v"},
        {"force": True},
        [["delete /t"], ["create /t/a v"]],
    ),
    "absent": (
        states(a="x", d=None, d__b="y", z="z"),
        {"a": None, "d": {"b": None, "c": None}},
        {"state": "absent"},
        [["delete /t/a", "delete /t/d/b"], ["remove_dir /t/d"]],
    ),
    "absent, and the path too": (
        states(a="x"),
        {"a": None},
        {"state": "absent"},
        [["delete /t/a"], ["remove_dir /t"]],
    ),
    "absent, nothing there": ({}, {"a": None}, {"state": "absent"}, []),
    "absent, directory holds another": (
        states(d=None, d__b="y", d__c="z"),
        {"d": {"b": None}},
        {"state": "absent"},
        [["delete /t/d/b"]],
    ),
    "absent, all of it": (
        states(a="x", d=None, d__b="y"),
        None,
        {"state": "absent"},
        [["delete /t/a", "delete /t/d/b"], ["remove_dir /t/d"], ["remove_dir /t"]],
    ),
    "absent, all but what is excluded": (
        states(a="x", d=None, d__b="y"),
        None,
        {"state": "absent", "purge_exclude": ["d/b"]},
        [["delete /t/a"]],
    ),
    "absent, below a value": (states(a="x"), {"a": {"b": None}}, {"state": "absent"}, []),
    "absent, below a value, by force": (
        states(a="x", z="z"),
        {"a": {"b": {"c": None}}, "z": None},
        {"state": "absent", "force": True},
        [["delete /t/z"]],
    ),
    "absent, directory that is a value, by force": (
        states(a="x", z="z"),
        {"a": {}},
        {"state": "absent", "force": True},
        [["delete /t/a"]],
    ),
    "absent, path is a value": (
        {"/t": KeyState("x", False, None, None, 1, 1)},
        {"a": None, "d": {"b": None}},
        {"state": "absent"},
        [],
    ),
    "absent, root": (
        {
            "/": KeyState(None, True, None, None, 0, 0),
            "/a": KeyState("x", False, None, None, 2, 2),
            "/b": KeyState("x", False, None, None, 3, 3),
        },
        {"a": None},
        {"state": "absent", "path": "/"},
        [["delete /a"]],
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_plans(name):
    current, tree, options, expected = PLANS[name]
    wished = wish(tree, **options)
    stages = plan(current, wished)
    assert steps(stages) == expected
    # Planned again on what it leads to, there is nothing to do.
    after = states_after(current, [one for stage in stages for one in stage], wished)
    assert steps(plan(after, wished)) == []


@pytest.mark.parametrize("name", PLANS)
def test_every_action_carries_what_was_read(name):
    current, tree, options, unused = PLANS[name]
    gone = set()
    for stage in plan(current, wish(tree, **options)):
        for action in stage:
            found = None if action.key in gone else current.get(action.key)
            assert action.before == found
            if action.kind.value in ("delete", "remove_dir"):
                gone.add(action.key)


@pytest.mark.parametrize(
    "current, tree, options, says",
    [
        (states(a=None), {"a": "v"}, {}, "/t/a is a directory, and the tree has a value there"),
        (states(a="x"), {"a": {}}, {}, "/t/a is a key with a value, and the tree has a directory"),
        (states(a=None), {"a": None}, {"state": "absent"}, "/t/a is a directory"),
        (
            states(a=None, a__b="x"),
            {"a": "v"},
            {"force": True, "purge": True, "purge_exclude": ["a/b"]},
            "purge_exclude keeps /t/a/b",
        ),
        (
            states(**dict.fromkeys("abcdefg")),
            dict.fromkeys("abcdefg", "v"),
            {},
            "and 2 more; force: true",
        ),
    ],
)
def test_what_is_in_the_way(current, tree, options, says):
    with pytest.raises(Refusal) as caught:
        plan(current, wish(tree, **options))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "tree, options, says",
    [
        ({"k": "k"}, {"purge": True, "purge_limit": 2}, "3 keys and directories would be removed"),
        ({"k": "k"}, {"purge": True, "purge_limit": 0}, "purge_limit is 0 (/t/a, /t/d, /t/d/x)"),
        (None, {"state": "absent", "purge_limit": 3}, "4 keys and directories would be removed"),
    ],
)
def test_more_would_be_removed_than_may_be(tree, options, says):
    with pytest.raises(Refusal) as caught:
        plan(states(a="x", d=None, d__x="x"), wish(tree, **options))
    assert says in str(caught.value)


def test_a_limit_counts_what_is_gone_already():
    wished = wish({"k": "k", "v": "v"}, purge=True, force=True, purge_limit=2)
    there = states(a="x", v=None, v__b="x")
    done = [action for stage in plan(there, wished) for action in stage]
    assert [one.key for one in done] == ["/t/v/b", "/t/v", "/t/k", "/t/v", "/t/a"]
    plan(states(k="k", v="v", b="x"), wished, done)
    with pytest.raises(Refusal) as caught:
        plan(states(k="k", v="v", b="x", c="x"), wished, done)
    assert "3 keys and directories would be removed" in str(caught.value)


def test_hidden_directories_go_with_what_cannot_be_seen():
    for hidden in (True, False):
        wished = wish({}, purge=True, purge_all=True, include_hidden=hidden)
        (stage,) = plan(states(d=None), wished)
        assert [one.recursive for one in stage] == [hidden]


@pytest.mark.parametrize("path, slash", [("/t/", True), ("/t", False)])
def test_the_path_is_sent_as_the_task_wrote_it(path, slash):
    made = plan({}, wish({"e": {}}, path=path))
    empty = plan({}, wish({}, path=path))
    gone = plan(states(e=None), wish(None, path=path, state="absent"))
    sent = [action.sent_as for stages in (made, empty, gone) for (action,) in stages]
    assert sent == ["/t/e", path, "/t/e", path]
    assert [stage[0].key for stage in gone] == ["/t/e", "/t"]


def test_a_directory_with_a_ttl_is_made_before_what_is_in_it():
    wished = wish({"d": {"e": {"x": "v"}}})
    wished = wished._replace(directories=dict(wished.directories, **{"/t/d": 90}))
    assert steps(plan({}, wished)) == [["make_dir /t/d ttl=90"], ["create /t/d/e/x v"]]
    assert steps(plan(states(d=None), wished)) == [["create /t/d/e/x v"]]


NODES = {
    "/": Saved(None),
    "/t": Saved(None),
    "/t/a": Saved("x"),
    "/t/b": Saved("", 30, "then"),
    "/t/d": Saved(None, 90, "then"),
    "/t/d/e": Saved("y"),
    "/t/empty": Saved(None),
    "/tt/c": Saved("z"),
    "/_h/x": Saved("w"),
}


def restored(**options):
    backup = Backup("/", (), "id", 9, "now", NODES)
    return wish_from_backup(dict(UNSET, **options), backup)


def test_the_wish_for_what_a_backup_holds():
    found = restored(path="t/", purge=True, purge_exclude=["x"])
    assert found.leaves == {
        "/t/a": Leaf("x", False, 0),
        "/t/b": Leaf("", False, 30),
        "/t/d/e": Leaf("y", False, 0),
    }
    assert found.directories == {"/t": 0, "/t/d": 90, "/t/empty": 0}
    assert (found.path, found.present, found.purge, found.hidden) == ("/t", True, True, False)
    whole = restored(path="/", include_hidden=True)
    assert sorted(whole.leaves) == ["/_h/x", "/t/a", "/t/b", "/t/d/e", "/tt/c"]
    assert hidden_keys(whole) == ["/_h"]


def test_what_a_backup_brings_about():
    assert steps(plan({}, restored())) == [
        ["make_dir /t/d ttl=90", "make_dir /t/empty"],
        ["create /t/a x", "create /t/b  ttl=30", "create /t/d/e y"],
    ]
    there = states(a=("x", 5), b=("", 99), d=None, empty=None, d__e="y")
    assert steps(plan(there, restored())) == [["swap /t/a x", "refresh /t/b  ttl=30"]]
    after = states(a="x", b=("", 29), d=None, empty=None, d__e="y")
    assert plan(after, restored()) == ()


@pytest.mark.parametrize(
    "options, says",
    [
        ({"state": "absent"}, "src_format: backup is for state: present"),
        ({"ttl": 9}, "ttl and leaf_json are not for src_format: backup"),
        ({"leaf_json": True}, "leave them out"),
        ({"leaf_json_depth": 2}, "leave them out"),
        ({"path": "/other"}, "the backup is of /, and holds no directory /other"),
        ({"path": "/t/a"}, "holds no directory /t/a"),
        ({"path": "/"}, "/_h is hidden"),
        ({"purge_exclude": ["a"]}, "purge_exclude needs purge: true"),
        ({"path": "/t/empty", "purge": True}, "write purge_all: true"),
    ],
)
def test_what_is_refused_of_a_backup(options, says):
    with pytest.raises(Refusal) as caught:
        restored(**options)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "there, keys",
    [
        ({}, []),
        (states(d="value"), []),
        (states(d=None), ["/t/d"]),
        (states(d=(None, 91)), ["/t/d"]),
        (states(d=(None, 90)), []),
        (states(d=(None, 9), empty=None), []),
        (states(d=(None, 9), empty=(None, 9)), ["/t/empty"]),
    ],
)
def test_directories_that_keep_another_ttl(there, keys):
    assert directories_with_another_ttl(there, restored()) == keys
    assert directories_with_another_ttl(there, wish({"d": {}, "empty": {}})) == []
