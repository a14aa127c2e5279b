# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module from its arguments to what it prints, over a network in memory."""

from __future__ import annotations

import json

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _module
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.key import manage_key
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from ansible_collections.quorum.etcd.plugins.modules import etcd_key
from ansible_collections.quorum.etcd.tests.unit.fakes.arguments import module_arguments
from ansible_collections.quorum.etcd.tests.unit.fakes.network import (
    MISSING,
    FakeClock,
    FakeHttp,
    Reply,
    error_reply,
    node_reply,
)


@pytest.fixture(name="run")
def fixture_run(capsys):
    """Runs the module over these replies; returns what it prints and the methods it sends."""

    def run(*replies, **arguments):
        clock = FakeClock()
        http = FakeHttp(clock, {"etcd1": replies})

        def task(options, connect, *, apply):
            connect()  # makes the real client too, which sends nothing
            client = Client("etcd1", http=http, clock=clock, sleep=clock.sleep)
            return manage_key(options, lambda: client, apply=apply)

        with module_arguments(key="/k", **arguments), pytest.raises(SystemExit):
            _module.run(etcd_key.ARGUMENT_SPEC, task)
        return json.loads(capsys.readouterr().out), [one.method for one in http.sent]

    return run


WRITTEN = Reply(
    201,
    {"action": "set", "node": {"key": "/k", "value": "v", "createdIndex": 10, "modifiedIndex": 10}},
    {"X-Etcd-Index": "10"},
)

CASES = [
    ("create", [MISSING, WRITTEN], {"value": "v"}, ["GET", "PUT"]),
    ("swap", [node_reply(value="old"), WRITTEN], {"value": "v"}, ["GET", "PUT"]),
    ("refresh", [node_reply(value="v"), WRITTEN], {"value": "v", "ttl": 60}, ["GET", "PUT"]),
    ("delete", [node_reply(value="v"), WRITTEN], {"state": "absent"}, ["GET", "DELETE"]),
    ("enqueue", [MISSING, WRITTEN], {"state": "enqueued", "value": "v"}, ["GET", "POST"]),
    ("nothing", [node_reply(value="v")], {"value": "v"}, ["GET"]),
    ("nothing", [MISSING], {"state": "absent"}, ["GET"]),
]


@pytest.mark.parametrize("action, replies, arguments, methods", CASES)
def test_a_run_and_its_check_mode(run, action, replies, arguments, methods):
    done, sent = run(*replies, _ansible_diff=True, **arguments)
    assert sent == methods
    checked, sent = run(*replies, _ansible_diff=True, _ansible_check_mode=True, **arguments)
    assert sent == ["GET"], "check mode only reads"
    for printed in (done, checked):
        assert "failed" not in printed
        assert (printed["changed"], printed["action"]) == (action != "nothing", action)
    assert done["diff"] == checked["diff"]
    assert set(done) == set(checked)
    only_the_server_knows = {"created_index", "modified_index", "expiration", "etcd_index"}
    told = set(done) - only_the_server_knows - {"invocation", "key"}
    assert {name: done[name] for name in told if name != "ttl"} == {
        name: checked[name] for name in told if name != "ttl"
    }


def test_what_is_returned(run):
    printed, unused = run(node_reply(value="old"), WRITTEN, value="v")
    expected = {
        "changed": True,
        "action": "swap",
        "key": "/k",
        "value": "v",
        "ttl": None,
        "expiration": None,
        "created_index": 10,
        "modified_index": 10,
        "prev_value": "old",
        "prev_index": 5,
        "etcd_index": 10,
        "endpoint": "http://etcd1:2379",
        "requests_sent": 1,
    }
    assert {name: printed[name] for name in expected} == expected
    assert "diff" not in printed


def test_a_condition_that_fails_shows_what_was_found(run):
    printed, sent = run(node_reply(value="theirs"), value="v", prev_value="mine")
    assert printed["failed"] is True
    assert (printed["value"], printed["modified_index"]) == ("theirs", 5)
    assert sent == ["GET"]


@pytest.mark.parametrize(
    "reply, error",
    [
        (error_reply(401, 110), "EtcdUnauthorized"),
        (Reply(404, b"404 page not found\n"), "EtcdV2NotServed"),
    ],
)
@pytest.mark.parametrize("state", ["present", "absent"])
def test_trouble_is_never_taken_for_a_missing_key(run, reply, error, state):
    printed, sent = run(reply, value="v", state=state)
    assert (printed["failed"], printed["error"]) == (True, error)
    assert sent == ["GET"]


def test_wrong_options_send_nothing(run):
    printed, sent = run(MISSING, value="v", ttl=-1)
    assert printed["failed"] is True
    assert sent == []


def test_a_password_is_in_no_output(run, monkeypatch):
    monkeypatch.setenv("ETCDCTL_USER", "root:hunter2")
    printed, unused = run(node_reply(value="hunter2"), WRITTEN, value="v", _ansible_diff=True)
    assert "hunter2" not in json.dumps(printed)
