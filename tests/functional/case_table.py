# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cases of data/v2_cases.json: what they say, with their placeholders filled in.

The table was made by asking real servers with raw requests; its own `format` explains the fields.
"""

from __future__ import annotations

import json
import os
import re
import typing as t
import uuid

from ansible_collections.quorum.etcd.plugins.module_utils import errors
from harness.binaries import version_key

Json = t.Dict[str, t.Any]


def _load() -> Json:
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "v2_cases.json")
    with open(path, encoding="utf-8") as file:
        loaded: Json = json.load(file)
    return loaded


_TABLE = _load()

CASES: t.List[Json] = _TABLE["cases"]
PREAMBLE_OF_AUTH: t.List[Json] = _TABLE["servers"]["auth"]["preamble"]

#: What the client makes of an error answer that has no errorCode, or of one that is no answer to
#: what the client asks at all.
CLASS_OF_UNNUMBERED: t.Dict[str, t.Type[errors.EtcdException]] = {
    "head-existing": errors.EtcdEmptyResponse,
    # An answer to HEAD has no body that could tell the two kinds of 404 apart; it is never sent.
    "head-missing": errors.EtcdV2NotServed,
    "method-not-allowed": errors.EtcdRefused,
    "name-double-slash-301": errors.EtcdInvalidResponse,
    "name-dotdot-301": errors.EtcdInvalidResponse,
    "name-encoded-dotdot-301": errors.EtcdInvalidResponse,
    "name-bad-escape": errors.EtcdRefused,
    "health-post": errors.EtcdRefused,
    "stats-unknown": errors.EtcdV2NotServed,
    "machines": errors.EtcdInvalidResponse,
    "members-unknown-subpath": errors.EtcdMemberNotFound,
    "members-post-415": errors.EtcdRefused,
    "members-post-bad-json": errors.EtcdRefused,
    "members-post-empty-list": errors.EtcdRefused,
    "members-post-trailing-slash-url": errors.EtcdRefused,
    "members-post-no-port": errors.EtcdRefused,
    "members-delete-unknown": errors.EtcdMemberNotFound,
    "members-delete-nonhex": errors.EtcdMemberNotFound,
    "members-delete-no-id": errors.EtcdRefused,
    "v2off-get": errors.EtcdV2NotServed,
    "v2off-members": errors.EtcdV2NotServed,
    "auth-members-write-401": errors.EtcdUnauthorized,
}


class Filler:
    """Fills in the placeholders of one run of one case."""

    def __init__(self, case_id: str) -> None:
        self.prefix = "/t-%s-%s" % (case_id, uuid.uuid4().hex[:8])
        self._captured: t.Dict[str, t.Any] = {}

    def fill(self, value: t.Any) -> t.Any:
        """The value without placeholders; one that is nothing but a placeholder keeps its type."""
        if isinstance(value, dict):
            return {name: self.fill(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self.fill(one) for one in value]
        if not isinstance(value, str):
            return value
        alone = re.fullmatch(r"\$\{(\w+)(\+1)?\}", value)
        if alone:
            return self._get(alone)
        return re.sub(r"\$\{(\w+)(\+1)?\}", lambda one: str(self._get(one)), value).replace(
            "$P", self.prefix
        )

    def fill_pattern(self, pattern: str) -> str:
        """The same for a regular expression."""
        return pattern.replace("\\$P", re.escape(self.prefix))

    def capture(self, wanted: t.Mapping[str, str], body: t.Any) -> None:
        """Keep parts of an answer under names."""
        for name, path in wanted.items():
            self._captured[name] = dig(body, path)

    def _get(self, match: t.Match[str]) -> t.Any:
        value = self._captured[match.group(1)]
        return value + 1 if match.group(2) else value


ABSENT = object()


def dig(body: t.Any, path: str) -> t.Any:
    """What is at a dotted path, or ABSENT."""
    for step in path.split("."):
        if isinstance(body, (list, tuple)):
            if int(step) >= len(body):
                return ABSENT
            body = body[int(step)]
        elif step in body:
            body = body[step]
        else:
            return ABSENT
    return body


def expectation(case: Json, version: str) -> Json:
    """What this version of the server answers."""
    expected: Json = case["expect"]
    by_version = expected.get("per_version")
    if by_version is None:
        return expected
    matching: t.List[Json] = [own for text, own in by_version.items() if _in_range(version, text)]
    if len(matching) != 1:
        raise AssertionError(
            "%s has %d expectations for etcd %s" % (case["id"], len(matching), version)
        )
    return matching[0]


def _in_range(version: str, text: str) -> bool:
    """Whether a version is in a range such as ``>=3.5.2 <3.6``."""
    number = version_key(version)
    for condition in text.split():
        match = re.fullmatch(r"(>=|<)([\d.]+)", condition)
        if match is None:
            raise AssertionError("%r is no range of versions" % text)
        if (number < version_key(match.group(2))) is (match.group(1) == ">="):
            return False
    return True
