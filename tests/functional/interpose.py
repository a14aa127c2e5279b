# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Coming between the client and its requests."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils._http import Http
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    Answer,
    AttemptFailed,
    Endpoint,
    Patience,
    Request,
    Tls,
)


class _Answered:
    """A request whose answer has come."""

    received = 0
    longest_silence = 0.0

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.moved_at = time.monotonic()

    def ready(self, seconds: float) -> bool:
        """Whether the answer is there."""
        return True

    def finish(self) -> Answer:
        """The answer."""
        return self._answer


class AttemptsOnly(Http):
    """The real thing, of which every attempt goes through `exchange`, for a subclass to see it."""

    def begin(self, endpoint: Endpoint, request: Request, patience: Patience) -> None:
        """Have it sent by `start`."""

    def start(self, endpoint: Endpoint, request: Request, patience: Patience) -> t.Any:
        """Send it by `exchange`."""
        return _Answered(self.exchange(endpoint, request, patience))

    def exchange(self, endpoint: Endpoint, request: Request, patience: Patience) -> Answer:
        """As the real thing."""
        return super().start(endpoint, request, patience).finish()


class Meddling(AttemptsOnly):
    """The real thing; after each attempt that failed it does the next of these things."""

    def __init__(self, *then: t.Callable[[], t.Any]) -> None:
        super().__init__(tls=Tls())
        self._then = list(then)

    def exchange(self, endpoint: Endpoint, request: Request, patience: Patience) -> Answer:
        """Send the request once."""
        try:
            return super().exchange(endpoint, request, patience)
        except AttemptFailed:
            if self._then:
                self._then.pop(0)()
            raise
