# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the harness raises."""

from __future__ import annotations


class HarnessError(Exception):
    """The harness could not do what it was asked to do."""


class PortTaken(HarnessError):
    """Somebody else took a port between its choice and its use."""
