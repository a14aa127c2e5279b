# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils._diffs import (
    key_diff,
    text,
    value_lines,
)

VALUES = {
    "a": ["a"],
    "a b\tc": ["a b\tc"],
    "a\nb": ["a", "b"],
    "a\nb\n": ["a", "b", ""],
    "": ['""'],
    '""': [r'"\"\""'],
    "\n": ["", ""],
    "42": ["42"],
    '{"b":[1,true],"a":{}}': ["{", '  "a": {},', '  "b": [', "    1,", "    true", "  ]", "}"],
    ' ["ü"] ': ["[", '  "ü"', "]"],
    "{}": ["{}"],
    # Neither is JSON, or not all of it would be shown.
    "{a: 1}": ["{a: 1}"],
    '{"a":1,"a":2}': ['{"a":1,"a":2}'],
    "[" * 100000: ["[" * 100000],
    # What a terminal would obey, or not show, and what could be taken for it
    "a\r": [r'"a\r"'],
    "\x1b[31m": [r'"\u001b[31m"'],
    r'"\u001b[31m"': [r'"\"\\u001b[31m\""'],
    "a\u2028b\u202e": ['"a\\u2028b\\u202e"'],
    "x\n(ttl 5)": ["x", '"(ttl 5)"'],
    "(secret)": ['"(secret)"'],
    "\U0001f642": ["\U0001f642"],
}


@pytest.mark.parametrize("value", VALUES)
def test_lines(value):
    assert value_lines(value, None) == (VALUES[value], [])
    assert value_lines(None, value) == ([], VALUES[value])
    assert value_lines(value, value) == (VALUES[value], VALUES[value])


@pytest.mark.parametrize("one, other", list(itertools.combinations([*VALUES, "[1]", "[1 ]"], 2)))
def test_values_that_differ_look_different(one, other):
    before, after = value_lines(one, other)
    assert before != after
    # Ansible splits the text again.
    assert text(before).splitlines() != text(after).splitlines()


def test_only_what_differs_in_json_differs():
    before, after = value_lines('{"b": 1, "a": 2, "c": [1]}', '{"a":2,"b":9,"c":[1]}')
    assert [one for one in zip(before, after) if len(set(one)) > 1] == [('  "b": 1,', '  "b": 9,')]


def test_the_same_json_in_another_layout():
    assert value_lines('{"a": 1}', '{"a":1}') == (['{"a": 1}'], ['{"a":1}'])


@pytest.mark.parametrize(
    "before, after, texts",
    [
        (None, {"value": "x", "ttl": None}, ("", "x\n")),
        ({"value": "x", "ttl": 5}, {"value": "x", "ttl": 60}, ("x\n(ttl 5)\n", "x\n(ttl 60)\n")),
        (
            {"value": "a\nb", "ttl": 5},
            {"value": "a\nb", "ttl": None},
            ("a\nb\n(ttl 5)\n", "a\nb\n"),
        ),
        ({"value": "[1]", "ttl": None}, None, ("[\n  1\n]\n", "")),
        (None, None, ("", "")),
    ],
)
def test_the_diff_of_a_key(before, after, texts):
    diff = key_diff("/k", before, after)
    assert (diff["before"], diff["after"]) == texts
    assert diff["before_header"] == diff["after_header"] == "/k"
