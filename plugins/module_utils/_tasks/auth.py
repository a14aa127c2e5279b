# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules etcd_role, etcd_user and etcd_auth do.

PRIVATE to the collection: it can change at any time.

What has to be there before a task, and is not, may be what an earlier task of the play makes: in check
mode, which has not made it, that is a warning and no failure.

The auth API takes no conditions, so a change that another writer was faster with shows as a
conflict; the state is then read again, once, and either is as wished or the conflict is the answer.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _retry, errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Incomplete, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._plan import auth as auth_plan
from ansible_collections.quorum.etcd.plugins.module_utils._records import Permissions, Role, User

Connect = t.Callable[..., t.Any]
Report = t.Dict[str, t.Any]


class _Lacking:
    """What is not as a task needs it: a refusal, or in check mode a warning.

    Attributes:
        warnings: what was not refused.
    """

    def __init__(self, apply: bool) -> None:
        self._apply = apply
        self.warnings = []  # type: t.List[str]

    def say(
        self, message: str, error: t.Type[errors.EtcdException] = errors.EtcdAuthNotFound
    ) -> None:
        if self._apply:
            raise Refusal(message, error=error)
        self.warnings.append(
            "%s (this fails without check mode, unless an earlier task of the play has seen to it)"
            % message
        )


def manage_role(options: t.Mapping[str, t.Any], connect: Connect, *, apply: bool) -> Report:
    """Bring a role to the state that the options describe, and say what changed."""
    name = auth_plan.name_of(options, "role")
    wanted = auth_plan.permissions_of(options["permissions"])
    auth_plan.check_purge(options, "permissions")
    if name == auth_plan.ROOT:
        raise Refusal("the role root is part of the server and cannot be changed")
    client = connect()
    lacking = _Lacking(apply)
    before = _role(client, name)
    if options["state"] == "absent":
        if before is not None:
            _refuse_if_held(client, name, lacking)
        if before is not None and apply:
            _until_so(client, lambda: client.delete_role(name), lambda: _role(client, name) is None)
        return dict(_role_report(name, before, None), warnings=lacking.warnings)
    current = Permissions() if before is None else before.permissions
    change = auth_plan.plan_permissions(current, wanted, purge=options["purge_permissions"])
    after = Role(name, auth_plan.permissions_after(current, change))
    if apply and before is None:
        _until_so(
            client,
            lambda: client.create_role(name, after.permissions),
            lambda: _role(client, name) == _ordered(after),
        )
    elif apply and change.changes:
        _until_so(
            client,
            lambda: client.update_role(name, grant=change.grant, revoke=change.revoke),
            lambda: _role(client, name) == _ordered(after),
        )
    return _role_report(name, before, after)


def _role(client: t.Any, name: str) -> t.Optional[Role]:
    try:
        return _ordered(client.role(name))
    except errors.EtcdAuthNotFound:
        return None


def _refuse_if_held(client: t.Any, name: str, lacking: _Lacking) -> None:
    """The server would delete a role that users have, and could not show these users any more."""
    holders = []
    for user in client.users():
        # A user that cannot be shown has lost another role in this way.
        with contextlib.suppress(errors.EtcdAuthNotFound):
            if name in client.user(user).roles:
                holders.append(user)
    if holders:
        lacking.say(
            "the users %s have the role %s; revoke it from them with quorum.etcd.etcd_user, or"
            " remove them, first" % (", ".join(sorted(holders)), name),
            errors.EtcdAuthConflict,
        )


def _ordered(role: Role) -> Role:
    permissions = role.permissions
    return Role(
        role.name,
        Permissions(tuple(sorted(permissions.read)), tuple(sorted(permissions.write))),
    )


def _role_report(name: str, before: t.Optional[Role], after: t.Optional[Role]) -> Report:
    shown = [
        {} if role is None else {"permissions": auth_plan.shown(role.permissions)}
        for role in (before, after)
    ]
    return {
        "changed": shown[0] != shown[1] or (before is None) != (after is None),
        "name": name,
        "permissions": shown[1].get("permissions"),
        "diff": {"before": shown[0], "after": shown[1]},
    }


def manage_user(options: t.Mapping[str, t.Any], connect: Connect, *, apply: bool) -> Report:
    """Bring a user to the state that the options describe, and say what changed."""
    name = auth_plan.name_of(options, "user")
    password = options["user_password"]
    if password == "":
        raise Refusal("user_password is empty; give one, or leave it out")
    auth_plan.check_purge(options, "roles")
    client = connect()
    lacking = _Lacking(apply)
    absent = options["state"] == "absent"
    before = _user(client, name, None if absent else lacking)
    if absent:
        if before is not None and apply:
            _until_so(client, lambda: client.delete_user(name), lambda: name not in client.users())
        return _user_report(before, None, name, password_changed=False)
    wanted, given = options["roles"], auth_plan.given_roles(name)
    current = given if before is None else before.roles
    if options["roles"]:
        unknown = auth_plan.unknown_roles(options["roles"], client.roles())
        if unknown:
            lacking.say(
                "there is no role %s; make it first with quorum.etcd.etcd_role" % ", ".join(unknown)
            )
    if wanted is not None:
        wanted = (*wanted, *given)
    change = auth_plan.plan_roles(current, wanted, purge=options["purge_roles"])
    after = User(name, auth_plan.roles_after(current, change))
    if before is None:
        if password is None:
            lacking.say("there is no user %s, and without user_password none can be made" % name)
        if apply:
            _until_so(
                client,
                lambda: client.create_user(name, password, change.grant),
                lambda: _user(client, name) == after,
            )
        report = _user_report(None, after, name, password_changed=password is not None)
        return dict(report, warnings=lacking.warnings)
    new_password, trial = None, None
    if options["update_password"] == "always" and password is not None:
        trial = _trial(client, connect, before, password)
        if trial is None or not trial():
            new_password = password
    if apply and change.changes:
        _until_so(
            client,
            lambda: client.update_user(name, grant=change.grant, revoke=change.revoke),
            lambda: _user(client, name) == after,
        )
    if apply and new_password is not None:
        _set_password(client, name, new_password, trial, roles_changed=change.changes)
    report = _user_report(before, after, name, password_changed=new_password is not None)
    return dict(report, warnings=lacking.warnings)


def _set_password(
    client: t.Any,
    name: str,
    password: str,
    trial: t.Optional[t.Callable[[], bool]],
    *,
    roles_changed: bool,
) -> None:
    """Set it; if the answer is lost, whether it was set is found out by trying it, if it can be."""

    def change() -> None:
        client.update_user(name, password=password)

    try:
        if trial is None:
            change()
        else:
            _until_so(client, change, trial)
    except errors.EtcdException as exc:
        if not roles_changed:
            raise
        raise Incomplete(
            "the roles of the user %s were changed, and the password was not seen to be: %s"
            % (name, exc),
            changed=True,
        ) from exc


def _user(client: t.Any, name: str, lacking: t.Optional[_Lacking] = None) -> t.Optional[User]:
    """The user, or None; without roles where the server cannot show them, because one is missing.

    Args:
        lacking: is told of that; None where the roles do not matter.
    """
    if name not in client.users():
        return None
    try:
        user = client.user(name)
    except errors.EtcdAuthNotFound as exc:
        if lacking is not None:
            lacking.say(
                "the server cannot show the user %s (%s); make the role that is missing, and revoke"
                " it" % (name, exc.message)
            )
        return User(name, ())
    return User(user.name, tuple(sorted(user.roles)))


def _trial(
    client: t.Any, connect: Connect, user: User, password: str
) -> t.Optional[t.Callable[[], bool]]:
    """What finds out whether the user can log in with this password; None where nothing can.

    It is tried by reading a key that the user may read. While access control is off the server
    compares no passwords, and a user who may read nothing cannot be told from one with a wrong
    password. All that it takes is read now: whoever changes the own password may not ask later.
    """
    if not client.auth_enabled():
        return None
    permissions = [client.role(role).permissions for role in user.roles]
    key = auth_plan.readable_key(permissions)
    if key is None:
        return None

    def works() -> bool:
        try:
            connect(username=user.name, password=password).read(key)
        except errors.EtcdUnauthorized:
            return False
        except errors.EtcdKeyNotFound:
            return True
        return True

    return works


def _user_report(
    before: t.Optional[User], after: t.Optional[User], name: str, *, password_changed: bool
) -> Report:
    shown = [{} if user is None else {"roles": list(user.roles)} for user in (before, after)]  # type: t.List[t.Dict[str, t.Any]]
    existence = (before is None) != (after is None)
    if password_changed:
        # What the password is or was stays out of sight; that it changes does not.
        shown[1]["password"] = "(set)"
    return {
        "changed": shown[0] != shown[1] or existence,
        "name": name,
        "roles": None if after is None else list(after.roles),
        "password_changed": password_changed,
        "diff": {"before": shown[0], "after": shown[1]},
    }


def manage_auth(options: t.Mapping[str, t.Any], connect: Connect, *, apply: bool) -> Report:
    """Switch access control on or off, and say what changed.

    While it is off everybody may do everything. So the guest role gets what it is to have before
    access control is switched on, and after it is switched off: at no moment may a guest do more
    than before the task and after it.
    """
    wanted, level = options["enabled"], options["guest"]
    client = connect()
    before = client.auth_enabled()
    lacking = _Lacking(apply)
    if wanted and not before and auth_plan.ROOT not in client.users():
        lacking.say(
            "there is no user root, without whom nobody could switch access control off again; make"
            " it first with quorum.etcd.etcd_user"
        )
    guest = _role(client, auth_plan.GUEST)
    aim = _guest_aim(guest, level, will_be_made=wanted and not before)
    steps = [lambda: _set_guest(client, guest, level)] if level is not None else []
    if wanted and not before:
        steps.append(lambda: _until_so(client, client.enable_auth, client.auth_enabled))
    elif before and not wanted:
        steps.insert(
            0, lambda: _until_so(client, client.disable_auth, lambda: not client.auth_enabled())
        )
    shown = [
        {"enabled": before, "guest": None if guest is None else auth_plan.shown(guest.permissions)},
        {"enabled": wanted, "guest": None if aim is None else auth_plan.shown(aim)},
    ]
    if apply and shown[0] != shown[1]:
        _all_or_say(steps)
    return {
        "changed": shown[0] != shown[1],
        "enabled": wanted,
        "guest_permissions": shown[1]["guest"],
        "warnings": lacking.warnings,
        "diff": {"before": shown[0], "after": shown[1]},
    }


def _guest_aim(
    guest: t.Optional[Role], level: t.Optional[str], *, will_be_made: bool
) -> t.Optional[Permissions]:
    if level is not None:
        return auth_plan.GUEST_LEVELS[level]
    if guest is not None:
        return guest.permissions
    # The server makes a guest role that lacks when access control is switched on.
    return auth_plan.GUEST_LEVELS["full"] if will_be_made else None


def _set_guest(client: t.Any, guest: t.Optional[Role], level: str) -> None:
    aim = auth_plan.GUEST_LEVELS[level]

    def is_so() -> bool:
        return _role(client, auth_plan.GUEST) == Role(auth_plan.GUEST, aim)

    if guest is None:
        _until_so(client, lambda: client.create_role(auth_plan.GUEST, aim), is_so)
        return
    change = auth_plan.plan_permissions(guest.permissions, aim, purge=True)
    if change.changes:
        _until_so(
            client,
            lambda: client.update_role(auth_plan.GUEST, grant=change.grant, revoke=change.revoke),
            is_so,
        )


def _all_or_say(steps: t.Sequence[t.Callable[[], None]]) -> None:
    for number, step in enumerate(steps):
        try:
            step()
        except errors.EtcdException as exc:
            if number == 0:
                raise
            raise Incomplete(
                "the first step was carried out (of the guest role and the switch), and the second"
                " was not seen to be: %s" % exc,
                changed=True,
            ) from exc


def _until_so(client: t.Any, change: t.Callable[[], None], is_so: t.Callable[[], bool]) -> None:
    """Make a change; a conflict, a missing subject or a lost answer is fine if it is so after all.

    Raises:
        errors.EtcdOutcomeUnknown: it may have been made, also if the cluster cannot be asked.
        errors.EtcdException: it was not.
    """
    try:
        change()
    except errors.EtcdOutcomeUnknown as exc:
        try:
            so = client.until_answered(is_so)
        except errors.EtcdException as later:
            raise _retry.still_unknown(
                exc, "asking for what is there now failed too: %s" % later
            ) from later
        if not so:
            raise
    except errors.EtcdAuthError:
        if not is_so():
            raise
