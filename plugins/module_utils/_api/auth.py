# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operations of v2 access control: users, roles, the switch.

PRIVATE to the collection: use it through client.py.

Source: etcd's Documentation/v2/auth_api.md, and observed answers. The v2 users are not those of
the v3 API. Every operation but `auth_enabled` needs root once access control is on.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _wire, errors
from ansible_collections.quorum.etcd.plugins.module_utils._records import Permissions, Role, User
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils._types import Api, Request


class AuthApi:
    """Operations of access control; every one raises errors.EtcdException."""

    _prefix: str
    _send: t.Callable[[Request], EtcdResult]

    def users(self) -> t.Tuple[str, ...]:
        """Names of all users."""
        return tuple(_name(one, "user") for one in self._read("users").get("users") or ())

    def user(self, name: str) -> User:
        """One user.

        Raises:
            errors.EtcdAuthNotFound: there is none of this name, or it has a role that does not
                exist (the server accepts such a role and then cannot show the user).
        """
        body = self._read("users", name)
        roles = tuple(_name(role, "role") for role in body.get("roles") or ())
        return User(_name(body, "user"), roles)

    def create_user(self, name: str, password: str, roles: t.Sequence[str] = ()) -> None:
        """Create a user; the server does not check that the roles exist.

        Raises:
            errors.EtcdAuthConflict: it exists.
        """
        body = {"user": name, "password": _password(password), "roles": list(roles) or None}
        if name in self.users():
            # The server answers 200 and changes the password of an existing user (observed).
            raise errors.EtcdAuthConflict("the user %s exists" % name)
        self._write("PUT", "users", name, body)

    def update_user(
        self,
        name: str,
        *,
        password: t.Optional[str] = None,
        grant: t.Sequence[str] = (),
        revoke: t.Sequence[str] = (),
    ) -> None:
        """Change a user's password, or grant and revoke roles.

        Raises:
            errors.EtcdAuthNotFound: there is none of this name.
            errors.EtcdAuthConflict: a role is granted twice, or revoked and not held.
            errors.EtcdAuthError: there is nothing to change.
        """
        body = {
            "user": name,
            "password": None if password is None else _password(password),
            "grant": list(grant) or None,
            "revoke": list(revoke) or None,
        }
        if name not in self.users():
            # The server creates a user that it does not know when it gets a password. A user with a
            # role that does not exist cannot be read by itself, and can be changed (observed).
            raise errors.EtcdAuthNotFound("there is no user %s" % name)
        self._write("PUT", "users", name, body)

    def delete_user(self, name: str) -> None:
        """Delete a user.

        Raises:
            errors.EtcdAuthNotFound: there is none of this name.
            errors.EtcdAuthError: it is root, and access control is on.
        """
        self._write("DELETE", "users", name)

    def roles(self) -> t.Tuple[str, ...]:
        """Names of all roles."""
        return tuple(_name(one, "role") for one in self._read("roles").get("roles") or ())

    def role(self, name: str) -> Role:
        """One role.

        Raises:
            errors.EtcdAuthNotFound: there is none of this name.
        """
        return _role(self._read("roles", name))

    def create_role(self, name: str, permissions: Permissions = Permissions()) -> None:
        """Create a role.

        Raises:
            errors.EtcdAuthConflict: it exists.
            errors.EtcdAuthError: it is root.
        """
        self._write("PUT", "roles", name, {"role": name, "permissions": _kv(permissions)})

    def update_role(
        self,
        name: str,
        *,
        grant: Permissions = Permissions(),
        revoke: Permissions = Permissions(),
    ) -> None:
        """Grant and revoke permissions of a role.

        Raises:
            errors.EtcdAuthNotFound: there is none of this name.
            errors.EtcdAuthConflict: a permission is granted twice, or there is nothing to change.
            errors.EtcdAuthError: a permission is revoked and not held, or the role is root.
        """
        body = {"role": name, "grant": _kv(grant), "revoke": _kv(revoke)}
        self._write("PUT", "roles", name, body)

    def delete_role(self, name: str) -> None:
        """Delete a role.

        Raises:
            errors.EtcdAuthNotFound: there is none of this name.
            errors.EtcdAuthError: it is root.
        """
        self._write("DELETE", "roles", name)

    def auth_enabled(self) -> bool:
        """Whether access control is on (everybody may ask)."""
        return self._read("enable").get("enabled") is True

    def enable_auth(self) -> None:
        """Switch access control on. The guest role, made by this, may read and write everything.

        Raises:
            errors.EtcdAuthConflict: there is no user root, or it is on already.
        """
        self._write("PUT", "enable")

    def disable_auth(self) -> None:
        """Switch access control off.

        Raises:
            errors.EtcdAuthConflict: it is off already.
        """
        self._write("DELETE", "enable")

    def _read(self, what: str, name: t.Optional[str] = None) -> t.Mapping[str, t.Any]:
        return self._send(_wire.read_api(Api.AUTH, self._auth_path(what, name))).body

    def _write(
        self,
        method: str,
        what: str,
        name: t.Optional[str] = None,
        body: t.Optional[t.Mapping[str, t.Any]] = None,
    ) -> None:
        if body is not None:
            body = {field: value for field, value in body.items() if value is not None}
        self._send(_wire.write_api(Api.AUTH, method, self._auth_path(what, name), body))

    def _auth_path(self, what: str, name: t.Optional[str]) -> str:
        path = "/%s/auth/%s" % (self._prefix, what)
        if name is None:
            return path
        return path + "/" + _wire.path_segment(name, "a user or role name")


def _password(password: str) -> str:
    if not isinstance(password, str) or not password:
        raise errors.ClientException("a password is a text that is not empty")
    return str(password)


def _name(raw: t.Any, field: str) -> str:
    """A name from a list: 3.4 and 3.5 send objects there, 2.x servers plain texts."""
    return raw if isinstance(raw, str) else raw.get(field, "")


def _kv(permissions: Permissions) -> t.Optional[t.Dict[str, t.Any]]:
    if not permissions.read and not permissions.write:
        return None
    return {"kv": {"read": list(permissions.read), "write": list(permissions.write)}}


def _role(raw: t.Mapping[str, t.Any]) -> Role:
    kv = (raw.get("permissions") or {}).get("kv") or {}
    return Role(
        _name(raw, "role"), Permissions(tuple(kv.get("read") or ()), tuple(kv.get("write") or ()))
    )
