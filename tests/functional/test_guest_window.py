# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guests that try without a pause while the module etcd_auth works: none may ever do more than before."""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.auth import manage_auth
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client, Permissions
from harness import Binary, Cluster

_KEY = "/out-of-reach"
_FEW = 20
"""Attempts of each guest before the task begins and after it has ended."""


def _may(client: Client, *, writes: bool) -> bool:
    """Whether it is let in."""
    try:
        if writes:
            client.write(_KEY, "by a guest")
        else:
            client.read(_KEY)
    except errors.EtcdUnauthorized:
        return False
    return True


def _wait_until_guests_may(cluster: Cluster, permissions: Permissions) -> None:
    """Until every member has it like this: one that is behind learns of it later than the leader."""
    until = time.monotonic() + 30
    for endpoint in cluster.endpoints:
        for writes, may in ((True, bool(permissions.write)), (False, bool(permissions.read))):
            while _may(Client(endpoint), writes=writes) is not may:
                assert time.monotonic() < until, endpoint
                time.sleep(0.05)


class Guest(threading.Thread):
    """A client without credentials that tries the same operation on one member again and again."""

    def __init__(self, endpoint: str, *, writes: bool) -> None:
        super().__init__(daemon=True)
        self.writes = writes
        self.allowed: t.List[bool] = []
        self.error: t.Optional[Exception] = None
        self._client = Client(endpoint)
        self._leave = threading.Event()

    def run(self) -> None:
        """Try until told to leave."""
        try:
            while not self._leave.is_set():
                self.allowed.append(self._try())
        except errors.EtcdException as exc:
            self.error = exc

    def _try(self) -> bool:
        return _may(self._client, writes=self.writes)

    def try_some_more(self) -> t.List[bool]:
        """The outcomes of the next attempts, all of which began after this call."""
        begin = len(self.allowed) + 1
        while len(self.allowed) < begin + _FEW and self.is_alive():
            threading.Event().wait(0.002)
        assert self.error is None, self.error
        return self.allowed[begin:]

    def leave(self) -> None:
        """End it and wait."""
        self._leave.set()
        self.join(10)


@contextlib.contextmanager
def _guests(cluster: Cluster) -> t.Iterator[t.List[Guest]]:
    """A reader and a writer on every member."""
    guests = [
        Guest(endpoint, writes=writes) for endpoint in cluster.endpoints for writes in (True, False)
    ]
    for guest in guests:
        guest.start()
    try:
        yield guests
    finally:
        for guest in guests:
            guest.leave()


@pytest.fixture(scope="module")
def guarded(binary: Binary) -> t.Iterator[Cluster]:
    """Three nodes with a user root, of which access control is switched on and off."""
    with Cluster(binary, size=3) as cluster:
        Client(cluster.endpoints).create_user("root", "pw")
        yield cluster


def _switch(root: Client, **options: t.Any) -> t.Dict[str, t.Any]:
    return manage_auth(dict({"enabled": True}, **options), lambda **unused: root, apply=True)


NOTHING, READING, ALL = (
    Permissions(),
    Permissions(read=("/*",)),
    Permissions(read=("/*",), write=("/*",)),
)


@pytest.mark.parametrize("level", ["none", "read"])
@pytest.mark.parametrize(
    "left_behind", [None, NOTHING, ALL], ids=["no guest", "strict guest", "lax guest"]
)
def test_switching_on(guarded: Cluster, level: str, left_behind: t.Optional[Permissions]) -> None:
    """From all to what the level gives, once, and never back, whatever guest role is left over."""
    root = Client(guarded.endpoints, username="root", password="pw")
    _switch(root, enabled=False, guest=None)
    root.write(_KEY, "by root")
    if "guest" in root.roles():
        root.delete_role("guest")
    if left_behind is not None:
        root.create_role("guest", left_behind)
    _wait_until_guests_may(guarded, ALL)
    with _guests(guarded) as guests:
        for guest in guests:
            assert all(guest.try_some_more())
        assert _switch(root, guest=level)["changed"]
        for guest in guests:
            may = level == "read" and not guest.writes
            assert set(guest.try_some_more()[_FEW // 2 :]) == {may}
    for guest in guests:
        _assert_never_back(guest, denied_at_the_end=level == "none" or guest.writes)


@pytest.mark.parametrize(
    "before, level",
    [(ALL, "none"), (ALL, "read"), (READING, "none"), (NOTHING, "none"), (NOTHING, "read")],
    ids=["full to none", "full to read", "read to none", "none to none", "none to read"],
)
def test_with_access_control_on(guarded: Cluster, before: Permissions, level: str) -> None:
    """A change of what guests may do gives them nothing in between that neither side has."""
    root = Client(guarded.endpoints, username="root", password="pw")
    _switch(root, enabled=False, guest=None)
    root.write(_KEY, "by root")
    if "guest" in root.roles():
        root.delete_role("guest")
    root.create_role("guest", before)
    _switch(root, guest=None)
    _wait_until_guests_may(guarded, before)
    with _guests(guarded) as guests:
        for guest in guests:
            guest.try_some_more()
            guest.allowed.clear()
        _switch(root, guest=level)
        for guest in guests:
            guest.try_some_more()
    for guest in guests:
        could = bool(before.write if guest.writes else before.read)
        may = level == "read" and not guest.writes
        if not could and not may:
            assert set(guest.allowed) == {False}
        elif could and may:
            assert set(guest.allowed) == {True}
        elif could:
            _assert_never_back(guest, denied_at_the_end=True)


def _assert_never_back(guest: Guest, *, denied_at_the_end: bool) -> None:
    """Allowed, and from some moment on denied; or, with the same right on both sides, allowed."""
    assert guest.error is None, guest.error
    count = sum(guest.allowed)
    assert guest.allowed == [True] * count + [False] * (len(guest.allowed) - count)
    assert guest.allowed[-1] is not denied_at_the_end
