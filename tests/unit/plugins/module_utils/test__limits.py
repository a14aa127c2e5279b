# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import threading

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _limits
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException


@pytest.mark.parametrize(
    "key, canonical",
    [
        ("/", "/"),
        ("k", "/k"),
        ("/k", "/k"),
        ("/k/", "/k"),
        ("a/b/c", "/a/b/c"),
        ("/a/_hidden", "/a/_hidden"),
        ("/...", "/..."),
        ("/.a", "/.a"),
        ("/ ", "/ "),
        ("/a b", "/a b"),
        ("/\u043a\u043b\u044e\u0447", "/\u043a\u043b\u044e\u0447"),
        ("/x%2Fy", "/x%2Fy"),
        ("/" + "x" * 300, "/" + "x" * 300),
    ],
)
def test_canonical_key(key, canonical):
    assert _limits.canonical_key(key) == canonical
    assert _limits.canonical_key(canonical) == canonical


@pytest.mark.parametrize(
    "key, says",
    [
        ("", 'the key is empty; write "/" for the root directory'),
        ("//", "has an empty segment"),
        ("///", "has an empty segment"),
        ("//a", "has an empty segment"),
        ("/a//b", 'the key "/a//b" has an empty segment'),
        ("/a//", "has an empty segment"),
        (".", "has the segment ."),
        ("/a/./b", "has the segment ."),
        ("..", "has the segment .."),
        ("/a/..", 'the key "/a/.." has the segment ..'),
        ("/a/\udc80", "is not valid UTF-8"),
        (b"/a", "a key is a string, not bytes"),
        (None, "a key is a string, not NoneType"),
        (7, "a key is a string, not int"),
    ],
)
def test_canonical_key_refuses(key, says):
    with pytest.raises(ClientException) as caught:
        _limits.canonical_key(key)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text, shown",
    [("/a", '"/a"'), ("x" * 120, '"%s"' % ("x" * 120)), ("x" * 121, '"%s..."' % ("x" * 120))],
)
def test_shown_cuts_what_is_long(text, shown):
    assert _limits.shown(text) == shown


@pytest.mark.parametrize("value, text", [("", ""), ("v", "v"), (" v\n", " v\n"), (42, "42")])
def test_value_text(value, text):
    assert _limits.value_text(value) == text


@pytest.mark.parametrize(
    "value, says",
    [
        (True, "a value is a string, not bool"),
        (None, "not NoneType"),
        (1.5, "not float"),
        (b"v", "not bytes"),
        ({"a": 1}, "a value is a string, not dict; convert it first"),
        ("\ud800", "the value is not valid UTF-8"),
    ],
)
def test_value_text_refuses(value, says):
    with pytest.raises(ClientException) as caught:
        _limits.value_text(value)
    assert says in str(caught.value)


@pytest.mark.parametrize("ttl", [1, 60, 10**9, _limits.MAX_TTL])
def test_ttl_seconds(ttl):
    assert _limits.ttl_seconds(ttl) == ttl


@pytest.mark.parametrize(
    "ttl", [0, -1, _limits.MAX_TTL + 1, 9223372036, 99999999999999, 2**64, True, 1.0, "60", None]
)
def test_ttl_seconds_refuses(ttl):
    with pytest.raises(ClientException) as caught:
        _limits.ttl_seconds(ttl)
    assert "ttl is a whole number from 1 to %d, not %r" % (_limits.MAX_TTL, ttl) in str(
        caught.value
    )


def test_the_largest_ttl_fits_the_servers_63_bits_of_nanoseconds_until_2106():
    assert (_limits.MAX_TTL + 2**32) * 10**9 < 2**63


@pytest.mark.parametrize("index", [1, 2**64 - 1])
def test_index_number(index):
    assert _limits.index_number(index, "prev_index") == index


@pytest.mark.parametrize("index", [0, -1, 2**64, True, "5", 5.0, None])
def test_index_number_refuses(index):
    with pytest.raises(ClientException) as caught:
        _limits.index_number(index, "prev_index")
    assert "prev_index is a whole number from 1 to" in str(caught.value)


@pytest.mark.parametrize(
    "value", [0, -1, float("nan"), float("inf"), 1000000.1, 10**400, "5", True, None]
)
def test_seconds_that_cannot_be_waited_are_refused(value):
    with pytest.raises(ClientException) as caught:
        _limits.seconds(value, "timeout")
    says = "timeout is a number of seconds above 0 and up to 1000000, not "
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize("value", [0.001, 1, 1000000])
def test_seconds(value):
    assert _limits.seconds(value, "timeout") == value


def test_no_seconds_are_allowed_where_that_means_not_to_wait():
    assert _limits.seconds(0, "timeout", or_none=True) == 0
    with pytest.raises(ClientException) as caught:
        _limits.seconds(-0.5, "timeout", or_none=True)
    assert "from 0 and up to 1000000, not -0.5" in str(caught.value)


def test_the_longest_wait_fits_into_a_clock_of_32_bits():
    assert _limits.MAX_WAIT < (2**31) // 1000
    assert _limits.MAX_WAIT < threading.TIMEOUT_MAX
    with socket.socket() as one:
        one.settimeout(_limits.MAX_WAIT)
