# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _wire, errors
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    Answer,
    Api,
    Endpoint,
    Kind,
)

ENDPOINT = Endpoint("http", "etcd1", 2379)
READ = _wire.read_key("v2", "/k", {})
WRITE = _wire.write_key("v2", "/k", {"value": "v"})
READ_MEMBERS = _wire.read_api(Api.MEMBERS, "/v2/members")
WRITE_MEMBERS = _wire.write_api(Api.MEMBERS, "POST", "/v2/members", {"peerURLs": ["http://x:1"]})
REMOVE_MEMBER = _wire.write_api(Api.MEMBERS, "DELETE", "/v2/members/a1")
READ_AUTH = _wire.read_api(Api.AUTH, "/v2/auth/users/u")
WRITE_AUTH = _wire.write_api(Api.AUTH, "PUT", "/v2/auth/roles/r", {"role": "r"})
READ_STATS = _wire.read_api(Api.STATS, "/v2/stats/leader")
VERSION = _wire.read_api(Api.SERVER, "/version")
HEALTH = _wire.read_api(Api.SERVER, "/health")


# -- requests


@pytest.mark.parametrize(
    "key, path",
    [
        ("/", "/v2/keys/"),
        ("k", "/v2/keys/k"),
        ("/k/", "/v2/keys/k/"),
        ("k/d/", "/v2/keys/k/d/"),
        ("/k/a#b;c?d%41 e", "/v2/keys/k/a%23b%3Bc%3Fd%2541%20e"),
        ("/\u043a\u043b\u044e\u0447", "/v2/keys/%D0%BA%D0%BB%D1%8E%D1%87"),
        ("/x%2Fy", "/v2/keys/x%252Fy"),
        ("/a+b", "/v2/keys/a%2Bb"),
        ("/a&b=c", "/v2/keys/a%26b%3Dc"),
        ("/nul\0line\n", "/v2/keys/nul%00line%0A"),
        ("/\U0001f600", "/v2/keys/%F0%9F%98%80"),
        ("/" + "x" * 300 + "/y", "/v2/keys/" + "x" * 300 + "/y"),
    ],
)
def test_keys_path(key, path):
    assert _wire.keys_path("v2", key) == path


def test_read_key():
    request = _wire.read_key("v2", "/k", {"recursive": True, "sorted": None, "quorum": True})
    assert (request.kind, request.api, request.method) == (Kind.READ, Api.KEYS, "GET")
    assert request.target == "/v2/keys/k/?recursive=true&quorum=true"
    assert request.body is None


@pytest.mark.parametrize(
    "key, path",
    [("/d", "/v2/keys/d/"), ("/d/", "/v2/keys/d/"), ("d/e", "/v2/keys/d/e/"), ("/", "/v2/keys/")],
)
def test_recursive_requests_end_in_a_slash(key, path):
    recursive = {"recursive": True}
    for request in (
        _wire.read_key("v2", key, recursive),
        _wire.wait_key("v2", key, recursive, None),
        _wire.delete_key("v2", key, recursive),
    ):
        assert request.target.partition("?")[0] == path


@pytest.mark.parametrize(
    "request_, needed",
    [
        (_wire.read_key("v2", "/d", {"recursive": True}), "the pattern /d/* or a wider one"),
        (_wire.write_key("v2", "/a b/", {"value": "v"}), "the pattern /a b/* or a wider one"),
        (_wire.read_key("v2", "/", {}), "the pattern /* or a wider one"),
        (
            _wire.read_key("v2", "/d", {}),
            "the pattern /d or a wider one; /d/* is for what is below",
        ),
    ],
)
def test_the_pattern_that_a_role_needs(request_, needed):
    assert needed in _wire.needed_pattern(request_)
    assert _wire.needed_pattern(_wire.read_api(Api.AUTH, "/v2/auth/users")) is None


def test_wait_key():
    request = _wire.wait_key("v2", "/k", {"recursive": None, "waitIndex": 7}, 2.5)
    assert (request.kind, request.method) == (Kind.WAIT, "GET")
    assert request.target == "/v2/keys/k?waitIndex=7&wait=true"
    assert request.read_timeout == 2.5


@pytest.mark.parametrize(
    "fields, body",
    [
        ({"value": "v"}, b"value=v"),
        ({"value": ""}, b"value="),
        ({"value": "a;b&c+d=e%f g"}, b"value=a%3Bb%26c%2Bd%3De%25f+g"),
        ({"value": "\0"}, b"value=%00"),
        ({"value": "\U0001f600"}, b"value=%F0%9F%98%80"),
        ({"value": " v\r\n"}, b"value=+v%0D%0A"),
        ({"value": "v", "ttl": None}, b"value=v"),
        ({"value": "v", "ttl": 60, "prevIndex": 5}, b"value=v&ttl=60&prevIndex=5"),
        ({"dir": True, "prevExist": False}, b"dir=true&prevExist=false"),
        ({}, b""),
    ],
)
def test_write_key_puts_the_fields_into_a_form(fields, body):
    request = _wire.write_key("v2", "/k", fields)
    assert (request.kind, request.method, request.target) == (Kind.WRITE, "PUT", "/v2/keys/k")
    assert request.body == body
    assert request.content_type == "application/x-www-form-urlencoded"


def test_delete_key_puts_the_conditions_into_the_query():
    request = _wire.delete_key("v2", "/k", {"prevValue": "a;b&c +", "prevIndex": 5, "dir": None})
    assert (request.kind, request.method) == (Kind.WRITE, "DELETE")
    assert request.target == "/v2/keys/k?prevValue=a%3Bb%26c+%2B&prevIndex=5"
    assert request.body is None and request.content_type is None


@pytest.mark.parametrize("body, sent", [({"a": "\u043a"}, b'{"a": "\\u043a"}'), (None, None)])
def test_write_api(body, sent):
    request = _wire.write_api(Api.AUTH, "PUT", "/v2/auth/enable", body)
    assert request.body == sent
    assert request.content_type == (None if sent is None else "application/json")


def test_a_request_shows_itself_without_its_query():
    assert str(_wire.delete_key("v2", "/k", {"prevValue": "secret"})) == "DELETE /v2/keys/k"


#: A key whose path takes 4000 bytes.
LONG = "/" + "x" * (4000 - len("/v2/keys/"))


@pytest.mark.parametrize(
    "make",
    [
        lambda key: _wire.read_key("v2", key, {}),
        lambda key: _wire.write_key("v2", key, {"value": "v"}),
        lambda key: _wire.delete_key("v2", key, {}),
    ],
)
def test_a_target_that_a_server_would_drop_is_refused(make):
    assert len(make(LONG).target) == 4000
    with pytest.raises(errors.ClientException) as caught:
        make(LONG + "x")
    assert "takes 4001 bytes when it is sent, and a server drops requests of over 4000" in str(
        caught.value
    )


def test_a_condition_counts_towards_the_target():
    with pytest.raises(errors.ClientException) as caught:
        _wire.delete_key("v2", "/k", {"prevValue": "\u043a" * 700})
    assert "compare by index instead of by value" in str(caught.value)


def test_a_form_that_a_server_would_refuse_is_refused():
    room = _wire.MAX_FORM - len("value=")
    assert len(_wire.write_key("v2", "/k", {"value": "x" * room}).body) == 10 * 1024 * 1024
    with pytest.raises(errors.ClientException) as caught:
        _wire.write_key("v2", "/k", {"value": "x" * (room + 1)})
    assert "a server refuses more than 10485760" in str(caught.value)


@pytest.mark.parametrize("text, segment", [("u", "u"), ("a b", "a%20b"), ("\u043a?", "%D0%BA%3F")])
def test_path_segment(text, segment):
    assert _wire.path_segment(text, "a name") == segment


@pytest.mark.parametrize("text", ["", "a/b", ".", "..", None, 5, "\ud800"])
def test_path_segment_refuses(text):
    with pytest.raises(errors.ClientException):
        _wire.path_segment(text, "a name")


def test_basic_authorization_is_utf8_and_keeps_colons_of_the_password():
    assert _wire.basic_authorization("root", "p:\u00e4") == "Basic cm9vdDpwOsOk"


@pytest.mark.parametrize("user, password", [("a:b", "p"), ("\ud800", "p"), ("u", "\ud800")])
def test_basic_authorization_refuses(user, password):
    with pytest.raises(errors.ClientException):
        _wire.basic_authorization(user, password)


# -- answers


def decode(request, status, body=b"", headers=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode("utf-8")
    return _wire.decode(request, Answer(status, headers or {}, raw, ENDPOINT))


def failing(request, status, body=b"", headers=None):
    with pytest.raises(errors.EtcdException) as caught:
        decode(request, status, body, headers)
    assert caught.value.http_status == status
    assert caught.value.endpoint == "http://etcd1:2379"
    assert str(caught.value)
    return caught.value


#: As the pyetcd documentation names them, with the HTTP status that real servers give.
NUMBERED = [
    (100, "EtcdKeyNotFound", 404),
    (101, "EtcdTestFailed", 412),
    (102, "EtcdNotFile", 403),
    (103, "EtcdNoMorePeer", 400),
    (104, "EtcdNotDir", 400),
    (105, "EtcdNodeExist", 412),
    (106, "EtcdKeyIsPreserved", 400),
    (107, "EtcdRootROnly", 400),
    (108, "EtcdDirNotEmpty", 403),
    (109, "EtcdExistingPeerAddr", 400),
    (110, "EtcdUnauthorized", 401),
    (200, "EtcdValueRequired", 400),
    (201, "EtcdPrevValueRequired", 400),
    (202, "EtcdTTLNaN", 400),
    (203, "EtcdIndexNaN", 400),
    (204, "EtcdValueOrTTLRequired", 400),
    (205, "EtcdTimeoutNaN", 400),
    (206, "EtcdNameRequired", 400),
    (207, "EtcdIndexOrValueRequired", 400),
    (208, "EtcdIndexValueMutex", 400),
    (209, "EtcdInvalidField", 400),
    (210, "EtcdInvalidForm", 400),
    (211, "EtcdRefreshValue", 400),
    (212, "EtcdRefreshTTLRequired", 400),
    (300, "EtcdRaftInternal", 500),
    (301, "EtcdLeaderElect", 500),
    (400, "EtcdWatcherCleared", 400),
    (401, "EtcdEventIndexCleared", 400),
    (402, "EtcdStandbyInternal", 400),
    (403, "EtcdInvalidActiveSize", 400),
    (404, "EtcdInvalidRemoveDelay", 400),
    (500, "EtcdClientInternal", 400),
]


@pytest.mark.parametrize("code, name, status", NUMBERED)
def test_a_numbered_error(code, name, status):
    body = {"errorCode": code, "message": "it says", "cause": "/about", "index": 17}
    assert failing(WRITE, status, body).__class__ is getattr(errors, name)
    exc = failing(READ, status, body)
    assert exc.__class__ is getattr(errors, name)
    assert (exc.code, exc.message, exc.cause, exc.index) == (code, "it says", "/about", 17)
    assert str(exc) == "it says: /about (etcd error %d, from http://etcd1:2379)" % code


def test_the_table_of_codes_is_whole():
    assert {code: cls.__name__ for code, cls in errors.BY_CODE.items()} == {
        code: name for code, name, unused in NUMBERED
    }


def test_an_unknown_code_is_kept():
    exc = failing(READ, 400, {"errorCode": 999, "message": "new"})
    assert exc.__class__ is errors.EtcdException
    assert (exc.code, exc.message, exc.cause, exc.index) == (999, "new", None, None)


def test_a_numbered_error_without_a_message_says_its_number():
    assert failing(READ, 404, {"errorCode": 100}).message == "etcd error 100"


def test_a_code_is_never_taken_for_a_status():
    assert failing(READ, 400, {"errorCode": 401}).__class__ is errors.EtcdEventIndexCleared
    assert failing(READ, 401, {"errorCode": 110}).__class__ is errors.EtcdUnauthorized


@pytest.mark.parametrize(
    "body",
    [
        {"errorCode": 100, "message": ["a"], "cause": 5, "index": "7"},
        {"errorCode": 100, "message": "m", "cause": {"a": 1}, "index": None},
        {"errorCode": 100, "message": 5, "cause": ["a"], "index": 1.5},
    ],
)
def test_a_numbered_error_with_fields_of_other_types_can_be_shown(body):
    exc = failing(READ, 404, body)
    assert exc.__class__ is errors.EtcdKeyNotFound
    assert exc.cause is None or isinstance(exc.cause, str)
    assert exc.index is None


PAGE = b"<html>\r\n<head><title>502 Bad Gateway</title></head></html>"

UNNUMBERED = [
    # the members API
    (REMOVE_MEMBER, 404, {"message": "Not found"}, "EtcdMemberNotFound", "Not found"),
    (
        WRITE_MEMBERS,
        409,
        {"message": "membership: peerURL exists"},
        "EtcdMemberExists",
        "membership: peerURL exists",
    ),
    (
        REMOVE_MEMBER,
        410,
        {"message": "Member permanently removed: a1"},
        "EtcdMemberRemoved",
        "permanently removed",
    ),
    (
        WRITE_MEMBERS,
        500,
        {"message": "Internal Server Error"},
        "EtcdReconfigurationRefused",
        "Internal Server Error",
    ),
    (READ_MEMBERS, 500, {"message": "Internal Server Error"}, "EtcdServerError", "Internal"),
    (READ_MEMBERS, 503, {"message": "During election"}, "EtcdNoLeader", "During election"),
    (WRITE_MEMBERS, 400, {"message": "URL scheme must be http"}, "EtcdRefused", "URL scheme"),
    (WRITE_MEMBERS, 415, {"message": "Bad Content-Type"}, "EtcdRefused", "Bad Content-Type"),
    (
        WRITE_MEMBERS,
        401,
        {"message": "Insufficient credentials"},
        "EtcdUnauthorized",
        "Insufficient credentials",
    ),
    # access control
    (READ_AUTH, 404, {"message": "auth: User u does not exist."}, "EtcdAuthNotFound", "User u"),
    (WRITE_AUTH, 409, {"message": "auth: Role r exists"}, "EtcdAuthConflict", "Role r"),
    (WRITE_AUTH, 400, {"message": "auth: not granted"}, "EtcdAuthError", "not granted"),
    (WRITE_AUTH, 403, {"message": "auth: root role"}, "EtcdAuthError", "root role"),
    (
        READ_AUTH,
        401,
        {"message": "Insufficient credentials"},
        "EtcdUnauthorized",
        "Insufficient credentials",
    ),
    # statistics
    (READ_STATS, 403, {"message": "not current leader"}, "EtcdNotLeader", "not current leader"),
    # the v2 API is off
    (READ, 404, b"404 page not found\n", "EtcdV2NotServed", "--enable-v2=true"),
    (WRITE, 404, b"404 page not found\n", "EtcdV2NotServed", "etcd 3.6"),
    (READ_MEMBERS, 404, b"404 page not found\n", "EtcdV2NotServed", "--enable-v2"),
    (READ_AUTH, 404, b"404 page not found\n", "EtcdV2NotServed", "--enable-v2"),
    (READ, 404, PAGE, "EtcdV2NotServed", 'what answers is not etcd ("<html>'),
    (WRITE, 404, {"error": "Not Found"}, "EtcdV2NotServed", 'what answers is not etcd ("{...")'),
    (VERSION, 404, PAGE, "EtcdInvalidResponse", "what answers is not etcd"),
    # another server, or a proxy
    (READ, 401, PAGE, "EtcdRefused", "another server than etcd, or a proxy"),
    (READ, 401, b"", "EtcdRefused", "HTTP 401"),
    (READ, 401, {"message": "Unauthorized"}, "EtcdRefused", "asks for credentials: Unauthorized"),
    (WRITE, 401, {"message": "Insufficient credentials"}, "EtcdRefused", "another server"),
    (READ_MEMBERS, 401, {"message": "Unauthorized"}, "EtcdRefused", "another server"),
    (READ_AUTH, 401, PAGE, "EtcdRefused", "another server"),
    (READ_STATS, 401, PAGE, "EtcdRefused", "another server"),
    (READ, 407, b"", "EtcdRefused", "the proxy asks for credentials"),
    (WRITE, 501, PAGE, "EtcdServerError", 'HTTP 501, "<html>'),
    (
        READ,
        400,
        b"Client sent an HTTP request to an HTTPS server.\n",
        "EtcdRefused",
        "HTTPS server",
    ),
    (VERSION, 404, b"404 page not found\n", "EtcdInvalidResponse", "is not known there"),
    # texts and pages
    (WRITE_MEMBERS, 405, b"Method Not Allowed\n", "EtcdRefused", "HTTP 405"),
    (READ, 400, b"400 Bad Request", "EtcdRefused", "GET /v2/keys/k was answered with HTTP 400"),
    (READ, 403, PAGE, "EtcdRefused", "HTTP 403"),
    (READ, 429, b"", "EtcdRefused", "HTTP 429"),
    (READ, 502, PAGE, "EtcdServerError", "GET /v2/keys/k was answered with HTTP 502"),
    (WRITE_MEMBERS, 502, PAGE, "EtcdServerError", "HTTP 502"),
    (WRITE, 503, b"", "EtcdServerError", "HTTP 503"),
    # the errorCode is no number
    (READ, 404, {"errorCode": "100", "message": "no"}, "EtcdRefused", "no"),
    (READ, 400, {"errorCode": None, "message": "no"}, "EtcdRefused", "no"),
    (READ, 400, {"errorCode": 100.0}, "EtcdRefused", "HTTP 400"),
    (READ, 400, [100], "EtcdRefused", "HTTP 400"),
    (WRITE, 500, b'{"errorCode":300,"mess', "EtcdServerError", "HTTP 500"),
]


@pytest.mark.parametrize(
    "headers, says",
    [({}, "the port for peers (2380)"), ({"Access-Control-Allow-Origin": "*"}, "start etcd 3.4")],
    ids=["peer port", "client port without v2"],
)
@pytest.mark.parametrize("request_", [READ, WRITE, READ_MEMBERS, READ_STATS, VERSION])
def test_a_port_for_peers_is_told_from_one_without_v2(request_, headers, says):
    with pytest.raises(errors.EtcdException) as caught:
        _wire.decode(request_, Answer(404, headers, b"404 page not found\n", ENDPOINT))
    assert says in caught.value.message
    assert ("peers" in caught.value.message) is (headers == {})


@pytest.mark.parametrize(
    "cause, says",
    [
        ("etcdserver: request timed out", True),
        ("etcdserver: request timed out, possibly due to previous leader failure", True),
        ("etcdserver: no leader", True),
        ("nodePath /1/d : Not a file ()", False),
        ("etcdserver: too many requests", False),
        (None, False),
    ],
)
def test_a_raft_error_says_what_the_cluster_lacks(cause, says):
    body = {"errorCode": 300, "message": "Raft Internal Error", "cause": cause}
    exc = failing(READ, 500, body)
    assert ("the cluster has no leader or no quorum" in str(exc)) is says
    assert "Raft Internal Error" in str(exc)
    assert exc.cause == cause


@pytest.mark.parametrize("request_, status, body, name, says", UNNUMBERED)
def test_an_error_without_a_number(request_, status, body, name, says):
    exc = failing(request_, status, body)
    assert exc.__class__ is getattr(errors, name)
    assert says in exc.message


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("request_", [READ, WRITE, READ_MEMBERS], ids=str)
def test_a_redirect_is_not_followed(request_, status):
    exc = failing(request_, status, b"<a>Moved</a>", {"Location": "/v2/keys/other"})
    assert exc.__class__ is errors.EtcdInvalidResponse
    assert "redirect to /v2/keys/other" in exc.message


@pytest.mark.parametrize(
    "request_, status, body, name",
    [
        (READ, 200, b"", "EtcdEmptyResponse"),
        (READ, 200, b" \n", "EtcdEmptyResponse"),
        (WRITE, 201, b"", "EtcdEmptyResponse"),
        (READ_MEMBERS, 200, b"", "EtcdEmptyResponse"),
        (VERSION, 200, b"", "EtcdEmptyResponse"),
        (READ, 200, b'{"action":"get","node":{"ke', "EtcdInvalidResponse"),
        (READ, 200, PAGE, "EtcdInvalidResponse"),
        (READ, 200, b"\xff\xfe", "EtcdInvalidResponse"),
        (READ, 200, b"[" * 100000, "EtcdInvalidResponse"),
        (READ, 200, [1], "EtcdInvalidResponse"),
        (READ, 200, "text", "EtcdInvalidResponse"),
        (READ, 200, b"null", "EtcdInvalidResponse"),
        (READ, 200, {}, "EtcdInvalidResponse"),
        (READ, 200, {"action": 5}, "EtcdInvalidResponse"),
        (READ, 200, {"health": "true"}, "EtcdInvalidResponse"),
        (READ, 200, {"action": "get", "node": 5}, "EtcdInvalidResponse"),
        (READ, 200, {"action": "set", "node": {}, "prevNode": "x"}, "EtcdInvalidResponse"),
        (READ_MEMBERS, 200, [], "EtcdInvalidResponse"),
        (VERSION, 200, b"etcd 2.0", "EtcdInvalidResponse"),
    ],
)
def test_a_success_that_is_none(request_, status, body, name):
    assert failing(request_, status, body).__class__ is getattr(errors, name)


def test_an_empty_answer_keeps_the_index_of_its_head():
    assert failing(READ, 200, b"", {"X-Etcd-Index": "42"}).index == 42


@pytest.mark.parametrize(
    "body, shows",
    [(PAGE, "502 Bad Gateway"), (b'{"node":{"value":"hunter2"', '"{..."'), (b"\n  x\t\ty", "x y")],
)
def test_what_is_not_etcds_is_shown_but_never_a_value(body, shows):
    text = str(failing(READ, 200, body))
    assert shows in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "request_, status, body",
    [
        (READ, 200, {"action": "get", "node": {"key": "/k"}}),
        (WRITE, 201, {"action": "set"}),
        (READ_MEMBERS, 200, {"members": []}),
        (WRITE_MEMBERS, 201, {"id": "a1"}),
        (READ_STATS, 200, {"leader": "a1"}),
        (VERSION, 200, {"etcdserver": "3.5.1"}),
        (HEALTH, 503, {"health": "false"}),
    ],
)
def test_a_success(request_, status, body):
    assert decode(request_, status, body) == body


@pytest.mark.parametrize("request_", [REMOVE_MEMBER, WRITE_AUTH], ids=str)
def test_a_success_that_needs_no_body(request_):
    assert decode(request_, 204) == {}


def test_no_write_to_members_or_access_control_goes_over_an_idle_connection():
    """They take no conditions."""
    for api in (Api.MEMBERS, Api.AUTH):
        for body in (None, {"a": "b"}):
            assert _wire.write_api(api, "PUT", "/v2/x", body).fresh_connection
        assert not _wire.read_api(api, "/v2/x").fresh_connection
