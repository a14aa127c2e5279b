# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The v2 wire format: encoding requests, decoding answers, naming errors. Pure.

PRIVATE to the collection: it can change at any time.

Sources: etcd's Documentation/v2/{api,members_api,auth_api,errorcode}.md, and answers of etcd
3.4.23 and 3.5.1 where those are silent or out of date.
"""

from __future__ import annotations

import base64
import json
import re
import typing as t
from dataclasses import replace
from urllib.parse import quote, quote_plus, unquote

from ansible_collections.quorum.etcd.plugins.module_utils import _limits, _shapes, errors
from ansible_collections.quorum.etcd.plugins.module_utils._results import header_number
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    Answer,
    Api,
    Kind,
    Request,
)

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

#: Bytes of path and query. A server's plain HTTP port resets a new connection whose request line
#: exceeds 4096 bytes (observed); less is left for the method and the protocol.
MAX_TARGET = 4000

#: Bytes of a form: a server refuses more, and cuts the connection (Go's limit for forms).
MAX_FORM = 10 * 1024 * 1024

_FLAGS = {False: "false", True: "true"}

Fields = t.Mapping[str, t.Union[str, int, bool, None]]


def _query(fields: Fields) -> str:
    text = _form(fields)
    return "?" + text if text else ""


def _form(fields: Fields) -> str:
    return "&".join(
        [
            "%s=%s" % (name, quote_plus(_FLAGS[value] if isinstance(value, bool) else str(value)))
            for name, value in fields.items()
            if value is not None
        ]
    )


def _target(path: str, fields: Fields, what: str) -> str:
    target = path + _query(fields)
    if len(target) > MAX_TARGET:
        raise errors.ClientException(
            "%s takes %d bytes when it is sent, and a server drops requests of over %d; shorten"
            " the key, or compare by index instead of by value" % (what, len(target), MAX_TARGET)
        )
    return target


#: Segments of characters that a path may hold as they are.
_PREFIX = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]+(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*")


def checked_prefix(prefix: t.Any) -> str:
    """What the paths of the API begin with, without slashes around it.

    Raises:
        errors.ClientException: it is no path, or has characters that a path cannot hold.
    """
    text = prefix.strip("/") if isinstance(prefix, str) else ""
    if _PREFIX.fullmatch(text) is None or {".", ".."} & set(text.split("/")):
        raise errors.ClientException(
            "version_prefix is the first segment of the API's paths, such as v2, not %r" % (prefix,)
        )
    return text


def keys_path(prefix: str, key: t.Any, *, recursive: t.Any = None) -> str:
    """Path of a key: each segment percent-encoded, so that every character of it survives.

    It ends in a slash where the key does, and for a recursive request. To the store both paths are
    one key, whatever it holds, but the server compares permissions with the path as it was sent:
    the pattern /app/* permits /app/ and not /app, and a recursive request needs a pattern that ends
    in a star and that its path begins with, which /app/* is for /app/ and not for /app (observed
    alike on 3.4.23, 3.5.1, 3.5.16 and 3.5.30).
    """
    canonical = _limits.canonical_key(key)
    slash = "/" if canonical != "/" and (recursive or _limits.ends_in_slash(key)) else ""
    return "/%s/keys%s%s" % (prefix, quote(canonical, safe="/"), slash)


def read_key(prefix: str, key: t.Any, fields: Fields) -> Request:
    path = keys_path(prefix, key, recursive=fields.get("recursive"))
    target = _target(path, fields, "reading this key")
    return Request(Kind.READ, Api.KEYS, "GET", target)


def wait_key(prefix: str, key: t.Any, fields: Fields, read_timeout: t.Optional[float]) -> Request:
    path = keys_path(prefix, key, recursive=fields.get("recursive"))
    target = _target(path, dict(fields, wait=True), "watching this key")
    return Request(Kind.WAIT, Api.KEYS, "GET", target, read_timeout=read_timeout)


def write_key(prefix: str, key: t.Any, fields: Fields, method: str = "PUT") -> Request:
    body = _form(fields).encode("ascii")
    if len(body) > MAX_FORM:
        raise errors.ClientException(
            "the value takes %d bytes when it is sent, and a server refuses more than %d; split it"
            % (len(body), MAX_FORM)
        )
    target = _target(keys_path(prefix, key), {}, "writing this key")
    # The server takes no condition for a creation in order and for a directory's TTL.
    guarded = method != "POST" and not (fields.get("dir") and fields.get("prevExist"))
    return Request(Kind.WRITE, Api.KEYS, method, target, body, FORM, fresh_connection=not guarded)


def without_node(request: Request) -> Request:
    """The same write of a key, whose answer is to leave out the node."""
    return replace(request, body=(request.body or b"") + b"&noValueOnSuccess=true")


def delete_key(prefix: str, key: t.Any, fields: Fields) -> Request:
    """The conditions go into the query: a server ignores the body of a DELETE (observed).

    It takes none for a directory.
    """
    path = keys_path(prefix, key, recursive=fields.get("recursive"))
    target = _target(path, fields, "deleting this key")
    fresh = bool(fields.get("dir") or fields.get("recursive"))
    return Request(Kind.WRITE, Api.KEYS, "DELETE", target, fresh_connection=fresh)


def read_api(api: Api, path: str) -> Request:
    return Request(Kind.READ, api, "GET", path)


def write_api(
    api: Api, method: str, path: str, body: t.Optional[t.Mapping[str, t.Any]] = None
) -> Request:
    """A write to an API that takes no conditions (members, access control)."""
    if body is None:
        return Request(Kind.WRITE, api, method, path, fresh_connection=True)
    data = json.dumps(body).encode("ascii")
    return Request(Kind.WRITE, api, method, path, data, JSON, fresh_connection=True)


def path_segment(text: t.Any, what: str) -> str:
    """A name (user, role, member id) as one segment of a path.

    Raises:
        errors.ClientException: it is no text, is empty, or holds a slash, or is "." or "..".
    """
    if not isinstance(text, str) or not text or "/" in text or text in (".", ".."):
        raise errors.ClientException("%s is a text without slashes, not %r" % (what, text))
    _limits.text_bytes(text, what)
    return quote(str(text), safe="")


def basic_authorization(username: str, password: str) -> str:
    """The Authorization header; both travel as UTF-8, which is what the server compares with.

    Raises:
        errors.ClientException: the user name holds a colon, which ends it on the wire.
    """
    if ":" in username:
        raise errors.ClientException("a user name cannot hold a colon")
    pair = (
        _limits.text_bytes(username, "the user name")
        + b":"
        + _limits.text_bytes(password, "the password")
    )
    return "Basic " + base64.b64encode(pair).decode("ascii")


def in_words(request: Request) -> str:
    """What a request does, for people: "write /app/mode", or method and path."""
    verb = {"GET": "read", "PUT": "write", "POST": "add to", "DELETE": "delete"}.get(request.method)
    path = request.target.partition("?")[0]
    marker = "/keys/"
    if request.api is not Api.KEYS or verb is None or marker not in path:
        return "do %s" % request
    return "%s %s" % (verb, unquote("/" + path.partition(marker)[2]))


def needed_pattern(request: Request) -> t.Optional[str]:
    """Which pattern of a role permits a request about a key, in words; None for other requests."""
    path = request.target.partition("?")[0]
    marker = "/keys/"
    if request.api is not Api.KEYS or marker not in path:
        return None
    key = unquote("/" + path.partition(marker)[2])
    if key.endswith("/"):
        return "it takes a role with the pattern %s* or a wider one" % key
    return (
        "it takes a role with the pattern %s or a wider one; %s/* is for what is below it, and for"
        " %s/, written with its slash" % (key, key, key)
    )


# -- answers -------------------------------------------------------------------------------------

#: (family, status) -> class, for error answers that carry no etcd error code.
_UNNUMBERED = {
    (Api.MEMBERS, 404): errors.EtcdMemberNotFound,
    (Api.MEMBERS, 409): errors.EtcdMemberExists,
    (Api.MEMBERS, 410): errors.EtcdMemberRemoved,
    (Api.AUTH, 404): errors.EtcdAuthNotFound,
    (Api.AUTH, 409): errors.EtcdAuthConflict,
    (Api.AUTH, 400): errors.EtcdAuthError,
    (Api.AUTH, 403): errors.EtcdAuthError,
    (Api.STATS, 403): errors.EtcdNotLeader,
}  # type: t.Dict[t.Tuple[Api, int], t.Type[errors.EtcdException]]

#: How the causes of error 300 begin where raft found no majority in time (observed: "request timed
#: out", also with ", possibly due to previous leader failure"), or no leader.
_NO_QUORUM = (
    "etcdserver: request timed out",
    "etcdserver: no leader",
    "etcdserver: leader changed",
)

#: What etcd says of a request to members or access control that lacks the right to it.
_NO_RIGHT = "Insufficient credentials"

_EMPTY_IS_FINE = (Api.MEMBERS, Api.AUTH)


def decode(request: Request, answer: Answer) -> t.Mapping[str, t.Any]:
    """The body of a successful answer.

    Raises:
        errors.EtcdException: the class that the answer stands for.
    """
    status = answer.status
    if status < 300 or (request.api is Api.SERVER and status == 503):
        return _success(request, answer)
    body = _json_object(answer.body)
    if status >= 400 and body is not None and isinstance(body.get("errorCode"), int):
        code, cause, index = body["errorCode"], body.get("cause"), body.get("index")
        cause = cause if isinstance(cause, str) else None
        found = errors.BY_CODE.get(code, errors.EtcdException)
        said = str(body.get("message") or "etcd error %d" % code)
        if code == 300 and (cause or "").startswith(_NO_QUORUM):
            said = "the cluster has no leader or no quorum (%s)" % said
        raise found(
            said,
            code=code,
            cause=cause,
            index=index if isinstance(index, int) else None,
            http_status=status,
            endpoint=answer.endpoint.url,
        )
    raise _unnumbered(request, answer, body)


def _success(request: Request, answer: Answer) -> t.Mapping[str, t.Any]:
    if not answer.body.strip():
        if request.api in _EMPTY_IS_FINE and request.kind is Kind.WRITE:
            return {}
        raise errors.EtcdEmptyResponse(
            "the answer to %s is empty" % request,
            index=header_number(answer.headers, "X-Etcd-Index"),
            http_status=answer.status,
            endpoint=answer.endpoint.url,
        )
    body = _json_object(answer.body)
    if body is None or not _shapes.fits(request.api, body):
        raise _not_etcd(request, answer)
    if request.api is Api.KEYS and request.kind is not Kind.WRITE and "node" not in body:
        raise errors.EtcdInvalidResponse(
            "the answer to %s holds no key" % request,
            http_status=answer.status,
            endpoint=answer.endpoint.url,
        )
    return body


def _unnumbered(
    request: Request, answer: Answer, body: t.Optional[t.Mapping[str, t.Any]]
) -> errors.EtcdException:
    status = answer.status
    message = body.get("message") if body is not None else None
    about = {"http_status": status, "endpoint": answer.endpoint.url}  # type: t.Dict[str, t.Any]
    if status < 400:
        return errors.EtcdInvalidResponse(
            "the answer to %s is a redirect to %s, which is not followed"
            % (request, answer.headers.get("Location")),
            **about,
        )
    if status == 404 and message is None:
        if request.api is Api.SERVER:
            said = "%s is not known there; %s" % (request, _who_answers(answer))
            return errors.EtcdInvalidResponse(said, **about)
        return errors.EtcdV2NotServed(
            "the v2 API is not served there: " + _who_answers(answer), **about
        )
    said = str(message) if message else _answered(request, answer)
    if status == 401:
        if message == _NO_RIGHT and request.api in (Api.MEMBERS, Api.AUTH):
            return errors.EtcdUnauthorized(said, **about)
        # Error 110 is etcd's own word, and comes as such.
        said = "another server than etcd, or a proxy before it, asks for credentials: " + said
        return errors.EtcdRefused(said, **about)
    if status == 407:
        return errors.EtcdRefused("the proxy asks for credentials: " + said, **about)
    if status >= 500:
        if request.api is Api.MEMBERS and request.kind is Kind.WRITE and message:
            return errors.EtcdReconfigurationRefused(said, **about)
        if message == "During election":
            return errors.EtcdNoLeader(said, **about)
        return errors.EtcdServerError(said, **about)
    if message is None:
        return errors.EtcdRefused(said, **about)
    return _UNNUMBERED.get((request.api, status), errors.EtcdRefused)(said, **about)


def _who_answers(answer: Answer) -> str:
    """What a server is that answers with 404 where a member serves the v2 API, and what to do.

    Observed on 3.4.23 to 3.5.30: the client port without v2 answers as below and with the header,
    the peer port without it (and so does a client port that is started with --cors).
    """
    if answer.body != b"404 page not found\n":
        return "what answers is not etcd (%s); look at the endpoint's host and port" % _shown_start(
            answer
        )
    enable = "start etcd 3.4 or 3.5 with --enable-v2=true (etcd 3.6 and newer have no v2 API)"
    if answer.headers.get("Access-Control-Allow-Origin") is None:
        return (
            "if this is the port for peers (2380), use the one for clients (2379); else " + enable
        )
    return enable


def _answered(request: Request, answer: Answer) -> str:
    said = "%s was answered with HTTP %d" % (request, answer.status)
    return "%s, %s" % (said, _shown_start(answer)) if answer.body.strip() else said


def _json_object(body: bytes) -> t.Optional[t.Dict[str, t.Any]]:
    try:
        parsed = json.loads(body.decode("utf-8"))
        if b"\\ud" in body or b"\\uD" in body:
            # Half of a pair of surrogates is no text, and could be neither shown nor kept.
            json.dumps(parsed, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _not_etcd(request: Request, answer: Answer) -> errors.EtcdInvalidResponse:
    return errors.EtcdInvalidResponse(
        "the answer to %s is not what etcd speaks; it starts with %s"
        % (request, _shown_start(answer)),
        http_status=answer.status,
        endpoint=answer.endpoint.url,
    )


def _shown_start(answer: Answer) -> str:
    """How an answer's body starts, as a message shows it."""
    start = re.sub(r"\s+", " ", answer.body[:80].decode("utf-8", "replace")).strip()
    if start.startswith("{"):
        # It may hold the value of a key, which is nobody's business here.
        start = "{..."
    return _limits.shown(start)
