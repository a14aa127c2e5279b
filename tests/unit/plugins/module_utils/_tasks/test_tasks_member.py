# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections import deque

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Incomplete, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._records import Member, Survey
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.member import PAUSE, manage_member
from ansible_collections.quorum.etcd.tests.unit.fakes.network import FakeClock

OPTIONS = {
    "name": None,
    "id": None,
    "peer_urls": None,
    "state": "present",
    "force": False,
    "wait": False,
    "retry_timeout": 3.0,
    "wait_timeout": 3.0,
}


def peer(name):
    return "http://%s:2380" % name


def member(id_, name, host=None, started=True):
    host = host or name
    clients = ("http://%s:2379" % host,) if started else ()
    return Member(id_, name if started else "", (peer(host),), clients)


A, B, C = member("a1", "a"), member("b2", "b"), member("c3", "c")


class FakeCluster:
    """The members and their health.

    Attributes:
        refusals: what becomes of the changes, one for each: "500" and the like, not carried out;
            "done 500" and the like, carried out all the same; "unseen", accepted and not shown.
        sent: the changes that arrived.
        reads: the quorum reads that arrived.
    """

    def __init__(self, *members, ill=(), silent=(), refusals=(), read_error=None):
        self.members_now = list(members)
        self.ill = set(ill)
        self.silent = set(silent)
        self.refusals = deque(refusals)
        self.read_error = read_error
        self.sent = []
        self.reads = 0

    def until_answered(self, ask):
        return ask()

    def read(self, key, *, quorum):
        assert quorum
        self.reads += 1
        raise self.read_error or errors.EtcdKeyNotFound("no such key")

    def members(self):
        return tuple(self.members_now)

    def survey_members(self, members):
        assert all(one.started for one in members), "one that has not started has no client URL"
        return {
            one.id: Survey("", False, reason="connection refused")
            if one.name in self.silent
            else Survey("", True, healthy=one.name not in self.ill, reason="NO LEADER")
            for one in members
        }

    def add_member(self, peer_urls):
        added = Member("d4", "", tuple(peer_urls), ())
        self._change("add", peer_urls, lambda: self.members_now.append(added))

    def update_member(self, member_id, peer_urls):
        def update():
            self.members_now = [
                one._replace(peer_urls=tuple(peer_urls)) if one.id == member_id else one
                for one in self.members_now
            ]

        self._change("update", (member_id, peer_urls), update)

    def remove_member(self, member_id):
        def remove():
            self.members_now = [one for one in self.members_now if one.id != member_id]

        self._change("remove", member_id, remove)

    def _change(self, kind, about, carry_out):
        self.sent.append((kind, about))
        fate = self.refusals.popleft() if self.refusals else "done"
        if fate.startswith("done"):
            carry_out()
        for word, cls in REFUSALS.items():
            if fate.endswith(word):
                raise cls("answered with " + word)


REFUSALS = {
    "500": errors.EtcdReconfigurationRefused,
    "409": errors.EtcdMemberExists,
    "404": errors.EtcdMemberNotFound,
    "410": errors.EtcdMemberRemoved,
    "lost": errors.EtcdOutcomeUnknown,
    "401": errors.EtcdUnauthorized,
    "400": errors.EtcdRefused,
    "gone": errors.EtcdUnreachable,
}


class Run:
    """Runs the task; what happens in the cluster at each pause is in `events`."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.clock = FakeClock()
        self.events = deque()

    def sleep(self, seconds):
        self.clock.sleep(seconds)
        if self.events:
            self.events.popleft()()

    @property
    def pauses(self):
        return (self.clock.now - 1000.0) / PAUSE

    def __call__(self, apply=True, **options):
        return manage_member(
            dict(OPTIONS, **options),
            lambda: self.cluster,
            apply=apply,
            clock=self.clock,
            sleep=self.sleep,
        )


@pytest.mark.parametrize(
    "options, expected, says",
    [
        ({}, Refusal, "nothing says which member is meant"),
        ({"peer_urls": []}, Refusal, "nothing says which member is meant"),
        *[
            ({"name": name}, Refusal, "has no other characters than letters and digits of ASCII")
            for name in ("a,b", "a=b", "x$(id)", "a b", "a\nB=c", "a\n", "a'b", "ä", "\u0663")
        ],
        ({"peer_urls": ["http://x$(id):2380"]}, Refusal, "unlike http://x$(id):2380"),
        ({"peer_urls": ["http://x;y:2380"]}, Refusal, "unlike http://x;y:2380"),
        ({"id": "m1"}, Refusal, "id is the member's id in hexadecimal"),
        ({"id": ""}, Refusal, "id is the member's id in hexadecimal"),
        ({"id": "-1"}, Refusal, "id is the member's id in hexadecimal"),
        ({"id": "1_0"}, Refusal, "id is the member's id in hexadecimal"),
        ({"peer_urls": ["d:2380"]}, errors.ClientException, "written with its scheme"),
        ({"peer_urls": ["ftp://d"]}, errors.ClientException, "has the scheme"),
        ({"peer_urls": [peer("d"), "http://d/x"]}, errors.ClientException, "has a path"),
    ],
)
def test_bad_options_are_refused_before_anything_is_sent(options, expected, says):
    def connect():
        raise AssertionError("nothing must be sent")

    with pytest.raises(expected) as caught:
        manage_member(dict(OPTIONS, **options), connect, apply=True)
    assert says in str(caught.value)


D = {"name": "d", "peer_urls": [peer("d")]}
CHANGES = [
    (D, "add", ("add", [peer("d")])),
    ({"name": "c", "peer_urls": [peer("x")]}, "update", ("update", ("c3", [peer("x")]))),
    ({"id": "00C3", "peer_urls": [peer("x")]}, "update", ("update", ("c3", [peer("x")]))),
    ({"name": "c", "state": "absent"}, "remove", ("remove", "c3")),
    ({"id": "0C3", "state": "absent"}, "remove", ("remove", "c3")),
    ({"peer_urls": ["HTTP://C:2380/"], "state": "absent"}, "remove", ("remove", "c3")),
]


@pytest.mark.parametrize("options, action, sent", CHANGES)
def test_changes(options, action, sent):
    run = Run(FakeCluster(A, B, C))
    would = run(apply=False, **options)
    assert run.cluster.sent == []
    assert run.cluster.members() == (A, B, C)
    report = run(**options)
    assert run.cluster.sent == [sent]
    assert run.pauses == 0
    for one in (would, report):
        assert (one["changed"], one["action"]) == (True, action)
    assert report["diff"] == would["diff"]
    assert report["initial_cluster"] == would["initial_cluster"]
    assert report["environment"] == would["environment"]
    again = run(**options)
    assert (again["changed"], again["action"]) == (False, "nothing")
    assert run.cluster.sent == [sent]


@pytest.mark.parametrize(
    "options",
    [
        {"name": "a"},
        {"id": "A1"},
        {"peer_urls": ["http://A:2380/"]},
        {"peer_urls": ["http://a"]},
        {"name": "x", "state": "absent"},
        {"id": "ff", "state": "absent"},
        {"peer_urls": [peer("x")], "state": "absent"},
    ],
)
def test_nothing_to_do(options):
    run = Run(FakeCluster(A, B, C))
    report = run(**options)
    assert (report["changed"], report["action"]) == (False, "nothing")
    assert report["diff"]["before"] == report["diff"]["after"]
    assert run.cluster.sent == []


def test_what_an_addition_returns():
    report = Run(FakeCluster(B, A))(**D)
    assert report["member"] == {
        "id": "d4",
        "id_decimal": "212",
        "name": "",
        "peer_urls": [peer("d")],
        "client_urls": [],
        "started": False,
    }
    cluster = "d=http://d:2380,a=http://a:2380,b=http://b:2380"
    assert report["initial_cluster"] == cluster
    assert report["initial_cluster_state"] == "existing"
    assert report["environment"] == {
        "ETCD_NAME": "d",
        "ETCD_INITIAL_ADVERTISE_PEER_URLS": peer("d"),
        "ETCD_INITIAL_CLUSTER": cluster,
        "ETCD_INITIAL_CLUSTER_STATE": "existing",
    }
    assert [one["id"] for one in report["members"]] == ["d4", "a1", "b2"]
    assert report["diff"] == {"before": {}, "after": {"name": "", "peer_urls": [peer("d")]}}


def test_a_member_that_an_earlier_task_would_have_added_is_a_warning_in_check_mode():
    run = Run(FakeCluster(A, B, C))
    with pytest.raises(Refusal) as caught:
        run(name="d", wait=True)
    report = run(apply=False, name="d", wait=True)
    assert (report["changed"], report["member"], report["environment"]) == (False, None, None)
    assert report["warnings"][0].startswith(str(caught.value))


def test_what_an_addition_would_return():
    report = Run(FakeCluster(A, B))(apply=False, **D)
    assert (report["member"]["id"], report["member"]["id_decimal"]) == (None, None)
    assert len(report["members"]) == 3


def test_what_a_removal_returns():
    report = Run(FakeCluster(A, B, C))(name="b", state="absent")
    assert report["member"]["id"] == "b2"
    assert report["environment"] is None
    assert [one["name"] for one in report["members"]] == ["a", "c"]
    assert report["initial_cluster"] == "a=http://a:2380,c=http://c:2380"
    assert report["diff"] == {"before": {"name": "b", "peer_urls": [peer("b")]}, "after": {}}


EVIL = member("e5", "x$(id >/file)", host="e")
EVIL_URL = member("e5", "e", host="e$(id)")


@pytest.mark.parametrize("apply", [True, False])
@pytest.mark.parametrize("evil", [EVIL, EVIL_URL])
def test_what_others_are_called_gets_into_no_configuration(apply, evil):
    run = Run(FakeCluster(A, B, C, evil))
    with pytest.raises(Refusal) as caught:
        run(apply=apply, **D)
    assert "the member could not be configured: " in str(caught.value)
    assert "of the member e5 must not get into a configuration" in str(caught.value)
    assert run.cluster.sent == []
    # A member that has started needs no configuration; nor does one that goes.
    for options in ({"name": "a"}, {"name": "c", "state": "absent"}):
        report = run(apply=apply, **options)
        assert (report["initial_cluster"], report["environment"]) == (None, None)
        assert "of the member e5 must not get into a configuration" in report["warnings"][0]
    # Without it, all is well.
    report = run(apply=apply, id="e5", state="absent")
    assert "$" not in report["initial_cluster"]
    assert report["warnings"] == []


def test_a_member_with_a_name_that_is_not_fit_can_be_meant_by_it_to_be_removed():
    run = Run(FakeCluster(A, B, C, EVIL))
    assert run(name=EVIL.name, state="absent")["member"]["id"] == "e5"


def test_a_peer_url_that_is_no_http_url_ends_nothing():
    odd = Member("e5", "e", ("unix://e:1",), ("unix://e:2",))
    report = Run(FakeCluster(A, B, C, odd))(name="a")
    assert "e=unix://e:1" in report["initial_cluster"]


def test_a_member_that_is_not_there_has_no_environment():
    report = Run(FakeCluster(A))(name="x", state="absent")
    assert (report["member"], report["environment"]) == (None, None)


@pytest.mark.parametrize("apply", [True, False])
@pytest.mark.parametrize(
    "members, ill, options, says",
    [
        ([A], [], D, "adding a member to a cluster of one stops it"),
        ([A], [], {"name": "a", "state": "absent"}, "this is the only member"),
        ([A, B], ["b"], D, "would have 3 members and need 2 of them, and 1 are"),
        ([A, B, C], ["c"], D, "would have 4 members and need 3 of them, and 2 are"),
        ([A, B, C], ["c"], {"name": "b", "state": "absent"}, "need 2 of them, and 1 are"),
        ([A, B, C], ["c"], {"name": "b", "peer_urls": [peer("x")]}, "its new peer URLs, 1 of 3"),
    ],
)
def test_the_quorum_is_guarded(apply, members, ill, options, says):
    run = Run(FakeCluster(*members, ill=ill))
    with pytest.raises(Refusal) as caught:
        run(apply=apply, **options)
    assert says in str(caught.value)
    assert str(caught.value).startswith("refused: ")
    assert "force: true" in str(caught.value)
    assert run.cluster.sent == []
    assert run(apply=apply, force=True, **options)["changed"]
    assert len(run.cluster.sent) == (1 if apply else 0)


def test_a_member_that_has_not_started_is_not_healthy():
    new = member("e5", "e", started=False)
    with pytest.raises(Refusal) as caught:
        Run(FakeCluster(A, new))(**D)
    assert "would have 3 members and need 2 of them, and 1 are" in str(caught.value)


def test_a_refusal_says_of_each_member_why_it_does_not_count():
    new = member("e5", "e", started=False)
    with pytest.raises(Refusal) as caught:
        Run(FakeCluster(A, B, C, new, ill=["b"], silent=["c"]))(**D)
    for says in (
        "and 1 are started and healthy; ",
        "the member e5 has not started; ",
        "the member b is not healthy (NO LEADER); ",
        "the member c could not be asked for its health (connection refused); ",
    ):
        assert says in str(caught.value)


@pytest.mark.parametrize("apply", [True, False])
@pytest.mark.parametrize(
    "silent, options, warned",
    [
        (["c"], {"name": "c", "state": "absent"}, []),
        (["c"], {"name": "a"}, []),
        ([], {"name": "c", "state": "absent"}, []),
        (["c"], {"peer_urls": [peer("e")], "name": "e", "force": True}, []),
        (["b"], {"name": "c", "state": "absent"}, ["b"]),
    ],
)
def test_a_member_that_could_not_be_asked_is_worth_a_warning(apply, silent, options, warned):
    four = [A, B, C, member("d4", "d")]
    report = Run(FakeCluster(*four, silent=silent))(apply=apply, **options)
    assert report["warnings"] == [
        "the member %s could not be asked for its health (connection refused)" % name
        for name in warned
    ]


def test_the_dead_member_may_go():
    assert Run(FakeCluster(A, B, C, ill=["c"]))(name="c", state="absent")["changed"]


@pytest.mark.parametrize("options, action, sent", CHANGES)
@pytest.mark.parametrize("refused", [["500"], ["500", "500"], ["lost"], ["500", "lost", "500"]])
def test_a_change_that_is_refused_without_a_reason_is_tried_again(options, action, sent, refused):
    run = Run(FakeCluster(A, B, C, refusals=refused))
    report = run(**options)
    assert (report["changed"], report["action"]) == (True, action)
    assert run.cluster.sent == [sent] * (len(refused) + 1)
    assert run.pauses == len(refused)


@pytest.mark.parametrize("options, action, sent", CHANGES)
@pytest.mark.parametrize("fate", ["done 500", "done lost"])
def test_a_lost_answer_is_fine_where_the_state_asked_for_holds(options, action, sent, fate):
    run = Run(FakeCluster(A, B, C, refusals=[fate]))
    report = run(**options)
    assert (report["changed"], report["action"]) == (True, action)
    assert run.cluster.sent == [sent]
    assert run.pauses == 0


@pytest.mark.parametrize("options, action, sent", CHANGES)
@pytest.mark.parametrize("fate", ["done 409", "done 404", "done 410"])
def test_what_somebody_else_did_first_is_no_change_of_ours(options, action, sent, fate):
    run = Run(FakeCluster(A, B, C, refusals=[fate]))
    report = run(**options)
    assert (report["changed"], report["action"]) == (False, "nothing")
    assert report["diff"]["before"] == report["diff"]["after"]
    assert (report["member"] is None) is (action == "remove")
    assert run.cluster.sent == [sent]
    assert run.pauses == 0


@pytest.mark.parametrize("fates, changed", [(["500", "done 410"], True), (["404", "done"], True)])
def test_one_attempt_that_may_have_been_ours_is_enough(fates, changed):
    report = Run(FakeCluster(A, B, C, refusals=fates))(name="c", state="absent")
    assert (report["changed"], report["action"]) == (changed, "remove")


def gone_meanwhile(cluster, ill):
    """Somebody else removes the member c while its URLs are to be changed."""

    def update_member(member_id, peer_urls):
        cluster.sent.append(("update", (member_id, peer_urls)))
        cluster.members_now.remove(C)
        cluster.ill.update(ill)
        raise errors.EtcdReconfigurationRefused("removed")

    cluster.update_member = update_member


def test_a_member_that_goes_before_its_update_is_added():
    run = Run(FakeCluster(A, B, C))
    gone_meanwhile(run.cluster, [])
    report = run(name="c", peer_urls=[peer("x")])
    assert (report["changed"], report["action"]) == (True, "add")
    assert run.cluster.sent[-1] == ("add", [peer("x")])


@pytest.mark.parametrize("force", [True, False])
def test_what_follows_from_what_others_do_is_guarded_too(force):
    run = Run(FakeCluster(A, B, C))
    gone_meanwhile(run.cluster, ["b"])
    if force:
        assert run(name="c", peer_urls=[peer("x")], force=True)["action"] == "add"
        return
    with pytest.raises(Refusal) as caught:
        run(name="c", peer_urls=[peer("x")])
    assert "would have 3 members and need 2 of them, and 1 are" in str(caught.value)
    assert len(run.cluster.sent) == 1


@pytest.mark.parametrize(
    "options, ill, extra, says",
    [
        (D, [], [], "less than 5 seconds"),
        (D, ["c"], [], "the member c is not healthy"),
        (D, [], [member("e5", "e", started=False)], "the member e5 was added and has not started"),
    ],
)
def test_when_the_budget_ends_the_error_names_the_likely_reason(options, ill, extra, says):
    run = Run(FakeCluster(A, B, C, *extra, ill=ill, refusals=["500"] * 99))
    with pytest.raises(errors.EtcdReconfigurationRefused) as caught:
        run(force=True, **options)
    assert "(the likely reason: " in str(caught.value)
    assert says in str(caught.value)
    assert run.pauses == 3
    assert len(run.cluster.sent) == 4


def test_a_budget_of_nothing_is_one_attempt():
    run = Run(FakeCluster(A, B, C, refusals=["500"] * 99))
    with pytest.raises(errors.EtcdReconfigurationRefused):
        run(retry_timeout=0, **D)
    assert len(run.cluster.sent) == 1
    assert run.pauses == 0


def test_a_conflict_that_stays_is_the_answer():
    # Somebody else adds the same address with one more, again and again.
    run = Run(FakeCluster(A, B, C, refusals=["409"] * 99))
    with pytest.raises(errors.EtcdMemberExists):
        run(**D)


def test_somebody_else_is_faster_between_two_attempts():
    run = Run(FakeCluster(A, B, C, refusals=["500"]))
    run.events.append(lambda: run.cluster.members_now.append(member("f6", "d")))
    # The pause is over, the list shows the member, and a second attempt is refused.
    run.cluster.refusals.append("409")
    report = run(**D)
    assert report["changed"]
    assert report["member"]["id"] == "f6"


def test_what_was_accepted_and_does_not_show():
    run = Run(FakeCluster(A, B, C, refusals=["unseen"] * 99))
    with pytest.raises(errors.EtcdConflict) as caught:
        run(**D)
    assert "accepted the change and does not show it" in str(caught.value)
    assert run.pauses == 3


@pytest.mark.parametrize("fate", ["400", "401", "gone"])
def test_other_refusals_are_final(fate):
    run = Run(FakeCluster(A, B, C, refusals=[fate]))
    with pytest.raises(REFUSALS[fate]):
        run(**D)
    assert len(run.cluster.sent) == 1
    assert run.pauses == 0


def test_a_change_that_was_accepted_asks_for_no_quorum():
    # A cluster of one has none after a forced addition, and a quorum read would take long.
    run = Run(FakeCluster(A))
    run(force=True, **D)
    assert run.cluster.reads == 1


@pytest.mark.parametrize(
    "error, fails",
    [
        (errors.EtcdKeyNotFound, False),
        (errors.EtcdUnauthorized, False),
        (errors.EtcdRaftInternal, False),
        (errors.EtcdServerError, False),
        (errors.EtcdTimeout, False),
        (errors.EtcdUnreachable, True),
        (errors.EtcdV2NotServed, True),
    ],
)
def test_the_list_is_read_without_a_quorum_where_there_is_none(error, fails):
    run = Run(FakeCluster(A, B, C, read_error=error("no")))
    if fails:
        with pytest.raises(error):
            run(name="a")
    else:
        assert not run(name="a")["changed"]


def last_words(cluster):
    """The member that carries out the change ends with it, and is the only one that is asked."""
    listed = cluster.members

    def members():
        if cluster.sent:
            raise errors.EtcdUnreachable("connection refused")
        return listed()

    cluster.members = members


def test_of_two_members_of_one_name_only_the_one_that_is_meant_goes():
    old, new = member("a1", "a"), member("e5", "a", host="e")
    run = Run(FakeCluster(old, new, B, C, ill=["a"], refusals=["done 500"]))
    with pytest.raises(Refusal):
        run(name="a", state="absent")
    assert run.cluster.sent == []
    # The answer is lost, and what is left of that name is not the one that was meant.
    report = run(name="a", id="a1", state="absent", force=True)
    assert (report["changed"], report["member"]["id"]) == (True, "a1")
    assert run.cluster.sent == [("remove", "a1")]
    assert run.cluster.members_now == [new, B, C]


def test_a_member_that_starts_with_another_name_is_waited_for_all_the_same():
    run = Run(FakeCluster(A, B, C))

    def start():
        run.cluster.members_now[-1] = member("d4", "other", host="d")

    run.events.append(start)
    assert run(wait=True, **D)["member"]["name"] == "other"


def test_a_member_may_be_asked_to_remove_itself():
    run = Run(FakeCluster(A, B, C))
    last_words(run.cluster)
    report = run(name="c", state="absent")
    assert report["changed"]
    assert [one["name"] for one in report["members"]] == ["a", "b"]


@pytest.mark.parametrize(
    "fate, options", [("lost", {"name": "c", "state": "absent"}), ("done", D), ("500", D)]
)
def test_a_change_that_nobody_can_look_at_may_have_been_made(fate, options):
    run = Run(FakeCluster(A, B, C, refusals=[fate]))
    last_words(run.cluster)
    with pytest.raises(errors.EtcdOutcomeUnknown) as caught:
        run(**options)
    assert "connection refused" in str(caught.value)


def test_what_somebody_else_did_and_nobody_can_look_at_is_no_change_of_ours():
    run = Run(FakeCluster(A, B, C, refusals=["409"]))
    last_words(run.cluster)
    with pytest.raises(errors.EtcdUnreachable):
        run(**D)


def test_a_second_attempt_that_is_not_sent_says_nothing_of_the_first():
    run = Run(FakeCluster(A, B, C, refusals=["lost", "gone"]))
    with pytest.raises(errors.EtcdOutcomeUnknown):
        run(**D)


def test_waiting_until_the_member_is_healthy():
    cluster = FakeCluster(A, B, C, ill=["d"])
    run = Run(cluster)

    def start():
        cluster.members_now[-1] = member("d4", "d")

    run.events += [start, cluster.ill.clear]
    report = run(wait=True, **D)
    assert report["changed"]
    assert report["member"]["started"]
    assert report["member"]["client_urls"] == ["http://d:2379"]
    assert run.pauses == 2


def test_waiting_for_one_that_is_healthy_already():
    run = Run(FakeCluster(A, B, C))
    report = run(name="a", wait=True)
    assert not report["changed"]
    assert run.pauses == 0


@pytest.mark.parametrize(
    "last, ill, options, changed, says",
    [
        (None, [], D, True, "the member d4 is in the cluster, and did not start in time"),
        (C, ["c"], {"name": "c"}, False, "the member c is in the cluster, and did not become"),
    ],
)
def test_waiting_in_vain(last, ill, options, changed, says):
    run = Run(FakeCluster(A, B, C, ill=ill))
    with pytest.raises(Incomplete) as caught:
        run(wait=True, **options)
    assert says in str(caught.value)
    assert caught.value.changed is changed
    assert run.pauses == 3


def test_waiting_for_one_that_somebody_removes():
    cluster = FakeCluster(A, B, C)
    run = Run(cluster)
    run.events.append(cluster.members_now.pop)
    with pytest.raises(Incomplete) as caught:
        run(wait=True, **D)
    assert "somebody else removed it" in str(caught.value)
    assert caught.value.changed is True


@pytest.mark.parametrize(
    "apply, options", [(False, D), (True, {"name": "c", "state": "absent"}), (True, {"name": "a"})]
)
def test_nothing_waits_for_what_there_is_no_waiting_for(apply, options):
    run = Run(FakeCluster(A, B, C))
    run(apply=apply, wait=True, **options)
    assert run.pauses == 0


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), -1.0])
@pytest.mark.parametrize("name", ["retry_timeout", "wait_timeout"])
def test_a_time_that_no_clock_can_hold_is_refused(name, seconds):
    def connect():
        raise AssertionError("nothing is asked")

    with pytest.raises(errors.ClientException) as caught:
        manage_member(dict(OPTIONS, name="a", **{name: seconds}), connect, apply=True)
    assert str(caught.value).startswith("%s is a number of seconds from 0" % name)
