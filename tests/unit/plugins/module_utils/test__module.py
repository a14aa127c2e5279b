# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible.module_utils import basic
from ansible_collections.quorum.etcd.plugins.module_utils import _deps, _module, errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    Incomplete,
    InVain,
    KeyState,
    Refusal,
)
from ansible_collections.quorum.etcd.tests.unit.fakes.arguments import module_arguments

SPEC = {"key": {"type": "str", "required": True, "no_log": False}}


@pytest.fixture(name="run")
def fixture_run(capsys, monkeypatch):
    """Runs a task in a module with these arguments; returns what the module prints."""
    for name in (
        "ETCDCTL_ENDPOINTS",
        "ETCDCTL_USER",
        "ETCDCTL_USERNAME",
        "ETCDCTL_PASSWORD",
        "ANSIBLE_ETCD_PASSWORD",
    ):
        monkeypatch.delenv(name, raising=False)

    def run(task, **arguments):
        with module_arguments(**dict({"key": "/k"}, **arguments)):
            with pytest.raises(SystemExit):
                _module.run(SPEC, task)
        return json.loads(capsys.readouterr().out)

    return run


def returning(**report):
    return lambda options, connect, *, apply: dict(report)


def raising(exc, cause=None, *, connected=True):
    def task(options, connect, *, apply):
        if connected:
            connect()
        raise exc from cause

    return task


def test_what_a_task_returns_is_what_the_module_returns(run):
    printed = run(returning(changed=True, value="v"))
    assert (printed["changed"], printed["value"]) == (True, "v")
    assert "failed" not in printed


@pytest.mark.parametrize("check, apply", [(True, False), (False, True)])
def test_check_mode_is_a_task_that_is_not_to_be_applied(run, check, apply):
    seen = []

    def task(options, connect, *, apply):
        seen.append(apply)
        return {"changed": False}

    run(task, _ansible_check_mode=check)
    assert seen == [apply]


def test_a_task_gets_its_options_and_those_of_the_connection(run):
    seen = {}

    def task(options, connect, *, apply):
        seen.update(options)
        return {"changed": False}

    run(task, allow_reconnect=False)
    assert seen["key"] == "/k"
    assert (seen["port"], seen["timeout"], seen["allow_failover"]) == (2379, 10.0, False)


@pytest.mark.parametrize("wanted", [True, False])
def test_a_diff_is_returned_where_it_is_wanted(run, wanted):
    printed = run(returning(changed=True, diff={"before": {}, "after": {}}), _ansible_diff=wanted)
    assert ("diff" in printed) is wanted


def test_warnings_of_a_task_are_shown(capsys):
    with module_arguments(key="/k"), pytest.raises(SystemExit):
        _module.run(SPEC, returning(changed=False, warnings=["look out"]))
    captured = capsys.readouterr()
    # Where a controller can be imported, ansible-core shows them instead of returning them.
    assert "look out" in captured.out + captured.err


@pytest.mark.parametrize("source", ["option", "ETCDCTL_PASSWORD", "ETCDCTL_USER"])
def test_a_password_is_in_no_output(run, monkeypatch, source):
    arguments = {"username": "root"}
    if source == "option":
        arguments["password"] = "hunter2"
    elif source == "ETCDCTL_USER":
        arguments = {}
        monkeypatch.setenv(source, "root:hunter2")
    else:
        arguments = {}
        monkeypatch.setenv("ETCDCTL_USERNAME", "root")
        monkeypatch.setenv(source, "hunter2")

    def task(options, connect, *, apply):
        connect()
        return {"changed": False, "value": "it is hunter2"}

    assert "hunter2" not in json.dumps(run(task, **arguments))


def test_other_credentials_can_be_tried(run):
    clients = []

    def task(options, connect, *, apply):
        clients.append(connect(username="u", password="hunter2"))
        return {"changed": False, "value": "it is hunter2"}

    printed = run(task, endpoints=["etcd1"])
    assert clients[0].endpoints() == ("http://etcd1:2379",)
    assert "hunter2" not in json.dumps(printed)


STATE = KeyState("v", False, 60, "soon", 4, 5)


@pytest.mark.parametrize(
    "exc, expected",
    [
        (Refusal("not so"), {"msg": "not so"}),
        (Refusal("not so", STATE), {"value": "v", "modified_index": 5, "ttl": 60}),
        (Incomplete("half", changed=True), {"msg": "half", "changed": True}),
        (Incomplete("half", changed=False), {"msg": "half", "changed": False}),
        (errors.ClientException("wrong"), {"msg": "wrong"}),
        (
            errors.EtcdKeyNotFound("no", cause="/k", index=9, endpoint="http://a"),
            {
                "msg": "no: /k (etcd error 100, from http://a)",
                "error": "EtcdKeyNotFound",
                "error_code": 100,
                "etcd_index": 9,
                "endpoint": "http://a",
            },
        ),
        (
            errors.EtcdUnreachable("nobody", errors=[("http://a", "refused")]),
            {"msg": "nobody; http://a: refused", "error": "EtcdUnreachable", "error_code": None},
        ),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else None,
)
def test_an_exception_becomes_a_failed_task(run, exc, expected):
    printed = run(raising(exc))
    assert printed["failed"] is True
    assert {name: printed[name] for name in expected} == expected


def named(name, code=None):
    return {"error": name, "error_code": code}


NAMED = [
    (Refusal("x", error=errors.EtcdTestFailed), None, True, named("EtcdTestFailed", 101)),
    (Refusal("x", error=errors.EtcdTestFailed), None, False, named("EtcdTestFailed", 101)),
    (Refusal("x"), None, False, named("ClientException")),
    (Refusal("x"), None, True, {}),
    # A refusal says what the task makes of an answer; the answer may have another name.
    (Refusal("x"), errors.EtcdNotDir("y"), True, {}),
    (errors.ClientException("x"), None, True, named("ClientException")),
    (InVain("x", {"met": False}), None, True, {**named("EtcdWatchTimeout"), "met": False}),
    (InVain("x", {}), errors.EtcdUnreachable("y"), True, named("EtcdUnreachable")),
    (Incomplete("x", changed=True), None, True, {}),
    (
        Incomplete("x", changed=True, report={"endpoint": "http://a"}),
        errors.EtcdUnauthorized("y", index=0, endpoint="http://b"),
        True,
        {**named("EtcdUnauthorized", 110), "endpoint": "http://a", "changed": True},
    ),
    (
        Incomplete("x", changed=False),
        Refusal("y", error=errors.EtcdDirNotEmpty),
        True,
        named("EtcdDirNotEmpty", 108),
    ),
]


@pytest.mark.parametrize("exc, cause, connected, expected", NAMED)
def test_a_playbook_can_tell_failures_apart_by_name(run, exc, cause, connected, expected):
    printed = run(raising(exc, cause, connected=connected))
    assert {name: printed[name] for name in expected} == expected
    assert ("error" in printed) == ("error" in expected)


def test_a_library_that_is_missing_is_named(run):
    printed = run(raising(_deps.MissingLibrary("dnspython", "Traceback: no module")))
    assert printed["failed"] is True
    assert "dnspython" in printed["msg"]


def test_a_mistake_of_ours_is_not_hidden():
    with module_arguments(key="/k"), pytest.raises(ZeroDivisionError):
        _module.run(SPEC, raising(ZeroDivisionError()))


SECRET_ENDPOINTS = [
    ["http://someone:hush-pass@h:2379"],
    ["http://a:2379", "someone:hush-pass@h"],
    ["https://hush-token@h"],
    "http://someone:hush-b@h:2379,http://hush-c@b",
    {"url": "http://someone:hush-pass@h"},
]


@pytest.mark.parametrize("endpoints", SECRET_ENDPOINTS)
@pytest.mark.parametrize("wrong", [{}, {"timeout": "soon"}, {"unknown": 1}, {"protocol": "ftp"}])
def test_credentials_in_endpoints_are_neither_shown_nor_logged(run, monkeypatch, endpoints, wrong):
    """Whether the task runs, or Ansible refuses its arguments before it does."""
    logged = []
    monkeypatch.setattr(basic, "has_journal", False)
    monkeypatch.setattr(
        basic.AnsibleModule, "_log_to_syslog", lambda self, msg: logged.append(msg), raising=True
    )

    def task(options, connect, *, apply):
        connect()
        return {"changed": False}

    printed = run(task, endpoints=endpoints, password="hush-password", username="u", **wrong)
    assert printed["failed"]
    assert "hush" not in json.dumps(printed)
    assert bool(logged) == (not wrong and not isinstance(endpoints, dict))
    assert "hush" not in "".join(logged)
