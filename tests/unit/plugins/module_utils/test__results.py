# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils._records import Member, Survey
from ansible_collections.quorum.etcd.plugins.module_utils._results import (
    EtcdResult,
    Node,
    header_number,
)

RAW = {
    "key": "/k",
    "value": "v",
    "ttl": 60,
    "expiration": "2026-01-01T12:00:00Z",
    "createdIndex": 4,
    "modifiedIndex": 5,
}


def result(body, headers=None):
    return EtcdResult(body, headers or {}, endpoint="http://etcd1:2379", attempts=2)


@pytest.mark.parametrize(
    "attribute, expected",
    [
        ("key", "/k"),
        ("value", "v"),
        ("dir", False),
        ("ttl", 60),
        ("expiration", "2026-01-01T12:00:00Z"),
        ("created_index", 4),
        ("createdIndex", 4),
        ("modified_index", 5),
        ("modifiedIndex", 5),
        ("nodes", ()),
    ],
)
def test_a_node_reads_by_attribute(attribute, expected):
    assert getattr(Node(RAW), attribute) == expected


def test_a_node_reads_by_item():
    node = Node(RAW)
    assert {name: node[name] for name in node} == RAW
    assert len(node) == len(RAW)
    assert "dir" not in node and node.get("dir") is None
    with pytest.raises(KeyError):
        node["dir"]


@pytest.mark.parametrize(
    "attribute", ["value", "ttl", "expiration", "created_index", "modified_index"]
)
def test_what_the_server_left_out_of_a_node_is_none(attribute):
    assert getattr(Node({}), attribute) is None


@pytest.mark.parametrize(
    "raw, ttl",
    [
        ({}, None),
        ({"ttl": 5, "expiration": "soon"}, 5),
        ({"ttl": -1, "expiration": "past"}, -1),
        ({"expiration": "past"}, 0),
    ],
)
def test_a_node_that_awaits_its_sweep_has_no_time_left(raw, ttl):
    assert Node(raw).ttl == ttl


def test_the_root_has_a_key_and_children():
    root = Node({"dir": True, "nodes": [{"key": "/a", "dir": True}, {"key": "/b", "value": ""}]})
    assert (root.key, root.dir) == ("/", True)
    assert [(child.key, child.dir, child.value) for child in root.nodes] == [
        ("/a", True, None),
        ("/b", False, ""),
    ]
    assert Node({"dir": True, "nodes": None}).nodes == ()


def test_a_node_shows_itself_without_its_value():
    assert repr(Node(RAW)) == "Node('/k')"


BODY = {
    "action": "set",
    "node": RAW,
    "prevNode": {"key": "/k", "value": "old"},
    "id": "a1",
    "name": "etcd1",
    "peerURLs": ["http://etcd1:2380"],
    "clientURLs": ["http://etcd1:2379"],
    "leader": "a1",
    "leaderInfo": {"leader": "a1"},
    "followers": {},
    "state": "StateLeader",
    "startTime": "2026",
    "recvAppendRequestCnt": 3,
    "sendAppendRequestCnt": 4,
    "etcdserver": "3.5.1",
    "etcdcluster": "3.5.0",
}


@pytest.mark.parametrize(
    "camel, snake, field",
    [
        ("action", "action", "action"),
        ("id", "id", "id"),
        ("name", "name", "name"),
        ("leader", "leader", "leader"),
        ("leaderInfo", "leader_info", "leaderInfo"),
        ("followers", "followers", "followers"),
        ("state", "state", "state"),
        ("startTime", "start_time", "startTime"),
        ("recvAppendRequestCnt", "recv_append_request_cnt", "recvAppendRequestCnt"),
        ("sendAppendRequestCnt", "send_append_request_cnt", "sendAppendRequestCnt"),
        ("peerURLs", "peer_urls", "peerURLs"),
        ("clientURLs", "client_urls", "clientURLs"),
        ("version_etcdserver", "version_etcdserver", "etcdserver"),
        ("version_etcdcluster", "version_etcdcluster", "etcdcluster"),
    ],
)
def test_a_result_reads_under_both_names(camel, snake, field):
    assert getattr(result(BODY), camel) == getattr(result(BODY), snake) == BODY[field]
    assert getattr(result({}), camel) is None and getattr(result({}), snake) is None


def test_a_result_has_nodes():
    found = result(BODY)
    assert found.node["value"] == found.node.value == "v"
    assert found.prevNode.value == found.prev_node["value"] == "old"
    assert result({}).node is None
    assert result({}).prevNode is None


@pytest.mark.parametrize("name", ["nonsense", "prevnode", "__deepcopy__"])
def test_a_result_has_no_other_attributes(name):
    with pytest.raises(AttributeError):
        getattr(result(BODY), name)


def test_a_result_keeps_what_the_head_said():
    headers = {
        "X-Etcd-Index": "17",
        "X-Raft-Index": "18",
        "X-Raft-Term": "2",
        "X-Etcd-Cluster-Id": "cdf8",
    }
    found = result({}, headers)
    assert (found.x_etcd_index, found.raft_index, found.raft_term) == (17, 18, 2)
    assert found.cluster_id == "cdf8"
    assert (found.endpoint, found.attempts) == ("http://etcd1:2379", 2)


def test_a_result_without_a_head_has_none():
    found = result({})
    assert (found.x_etcd_index, found.raft_index, found.cluster_id) == (None, None, None)


@pytest.mark.parametrize(
    "text, number", [("0", 0), ("17", 17), ("", None), ("-1", None), ("x", None), (None, None)]
)
def test_header_number(text, number):
    headers = {} if text is None else {"X-Etcd-Index": text}
    assert header_number(headers, "X-Etcd-Index") == number


@pytest.mark.parametrize(
    "body, expected",
    [
        ({"health": "true"}, True),
        ({"health": True}, True),
        ({"health": "true", "reason": ""}, True),
        ({"health": "false"}, False),
        ({"health": False}, False),
        ({"health": "false", "reason": "RAFT NO LEADER"}, False),
        ({"health": "yes"}, False),
        ({}, None),
    ],
)
def test_health(body, expected):
    assert result(body).health is expected


def test_a_result_shows_itself_without_values():
    assert "secret" not in repr(result({"action": "get", "node": {"key": "/k", "value": "secret"}}))


@pytest.mark.parametrize("name, started", [("etcd1", True), ("", False)])
def test_a_member_without_a_name_never_started(name, started):
    assert Member("a1", name, (), ()).started is started


@pytest.mark.parametrize(
    "member, leader, expected",
    [("a1", "a1", True), ("a1", "b2", False), (None, "a1", None), ("a1", None, None)],
)
def test_a_survey_knows_whether_the_endpoint_leads(member, leader, expected):
    survey = Survey("http://etcd1:2379", True, member_id=member, leader_id=leader)
    assert survey.is_leader is expected
