# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleLookupError
from ansible_collections.quorum.etcd.plugins.module_utils import _connection
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from ansible_collections.quorum.etcd.plugins.plugin_utils import _lookup
from ansible_collections.quorum.etcd.tests.unit.fakes.network import (
    MISSING,
    REFUSED,
    FakeClock,
    FakeHttp,
    Reply,
    error_reply,
    node_reply,
)
from ansible_collections.quorum.etcd.tests.unit.fakes.options import defaults

DEFAULTS = {
    "missing": None,
    "default": None,
    "recursive": False,
    "layout": "nested",
    "from_json": False,
    "details": False,
    "quorum": True,
}


def no_options(environ):
    raise AssertionError("no client is made")


class Plugin:
    """Implements `_lookup.OptionProvider`."""

    def __init__(self, options):
        self._options = dict(DEFAULTS, **options)

    def get_option(self, option):
        return self._options[option]


@pytest.fixture(name="look_up")
def fixture_look_up(monkeypatch):
    """Looks terms up over these replies; `look_up.sent` are the targets that were asked for."""

    def look_up(terms, replies, **options):
        clock = FakeClock()
        http = FakeHttp(clock, {"a": replies})
        client = Client("a", http=http, clock=clock, sleep=clock.sleep)
        monkeypatch.setattr(_lookup, "_client", lambda connection: client)
        try:
            return _lookup.look_up_keys(
                Plugin(options), terms, no_options, default_given="default" in options
            )
        finally:
            look_up.sent = [one.target for one in http.sent]

    return look_up


TREE = Reply(
    200,
    {
        "action": "get",
        "node": {
            "key": "/d",
            "dir": True,
            "nodes": [
                {"key": "/d/z", "value": "1", "createdIndex": 3, "modifiedIndex": 3},
                {"key": "/d/e", "dir": True},
                {
                    "key": "/d/a",
                    "dir": True,
                    "nodes": [{"key": "/d/a/b", "value": '{"x": 2}', "modifiedIndex": 4}],
                },
            ],
        },
    },
)


@pytest.mark.parametrize(
    "options, target",
    [({}, "/v2/keys/k?quorum=true"), ({"quorum": False}, "/v2/keys/k")],
)
def test_a_value(look_up, options, target):
    assert look_up(["/k"], [node_reply(value="v")], **options) == ["v"]
    assert look_up.sent == [target]


def test_values_are_texts_as_they_are(look_up):
    replies = [node_reply(value=one) for one in ("42", "", " x\n", "{{ y }}", "null")]
    assert look_up(list("abcde"), replies) == ["42", "", " x\n", "{{ y }}", "null"]


@pytest.mark.parametrize(
    "options, expected",
    [
        ({"missing": "skip"}, ["1", "3"]),
        ({"missing": "default"}, ["1", None, "3"]),
        ({"missing": "default", "default": "x"}, ["1", "x", "3"]),
        ({"default": "x"}, ["1", "x", "3"]),
        ({"default": ""}, ["1", "", "3"]),
        ({"default": False}, ["1", False, "3"]),
        ({"default": None}, ["1", None, "3"]),
        ({"missing": "skip", "default": "x"}, ["1", "3"]),
    ],
)
def test_a_missing_key_has_the_result_that_was_asked_for(look_up, options, expected):
    replies = [node_reply(value="1"), MISSING, node_reply(value="3")]
    assert look_up(["a", "b", "c"], replies, **options) == expected


@pytest.mark.parametrize("options", [{}, {"missing": "error"}, {"missing": "error", "default": 1}])
def test_a_missing_key_is_an_error_otherwise(look_up, options):
    with pytest.raises(AnsibleLookupError) as caught:
        look_up(["/b"], [MISSING], **options)
    assert "/b does not exist" in str(caught.value)


@pytest.mark.parametrize(
    "reply, says",
    [
        (REFUSED, "connection refused"),
        (error_reply(401, 110, "Insufficient credentials"), "Insufficient credentials"),
        (Reply(404, b"404 page not found\n"), "--enable-v2"),
        (Reply(200, b"<html>"), "not what etcd speaks"),
        (Reply(200, {"action": "get"}), "holds no key"),
    ],
)
@pytest.mark.parametrize("options", [{"missing": "skip"}, {"default": "x"}, {}])
def test_trouble_is_never_taken_for_a_missing_key(look_up, reply, says, options):
    with pytest.raises(AnsibleLookupError) as caught:
        look_up(["/k"], [reply], **options)
    assert says in str(caught.value)
    assert "quorum.etcd.etcd_key: /k: " in str(caught.value)


def test_a_directory(look_up):
    with pytest.raises(AnsibleLookupError) as caught:
        look_up(["/d"], [TREE])
    assert "read it with recursive=true" in str(caught.value)
    assert look_up(["/d"], [TREE], recursive=True) == [{"a": {"b": '{"x": 2}'}, "e": {}, "z": "1"}]
    assert look_up.sent == ["/v2/keys/d/?recursive=true&quorum=true"]
    assert look_up(["/d"], [TREE], recursive=True, layout="flat") == [
        {"/d/a/b": '{"x": 2}', "/d/z": "1"}
    ]


def test_json(look_up):
    assert look_up(["/k"], [node_reply(value='{"a": [1]}')], from_json=True) == [{"a": [1]}]
    assert look_up(["/d"], [TREE], recursive=True, from_json=True, layout="flat") == [
        {"/d/a/b": {"x": 2}, "/d/z": 1}
    ]
    with pytest.raises(AnsibleLookupError) as caught:
        look_up(["/k"], [node_reply(value="hunter2")], from_json=True)
    assert "the value of /k is not JSON" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_details(look_up):
    (found,) = look_up(["/k"], [node_reply(value="v", ttl=60, expiration="soon")], details=True)
    assert found == {
        "key": "/k",
        "value": "v",
        "ttl": 60,
        "expiration": "soon",
        "created_index": 5,
        "modified_index": 5,
    }
    (tree,) = look_up(["/d"], [TREE], recursive=True, details=True, from_json=True)
    assert tree["a"]["b"]["value"] == {"x": 2}
    assert tree["a"]["b"]["modified_index"] == 4


@pytest.mark.parametrize(
    "term, says",
    [(5, "a term is a key"), ({"a": 1}, "a term is a key"), ("/a//b", "an empty segment")],
)
def test_terms_that_are_no_keys(look_up, term, says):
    with pytest.raises(AnsibleLookupError) as caught:
        look_up([term], [MISSING], default="x")
    assert says in str(caught.value)
    assert look_up.sent == []


@pytest.mark.parametrize(
    "terms", [[["a", "b"], "c"], [["a", ["b", [], ("c",)]]], [[["a", "b", "c"]]]]
)
def test_a_list_as_a_term_stands_for_what_is_in_it(look_up, terms):
    replies = [node_reply(value=one) for one in "123"]
    assert look_up(terms, replies) == ["1", "2", "3"]
    assert look_up.sent == ["/v2/keys/%s?quorum=true" % one for one in "abc"]


def test_no_terms_are_no_results(look_up):
    assert look_up([], [MISSING]) == []


def test_a_wrong_connection_option_is_an_error():
    options = defaults(_connection.ARGUMENT_SPEC)
    options.update(endpoints=["ftp://a"])
    with pytest.raises(AnsibleLookupError) as caught:
        _lookup.look_up_keys(Plugin({}), ["/k"], lambda environ: options, default_given=False)
    assert str(caught.value).startswith("quorum.etcd.etcd_key: ")
