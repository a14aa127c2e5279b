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


def load_requests() -> t.Tuple[t.Any, t.Any]:
    """Import requests (50 ms, so only where TLS or a proxy is asked for).

    Returns:
        requests, and the urllib3 below it.

    Raises:
        MissingLibrary: requests is not installed.
    """
    try:
        import requests
        import requests.adapters
        import requests.utils
        import urllib3
    except ImportError as exc:
        raise MissingLibrary("requests", traceback.format_exc()) from exc
    return requests, urllib3


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


def load_yaml() -> t.Any:
    """Import PyYAML (only where a file is YAML and not JSON).

    Raises:
        MissingLibrary: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as exc:
        raise MissingLibrary("PyYAML", traceback.format_exc()) from exc
    return yaml
