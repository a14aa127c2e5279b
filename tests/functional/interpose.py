# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Coming between the client and its requests."""

from __future__ import annotations

from ansible_collections.quorum.etcd.plugins.module_utils._http import Http
from ansible_collections.quorum.etcd.plugins.module_utils._types import Endpoint, Patience, Request


class AttemptsOnly(Http):
    """The real thing, of which every attempt goes through `exchange`, for a subclass to see it."""

    def begin(self, endpoint: Endpoint, request: Request, patience: Patience) -> None:
        """Have it sent by `exchange`."""
