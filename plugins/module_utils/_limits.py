# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What etcd v2 can take for a key, a value, a TTL and an index, and Python for a time to wait.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException

#: Seconds. The server keeps the moment of expiry as nanoseconds since 1970 in 63 bits, and stores
#: something else, silently, where they overflow (observed: 9223372036 is stored without expiry).
#: What is left holds for every clock before the year 2106.
MAX_TTL = 2**63 // 10**9 - 2**32

_MAX_INDEX = 2**64 - 1

#: Seconds; more than eleven days. Sockets and locks raise OverflowError for numbers that do not fit
#: into their clocks, which are the smallest where a C long has 32 bits: threading.TIMEOUT_MAX is
#: 4294967 there.
MAX_WAIT = 10.0**6


def canonical_key(key: t.Any) -> str:
    """The one form of a key: a leading slash, no trailing slash; the root is "/".

    Raises:
        ClientException: it is no text, is empty, has an empty, "." or ".." segment (the
            server would answer with a redirect to another key), or cannot be UTF-8.
    """
    if not isinstance(key, str):
        raise ClientException("a key is a string, not %s" % type(key).__name__)
    if not key:
        raise ClientException('the key is empty; write "/" for the root directory')
    if key == "/":
        return "/"
    path = key[key.startswith("/") : len(key) - key.endswith("/")]
    for segment in path.split("/"):
        if segment in ("", ".", ".."):
            raise ClientException(
                "the key %s has %s; write each directory's name once, between single slashes"
                % (shown(key), "the segment " + segment if segment else "an empty segment")
            )
    if not path.isascii():
        text_bytes(path, "the key %s" % shown(key))
    return "/" + path


def ends_in_slash(key: str) -> bool:
    """Whether a caller wrote a key with a slash at its end, which v2 permissions tell apart."""
    return len(key) > 1 and key.endswith("/")


def shown(text: str) -> str:
    """The text as a message shows it: quoted, and cut where it is long."""
    return json.dumps(text if len(text) <= 120 else text[:120] + "...")


def text_bytes(text: str, what: str) -> bytes:
    """The text in UTF-8.

    Raises:
        ClientException: it holds what UTF-8 cannot (a lone surrogate, as undecodable bytes
            become in Python).
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise ClientException(
            "%s is not valid UTF-8, and etcd v2 stores text only; encode binary data, for example"
            " with base64" % what
        ) from exc


def value_text(value: t.Any) -> str:
    """The text of a value.

    Raises:
        ClientException: it is neither text nor a whole number, or cannot be UTF-8.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ClientException(
            "a value is a string, not %s; convert it first, for example with json.dumps()"
            % type(value).__name__
        )
    text = str(value)
    text_bytes(text, "the value")
    return text


def _whole(value: t.Any, what: str, low: int, high: int, hint: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ClientException(
            "%s is a whole number from %d to %d, not %r; %s" % (what, low, high, value, hint)
        )
    return value


def ttl_seconds(ttl: t.Any, hint: str = "leave it out for none") -> int:
    """A time to live in seconds, at least 1.

    Raises:
        ClientException: it is no whole number, below 1 (the server would expire the key
            at once), or so large that the server would store another one.
    """
    return _whole(ttl, "ttl", 1, MAX_TTL, hint)


def index_number(index: t.Any, what: str) -> int:
    """An index of the store, at least 1.

    Raises:
        ClientException: it is none. 0 is refused because the server ignores prevIndex=0
            and writes unconditionally (observed).
    """
    return _whole(index, what, 1, _MAX_INDEX, "leave it out for no condition on the index")


def seconds(value: t.Any, what: str, *, or_none: bool = False) -> float:
    """A time to wait, above 0 and up to MAX_WAIT.

    Args:
        or_none: whether 0 is allowed, too.

    Raises:
        ClientException: it is no number (NaN), negative, or too large (infinite).
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not (0 < value <= MAX_WAIT or (or_none and value == 0)):
        raise ClientException(
            "%s is a number of seconds %s and up to %d, not %r"
            % (what, "from 0" if or_none else "above 0", MAX_WAIT, value)
        )
    return float(value)
