# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._plan.member import (
    MemberAction,
    MemberActionKind,
    Wish,
    find,
    initial_cluster,
    likely_reason,
    objection,
    only,
    plan,
)
from ansible_collections.quorum.etcd.plugins.module_utils._records import Member

NOTHING, ADD, UPDATE, REMOVE = (
    MemberActionKind.NOTHING,
    MemberActionKind.ADD,
    MemberActionKind.UPDATE,
    MemberActionKind.REMOVE,
)


def url(name):
    return "http://%s:2380" % name


def member(id_, name, *hosts):
    return Member(id_, name, tuple(url(host) for host in hosts or (name,)), ())


A, B, C = member("a1", "a"), member("b2", "b"), member("c3", "c")
NEW = member("d4", "", "d")  # added, and has not started
ABC = (A, B, C)
FOUR = (A, B, C, member("e4", "e"))
F = member("f5", "f")
FIVE = (*FOUR, F)


def wish(present=True, name=None, number=None, peers=()):
    return Wish(present, name, number, frozenset(url(host) for host in peers))


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize(
    "options, found",
    [
        ({"peers": ["b"]}, B),
        ({"name": "b"}, B),
        ({"number": 0xB2}, B),
        ({"peers": ["b"], "name": "b", "number": 0xB2}, B),
        ({"name": "x"}, None),
        ({"number": 0xFF}, None),
        ({"peers": ["x"], "name": "x"}, None),
        # One that has not started has no name: whatever name it is to get does.
        ({"peers": ["d"], "name": "x"}, NEW),
        ({"number": 0xD4, "name": "x"}, NEW),
        ({"number": 0xD4, "peers": ["d"]}, NEW),
    ],
)
def test_find(present, options, found):
    assert find((*ABC, NEW), wish(present, **options)) is found


B_TOO = member("b9", "b", "b9")


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize(
    "options, says",
    [
        # Parts that mean several members
        (
            {"peers": ["b"], "name": "a"},
            "name a means the member a (id a1, peer URLs http://a:2380)",
        ),
        ({"peers": ["b"], "name": "a"}, "peer_urls http://b:2380 means the member b (id b2,"),
        ({"number": 0xC3, "name": "a"}, "id c3 means the member c (id c3,"),
        ({"number": 0xC3, "peers": ["a"]}, "peer_urls http://a:2380 means the member a"),
        ({"peers": ["b"], "name": "b", "number": 0xA1}, "id a1 means the member a"),
        # A part that means none
        ({"name": "x", "number": 0xC3}, "name x means none; id c3 means the member c"),
        ({"name": "x", "peers": ["c"]}, "name x means none; peer_urls http://c:2380 means"),
        ({"name": "a", "number": 0xFF}, "id ff means none"),
        ({"peers": ["a"], "number": 0xFF}, "id ff means none"),
        # A name that somebody else has is not that of the one that has not started.
        (
            {"name": "a", "peers": ["d"]},
            "peer_urls http://d:2380 means the member that has not started",
        ),
        ({"name": "a", "number": 0xD4}, "id d4 means the member that has not started (id d4,"),
        # In the middle of a replacement
        (
            {"name": "b"},
            "name b means the member b (id b2, peer URLs http://b:2380) and the member b (id b9",
        ),
        ({"name": "b", "number": 0xA1}, "and the member b (id b9"),
    ],
)
def test_members_that_are_not_the_same(present, options, says):
    with pytest.raises(Refusal) as caught:
        find((*ABC, NEW, B_TOO), wish(present, **options))
    assert "it is not clear which member is meant: " in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("more", [{"number": 0xB9}, {"peers": ["b9"]}])
def test_of_two_members_of_one_name_the_id_or_the_peer_urls_say_which(present, more):
    assert find((*ABC, B_TOO), wish(present, name="b", **more)) is B_TOO
    assert only(B_TOO, wish(present, name="b", peers=["b9"])) == wish(present, number=0xB9)


def test_new_peer_urls_mean_nobody_where_the_member_is_to_be_present():
    assert find(ABC, wish(peers=["x"], name="a", number=0xA1)) is A
    for options in ({"name": "a"}, {"number": 0xA1}):
        with pytest.raises(Refusal) as caught:
            find(ABC, wish(False, peers=["x"], **options))
        assert "peer_urls http://x:2380 means none" in str(caught.value)


def test_a_member_is_found_by_all_its_urls():
    double = member("a1", "a", "a", "a2")
    assert find([double], wish(peers=["a2", "a"])) is double
    assert find([double], wish(peers=["a"])) is None


@pytest.mark.parametrize(
    "members, wished, kind, about",
    [
        (ABC, wish(peers=["d"]), ADD, None),
        (ABC, wish(peers=["d"], name="d"), ADD, None),
        (ABC, wish(peers=["a"]), NOTHING, A),
        (ABC, wish(name="a"), NOTHING, A),
        (ABC, wish(peers=["x"], name="a"), UPDATE, A),
        (ABC, wish(peers=["a", "x"], number=0xA1), UPDATE, A),
        (ABC, wish(False, name="a"), REMOVE, A),
        (ABC, wish(False, peers=["a"]), REMOVE, A),
        (ABC, wish(False, peers=["x"]), NOTHING, None),
        (ABC, wish(False, number=0xFF), NOTHING, None),
    ],
)
def test_plan(members, wished, kind, about):
    action = plan(members, wished)
    assert (action.kind, action.member) == (kind, about)
    assert action.changes is (kind is not NOTHING)
    if kind in (ADD, UPDATE):
        assert action.peer_urls == wished.peer_urls


@pytest.mark.parametrize(
    "wished, says",
    [
        (wish(peers=["a", "x"]), "the peer URL http://a:2380 belongs to the member a"),
        (wish(peers=["b", "x"], name="a"), "belongs to the member b"),
        (wish(name="x"), "there is no member x, and without peer_urls none can be added"),
        (wish(number=0xFF), "there is no member with the id ff; leave id out to add one"),
        (wish(number=0xFF, peers=["x"]), "there is no member with the id ff; leave id out"),
        # to be removed, and named by more than its peer URLs
        (
            wish(False, peers=["a", "x"]),
            "names http://a:2380, which belongs to the member a, whose",
        ),
        (
            wish(False, peers=["a", "b"]),
            "to remove that one, give exactly these, or its name or id",
        ),
        (wish(False, peers=["b", "x"], name="a"), "http://b:2380, http://x:2380 means none"),
        (wish(False, peers=["b", "x"], number=0xA1), "http://b:2380, http://x:2380 means none"),
        (wish(False, peers=["a", "x"], name="a"), "http://a:2380, http://x:2380 means none"),
    ],
)
def test_plan_refuses(wished, says):
    with pytest.raises(Refusal) as caught:
        plan(ABC, wished)
    assert says in str(caught.value)
    assert caught.value.error is name_of(says)


def name_of(says):
    """What a playbook is told that cannot read the sentence."""
    if "means none" in says:
        return errors.ClientException
    return errors.EtcdMemberNotFound if "there is no" in says else errors.EtcdMemberExists


@pytest.mark.parametrize(
    "wished, kind",
    [
        (wish(False, peers=["a2", "a"]), REMOVE),
        (wish(False, peers=["a"], name="a"), REMOVE),
        (wish(False, peers=["a2"], number=0xA1), REMOVE),
        (wish(False, peers=["x"]), NOTHING),
    ],
)
def test_a_member_with_two_peer_urls_goes_by_both_or_by_its_name_or_id(wished, kind):
    assert plan([member("a1", "a", "a", "a2"), B], wished).kind is kind


@pytest.mark.parametrize(
    "double, called", [(member("a1", "a", "a", "a2"), "a"), (member("a1", "", "a", "a2"), "a1")]
)
@pytest.mark.parametrize("peers", [["a"], ["a2"], ["a", "x"], ["a", "a2", "x"]])
def test_a_member_that_is_named_by_some_of_its_peer_urls_is_not_called_absent(
    double, called, peers
):
    with pytest.raises(Refusal) as caught:
        plan([double, B], wish(False, peers=peers))
    assert "member %s, whose peer URLs are http://a2:2380, http://a:2380;" % called in str(
        caught.value
    )


@pytest.mark.parametrize(
    "members, healthy, kind, about, says",
    [
        # adding: the new one counts at once and does not run yet
        ((A,), {"a1"}, ADD, None, "adding a member to a cluster of one stops it"),
        ((A, B), {"a1", "b2"}, ADD, None, None),
        ((A, B), {"a1"}, ADD, None, "would have 3 members and need 2 of them, and 1 are"),
        (ABC, {"a1", "b2", "c3"}, ADD, None, None),
        (ABC, {"a1", "b2"}, ADD, None, "would have 4 members and need 3 of them, and 2 are"),
        ((A, B, C, NEW), {"a1", "b2", "c3"}, ADD, None, None),
        # removing
        ((A,), {"a1"}, REMOVE, A, "this is the only member"),
        ((A, B), {"a1", "b2"}, REMOVE, B, None),
        ((A, B), {"a1"}, REMOVE, B, None),
        ((A, B), {"b2"}, REMOVE, B, "would have 1 members and need 1 of them, and 0 are"),
        (ABC, {"a1", "b2", "c3"}, REMOVE, C, None),
        (ABC, {"a1", "b2"}, REMOVE, C, None),
        (ABC, {"a1", "b2"}, REMOVE, A, "would have 2 members and need 2 of them, and 1 are"),
        # four and five members
        (FOUR, {"a1", "b2", "c3"}, ADD, None, None),
        (FOUR, {"a1", "b2"}, ADD, None, "would have 5 members and need 3 of them, and 2 are"),
        (FOUR, {"a1", "b2", "c3"}, REMOVE, A, None),
        (FOUR, {"a1", "b2"}, REMOVE, A, "would have 3 members and need 2 of them, and 1 are"),
        (FIVE, {"a1", "b2", "c3", "e4"}, ADD, None, None),
        (FIVE, {"a1", "b2", "c3"}, ADD, None, "would have 6 members and need 4 of them, and 3 are"),
        (FIVE, {"a1", "b2", "c3"}, REMOVE, F, None),
        (FIVE, {"a1", "b2", "c3"}, REMOVE, A, "would have 4 members and need 3 of them, and 2 are"),
        # other peer URLs: it is not to be reached until it has been started there
        ((A,), {"a1"}, UPDATE, A, None),
        (
            (A, B),
            {"a1", "b2"},
            UPDATE,
            A,
            "new peer URLs, 1 of 2 members are healthy, and 2 are needed",
        ),
        (ABC, {"a1", "b2", "c3"}, UPDATE, A, None),
        (
            ABC,
            {"a1", "b2"},
            UPDATE,
            A,
            "until the member a has been started with its new peer URLs, 1 of 3",
        ),
        (ABC, {"b2", "c3"}, UPDATE, A, None),
        (FOUR, {"a1", "b2", "c3"}, UPDATE, A, "2 of 4 members are healthy, and 3 are needed"),
        (ABC, {"a1"}, UPDATE, B, None),
        # nothing that could cost the quorum
        (ABC, set(), UPDATE, A, None),
        (ABC, set(), NOTHING, A, None),
    ],
)
def test_objection(members, healthy, kind, about, says):
    found = objection(members, healthy, MemberAction(kind, about))
    assert (found is None) is (says is None)
    if says is not None:
        assert says in found


@pytest.mark.parametrize(
    "members, healthy, says",
    [
        ((A, B, C, NEW), {"a1", "b2", "c3"}, "the member d4 was added and has not started"),
        (ABC, {"b2"}, "the member a, c is not healthy"),
        (
            (A, B, NEW),
            {"a1"},
            "the member d4 was added and has not started and the member b is not healthy",
        ),
        (ABC, {"a1", "b2", "c3"}, "less than 5 seconds"),
    ],
)
def test_likely_reason(members, healthy, says):
    assert says in likely_reason(members, healthy)


@pytest.mark.parametrize(
    "members, about, name, text",
    [
        ((B, A), A, None, "a=http://a:2380,b=http://b:2380"),
        ((A, NEW), NEW, "d", "d=http://d:2380,a=http://a:2380"),
        ((A, NEW), NEW, None, "d4=http://d:2380,a=http://a:2380"),
        ((A, NEW), A, "x", "d4=http://d:2380,a=http://a:2380"),
        ((member("a1", "a", "y", "x"),), None, None, "a=http://x:2380,a=http://y:2380"),
        ((), None, None, ""),
    ],
)
def test_initial_cluster(members, about, name, text):
    assert initial_cluster(members, about, name) == text
