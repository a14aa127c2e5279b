# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deciding what roles, users and the switch of v2 access control need: pure.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.quorum.etcd.plugins.module_utils import _limits
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._records import Permissions

ROOT = "root"
GUEST = "guest"

EVERYTHING = "/*"

#: What the option `guest` gives the guest role.
GUEST_LEVELS = {
    "none": Permissions(),
    "read": Permissions(read=(EVERYTHING,)),
    "full": Permissions(read=(EVERYTHING,), write=(EVERYTHING,)),
}


@dataclass(frozen=True)
class PermissionChange:
    """What to grant and what to revoke."""

    grant: Permissions = Permissions()
    revoke: Permissions = Permissions()

    @property
    def changes(self) -> bool:
        return any(self.grant) or any(self.revoke)


@dataclass(frozen=True)
class RoleChange:
    """The roles of a user to grant and to revoke."""

    grant: t.Tuple[str, ...] = ()
    revoke: t.Tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        return bool(self.grant or self.revoke)


def name_of(options: t.Mapping[str, t.Any], what: str) -> str:
    """The option `name`.

    Raises:
        Refusal: no request can carry it.
    """
    name = str(options["name"])
    _limits.text_bytes(name, "the name of the %s" % what)
    if not name or "/" in name or name in (".", ".."):
        raise Refusal("the name of a %s is a text without slashes, not %r" % (what, name))
    if what == "user" and ":" in name:
        raise Refusal(
            "the name of a user cannot hold a colon, which ends it on the wire: %r" % name
        )
    return name


def permissions_of(raw: t.Optional[t.Mapping[str, t.Any]]) -> t.Optional[Permissions]:
    """The option `permissions`; None where the task does not say.

    Raises:
        Refusal: a pattern does not begin with a slash.
    """
    if raw is None:
        return None
    for pattern in [one for patterns in raw.values() for one in patterns or ()]:
        if not pattern.startswith("/"):
            raise Refusal(
                "the pattern %r has no leading slash; write %r for a key, or a prefix that ends in *"
                % (pattern, "/" + pattern)
            )
    both = raw.get("read_write") or ()
    return Permissions(
        read=_sorted(raw.get("read") or (), both), write=_sorted(raw.get("write") or (), both)
    )


def check_purge(options: t.Mapping[str, t.Any], what: str) -> None:
    """See that a task with `purge_permissions` or `purge_roles` says what is to be left.

    Raises:
        Refusal: it does not.
    """
    if options["state"] == "present" and options["purge_" + what] and options[what] is None:
        raise Refusal(
            "purge_%s: true revokes all %s that the option %s does not name; give it (empty, to"
            " revoke all)" % (what, what, what)
        )


def plan_permissions(
    current: Permissions, wanted: t.Optional[Permissions], *, purge: bool
) -> PermissionChange:
    """What to grant and revoke so that a role permits what is wanted (and, with purge, no more)."""
    if wanted is None:
        return PermissionChange()
    return PermissionChange(
        grant=Permissions(_less(wanted.read, current.read), _less(wanted.write, current.write)),
        revoke=(
            Permissions(_less(current.read, wanted.read), _less(current.write, wanted.write))
            if purge
            else Permissions()
        ),
    )


def permissions_after(current: Permissions, change: PermissionChange) -> Permissions:
    """What a role permits once the change is made."""
    return Permissions(
        _sorted(_less(current.read, change.revoke.read), change.grant.read),
        _sorted(_less(current.write, change.revoke.write), change.grant.write),
    )


def given_roles(user: str) -> t.Tuple[str, ...]:
    """The roles that the server shows of this user whatever it was given.

    Observed on 3.4.23 and 3.5.1: root has the role root, which is not stored and cannot be revoked.
    """
    return (ROOT,) if user == ROOT else ()


def unknown_roles(wanted: t.Optional[t.Sequence[str]], known: t.Sequence[str]) -> t.Tuple[str, ...]:
    """Which wanted roles do not exist.

    The server would take them all the same, and could not show the user any more.
    """
    return _less(wanted or (), known)


def plan_roles(
    current: t.Sequence[str], wanted: t.Optional[t.Sequence[str]], *, purge: bool
) -> RoleChange:
    """What roles to grant to and revoke from a user."""
    if wanted is None:
        return RoleChange()
    return RoleChange(_less(wanted, current), _less(current, wanted) if purge else ())


def roles_after(current: t.Sequence[str], change: RoleChange) -> t.Tuple[str, ...]:
    """The roles of a user once the change is made."""
    return _sorted(_less(current, change.revoke), change.grant)


def readable_key(permissions: t.Sequence[Permissions]) -> t.Optional[str]:
    """A key that a user with these permissions may read, to try a password with; None: none."""
    for pattern in (one for permission in permissions for one in permission.read):
        return pattern[:-1] + "_quorum.etcd" if pattern.endswith("*") else pattern
    return None


def shown(permissions: Permissions) -> t.Dict[str, t.List[str]]:
    """Permissions as a task returns them."""
    return {"read": sorted(permissions.read), "write": sorted(permissions.write)}


def _sorted(first: t.Iterable[str], second: t.Iterable[str] = ()) -> t.Tuple[str, ...]:
    return tuple(sorted({*first, *second}))


def _less(first: t.Iterable[str], second: t.Iterable[str]) -> t.Tuple[str, ...]:
    return tuple(sorted(set(first) - set(second)))
