# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections import deque

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Incomplete, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._records import Permissions, Role, User
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.auth import (
    manage_auth,
    manage_role,
    manage_user,
)

NOTHING = Permissions()
READ = Permissions(("/*",), ())
FULL = Permissions(("/*",), ("/*",))
APP = Permissions(("/app/*", "/common/*"), ("/app/*",))


class Faults:
    """What becomes of the writes, one for each: "done", or what is said, not carried out or "done".

    After one that is "dead", nothing is answered.
    """

    SAID = {
        "conflict": errors.EtcdAuthConflict,
        "missing": errors.EtcdAuthNotFound,
        "lost": errors.EtcdOutcomeUnknown,
        "forbidden": errors.EtcdUnauthorized,
        "dead": errors.EtcdOutcomeUnknown,
    }

    def __init__(self, *fates):
        self.fates = deque(fates)
        self.dead = False

    def befall(self, carry_out):
        fate = self.fates.popleft() if self.fates else "done"
        self.dead = fate.endswith("dead")
        if fate.startswith("done"):
            carry_out()
        for word, cls in self.SAID.items():
            if fate.endswith(word):
                raise cls(word)


class FakeServer:
    """Users, roles and the switch of a server; `writes` are those that arrived."""

    def __init__(self, *fates, roles=(), users=(), enabled=False, passwords=()):
        self.roles_now = dict(roles)
        self.users_now = dict(users)
        self.passwords = dict(passwords)
        self.enabled = enabled
        self.faults = Faults(*fates)
        self.writes = []
        self.tried = []

    def connect(self, username=None, password=None):
        return FakeClient(self, username, password)


class FakeClient:
    def __init__(self, server, username, password):
        self._server = server
        self._username = username
        self._password = password

    # -- what is read

    def until_answered(self, ask):
        return ask()

    def read(self, key):
        self._server.tried.append((self._username, key))
        if self._server.passwords.get(self._username) != self._password:
            raise errors.EtcdUnauthorized("no")
        if "_quorum.etcd" in key:
            raise errors.EtcdKeyNotFound("no such key")

    def _answer(self):
        if self._server.faults.dead:
            raise errors.EtcdUnreachable("no endpoint answers")

    def users(self):
        self._answer()
        return tuple(self._server.users_now)

    def user(self, name):
        self._answer()
        roles = self._server.users_now[name]
        if name == "root":
            roles = sorted({*roles, "root"})
        for role in roles:
            if role not in self.roles():
                raise errors.EtcdAuthNotFound("auth: Role %s does not exist." % role)
        return User(name, tuple(roles))

    def roles(self):
        return ("root", *self._server.roles_now)

    def role(self, name):
        self._answer()
        if name == "root":
            return Role(name, FULL)
        if name not in self._server.roles_now:
            raise errors.EtcdAuthNotFound("no such role")
        read, write = self._server.roles_now[name]
        return Role(name, Permissions(read[::-1], write[::-1]))  # in no particular order

    def auth_enabled(self):
        self._answer()
        return self._server.enabled

    # -- what is written

    def create_role(self, name, permissions=NOTHING):
        roles = self._server.roles_now
        self._write(("create_role", name, permissions), lambda: roles.update({name: permissions}))

    def update_role(self, name, *, grant=NOTHING, revoke=NOTHING):
        def update():
            both = zip(self._server.roles_now[name], grant, revoke)
            changed = (tuple(sorted({*now, *more} - {*less})) for now, more, less in both)
            self._server.roles_now[name] = Permissions(*changed)

        self._write(("update_role", name, grant, revoke), update)

    def delete_role(self, name):
        self._write(("delete_role", name), lambda: self._server.roles_now.pop(name))

    def create_user(self, name, password, roles=()):
        def create():
            self._server.users_now[name] = tuple(roles)
            self._server.passwords[name] = password

        self._write(("create_user", name, password, tuple(roles)), create)

    def update_user(self, name, *, password=None, grant=(), revoke=()):
        def update():
            if password is not None:
                self._server.passwords[name] = password
            now = self._server.users_now[name]
            self._server.users_now[name] = tuple(sorted({*now, *grant} - {*revoke}))

        self._write(("update_user", name, password, tuple(grant), tuple(revoke)), update)

    def delete_user(self, name):
        self._write(("delete_user", name), lambda: self._server.users_now.pop(name))

    def enable_auth(self):
        def enable():
            self._server.enabled = True
            self._server.roles_now.setdefault("guest", FULL)

        self._write(("enable_auth",), enable)

    def disable_auth(self):
        self._write(("disable_auth",), lambda: setattr(self._server, "enabled", False))

    def _write(self, written, carry_out):
        self._server.writes.append(written)
        self._server.faults.befall(carry_out)


def never():
    raise AssertionError("nothing must be sent")


# -- roles


def role(server, apply=True, **options):
    usual = {"name": "app", "state": "present", "permissions": None, "purge_permissions": False}
    return manage_role(dict(usual, **options), server.connect, apply=apply)


@pytest.mark.parametrize(
    "options",
    [
        {"name": "root"},
        {"name": "root", "state": "absent"},
        {"name": "a/b"},
        {"permissions": {"read": ["app"]}},
        {"purge_permissions": True},
    ],
)
def test_roles_that_are_refused_before_anything_is_sent(options):
    usual = {"name": "app", "state": "present", "permissions": None, "purge_permissions": False}
    with pytest.raises(Refusal):
        manage_role(dict(usual, **options), never, apply=True)


WANTED = {"read": ["/common/*"], "read_write": ["/app/*"]}


@pytest.mark.parametrize(
    "there, options, after, writes",
    [
        (None, {}, NOTHING, [("create_role", "app", NOTHING)]),
        (None, {"permissions": WANTED}, APP, [("create_role", "app", APP)]),
        (NOTHING, {}, NOTHING, []),
        (APP, {}, APP, []),
        (APP, {"permissions": WANTED, "purge_permissions": True}, APP, []),
        (APP, {"permissions": WANTED}, APP, []),
        (NOTHING, {"permissions": WANTED}, APP, [("update_role", "app", APP, NOTHING)]),
        (APP, {"permissions": {"read": ["/app/*"]}}, APP, []),
        (
            APP,
            {"permissions": {}, "purge_permissions": True},
            NOTHING,
            [("update_role", "app", NOTHING, APP)],
        ),
        (None, {"state": "absent"}, None, []),
        (APP, {"state": "absent", "purge_permissions": True}, None, [("delete_role", "app")]),
    ],
)
def test_roles(there, options, after, writes):
    server = FakeServer(roles={} if there is None else {"app": there})
    would = role(server, apply=False, **options)
    assert server.writes == []
    done = role(server, **options)
    assert server.writes == writes
    assert server.roles_now.get("app") == after
    assert done == would
    assert done["changed"] is bool(writes)
    assert done["diff"]["before"] == (
        {}
        if there is None
        else {"permissions": {"read": sorted(there[0]), "write": list(there[1])}}
    )
    again = role(server, **options)
    assert again["changed"] is False
    assert server.writes == writes
    assert again["permissions"] == done["permissions"]


@pytest.mark.parametrize("fate", ["done conflict", "done missing", "done lost"])
@pytest.mark.parametrize(
    "there, options",
    [
        (None, {"permissions": WANTED}),
        (NOTHING, {"permissions": WANTED}),
        (APP, {"state": "absent"}),
    ],
)
def test_another_writer_who_wanted_the_same_of_a_role(fate, there, options):
    server = FakeServer(fate, roles={} if there is None else {"app": there})
    assert role(server, **options)["changed"]
    assert len(server.writes) == 1


@pytest.mark.parametrize("fate", ["conflict", "missing", "lost", "forbidden", "done forbidden"])
@pytest.mark.parametrize("there, options", [(None, {}), (APP, {"state": "absent"})])
def test_a_refusal_of_a_role_is_the_answer(fate, there, options):
    server = FakeServer(fate, roles={} if there is None else {"app": there})
    with pytest.raises(Faults.SAID[fate.split()[-1]]):
        role(server, **options)


def refused(server, task, **options):
    """What a task says that is refused, and in check mode warns of it, because it may yet be seen to."""
    with pytest.raises(Refusal) as caught:
        task(server, **options)
    report = task(server, apply=False, **options)
    assert server.writes == []
    assert report["changed"] is True
    assert report["warnings"] == [
        "%s (this fails without check mode, unless an earlier task of the play has seen to it)"
        % caught.value
    ]
    held = "have the role" in str(caught.value)
    assert caught.value.error is (errors.EtcdAuthConflict if held else errors.EtcdAuthNotFound)
    return str(caught.value)


def test_a_role_that_users_have_stays():
    users = {"u": ["app"], "v": ["app"], "w": [], "broken": ["gone"]}
    server = FakeServer(roles={"app": APP}, users=users)
    says = refused(server, role, state="absent")
    assert "the users u, v have the role app" in says


# -- users


USER = {
    "name": "u",
    "state": "present",
    "user_password": None,
    "update_password": "always",
    "roles": None,
    "purge_roles": False,
}


def user(server, apply=True, **options):
    return manage_user(dict(USER, **options), server.connect, apply=apply)


@pytest.mark.parametrize(
    "options",
    [
        {"name": "a/b"},
        {"name": "a:b"},
        {"name": ""},
        {"user_password": ""},
        {"purge_roles": True},
    ],
)
def test_users_that_are_refused_before_anything_is_sent(options):
    with pytest.raises(Refusal):
        manage_user(dict(USER, **options), never, apply=True)


ON_CREATE = {"user_password": "pw", "update_password": "on_create"}


def update(password=None, grant=(), revoke=()):
    return ("update_user", "u", password, grant, revoke)


@pytest.mark.parametrize(
    "there, options, after, password, writes",
    [
        (None, {"user_password": "pw"}, (), True, [("create_user", "u", "pw", ())]),
        (
            None,
            dict(ON_CREATE, roles=["s", "r"]),
            ("r", "s"),
            True,
            [("create_user", "u", "pw", ("r", "s"))],
        ),
        (("r",), {}, ("r",), False, []),
        (("r",), ON_CREATE, ("r",), False, []),
        (("r",), {"roles": ["r"]}, ("r",), False, []),
        (("r",), {"roles": ["s"]}, ("r", "s"), False, [update(grant=("s",))]),
        (
            ("r",),
            {"roles": ["s"], "purge_roles": True},
            ("s",),
            False,
            [update(grant=("s",), revoke=("r",))],
        ),
        (("r", "s"), {"roles": [], "purge_roles": True}, (), False, [update(revoke=("r", "s"))]),
        (("s", "r"), {"roles": ["r"]}, ("r", "s"), False, []),
        (None, {"state": "absent"}, None, False, []),
        (
            ("r",),
            {"state": "absent", "purge_roles": True},
            None,
            False,
            [("delete_user", "u")],
        ),
        (("gone",), {"state": "absent"}, None, False, [("delete_user", "u")]),
    ],
)
def test_users(there, options, after, password, writes):
    users = {} if there is None else {"u": there}
    server = FakeServer(roles={"r": NOTHING, "s": NOTHING}, users=users)
    would = user(server, apply=False, **options)
    assert server.writes == []
    done = user(server, **options)
    assert server.writes == writes
    assert done == would
    assert done["changed"] is bool(writes)
    assert done["password_changed"] is password
    assert done["roles"] == (None if after is None else list(after))
    assert "pw" not in str(done)
    if writes:
        assert user(server, **dict(options, update_password="on_create"))["changed"] is False
        assert server.writes == writes


@pytest.mark.parametrize(
    "there, options, says",
    [
        (None, {}, "there is no user u, and without user_password none can be made"),
        (None, {"user_password": "pw", "roles": ["r", "x"]}, "there is no role x"),
        ((), {"roles": ["x"]}, "there is no role x"),
        (("gone",), {"roles": ["r"]}, "the server cannot show the user u (auth: Role gone"),
    ],
)
def test_users_that_are_refused(there, options, says):
    server = FakeServer(roles={"r": NOTHING}, users={} if there is None else {"u": there})
    assert says in refused(server, user, **options)


def test_the_documented_play_in_check_mode():
    """A role, a user with it, root, and access control on; nothing of it is there."""
    server = FakeServer()
    reports = [
        role(server, apply=False, permissions=WANTED),
        user(server, apply=False, name="root", user_password="pw"),
        user(server, apply=False, user_password="pw", roles=["app"]),
        switch(server, True, "none", apply=False),
    ]
    assert [one["changed"] for one in reports] == [True] * 4
    assert [len(one.get("warnings", [])) for one in reports] == [0, 0, 1, 1]
    assert reports[2]["roles"] == ["app"]
    assert server.writes == []


@pytest.mark.parametrize("fate", ["done conflict", "done missing", "done lost"])
@pytest.mark.parametrize(
    "there, options",
    [(None, ON_CREATE), ((), {"roles": ["r"]}), (("r",), {"state": "absent"})],
)
def test_another_writer_who_wanted_the_same_of_a_user(fate, there, options):
    server = FakeServer(fate, roles={"r": NOTHING}, users={} if there is None else {"u": there})
    assert user(server, **options)["changed"]
    assert len(server.writes) == 1


@pytest.mark.parametrize("fate", ["conflict", "missing", "lost", "forbidden"])
@pytest.mark.parametrize(
    "there, options",
    [(None, ON_CREATE), ((), {"roles": ["r"]}), (("r",), {"state": "absent"})],
)
def test_a_refusal_of_a_user_is_the_answer(fate, there, options):
    server = FakeServer(fate, roles={"r": NOTHING}, users={} if there is None else {"u": there})
    with pytest.raises(Faults.SAID[fate]):
        user(server, **options)


@pytest.mark.parametrize(
    "enabled, permissions, password, tried, changed",
    [
        # It works: read with, whether the key exists or not.
        (True, Permissions(("/app/*",), ()), "pw", ["/app/_quorum.etcd"], False),
        (True, Permissions(("/app",), ()), "pw", ["/app"], False),
        # It does not.
        (True, Permissions(("/app/*",), ()), "other", ["/app/_quorum.etcd"], True),
        # It cannot be tried.
        (True, Permissions((), ("/app/*",)), "pw", [], True),
        (False, Permissions(("/app/*",), ()), "pw", [], True),
    ],
)
def test_a_password_is_tried_before_it_is_set(enabled, permissions, password, tried, changed):
    server = FakeServer(
        roles={"r": permissions}, users={"u": ["r"]}, passwords={"u": "pw"}, enabled=enabled
    )
    would = user(server, apply=False, user_password=password)
    assert server.writes == []
    assert [key for unused, key in server.tried] == tried
    done = user(server, user_password=password)
    assert done == would
    assert done["changed"] is done["password_changed"] is changed
    assert server.writes == ([update(password)] if changed else [])
    assert server.passwords["u"] == password
    assert {name for name, unused in server.tried} <= {"u"}


@pytest.mark.parametrize("fate", ["done", "done lost"])
@pytest.mark.parametrize(
    "options, roles",
    [({}, ["root"]), ({"roles": ["r"]}, ["r", "root"]), ({"roles": [], "purge_roles": True}, ["root"])],
)
def test_root_is_made_and_has_its_role_whatever_is_said(fate, options, roles):
    server = FakeServer(fate, roles={"r": READ})
    made = user(server, name="root", **dict(ON_CREATE, **options))
    assert (made["changed"], made["roles"]) == (True, roles)
    again = user(server, name="root", **dict(ON_CREATE, **options))
    assert (again["changed"], again["roles"]) == (False, roles)
    assert len(server.writes) == 1


@pytest.mark.parametrize("name", ["u", "root"])
@pytest.mark.parametrize("fate, set_", [("done lost", True), ("lost", False)])
def test_whether_a_password_was_set_is_found_out_by_trying_it(name, fate, set_):
    users = {"u": ["r"], "root": ["root"]}
    server = FakeServer(
        fate, roles={"r": READ}, users=users, passwords={name: "old"}, enabled=True
    )
    if set_:
        assert user(server, name=name, user_password="new")["password_changed"] is True
    else:
        with pytest.raises(errors.EtcdOutcomeUnknown):
            user(server, name=name, user_password="new")
    assert len(server.writes) == 1


def test_a_password_that_cannot_be_tried_stays_unknown():
    server = FakeServer("done lost", roles={"r": READ}, users={"u": ["r"]}, enabled=False)
    with pytest.raises(errors.EtcdOutcomeUnknown):
        user(server, user_password="new")


def test_root_tries_its_password_with_any_key():
    server = FakeServer(users={"root": ["root"]}, passwords={"root": "pw"}, enabled=True)
    assert not user(server, name="root", user_password="pw")["changed"]
    assert server.tried == [("root", "/_quorum.etcd")]


@pytest.mark.parametrize(
    "fates, expected, changed",
    [
        (["forbidden"], errors.EtcdUnauthorized, None),
        (["done", "forbidden"], Incomplete, True),
        (["done", "lost"], Incomplete, True),
    ],
)
def test_roles_and_password_are_two_steps(fates, expected, changed):
    server = FakeServer(*fates, roles={"r": READ}, users={"u": []}, enabled=True)
    with pytest.raises(expected) as caught:
        user(server, user_password="new", roles=["r"])
    if changed is not None:
        assert caught.value.changed is changed
        assert "the roles of the user u were changed, and the password was not seen" in str(
            caught.value
        )


def test_a_password_alone_that_is_refused():
    server = FakeServer("forbidden", users={"u": []}, enabled=True)
    with pytest.raises(errors.EtcdUnauthorized):
        user(server, user_password="new")


# -- the switch


def switch(server, enabled, guest=None, apply=True):
    return manage_auth({"enabled": enabled, "guest": guest}, server.connect, apply=apply)


def server_with(*fates, enabled=False, guest=None):
    roles = {} if guest is None else {"guest": guest}
    return FakeServer(*fates, roles=roles, users={"root": ["root"]}, enabled=enabled)


ENABLE, DISABLE = ("enable_auth",), ("disable_auth",)
REVOKE_READ = ("update_role", "guest", NOTHING, READ)
REVOKE_WRITE = ("update_role", "guest", NOTHING, Permissions((), ("/*",)))
GRANT_FULL = ("update_role", "guest", FULL, NOTHING)


@pytest.mark.parametrize(
    "was, guest, wanted, level, writes, after",
    [
        # On: the guest role first.
        (False, None, True, "none", [("create_role", "guest", NOTHING), ENABLE], NOTHING),
        (False, None, True, "read", [("create_role", "guest", READ), ENABLE], READ),
        (False, None, True, "full", [("create_role", "guest", FULL), ENABLE], FULL),
        (False, FULL, True, "read", [REVOKE_WRITE, ENABLE], READ),
        (False, READ, True, "read", [ENABLE], READ),
        (False, None, True, None, [ENABLE], FULL),
        (False, NOTHING, True, None, [ENABLE], NOTHING),
        # It is on.
        (True, NOTHING, True, None, [], NOTHING),
        (True, NOTHING, True, "none", [], NOTHING),
        (True, READ, True, "none", [REVOKE_READ], NOTHING),
        (True, NOTHING, True, "full", [GRANT_FULL], FULL),
        (True, APP, True, "none", [("update_role", "guest", NOTHING, APP)], NOTHING),
        # Off: the guest role last.
        (True, NOTHING, False, None, [DISABLE], NOTHING),
        (True, NOTHING, False, "full", [DISABLE, GRANT_FULL], FULL),
        (True, READ, False, "none", [DISABLE, REVOKE_READ], NOTHING),
        # It is off.
        (False, None, False, None, [], None),
        (False, None, False, "none", [("create_role", "guest", NOTHING)], NOTHING),
        (False, NOTHING, False, "none", [], NOTHING),
    ],
)
def test_the_switch_and_the_guest_role(was, guest, wanted, level, writes, after):
    server = server_with(enabled=was, guest=guest)
    would = switch(server, wanted, level, apply=False)
    assert server.writes == []
    done = switch(server, wanted, level)
    assert server.writes == writes
    assert (server.enabled, server.roles_now.get("guest")) == (wanted, after)
    assert done == would
    assert done["changed"] is bool(writes)
    assert done["enabled"] is wanted
    shown = None if after is None else {"read": list(after.read), "write": list(after.write)}
    assert done["guest_permissions"] == shown
    assert done["diff"]["after"] == {"enabled": wanted, "guest": shown}
    assert not switch(server, wanted, level)["changed"]
    assert server.writes == writes


POWER = {NOTHING: 0, READ: 1, FULL: 2}


@pytest.mark.parametrize("was", [True, False])
@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("guest", [None, NOTHING, READ, FULL])
@pytest.mark.parametrize("level", ["none", "read", "full"])
def test_there_is_no_moment_in_which_a_guest_may_do_more_than_before_and_after(
    was, wanted, guest, level
):
    if was and guest is None:
        return  # The server makes the role when access control is switched on.
    server = server_with(enabled=was, guest=guest)

    def power():
        return POWER[server.roles_now["guest"]] if server.enabled else 2

    powers = [power()]
    befall = server.faults.befall

    def watched(carry_out):
        befall(carry_out)
        powers.append(power())

    server.faults.befall = watched
    switch(server, wanted, level)
    assert max(powers) <= max(powers[0], powers[-1])


@pytest.mark.parametrize("level", [None, "none"])
def test_it_is_not_switched_on_without_root(level):
    server = FakeServer(users={"u": []})
    says = refused(server, lambda server, **how: switch(server, True, level, **how))
    assert "there is no user root" in says


@pytest.mark.parametrize(
    "fates, level, expected, writes",
    [
        (["forbidden"], None, errors.EtcdUnauthorized, 1),
        (["conflict"], None, errors.EtcdAuthConflict, 1),
        (["forbidden"], "none", errors.EtcdUnauthorized, 1),
        (["done", "forbidden"], "none", Incomplete, 2),
        (["done", "conflict"], "none", Incomplete, 2),
        (["done", "lost"], "none", Incomplete, 2),
    ],
)
def test_steps_that_fail(fates, level, expected, writes):
    server = server_with(*fates)
    with pytest.raises(expected) as caught:
        switch(server, True, level)
    assert len(server.writes) == writes
    assert server.enabled is False
    if expected is Incomplete:
        assert caught.value.changed is True


@pytest.mark.parametrize("fate", ["done conflict", "done lost"])
@pytest.mark.parametrize("wanted", [True, False])
def test_another_writer_who_wanted_the_same_of_the_switch(fate, wanted):
    server = server_with(fate, enabled=not wanted, guest=NOTHING)
    assert switch(server, wanted)["changed"]


@pytest.mark.parametrize("guest", [None, READ])
@pytest.mark.parametrize("fate, so", [("done lost", True), ("lost", False)])
def test_whether_the_guest_was_changed_is_looked_up(guest, fate, so):
    server = server_with(fate, guest=guest)
    if so:
        assert switch(server, True, "none")["changed"]
        assert (server.enabled, server.roles_now["guest"]) == (True, NOTHING)
    else:
        with pytest.raises(errors.EtcdOutcomeUnknown):
            switch(server, True, "none")
        assert server.enabled is False


@pytest.mark.parametrize("fate", ["dead", "done dead"])
@pytest.mark.parametrize(
    "task",
    [
        lambda server: role(server, name="new", permissions=WANTED),
        lambda server: role(server, name="app", permissions=WANTED),
        lambda server: role(server, name="app", state="absent"),
        lambda server: user(server, name="new", **ON_CREATE),
        lambda server: user(server, roles=["app"]),
        lambda server: user(server, state="absent"),
        lambda server: switch(server, True),
    ],
)
def test_a_lost_answer_and_silence_are_no_certainty(fate, task):
    """That nothing answers says nothing of what was sent before."""
    server = FakeServer(fate, roles={"app": NOTHING}, users={"root": ["root"], "u": []})
    with pytest.raises(errors.EtcdOutcomeUnknown) as caught:
        task(server)
    assert "no endpoint answers" in str(caught.value)
    assert len(server.writes) == 1
