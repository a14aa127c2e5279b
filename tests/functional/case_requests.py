# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the raw requests of the case table are sent: by the client wherever it can say the same.

CLIENT: a call of the client's own makes a request that means the same, byte for byte after
decoding, and the client decodes the answer.
BUILDER: the builders of `_wire` can say it, though no call of the client does.
RAW: neither can, or the client refuses to on purpose (REFUSED holds the call that it refuses); it
is sent as it stands, and the client's decoder gets the answer.
"""

from __future__ import annotations

import collections
import enum
import http.client
import json
import re
import typing as t
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import case_table
from ansible_collections.quorum.etcd.plugins.module_utils import _endpoints, _limits, _wire
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    Answer,
    Api,
    Endpoint,
    Kind,
    Patience,
    Request,
    Tls,
)
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from interpose import AttemptsOnly


class Way(enum.Enum):
    """How a request is sent."""

    CLIENT = "through a call of the client"
    BUILDER = "through the builders of _wire"
    RAW = "raw, for the decoder only"


class Call(t.NamedTuple):
    """A call of the client: a method, or a property where there are no arguments to give."""

    name: str
    arguments: t.Tuple[t.Any, ...] = ()
    options: t.Mapping[str, t.Any] = {}

    def on(self, client: Client) -> t.Any:
        """Make the call."""
        return getattr(client, self.name)(*self.arguments, **self.options)


#: Case -> the call of the client that would send this, and is refused before anything is sent.
REFUSED: t.Dict[str, Call] = {
    "cas-value-empty": Call("compare_and_swap", ("$P/c", "2"), {"prev_value": ""}),
    "cas-index-zero-is-plain-set": Call("compare_and_swap", ("$P/c", "2"), {"prev_index": 0}),
    "cas-index-zero-creates": Call("compare_and_swap", ("$P/c", "2"), {"prev_index": 0}),
    "cas-index-nan": Call("compare_and_swap", ("$P/c", "2"), {"prev_index": "abc"}),
    "cas-index-empty": Call("compare_and_swap", ("$P/c", "2"), {"prev_index": ""}),
    "prevExist-false-IGNORES-prevValue": Call(
        "compare_and_swap", ("$P/c", "2"), {"prev_exist": False, "prev_value": "nope"}
    ),
    "cad-value-empty": Call("compare_and_delete", ("$P/c",), {"prev_value": ""}),
    "ttl-bad": Call("write", ("$P/t", "v"), {"ttl": "abc"}),
    "ttl-negative": Call("write", ("$P/t", "v"), {"ttl": -1}),
    "ttl-float": Call("write", ("$P/t", "v"), {"ttl": 1.5}),
    "ttl-zero-has-expiration-no-ttl": Call("write", ("$P/t", "v"), {"ttl": 0}),
    "ttl-huge-overflows-silently": Call("write", ("$P/t", "v"), {"ttl": 9223372036}),
    "ttl-empty-removes": Call("write", ("$P/t", "v"), {"ttl": ""}),
    "ttl-refresh-without-ttl": Call("update_ttl", ("$P/t", None)),
    "watch-quorum-is-plain-get": Call("read", ("$P/w",), {"wait": True, "quorum": True}),
    "waitIndex-bad": Call("read", ("$P/w",), {"wait": True, "wait_index": "abc"}),
    "name-double-slash-301": Call("write", ("$P//x", "1")),
    "name-dotdot-301": Call("write", ("$P/x/../y", "1")),
    "name-encoded-dotdot-301": Call("read", ("$P/x/../y",)),
    "value-invalid-utf8-is-mangled": Call("write", ("$P/v", "\udcff\udcfeabc")),
    "value-11MiB-rejected": Call("write", ("$P/v", "x" * 11534336)),
    "members-post-empty-list": Call("add_member", ([],)),
    "members-delete-no-id": Call("remove_member", ("",)),
}

_BOOLEANS = ("dir", "recursive", "sorted", "quorum", "wait", "refresh", "prevExist")
_PYTHON = {
    "prevValue": "prev_value",
    "prevIndex": "prev_index",
    "prevExist": "prev_exist",
    "waitIndex": "wait_index",
}


class Raw:
    """A request of the table, taken apart."""

    def __init__(self, step: case_table.Json) -> None:
        self.method: str = step["method"]
        self.target: str = step["path"]
        self.path, unused, query = self.target.partition("?")
        self.query = dict(parse_qsl(query, keep_blank_values=True))
        self.form: t.Optional[t.Dict[str, str]] = step.get("form")
        if "form_repeat" in step:
            self.form = {name: text * count for name, (text, count) in step["form_repeat"].items()}
        if self.form is not None:
            self.form = {name: str(value) for name, value in self.form.items()}
        self.json = step.get("json")
        self.raw_body: t.Optional[str] = step.get("raw_body")
        self.content_type: t.Optional[str] = step.get("content_type")
        self.authorization: t.Optional[str] = step.get("headers", {}).get("Authorization")
        self.timeout: float = step.get("timeout", 15.0)

    @property
    def body(self) -> t.Optional[bytes]:
        """The body as it is sent."""
        if self.form is not None:
            return urlencode(self.form).encode("ascii")
        if self.json is not None:
            return json.dumps(self.json).encode("utf-8")
        return None if self.raw_body is None else self.raw_body.encode("latin-1")

    @property
    def headers(self) -> t.Dict[str, str]:
        """The headers as they are sent."""
        headers = {"Authorization": self.authorization} if self.authorization else {}
        if self.content_type:
            headers["Content-Type"] = self.content_type
        elif self.form is not None:
            headers["Content-Type"] = _wire.FORM
        elif self.json is not None:
            headers["Content-Type"] = _wire.JSON
        return headers

    @property
    def api(self) -> Api:
        """The family that its path belongs to."""
        for name in Api:
            if self.path.startswith("/v2/" + name.value):
                return name
        return Api.SERVER if self.path in ("/version", "/health") else Api.STATS

    @property
    def key(self) -> t.Optional[str]:
        """The key, where it is one whose path the client could build."""
        if self.api is not Api.KEYS:
            return None
        path = self.path[len("/v2/keys") :]
        if re.search(r"%(?![0-9A-Fa-f]{2})|%2F|//|/\.\.?(/|$)|/%2E%2E|.+/$", path, re.IGNORECASE):
            return None
        return unquote(path, errors="strict")


def way_of(case: case_table.Json) -> Way:
    """How the request of a case is sent."""
    return way_of_request(Raw(case["request"]), case["id"])


def way_of_request(raw: Raw, case_id: str = "") -> Way:
    """How a request is sent."""
    if case_id in REFUSED:
        return Way.RAW
    if call_for(raw, "http://127.0.0.1:1") is not None:
        return Way.CLIENT
    return Way.RAW if request_for(raw) is None else Way.BUILDER


def count() -> t.Counter[Way]:
    """How many cases are sent in each way."""
    return collections.Counter(way_of(case) for case in case_table.CASES)


def call_for(raw: Raw, endpoint: str) -> t.Optional[Call]:
    """The client's call that says the same, or None."""
    if raw.raw_body is not None or raw.content_type is not None:
        return None
    if raw.api is Api.KEYS:
        return _call_for_key(raw)
    simple = {
        ("GET", "/version"): Call("version"),
        ("GET", "/health"): Call("health_of", (endpoint,)),
        ("GET", "/v2/stats/leader"): Call("stats_leader"),
        ("GET", "/v2/members"): Call("members"),
        ("GET", "/v2/auth/enable"): Call("auth_enabled"),
    }
    if (raw.method, raw.path) in simple:
        return simple[raw.method, raw.path]
    if (raw.method, raw.path) == ("POST", "/v2/members") and raw.json and raw.json["peerURLs"]:
        return Call("add_member", (raw.json["peerURLs"],))
    if raw.method == "DELETE" and raw.path.startswith("/v2/members/"):
        return Call("remove_member", (raw.path.rpartition("/")[2],))
    return None


def _call_for_key(raw: Raw) -> t.Optional[Call]:
    key, form = raw.key, raw.form
    fields = _typed(raw.query if form is None else form)
    if key is None or fields is None or raw.json is not None:
        return None
    names = set(fields)
    options = {_PYTHON.get(name, name): value for name, value in fields.items()}
    if raw.method == "GET" and form is None:
        if False in fields.values() or not names <= {
            *("recursive", "sorted", "quorum", "wait", "waitIndex")
        }:
            return None
        if "wait" in names:
            options["timeout"] = raw.timeout
        return Call("read", (key,), options)
    if raw.method == "DELETE" and form is None:
        if names <= {"prevValue", "prevIndex"} and names:
            return Call("compare_and_delete", (key,), options)
        if not names:
            return Call("delete", (key,))
        if fields.pop("dir", False) is True and set(fields) <= {"recursive"}:
            return Call("rmdir", (key,), fields)
        return None
    if raw.query or form is None:
        return None
    if raw.method == "POST" and "value" in names and names <= {"value", "ttl"}:
        return Call("create_in_order", (key,), options)
    if raw.method == "PUT":
        return _call_for_put(key, fields, options)
    return None


def _call_for_put(
    key: str, fields: t.Mapping[str, t.Any], options: t.Mapping[str, t.Any]
) -> t.Optional[Call]:
    names, conditions = set(fields), {"prevValue", "prevIndex", "prevExist"}
    if "value" in names and names <= {"value", "ttl"}:
        return Call("write", (key,), options)
    if "value" in names and names <= {"value", "ttl"} | conditions:
        return Call("compare_and_swap", (key,), options)
    if names - {"ttl"} == {"dir", "prevExist"} and fields["prevExist"] is False:
        return Call("mkdir", (key,), {"ttl": fields["ttl"]} if "ttl" in fields else {})
    if names == {"ttl", "refresh", "prevExist"} and fields["prevExist"] is True:
        return Call("update_ttl", (key, fields["ttl"]))
    return None


def request_for(raw: Raw) -> t.Optional[Request]:
    """The request that the builders of `_wire` make of it, or None."""
    if raw.raw_body is not None or raw.content_type is not None:
        return None
    if raw.api is not Api.KEYS:
        if raw.api is Api.MEMBERS and raw.method == "GET" and not raw.query:
            return _wire.read_api(Api.MEMBERS, raw.path)
        return None
    fields = _typed(raw.query if raw.form is None else raw.form)
    if raw.key is None or fields is None or raw.json is not None:
        return None
    if raw.method == "GET" and raw.form is None:
        if fields.pop("wait", False):
            return _wire.wait_key("v2", raw.key, fields, raw.timeout)
        return _wire.read_key("v2", raw.key, fields)
    if raw.method == "DELETE" and raw.form is None:
        return _wire.delete_key("v2", raw.key, fields)
    if raw.method in ("PUT", "POST") and raw.form is not None and not raw.query:
        return _wire.write_key("v2", raw.key, fields, method=raw.method)
    return None


def _typed(fields: t.Mapping[str, str]) -> t.Optional[t.Dict[str, t.Any]]:
    """The fields as Python holds them; None where one has a value that has no type there."""
    typed: t.Dict[str, t.Any] = {}
    for name, text in fields.items():
        if name in ("value", "noValueOnSuccess") or (name == "prevValue" and text):
            typed[name] = text
        elif name in _BOOLEANS and text in ("true", "false"):
            typed[name] = text == "true"
        elif name in _BOOLEANS and text == "1":
            typed[name] = 1
        elif name in ("prevIndex", "waitIndex") and text.isdigit() and int(text) > 0:
            typed[name] = int(text)
        elif name in ("prevIndex", "waitIndex") and re.fullmatch(r"\$\{\w+(\+1)?\}", text):
            typed[name] = 1  # Not filled in yet: only whether it can be sent is being asked.
        elif name == "ttl" and text.isdigit() and 0 < int(text) <= _limits.MAX_TTL:
            typed[name] = int(text)
        else:
            return None
    return typed


def assert_same(request: Request, raw: Raw) -> None:
    """That a request of the client's says what the raw one says."""
    path, unused, query = request.target.partition("?")
    assert request.method == raw.method
    asked = raw.path
    if raw.query.get("recursive") in ("true", "1"):
        # The client asks with a slash at the end, for which rights on what is below are enough.
        asked = asked.rstrip("/") + "/"
    assert [unquote(one) for one in path.split("/")] == [unquote(one) for one in asked.split("/")]
    assert dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))) == raw.query
    if raw.form is not None:
        assert request.content_type == _wire.FORM
        assert request.body is not None
        form = dict(parse_qsl(request.body.decode("ascii"), keep_blank_values=True))
        assert form == raw.form
    elif raw.json is not None:
        assert request.content_type == _wire.JSON
        assert request.body is not None
        assert json.loads(request.body.decode("utf-8")) == raw.json
    else:
        assert request.body is None
        assert request.content_type is None


class Recorder(AttemptsOnly):
    """The real `Http`, keeping what went through it."""

    def __init__(self, authorization: t.Optional[str] = None) -> None:
        super().__init__(tls=Tls(), authorization=authorization)
        self.requests: t.List[Request] = []
        self.answers: t.List[Answer] = []

    def exchange(self, endpoint: Endpoint, request: Request, patience: Patience) -> Answer:
        """Send the request and keep both."""
        self.requests.append(request)
        answer = super().exchange(endpoint, request, patience)
        self.answers.append(answer)
        return answer


class _AtOnce(http.client.HTTPConnection):
    """Sends head and body in one piece.

    A server that refuses the head closes the connection. A body that came after that would be
    answered by a reset, and the refusal be lost.
    """

    def __init__(self, host: str, port: t.Optional[int], timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._pieces: t.List[bytes] = []

    def send(self, data: t.Any) -> None:
        """Keep it."""
        self._pieces.append(data)

    def flush(self) -> None:
        """Send what was kept."""
        super().send(b"".join(self._pieces))


def send_raw(endpoint: str, raw: Raw) -> Answer:
    """Send the request as it stands, on a connection of its own; redirects are not followed."""
    parts = urlsplit(endpoint)
    connection = _AtOnce(str(parts.hostname), parts.port, raw.timeout)
    try:
        connection.request(raw.method, raw.target, raw.body, raw.headers)
        connection.flush()
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    headers = t.cast(t.Mapping[str, str], response.headers)
    return Answer(response.status, headers, body, _endpoints.parse(endpoint))


def described(raw: Raw) -> Request:
    """The raw request as the client's decoder is told of it."""
    kind = Kind.READ if raw.method in ("GET", "HEAD") else Kind.WRITE
    return Request(kind, raw.api, raw.method, raw.target)
