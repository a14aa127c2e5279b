# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""v2 access control: users, roles and the switch, and who may do what with it on."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils.client import (
    Client,
    Permissions,
    Role,
    User,
)
from harness import Certs, Cluster

EVERYTHING = Permissions(("/*",), ("/*",))


@pytest.fixture
def anybody(own_single: Cluster) -> Client:
    """A client without a name, of a node on which access control was never on."""
    return Client(own_single.endpoints)


@pytest.fixture
def root(own_single: Cluster, anybody: Client) -> Client:
    """Root, with access control on."""
    anybody.create_user("root", "pw")
    anybody.enable_auth()
    return Client(own_single.endpoints, username="root", password="pw")


def test_users(anybody: Client) -> None:
    """Create, show, list, change and delete, with every error that is promised."""
    assert anybody.users() == ()
    anybody.create_role("r")
    anybody.create_user("eve", "pw")
    anybody.create_user("ñandú o'x", "pw", ["r"])
    assert anybody.users() == ("eve", "ñandú o'x")
    assert anybody.user("eve") == User("eve", ())
    assert anybody.user("ñandú o'x") == User("ñandú o'x", ("r",))
    with pytest.raises(errors.EtcdAuthConflict):
        anybody.create_user("eve", "other")
    anybody.update_user("eve", grant=["r"])
    assert anybody.user("eve").roles == ("r",)
    with pytest.raises(errors.EtcdAuthConflict):
        anybody.update_user("eve", grant=["r"])
    anybody.update_user("eve", revoke=["r"])
    assert anybody.user("eve").roles == ()
    with pytest.raises(errors.EtcdAuthConflict):
        anybody.update_user("eve", revoke=["r"])
    with pytest.raises(errors.EtcdAuthError):
        anybody.update_user("eve")
    with pytest.raises(errors.EtcdAuthNotFound):
        anybody.update_user("nobody", password="pw")
    with pytest.raises(errors.EtcdAuthNotFound):
        anybody.user("nobody")
    anybody.delete_user("eve")
    with pytest.raises(errors.EtcdAuthNotFound):
        anybody.delete_user("eve")
    assert anybody.users() == ("ñandú o'x",)


def test_role_that_does_not_exist(anybody: Client) -> None:
    """The server lets a user have one, cannot show that user then, and can mend it."""
    anybody.create_user("eve", "pw", ["ghost"])
    assert anybody.users() == ("eve",)
    with pytest.raises(errors.EtcdAuthNotFound) as caught:
        anybody.user("eve")
    assert "ghost" in str(caught.value)
    anybody.update_user("eve", password="pw2")
    anybody.update_user("eve", revoke=["ghost"])
    assert anybody.user("eve") == User("eve", ())


def test_roles(anybody: Client) -> None:
    """The same for roles."""
    assert anybody.roles() == ("root",)
    assert anybody.role("root") == Role("root", EVERYTHING)
    anybody.create_role("r", Permissions(("/app/*",), ("/app/x",)))
    assert anybody.roles() == ("r", "root")
    assert anybody.role("r") == Role("r", Permissions(("/app/*",), ("/app/x",)))
    with pytest.raises(errors.EtcdAuthConflict):
        anybody.create_role("r")
    anybody.update_role("r", grant=Permissions((), ("/app/y",)))
    assert sorted(anybody.role("r").permissions.write) == ["/app/x", "/app/y"]
    with pytest.raises(errors.EtcdAuthConflict):
        anybody.update_role("r", grant=Permissions((), ("/app/y",)))
    anybody.update_role("r", revoke=Permissions(("/app/*",), ("/app/x",)))
    assert anybody.role("r").permissions == Permissions((), ("/app/y",))
    with pytest.raises(errors.EtcdAuthError):
        anybody.update_role("r", revoke=Permissions(("/app/*",)))
    with pytest.raises(errors.EtcdAuthConflict):
        anybody.update_role("r")
    with pytest.raises(errors.EtcdAuthNotFound):
        anybody.update_role("none", grant=Permissions(("/x",)))
    with pytest.raises(errors.EtcdAuthNotFound):
        anybody.role("none")
    anybody.delete_role("r")
    with pytest.raises(errors.EtcdAuthNotFound):
        anybody.delete_role("r")
    for change in (
        lambda: anybody.create_role("root"),
        lambda: anybody.update_role("root", grant=Permissions(("/x",))),
        lambda: anybody.delete_role("root"),
    ):
        with pytest.raises(errors.EtcdAuthError) as caught:
            change()
        assert caught.value.http_status == 403


def test_switch(own_single: Cluster, anybody: Client) -> None:
    """On needs a root user; both ways, twice is a conflict; off, everything is open again."""
    assert anybody.auth_enabled() is False
    with pytest.raises(errors.EtcdAuthConflict):
        anybody.enable_auth()
    with pytest.raises(errors.EtcdAuthConflict):
        anybody.disable_auth()
    anybody.create_user("root", "pw")
    anybody.enable_auth()
    assert anybody.auth_enabled() is True
    root = Client(own_single.endpoints, username="root", password="pw")
    with pytest.raises(errors.EtcdAuthConflict):
        root.enable_auth()
    assert root.role("guest") == Role("guest", EVERYTHING)
    with pytest.raises(errors.EtcdAuthError):
        root.delete_user("root")
    for forbidden in (anybody.enable_auth, anybody.disable_auth, anybody.users, anybody.roles):
        with pytest.raises(errors.EtcdUnauthorized):
            forbidden()
    root.disable_auth()
    with pytest.raises(errors.EtcdAuthConflict):
        root.disable_auth()
    assert anybody.auth_enabled() is False
    assert anybody.users() == ("root",)


def test_restricted_guest(anybody: Client, root: Client, key: str) -> None:
    """Guests may do everything until their role is restricted, and then nothing, not even see."""
    anybody.write(key, "x")
    root.update_role("guest", revoke=Permissions((), ("/*",)))
    assert anybody.read(key).node.value == "x"
    with pytest.raises(errors.EtcdUnauthorized):
        anybody.write(key, "y")
    root.update_role("guest", revoke=Permissions(("/*",)))
    for forbidden in (
        lambda: anybody.read(key),
        lambda: anybody.read(key + "-missing"),
        lambda: anybody.delete(key),
        lambda: anybody.create_in_order(key + "-queue", "x"),
        lambda: anybody.compare_and_swap(key, "y", prev_value="x"),
        lambda: anybody.read(key, wait=True, timeout=1),
        lambda: anybody.remove_member("1234"),
    ):
        with pytest.raises(errors.EtcdUnauthorized) as caught:
            forbidden()
        assert caught.value.http_status == 401
        assert caught.value.code == 110
    assert root.read(key).node.value == "x"
    with pytest.raises(errors.EtcdKeyNotFound):
        root.read(key + "-missing")
    # What stays open.
    assert anybody.auth_enabled() is True
    assert anybody.members()
    assert anybody.health is True
    assert anybody.version()
    assert anybody.stats_self().state == "StateLeader"


def test_what_a_user_may_do(own_single: Cluster, root: Client, key: str) -> None:
    """What its roles permit, and no more; a new password counts at once."""
    root.create_role("app", Permissions((key + "/*",), (key + "/*",)))
    root.create_user("eve", "old one", ["app"])
    eve = Client(own_single.endpoints, username="eve", password="old one")
    assert eve.write(key + "/a", "1").node.value == "1"
    assert eve.read(key + "/a").node.value == "1"
    for forbidden in (
        lambda: eve.read("/other"),
        lambda: eve.write("/other", "1"),
        eve.users,
        lambda: eve.update_user("eve", password="new one"),
        eve.disable_auth,
    ):
        with pytest.raises(errors.EtcdUnauthorized) as caught:
            forbidden()
        assert "old one" not in str(caught.value)
        assert "new one" not in str(caught.value)
    root.update_user("eve", password="new one")
    with pytest.raises(errors.EtcdUnauthorized):
        eve.read(key + "/a")
    changed = Client(own_single.endpoints, username="eve", password="new one")
    assert changed.read(key + "/a").node.value == "1"


def test_passwords(own_single: Cluster, root: Client, key: str) -> None:
    """Any text is a password, and only that text."""
    root.create_role("all", EVERYTHING)
    for number, password in enumerate(["pä:ss wörd🙂", ":", "a:b:c", " blank "]):
        name = "user%d" % number
        root.create_user(name, password, ["all"])
        Client(own_single.endpoints, username=name, password=password).write(key, "x")
        with pytest.raises(errors.EtcdUnauthorized):
            wrong = password + "x" if number else ""
            Client(own_single.endpoints, username=name, password=wrong).write(key, "x")


def test_wrong_credentials_do_not_fall_back_to_guest(
    own_single: Cluster, root: Client, key: str
) -> None:
    """Though a guest might do it."""
    root.write(key, "x")
    for name, password in (("root", "wrong"), ("nobody", "pw")):
        stranger = Client(own_single.endpoints, username=name, password=password)
        with pytest.raises(errors.EtcdUnauthorized):
            stranger.read(key)


def test_user_name_with_a_colon() -> None:
    """Refused: on the wire the colon would end it."""
    with pytest.raises(errors.ClientException):
        Client("127.0.0.1", username="a:b", password="pw")


def test_password_over_http_warns_once(own_single: Cluster, root: Client, key: str) -> None:
    """Once, at the first request, and without the password."""
    warnings: t.List[str] = []
    client = Client(own_single.endpoints, username="root", password="pw", warn=warnings.append)
    assert warnings == []
    client.write(key, "1")
    client.write(key, "2")
    assert len(warnings) == 1
    assert own_single.endpoints[0] in warnings[0]
    assert "pw" not in warnings[0]


def test_certificate_names_the_user(secure: Cluster, pem: Certs, key: str) -> None:
    """With client certificates the common name is the user, unless a user and password are sent."""
    files = {"ca_cert": pem.ca_cert, "client_cert": pem.client_cert, "client_key": pem.client_key}
    nameless = Client(secure.endpoints, **files)
    root = Client(secure.endpoints, username="root", password="pw", **files)
    nameless.create_user("root", "pw")
    nameless.create_role("app", Permissions((key + "/*",), (key + "/*",)))
    nameless.create_user("etcd-client", "unused", ["app"])
    nameless.enable_auth()
    try:
        root.update_role("guest", revoke=EVERYTHING)
        assert nameless.write(key + "/a", "1").node.value == "1"
        with pytest.raises(errors.EtcdUnauthorized):
            nameless.write("/elsewhere", "1")
        assert root.write("/elsewhere", "1").node.value == "1"
    finally:
        root.disable_auth()
        nameless.delete_role("guest")
        nameless.delete_user("root")
        nameless.delete_user("etcd-client")
        nameless.delete_role("app")
