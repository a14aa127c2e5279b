# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The libraries from outside, imported in one place.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import traceback
import typing as t


class MissingLibrary(Exception):
    """A Python library that this operation needs cannot be imported.

    Attributes:
        name: its name on PyPI.
        reason: the traceback of the failed import.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__("the Python library %s is needed and cannot be imported" % name)
        self.name = name
        self.reason = reason


_reason = ""
try:
    import requests
    import requests.adapters
    import requests.utils
    import urllib3
except ImportError:
    requests = None  # type: ignore[assignment]
    urllib3 = None  # type: ignore[assignment]
    _reason = traceback.format_exc()


def need_requests() -> None:
    """Raise MissingLibrary unless requests can be used."""
    if requests is None or urllib3 is None:
        raise MissingLibrary("requests", _reason)


def load_dns() -> t.Any:
    """Import dnspython's resolver (22 ms, so only where SRV discovery is asked for).

    Raises:
        MissingLibrary: dnspython is not installed.
    """
    try:
        import dns.exception
        import dns.resolver
    except ImportError as exc:
        raise MissingLibrary("dnspython", traceback.format_exc()) from exc
    return dns
