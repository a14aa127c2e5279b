# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A steady load of writes, and the question whether what was acknowledged is there."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from ansible_collections.quorum.etcd.plugins.module_utils.errors import EtcdException
from play import Wrong

_PAUSE = 0.05


class Load:
    """Writes one key after the other until it is ended; each key once."""

    def __init__(self, client: Client, folder: str) -> None:
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        """Keys whose write failed, or of which it is not known; they may be there or not."""

        self._client = client
        self._folder = folder
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write_on)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _write_on(self) -> None:
        number = 0
        while not self._ended.wait(_PAUSE):
            key = f"{self._folder}/{number}"
            number += 1
            try:
                self._client.write(key, key)
            except EtcdException:
                self.refused.append(key)
            else:
                self.acknowledged.append(key)


def check_all_there(client: Client, keys: list[str]) -> None:
    """Every key has its name as value."""
    lost = []
    for key in keys:
        try:
            if client.read(key, quorum=True).node["value"] != key:
                lost.append(key)
        except EtcdException as exc:
            lost.append(f"{key} ({exc})")
    if lost:
        raise Wrong(f"{len(lost)} of {len(keys)} acknowledged writes are lost: {lost[:10]}")
