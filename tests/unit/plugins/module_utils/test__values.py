# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _values
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException


@pytest.mark.parametrize(
    "value, text",
    [
        ({"b": 1, "a": {"d": None, "c": [1.5, True]}}, '{"a":{"c":[1.5,true],"d":null},"b":1}'),
        ("\u043a", '"\u043a"'),
        ([1, 2], "[1,2]"),
    ],
)
def test_canonical_json(value, text):
    assert _values.canonical_json(value) == text


@pytest.mark.parametrize(
    "value, text",
    [("v", "v"), ('{"b": 1}', '{"b": 1}'), (42, "42"), (True, "true"), ({"b": 1}, '{"b":1}')],
)
def test_stored_text(value, text):
    assert _values.stored_text("value", value) == text


@pytest.mark.parametrize(
    "value, expected",
    [(float("nan"), Refusal), ({1: 1, "a": 2}, Refusal), ("\udc80", ClientException)],
)
def test_stored_text_refuses(value, expected):
    with pytest.raises(expected) as caught:
        _values.stored_text("prev_value", value)
    assert "prev_value" in str(caught.value)


@pytest.mark.parametrize(
    "stored, text, as_json, expected",
    [
        ("v", "v", False, True),
        ("v", "w", False, False),
        ("", "", False, True),
        (None, "v", False, False),
        (None, None, False, False),
        (None, "null", True, False),
        ('{"b": 2, "a": 1}', '{"a":1,"b":2}', True, True),
        ('{"b": 2, "a": 1}', '{"a":1,"b":2}', False, False),
        ('{"a": 1}', '{"a":true}', True, False),
        ("{", "{}", True, False),
        ("[NaN]", "[1]", True, False),
        ("[" * 100000, "[]", True, False),
    ],
)
def test_equal(stored, text, as_json, expected):
    assert _values.equal(stored, text, as_json=as_json) is expected
