# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._plan.auth import (
    PermissionChange,
    RoleChange,
    given_roles,
    name_of,
    permissions_after,
    permissions_of,
    plan_permissions,
    plan_roles,
    readable_key,
    roles_after,
    shown,
    unknown_roles,
)
from ansible_collections.quorum.etcd.plugins.module_utils._records import Permissions
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException

P = Permissions


@pytest.mark.parametrize("name", ["u", "a b", "\u043a", "a.b", "...", "root"])
def test_name_of(name):
    assert name_of({"name": name}, "user") == name


@pytest.mark.parametrize(
    "name, what, expected",
    [
        ("", "role", Refusal),
        ("a/b", "role", Refusal),
        (".", "user", Refusal),
        ("..", "user", Refusal),
        ("a:b", "user", Refusal),
        ("\ud800", "user", ClientException),
    ],
)
def test_names_that_are_refused(name, what, expected):
    with pytest.raises(expected):
        name_of({"name": name}, what)


def test_a_role_may_have_a_colon():
    assert name_of({"name": "a:b"}, "role") == "a:b"


@pytest.mark.parametrize(
    "raw, permissions",
    [
        (None, None),
        ({}, P()),
        ({"read": ["/b", "/a", "/b"]}, P(("/a", "/b"), ())),
        (
            {"read": ["/a"], "write": ["/b"], "read_write": ["/c*"]},
            P(("/a", "/c*"), ("/b", "/c*")),
        ),
        ({"read": None, "write": [], "read_write": None}, P()),
    ],
)
def test_permissions_of(raw, permissions):
    assert permissions_of(raw) == permissions


def test_a_pattern_needs_its_slash():
    with pytest.raises(Refusal) as caught:
        permissions_of({"read": ["a/*"]})
    assert "write '/a/*'" in str(caught.value)


R, W, RW = P(("/a",), ()), P((), ("/a",)), P(("/a",), ("/a",))


@pytest.mark.parametrize(
    "current, wanted, purge, grant, revoke, after",
    [
        (R, None, True, P(), P(), R),
        (P(), P(), True, P(), P(), P()),
        (P(), RW, False, RW, P(), RW),
        (R, RW, False, W, P(), RW),
        (RW, R, False, P(), P(), RW),
        (RW, R, True, P(), W, R),
        (RW, P(), True, P(), RW, P()),
        (RW, P(), False, P(), P(), RW),
        (
            P(("/a", "/b"), ()),
            P(("/b", "/c"), ()),
            True,
            P(("/c",), ()),
            P(("/a",), ()),
            P(("/b", "/c"), ()),
        ),
        (P(("/b", "/a"), ()), P(("/a", "/b"), ()), True, P(), P(), P(("/a", "/b"), ())),
    ],
)
def test_plan_permissions(current, wanted, purge, grant, revoke, after):
    change = plan_permissions(current, wanted, purge=purge)
    assert change == PermissionChange(grant, revoke)
    assert change.changes is (grant != P() or revoke != P())
    assert permissions_after(current, change) == after


KNOWN = ["r", "s", "t"]


@pytest.mark.parametrize(
    "current, wanted, purge, grant, revoke, after",
    [
        (["r"], None, True, (), (), ("r",)),
        ([], [], True, (), (), ()),
        ([], ["s", "r"], False, ("r", "s"), (), ("r", "s")),
        (["r"], ["r"], True, (), (), ("r",)),
        (["r", "s"], ["r"], False, (), (), ("r", "s")),
        (["r", "s"], ["r"], True, (), ("s",), ("r",)),
        (["r"], ["s"], True, ("s",), ("r",), ("s",)),
        (["gone"], ["r"], True, ("r",), ("gone",), ("r",)),
    ],
)
def test_plan_roles(current, wanted, purge, grant, revoke, after):
    change = plan_roles(current, wanted, purge=purge)
    assert change == RoleChange(grant, revoke)
    assert change.changes is bool(grant or revoke)
    assert roles_after(current, change) == after


@pytest.mark.parametrize(
    "wanted, unknown", [(None, ()), ([], ()), (["r"], ()), (["r", "x", "w"], ("w", "x"))]
)
def test_roles_that_do_not_exist(wanted, unknown):
    assert unknown_roles(wanted, KNOWN) == unknown


def test_root_has_its_role_whatever_it_was_given():
    assert given_roles("root") == ("root",)
    assert given_roles("roots") == ()


@pytest.mark.parametrize(
    "permissions, key",
    [
        ([], None),
        ([P(), W], None),
        ([W, R], "/a"),
        ([P(("/a/*",), ())], "/a/_quorum.etcd"),
        ([P(("/*",), ())], "/_quorum.etcd"),
    ],
)
def test_readable_key(permissions, key):
    assert readable_key(permissions) == key


def test_permissions_are_shown_in_order():
    assert shown(P(("/b", "/a"), ())) == {"read": ["/a", "/b"], "write": []}
