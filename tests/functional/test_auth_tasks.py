# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What etcd_role, etcd_user and etcd_auth do on a real server: in check mode, and when answers are lost."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.auth import (
    manage_auth,
    manage_role,
    manage_user,
)
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from conftest import ProxyTo
from harness import Cluster, FaultProxy
from options import left_out

Report = t.Dict[str, t.Any]
Match = t.Callable[[str, str], bool]


class Tasks:
    """The tasks, against one URL and as one user."""

    def __init__(self, url: str, **credentials: str) -> None:
        self._url = url
        self._credentials = credentials

    def connect(self, **other: str) -> Client:
        """As `_module` does it: with other credentials where they are given."""
        return Client(self._url, total_timeout=5.0, **dict(self._credentials, **other))

    def role(self, *, apply: bool = True, **options: t.Any) -> Report:
        return manage_role(dict(left_out("etcd_role"), **options), self.connect, apply=apply)

    def user(self, *, apply: bool = True, **options: t.Any) -> Report:
        return manage_user(dict(left_out("etcd_user"), **options), self.connect, apply=apply)

    def auth(self, *, apply: bool = True, **options: t.Any) -> Report:
        return manage_auth(dict(left_out("etcd_auth"), **options), self.connect, apply=apply)


PLAY: t.List[t.Tuple[str, t.Dict[str, t.Any]]] = [
    ("role", {"name": "app", "permissions": {"read_write": ["/app/*"]}}),
    ("user", {"name": "root", "user_password": "pw"}),
    ("user", {"name": "app", "user_password": "app-pw", "roles": ["app"]}),
    ("auth", {"enabled": True, "guest": "none"}),
]


def test_a_play_in_check_mode_and_then_for_real(own_single: Cluster) -> None:
    """What would have been made by then is a warning, and no failure; the outcome is foreseen."""
    nobody = Tasks(own_single.endpoints[0])
    would = [getattr(nobody, kind)(apply=False, **options) for kind, options in PLAY]
    assert nobody.connect().users() == ()
    assert [len(one.get("warnings", [])) for one in would] == [0, 0, 1, 1]
    assert "there is no role app" in would[2]["warnings"][0]
    assert "there is no user root" in would[3]["warnings"][0]
    did = [getattr(nobody, kind)(**options) for kind, options in PLAY]
    for foreseen, done in zip(would, did):
        assert foreseen["changed"] is done["changed"] is True
        assert foreseen["diff"] == done["diff"]
    root = Tasks(own_single.endpoints[0], username="root", password="pw")
    again = [getattr(root, kind)(**options) for kind, options in PLAY]
    assert [one["changed"] for one in again] == [False] * 4
    # root has its role whatever is said of its roles.
    assert not root.user(name="root", roles=[], purge_roles=True)["changed"]
    assert root.user(name="root", roles=["app"])["roles"] == ["app", "root"]
    assert root.user(name="root", roles=[], purge_roles=True)["roles"] == ["root"]


def _lose(proxy: FaultProxy, target: str) -> None:
    """Lose the answer to the next write there."""

    def match(method: str, path: str) -> bool:
        return method in ("PUT", "DELETE") and path == "/v2/auth/" + target

    proxy.set_mode("cut_after_forward", match=match, times=1)


def _writes(proxy: FaultProxy) -> int:
    return sum(1 for seen in proxy.requests if seen.method != "GET")


def test_lost_answers(own_single: Cluster, proxy_to: ProxyTo) -> None:
    """What can be looked up is: root, its password, who changes the own one, and the guest."""
    proxy = proxy_to(own_single.endpoints[0])
    nobody = Tasks(proxy.url)
    _lose(proxy, "users/root")
    made = nobody.user(name="root", user_password="pw")
    assert (made["changed"], made["roles"], _writes(proxy)) == (True, ["root"], 1)

    # While access control is off, nothing tells which password it is.
    _lose(proxy, "users/root")
    with pytest.raises(errors.EtcdOutcomeUnknown):
        nobody.user(name="root", user_password="pw")

    for enabled, guest in ((True, "none"), (False, "full")):
        for lost in ("roles/guest", "enable"):
            task = Tasks(proxy.url, username="root", password="pw")
            task.auth(enabled=not enabled, guest="read")
            proxy.forget()
            _lose(proxy, lost)
            done = task.auth(enabled=enabled, guest=guest)
            assert (done["changed"], _writes(proxy)) == (True, 2)
            assert not task.auth(enabled=enabled, guest=guest)["changed"]

    root = Tasks(proxy.url, username="root", password="pw")
    root.auth(enabled=True, guest="none")
    proxy.forget()
    _lose(proxy, "users/root")
    changed = root.user(name="root", user_password="new one")
    assert (changed["password_changed"], _writes(proxy)) == (True, 1)
    root = Tasks(proxy.url, username="root", password="new one")
    assert not root.user(name="root", user_password="new one")["changed"]

    # One that was not set is not called set.
    proxy.set_mode("cut_before_forward", match="PUT", times=1)
    with pytest.raises(errors.EtcdOutcomeUnknown):
        root.user(name="root", user_password="third")
    assert not root.user(name="root", user_password="new one")["changed"]
