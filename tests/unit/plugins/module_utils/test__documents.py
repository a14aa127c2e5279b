# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _documents
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal


@pytest.mark.parametrize(
    "text, name, value",
    [
        ('{"a": {"b": [1, null]}}', "t.json", {"a": {"b": [1, None]}}),
        ('{"a": 1}', "t.yml", {"a": 1}),
        ("a: {b: [1, x]}\n", "t.yml", {"a": {"b": [1, "x"]}}),
        ("1: x\ntrue: y\n2.5: z\n", "t", {"1": "x", "true": "y", "2.5": "z"}),
        ("a: 2001-02-03\n", "t", {"a": "2001-02-03"}),
        ("a: &x {b: 1}\nc: *x\n", "t", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}\n", "t", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        ("ü: ö\n", "t", {"ü": "ö"}),
        ("", "t", None),
        ("just text", "t", "just text"),
    ],
)
def test_texts(text, name, value):
    assert _documents.parse(text, name) == value


@pytest.mark.parametrize(
    "text, name, says",
    [
        ('{"a": 1,}', "t.json", ["t.json is not JSON", "line 1 column"]),
        ('{\n "a": x}', "t.json", ["line 2 column 7"]),
        ("a: 1", "t.json", ["is not JSON", "line 1 column 1"]),
        ("a: 1\nb: [1", "t.yml", ["t.yml is not YAML in line ", ", column "]),
        ("a: 'x", "t.yml", ["is not YAML in line 1"]),
        ("a: 1\n\tb: 2", "t.yml", ["line 2, column 1"]),
        ("a: !!python/object/apply:os.getcwd []", "t.yml", ["line 1, column 4", "constructor"]),
        ("a: *x", "t.yml", ["line 1, column 4", "undefined alias"]),
        ("a: 1\n--- \nb: 2", "t.yml", ["is not YAML", "document"]),
        ('{"a": 1, "a": 2}', "t.json", ['"a" is named twice']),
        ('{"d": {"1": 1, "1": 2}}', "t.yml", ['"1" is named twice']),
        ("x: 1\nd:\n  1: x\n  '1': y\n", "t.yml", ["line 3, column 3", '"1" is named twice']),
        ("d: {true: x, 'true': y}", "t.yml", ['"true" is named twice']),
        ("null: x", "t.yml", ["line 1, column 1", "is a string or a number, not null"]),
        ("? [a]\n: x", "t.yml", ["is a string or a number, not list"]),
        ("[" * 100000, "t.json", ["nested too deeply"]),
    ],
)
def test_what_is_refused(text, name, says):
    with pytest.raises(Refusal) as caught:
        _documents.parse(text, name)
    for one in says:
        assert one in str(caught.value)


def test_values_of_a_message_are_not_shown():
    with pytest.raises(Refusal) as caught:
        _documents.parse('{"password": "hunter2", "password": "hunter3"}', "t.json")
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    "value, result",
    [
        ({2: {"x": 1}, 2.5: [{3: 4}]}, {"2": {"x": 1}, "2.5": [{"3": 4}]}),
        ({"a": datetime.date(2001, 2, 3)}, {"a": "2001-02-03"}),
        ({"a": (1, 2)}, {"a": [1, 2]}),
        ("x", "x"),
        (None, None),
    ],
)
def test_names_become_text(value, result):
    assert _documents.with_text_names(value) == result


@pytest.mark.parametrize("value", [{1: "a", "1": "b"}, {"d": [{False: 1, "false": 2}]}])
def test_names_that_become_one_are_refused(value):
    with pytest.raises(Refusal, match="named twice"):
        _documents.with_text_names(value)
