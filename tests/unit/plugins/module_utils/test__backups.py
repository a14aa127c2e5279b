# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _backups
from ansible_collections.quorum.etcd.plugins.module_utils._actions import KeyState, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._backups import Backup, Saved

BACKUP = Backup(
    path="/",
    hidden=("/_h",),
    cluster_id="cdf818194e3a8c32",
    etcd_index=42,
    saved_at="2026-01-31T23:59:59Z",
    nodes={
        "/": Saved(None),
        "/a": Saved('ä\n"<&>\x00'),
        "/b": Saved("", 30, "2026-02-01T00:00:29.5Z"),
        "/d": Saved(None, 90, "2026-02-01T00:01:29.5Z"),
    },
)


def state(value, ttl=None):
    return KeyState(value, value is None, ttl, None if ttl is None else "then", 1, 1)


@pytest.mark.parametrize(
    "states, keys",
    [
        ({}, []),
        ({"/": state(None), "/a": state("x"), "/b": state("y", 1)}, ["/", "/a", "/b"]),
        ({"/": state(None), "/a": state("x", 0)}, ["/"]),
        (
            {"/d": state(None, 0), "/d/e": state(None), "/d/e/f": state("x"), "/dd": state("y")},
            ["/dd"],
        ),
    ],
)
def test_what_is_about_to_be_swept_is_not_saved(states, keys):
    assert list(_backups.saved_nodes(states)) == keys


def test_a_state_becomes_what_is_saved():
    saved = _backups.saved_nodes({"/a": state("x", 9), "/d": state(None)})
    assert saved == {"/a": Saved("x", 9, "then"), "/d": Saved(None, None, None)}


def test_what_is_written_is_read():
    text = _backups.text(_backups.document(BACKUP))
    assert _backups.checked(json.loads(text)) == BACKUP
    # A line for each key, and for each fact.
    assert len(text.splitlines()) == len(BACKUP.nodes) + 7 + 4
    empty = BACKUP._replace(nodes={}, hidden=(), cluster_id=None)
    assert _backups.checked(json.loads(_backups.text(_backups.document(empty)))) == empty


def test_the_layout_of_the_file_is_no_part_of_it():
    document = _backups.document(BACKUP)
    again = json.dumps(document, indent=3, sort_keys=True, ensure_ascii=True)
    assert _backups.checked(json.loads(again)) == BACKUP


def flipped(text, place):
    return text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]


def test_no_damage_goes_unnoticed():
    text = _backups.text(_backups.document(BACKUP))
    refused = 0
    for place in range(len(text)):
        try:
            document = json.loads(flipped(text, place))
        except ValueError:
            continue
        try:
            found = _backups.checked(document)
        except Refusal:
            refused += 1
        else:
            assert found == BACKUP, text[place : place + 20]
    assert refused > 200


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda one: one["nodes"]["/a"].update(value="y"), "the backup is damaged: its checksum"),
        (lambda one: one["nodes"].pop("/a"), "the backup is damaged"),
        (lambda one: one.update(etcd_index=43), "use another one"),
        (lambda one: one.update(more=1), "the backup is damaged"),
        (lambda one: one.update(cluster_id="\udc80"), "the backup is damaged"),
        (lambda one: one.pop("nodes"), "the backup is damaged"),
        (lambda one: one.pop("checksum"), "this is no backup that quorum.etcd.etcd_backup wrote"),
        (lambda one: one.clear(), "this is no backup"),
        (lambda one: one.update({"quorum.etcd backup": 2}), "the backup has format 2"),
    ],
)
def test_what_is_refused(change, says):
    document = json.loads(_backups.text(_backups.document(BACKUP)))
    change(document)
    with pytest.raises(Refusal) as caught:
        _backups.checked(document)
    assert says in str(caught.value)


def with_checksum(document):
    """As somebody makes it who changes a backup and its checksum."""
    rest = {name: value for name, value in document.items() if name != "checksum"}
    return dict(rest, checksum=_backups._checksum(rest))


DAMAGED = [
    ("cluster_id", 5, "cluster_id"),
    ("etcd_index", "5", "etcd_index"),
    ("etcd_index", True, "etcd_index"),
    ("saved_at", None, "saved_at"),
    ("path", None, "path"),
    ("path", "relative", "path is not a key"),
    ("path", "/a/../b", "path is not a key"),
    ("hidden", None, "hidden"),
    ("hidden", {}, "hidden"),
    ("hidden", [5], "hidden is not a list of keys"),
    ("nodes", None, "nodes"),
    ("nodes", [], "nodes"),
    ("nodes", {"a": {"value": "x"}}, '"a" is not a key or a directory'),
    ("nodes", {"/a/": {"value": "x"}}, '"/a/" is not a key'),
    ("nodes", {"/a//b": {"value": "x"}}, "is not a key"),
    ("nodes", {"/\udc80": {"value": "x"}}, "is not a key"),
    *(
        ("nodes", {"/a": node}, '"/a" is not a key or a directory')
        for node in (
            None,
            [],
            "x",
            {},
            {"value": 5},
            {"value": None},
            {"dir": False},
            {"dir": 1},
            {"dir": True, "value": "x"},
            {"value": "x", "ttl": 0, "expiration": "then"},
            {"value": "x", "ttl": "5", "expiration": "then"},
            {"value": "x", "ttl": True, "expiration": "then"},
            {"value": "x", "ttl": 10**30, "expiration": "then"},
            {"value": "x", "ttl": 5},
            {"value": "x", "ttl": 5, "expiration": 5},
            {"value": "x", "expiration": "then"},
        )
    ),
]


@pytest.mark.parametrize("name, value, says", DAMAGED)
def test_what_is_damaged_though_its_checksum_fits(name, value, says):
    whole = json.loads(_backups.text(_backups.document(BACKUP)))
    assert _backups.checked(with_checksum(whole)) == BACKUP
    with pytest.raises(Refusal) as caught:
        _backups.checked(with_checksum({**whole, name: value}))
    assert "the backup is damaged, though its checksum fits: " in str(caught.value)
    assert says in str(caught.value)
    without = {key: one for key, one in whole.items() if key != name}
    with pytest.raises(Refusal, match="%s is missing" % name):
        _backups.checked(with_checksum(without))


@pytest.mark.parametrize("document", [None, [], "text", 1])
def test_what_is_no_document(document):
    with pytest.raises(Refusal, match="this is no backup"):
        _backups.checked(document)


def with_node(key, saved):
    return BACKUP._replace(nodes=dict(BACKUP.nodes, **{key: saved}))


@pytest.mark.parametrize(
    "other, same",
    [
        (BACKUP._replace(etcd_index=43, saved_at="later"), True),
        (with_node("/b", Saved("", 29, "2026-02-01T00:00:29.5Z")), True),
        (with_node("/b", Saved("", 30, "2026-02-01T00:00:30.5Z")), False),
        (with_node("/b", Saved("", None, None)), False),
        (with_node("/a", Saved("y")), False),
        (with_node("/a", Saved(None)), False),
        (with_node("/new", Saved("y")), False),
        (BACKUP._replace(path="/a"), False),
        (BACKUP._replace(hidden=()), False),
        (BACKUP._replace(cluster_id="other"), False),
    ],
)
def test_the_same(other, same):
    assert _backups.same(BACKUP, other) is same
