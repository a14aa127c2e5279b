# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.quorum.etcd.plugins.module_utils import _batch, errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import ActionKind, KeyAction
from ansible_collections.quorum.etcd.tests.unit.fakes.store import FakeStore


def creation(key):
    return KeyAction(ActionKind.CREATE, key, None, value="v")


def unreachable(commit):
    raise errors.EtcdUnreachable("no endpoint answered")


def test_a_write_for_which_there_was_no_connection_finds_another_endpoint():
    store = FakeStore()
    store.faults.append(unreachable)
    actions = [creation("/a"), creation("/b")]
    progress = _batch.Progress(store.index, None)
    _batch.carry_out_all(store, [actions], progress, connections=2, lost_is_final=False)
    assert sorted(one.key for one in progress.done) == ["/a", "/b"]
    assert (progress.failed, progress.lost, progress.not_tried) == ([], [], [])
    assert store.commits == ["create", "create"]


def test_a_write_that_reaches_nobody_is_a_failure_of_its_own():
    store = FakeStore()
    store.faults.extend([unreachable, unreachable])
    actions = [creation("/a")]
    progress = _batch.Progress(store.index, None)
    _batch.carry_out_all(store, [actions], progress, connections=2, lost_is_final=False)
    assert [(one.key, str(exc)) for one, exc in progress.failed] == [("/a", "no endpoint answered")]
    assert progress.done == [] and store.commits == []
