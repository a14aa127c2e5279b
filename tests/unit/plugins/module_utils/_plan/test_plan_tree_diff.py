# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.quorum.etcd.plugins.module_utils._actions import KeyState
from ansible_collections.quorum.etcd.plugins.module_utils._patterns import matcher
from ansible_collections.quorum.etcd.plugins.module_utils._plan.tree_diff import diffs
from ansible_collections.quorum.etcd.plugins.module_utils._plan.tree_wish import Wish

WISH = Wish("/t", True, {}, {})


def states(**content):
    """States by name below /t: a value, a (value, TTL) pair, or None for a directory."""
    found = {}
    for name, one in content.items():
        value, ttl = one if isinstance(one, tuple) else (one, None)
        found["/t/" + name.replace("__", "/")] = KeyState(value, value is None, ttl, None, 0, 0)
    return found


def shown(before, after, secret=()):
    """Header, lines before and lines after of each diff."""
    return [
        (one["after_header"], one["before"].splitlines(), one["after"].splitlines())
        for one in diffs(before, after, WISH, matcher(secret))
        if one["before_header"] == one["after_header"]
    ]


def test_values_of_one_line_are_one_list_and_what_stays_is_left_out():
    before = states(a="x", d=None, d__old="1", gone=None, same="x", t=("x", 5))
    after = states(a="ü", d=None, e=(None, 90), same="x", t=("x", 7))
    assert shown(before, after) == [
        (
            "/t",
            ["/t/a = x", "/t/d/old = 1", "/t/gone/", "/t/t = x", "/t/t (ttl 5)"],
            ["/t/a = ü", "/t/e/", "/t/e/ (ttl 90)", "/t/t = x", "/t/t (ttl 7)"],
        )
    ]


def test_a_value_of_more_lines_has_its_key_above_it():
    before = states(j='{"b":1,"a":2}', m=("x\ny", 9), n="one", o="1")
    after = states(j='{"a":2,"b":3}', m=("x\nz", 9), n="[]", o="[1]")
    assert shown(before, after) == [
        ("/t", ["/t/n = one"], ["/t/n = []"]),
        ("/t/j", ["{", '  "a": 2,', '  "b": 1', "}"], ["{", '  "a": 2,', '  "b": 3', "}"]),
        ("/t/m", ["x", "y", "(ttl 9)"], ["x", "z", "(ttl 9)"]),
        ("/t/o", ["1"], ["[", "  1", "]"]),
    ]


def test_a_directory_and_a_value_in_the_place_of_each_other():
    before, after = states(a=None, b="x\ny"), states(a="x\ny", b=None)
    assert shown(before, after) == [
        ("/t", ["/t/a/"], ["/t/b/"]),
        ("/t/a", [], ["x", "y"]),
        ("/t/b", ["x", "y"], []),
    ]


def test_secrets_are_not_shown():
    before = states(s="hush\n1", u="hush", v="hush", x__y="hush", same="hush", made=None)
    after = states(
        s="hush\n2", u=("hush", 9), w='{"a": "hush"}', x__y="[1]", same="hush", made="hush"
    )
    assert shown(before, after, ["s", "u", "v", "w", "x", "same", "made"]) == [
        (
            "/t",
            [
                "/t/made/",
                "/t/s = (secret)",
                "/t/u = (secret)",
                "/t/v = (secret)",
                "/t/x/y = (secret)",
            ],
            [
                "/t/made = (secret)",
                "/t/s = (secret, changed)",
                "/t/u = (secret)",
                "/t/u (ttl 9)",
                "/t/w = (secret)",
                "/t/x/y = (secret, changed)",
            ],
        )
    ]


def test_nothing_differs():
    assert diffs(states(a="x"), states(a="x"), WISH) == []
