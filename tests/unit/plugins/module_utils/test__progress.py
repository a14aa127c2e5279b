# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import math
import socket

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils._progress import Progress


def test_silence_begins_again_with_each_byte():
    progress = Progress(None, 3.0, 100.0)
    assert progress.left(102.0) == 1.0
    progress.moved(102.0)
    assert progress.left(104.0) == 1.0
    progress.handed_over(50, 104.0)
    assert progress.left(107.0) == 0.0


def test_no_limit_is_none():
    assert Progress(None, None, 100.0).left(1e9) == math.inf


@pytest.fixture
def stuffed():
    """Two ends of a connection of which one has been sent more than both systems hold."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far = server.accept()[0]
    near.setblocking(False)
    sent = 0
    try:
        while True:
            sent += near.send(b"x" * 65536)
    except BlockingIOError:
        yield near, far, sent
    near.close()
    far.close()


def test_what_the_system_still_has_to_send_counts_only_while_it_becomes_less(stuffed):
    near, far, sent = stuffed
    progress = Progress(near, 3.0, 100.0)
    progress.handed_over(sent, 100.0)
    assert progress.left(103.0) == 0.0, "nobody has read anything"
    far.settimeout(5)
    read = 0
    while read < sent // 2:
        read += len(far.recv(65536))
    assert progress.left(104.0) == 3.0
    assert progress.left(106.0) == 1.0


def test_a_small_message_is_not_looked_after(stuffed):
    near, far, unused = stuffed
    progress = Progress(near, 3.0, 100.0)
    progress.handed_over(100, 100.0)
    far.recv(65536)
    assert progress.left(103.0) == 0.0
