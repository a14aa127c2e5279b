# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real etcd servers and real faults for the tests of quorum.etcd.

`harness.certs` (needs trustme) and `harness.dnsserver` (needs dnslib) are imported by name.
"""

from __future__ import annotations

from .binaries import Binary
from .cluster import Cluster, Member
from .errors import HarnessError, PortTaken
from .faultproxy import FaultProxy, Seen
from .tls import Certs, Tls

__all__ = [
    "Binary",
    "Certs",
    "Cluster",
    "FaultProxy",
    "HarnessError",
    "Member",
    "PortTaken",
    "Seen",
    "Tls",
]
