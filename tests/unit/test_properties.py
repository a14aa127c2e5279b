# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for every input, tried with those of corpus.yml and with made-up ones.

The made-up ones are the same in every run. For others, and for many more of them, set
QUORUM_ETCD_EXAMPLES to how many each test is to try.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
import yaml
from ansible_collections.quorum.etcd.plugins.module_utils import (
    _deps,
    _discovery,
    _endpoints,
    _messages,
    _shapes,
    _wire,
    errors,
)
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    Incomplete,
    InVain,
    Refusal,
)
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils._tasks import (
    auth,
    backup,
    dir as directory,
    info,
    key as keys,
    member,
    tree,
    wait,
)
from ansible_collections.quorum.etcd.plugins.module_utils._types import Api
from ansible_collections.quorum.etcd.plugins.modules import (
    etcd_auth,
    etcd_backup,
    etcd_dir,
    etcd_info,
    etcd_key,
    etcd_member,
    etcd_role,
    etcd_tree,
    etcd_user,
    etcd_wait,
)
from ansible_collections.quorum.etcd.tests.unit.fakes.options import defaults
from ansible_collections.quorum.etcd.tests.unit.fakes.raw import client_of, message
from hypothesis import HealthCheck, given, settings, strategies as st

EXAMPLES = int(os.environ.get("QUORUM_ETCD_EXAMPLES", "0"))
some = settings(
    max_examples=EXAMPLES or 40,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

with open(
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus.yml"), encoding="utf-8"
) as file:
    CORPUS = yaml.safe_load(file)

FAILURES = (
    Refusal,
    Incomplete,
    InVain,
    errors.ClientException,
    errors.EtcdException,
    _deps.MissingLibrary,
)

#: Characters that mean something to HTTP, URLs, forms or etcd are as likely as all others together.
texts = st.text(
    st.one_of(st.sampled_from("/?#%&=+;:@[].\\ \r\n\t\0\u00fc\u2024\U0001f642"), st.characters())
)


# -- what we send ----------------------------------------------------------------------------------


def check_key(key):
    try:
        request = _wire.write_key("v2", key, {"value": "v"})
    except errors.ClientException:
        return
    assert request.target.isascii() and "?" not in request.target and "#" not in request.target
    path = urlsplit("http://etcd1:2379" + request.target).path
    slash = "/" if key.strip("/") and key.endswith("/") else ""
    assert unquote(path) == "/v2/keys/" + key.strip("/") + slash
    assert not {"..", "."} & set(unquote(path).split("/"))
    sent = _messages.request_bytes("", "Host: a\r\n", request)
    assert sent.startswith(b"PUT " + path.encode("ascii") + b" HTTP/1.1\r\nHost: a\r\n")


@pytest.mark.parametrize("key", CORPUS["keys"])
def test_a_key_of_the_corpus_is_sent_as_itself_or_not_at_all(key):
    check_key(key)


@some
@given(texts)
def test_a_key_is_sent_as_itself_or_not_at_all(key):
    check_key(key)
    check_key("/a/" + key)


def check_value(value):
    fields = {"value": value, "prevValue": value, "prevIndex": 5, "dir": None}
    try:
        written = _wire.write_key("v2", "/k", fields)
        deleted = _wire.delete_key("v2", "/k", fields)
    except (errors.ClientException, UnicodeEncodeError):
        # The client looks at values before it makes a request of them.
        with pytest.raises(UnicodeEncodeError):
            value.encode("utf-8")
        return
    expected = [("value", value), ("prevValue", value), ("prevIndex", "5")]
    for form in (written.body.decode("ascii"), urlsplit(deleted.target).query):
        assert ";" not in form
        assert parse_qsl(form, keep_blank_values=True, strict_parsing=True) == expected


@pytest.mark.parametrize("value", CORPUS["values"])
def test_a_value_of_the_corpus_is_sent_as_itself(value):
    check_value(value)


@some
@given(texts)
def test_a_value_is_sent_as_itself(value):
    check_value(value)


def test_a_value_that_is_no_text_is_refused_before_anything_is_sent():
    client, unused = client_of(message(200, {"action": "set", "node": {}}))
    for call in (
        lambda: client.write("/k", "\ud800"),
        lambda: client.compare_and_swap("/k", "v", prev_value="\ud800"),
        lambda: client.compare_and_delete("/k", prev_value="\ud800"),
        lambda: client.write("/\ud800", "v"),
    ):
        with pytest.raises(errors.ClientException):
            call()
    assert client._transport._http.sent == []


def check_endpoint(text):
    try:
        endpoint = _endpoints.parse(text)
    except errors.ClientException:
        return
    assert endpoint.scheme in ("http", "https")
    assert 0 < endpoint.port < 65536
    assert endpoint.host.isascii() and endpoint.host.isprintable() and " " not in endpoint.host
    assert _endpoints.parse(endpoint.url) == endpoint
    assert urlsplit(endpoint.url).port == endpoint.port
    assert urlsplit(endpoint.url).username is None


@pytest.mark.parametrize("text", CORPUS["endpoints"])
def test_an_endpoint_of_the_corpus_is_one_or_refused(text):
    check_endpoint(text)


@some
@given(texts, texts)
def test_an_endpoint_is_one_or_refused(text, more):
    check_endpoint(text)
    check_endpoint("http://%s:2379" % text)
    check_endpoint("%s.example%s" % (text, more))


@some
@given(texts, texts, st.sampled_from(["", "http://", "https://", "ftp://", "etcd://"]))
def test_a_password_in_an_endpoint_is_never_in_the_message(before, after, scheme):
    text = "%s%suser:hunter2%s@etcd1:2379" % (scheme, before.replace("@", ""), after)
    with pytest.raises(errors.ClientException) as caught:
        _endpoints.parse(text)
    assert "hunter2" not in str(caught.value)


def test_a_port_of_thousands_of_digits_is_refused():
    with pytest.raises(errors.ClientException, match="a port is a number"):
        _endpoints.parse("etcd1:" + "9" * 5000)


# -- what DNS says ---------------------------------------------------------------------------------

numbers = st.integers(0, 65535)
records = st.lists(
    st.builds(
        _discovery.Srv, st.integers(0, 2), numbers, numbers, st.sampled_from(["a.", "B", ".", "c."])
    ),
    max_size=6,
)
says = st.one_of(
    records,
    st.sampled_from([_discovery.NoSuchRecord("none"), _discovery.LookupFailed("no answer")]),
)


def check_discovery(secure, plain, allow_insecure, tls_wanted, choose):
    said = {"_etcd-client-ssl._tcp.example": secure, "_etcd-client._tcp.example": plain}

    def resolve(name):
        if isinstance(said[name], Exception):
            raise said[name]
        return said[name]

    warnings = []
    try:
        found = _discovery.discover(
            "example",
            name=None,
            allow_insecure=allow_insecure,
            tls_wanted=tls_wanted,
            resolve=resolve,
            choose=choose,
            warn=warnings.append,
        )
    except errors.EtcdDiscoveryFailed:
        return
    published = {
        (scheme, one.target.rstrip(".").lower(), one.port)
        for scheme, answers in (("https", secure), ("http", plain))
        if not isinstance(answers, Exception)
        for one in answers
        if one.target != "."
    }
    schemes = {one[0] for one in published}
    if not allow_insecure:
        assert not isinstance(secure, _discovery.LookupFailed)
        if "https" in schemes:
            assert len(warnings) == ("http" in schemes)
        if "https" in schemes or tls_wanted:
            published = {one for one in published if one[0] == "https"}
    assert len(found) == len(set(found))
    assert set(found) == published


@pytest.mark.parametrize("answers", CORPUS["srv"])
@pytest.mark.parametrize("allow_insecure", [True, False])
@pytest.mark.parametrize("tls_wanted", [True, False])
def test_discovery_of_the_corpus(answers, allow_insecure, tls_wanted):
    answers = [_discovery.Srv(*one) for one in answers]
    check_discovery(answers, answers, allow_insecure, tls_wanted, lambda highest: highest)
    check_discovery(
        _discovery.LookupFailed("x"), answers, allow_insecure, tls_wanted, lambda highest: 0
    )


@some
@given(says, says, st.booleans(), st.booleans(), st.randoms(use_true_random=False))
def test_discovery_finds_what_was_published_and_never_drops_tls_silently(
    secure, plain, allow_insecure, tls_wanted, random
):
    check_discovery(
        secure, plain, allow_insecure, tls_wanted, lambda highest: random.randint(0, highest)
    )


# -- what servers answer ---------------------------------------------------------------------------

#: Pieces from which something like an answer can be made.
PIECES = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.0 404 X\r\n",
    b"Content-Length: 2\r\n",
    b"Content-Length: 99999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"X-Etcd-Index: \xb2\r\n",
    b"\r\n",
    b"2\r\n{}\r\n",
    b"0\r\n\r\n",
    b"{}",
]
messages = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=8)), max_size=12)


def reading(pieces):
    """What a reader makes of these pieces and the end of the connection."""
    reader = _messages.AnswerReader()
    try:
        for piece in [one for one in pieces if one] + [b""]:
            if reader.whole:
                break
            reader.feed(piece)
    except _messages.BadAnswer as exc:
        return str(exc)
    return (reader.whole, reader.status, reader.body if reader.whole else None)


@pytest.mark.parametrize("text", CORPUS["messages"])
def test_the_corpus_reads_the_same_whole_and_in_drops(text):
    raw = text.encode("latin-1")
    assert reading([raw]) == reading(raw[n : n + 1] for n in range(len(raw)))


@some
@given(messages, st.data())
def test_an_answer_reads_the_same_however_it_comes(pieces, data):
    raw = b"".join(pieces)
    cut = data.draw(st.integers(0, len(raw)))
    whole = reading([raw])
    assert whole == reading([raw[:cut], raw[cut:]])
    assert whole == reading(raw[n : n + 1] for n in range(len(raw)))


#: Each operation of the client, and how its result is read.
OPERATIONS = {
    "read": lambda client: read_all_of(client.read("/a", recursive=True)),
    "write": lambda client: read_all_of(client.write("/a", "v")),
    "delete": lambda client: read_all_of(client.delete("/a")),
    "wait": lambda client: read_all_of(client.read("/a", wait=True, wait_index=5, timeout=5)),
    "members": lambda client: [sorted(one.client_urls) for one in client.members()],
    "leader": lambda client: client.leader().name.upper(),
    "version": lambda client: client.version() and client.version().split("."),
    "health": lambda client: client.health,
    "survey": lambda client: client.survey(),
    "stats": lambda client: client.stats_self().name,
    "users": lambda client: sorted(client.users()),
    "user": lambda client: sorted(client.user("u").roles),
    "roles": lambda client: sorted(client.roles()),
    "role": lambda client: sorted(client.role("r").permissions.read),
    "auth_enabled": lambda client: client.auth_enabled(),
}

save_tree = functools.partial(backup.save_tree, files=None)
"""Which writes no file where there is no folder for it."""

PERMISSIONS = {"read": ["/a"], "write": [], "read_write": []}

#: What modules do: the function, the module, its options, and whether it is to write.
TASKS = {
    "key": (keys.manage_key, etcd_key, {"key": "/a", "value": "v", "ttl": 5}, True),
    "enqueue": (
        keys.manage_key,
        etcd_key,
        {"key": "/a", "value": "v", "state": "enqueued"},
        True,
    ),
    "no key": (keys.manage_key, etcd_key, {"key": "/a", "state": "absent"}, True),
    "dir": (directory.manage_dir, etcd_dir, {"path": "/a", "ttl": 5, "children": True}, True),
    "no dir": (directory.manage_dir, etcd_dir, {"path": "/a", "state": "absent"}, True),
    "tree": (tree.manage_tree, etcd_tree, {"path": "/a", "tree": {"b": "c"}, "purge": True}, True),
    "member": (
        member.manage_member,
        etcd_member,
        {"name": "m", "peer_urls": ["http://m:2380"]},
        True,
    ),
    "role": (auth.manage_role, etcd_role, {"name": "r", "permissions": PERMISSIONS}, True),
    "user": (
        auth.manage_user,
        etcd_user,
        {"name": "u", "user_password": "p", "roles": ["r"]},
        True,
    ),
    "auth": (auth.manage_auth, etcd_auth, {"enabled": True, "guest": "read"}, True),
    "info": (info.gather_info, etcd_info, {"gather": ["health", "members", "stats", "keys"]}, True),
    "wait": (
        wait.wait_for_key,
        etcd_wait,
        {"key": "/a", "wait_timeout": 5.0, "recursive": True},
        True,
    ),
    "change": (
        wait.wait_for_key,
        etcd_wait,
        {"key": "/a", "wait_timeout": 5.0, "condition": "changed"},
        True,
    ),
    "backup": (save_tree, etcd_backup, {"dest": "/nowhere/backup"}, False),
}
KEEPS_TIME = (member.manage_member, wait.wait_for_key)


def read_all_of(result):
    assert isinstance(result, EtcdResult)
    for node in (result.node, result.prev_node):
        if node is not None:
            for one in list(node.walk()):
                one[0].split("/")
            sorted(child.key for child in node.nodes)
            (node.ttl or 0) + (node.created_index or 0) + (node.modified_index or 0)
            json.dumps(dict(node), ensure_ascii=False).encode("utf-8")
    (result.x_etcd_index or 0) + (result.raft_index or 0)
    repr(result)


def check_answer(raw):
    """Whatever is answered, an operation or a task has a result or fails in words, and in time."""
    for operation in OPERATIONS.values():
        client, clock = client_of(raw)
        with contextlib.suppress(errors.EtcdException):
            operation(client)
    for run, module, options, apply in TASKS.values():
        check_task(raw, run, dict(defaults(module.ARGUMENT_SPEC), **options), apply)


def check_task(raw, run, options, apply):
    client, clock = client_of(raw)
    times = {"clock": clock, "sleep": clock.sleep} if run in KEEPS_TIME else {}
    with contextlib.suppress(*FAILURES):
        json.dumps(run(options, lambda **unused: client, apply=apply, **times), default=str)
    assert clock.now - 1000.0 < 120.0


@pytest.mark.parametrize("text", CORPUS["messages"])
def test_a_message_of_the_corpus_is_an_answer_or_an_error(text):
    check_answer(text.encode("latin-1"))


@pytest.mark.parametrize("body", CORPUS["bodies"], ids=str)
def test_a_body_of_the_corpus_is_an_answer_or_an_error(body):
    check_answer(message(200, body.encode("utf-8") if isinstance(body, str) else body))


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(["", "/a", "/a/b", "x", "true"]),
    st.text(max_size=3),
)
NAMES = (
    "key value dir nodes ttl expiration createdIndex modifiedIndex id name peerURLs clientURLs user"
    " role kv read write"
).split()
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=8,
)
bodies = st.one_of(
    st.fixed_dictionaries({"action": st.sampled_from(["get", "set"]), "node": values}),
    st.fixed_dictionaries({"action": values, "node": values, "prevNode": values}),
    st.dictionaries(
        st.sampled_from(
            "members users roles user role permissions enabled id name leaderInfo leader followers"
            " etcdserver etcdcluster health reason errorCode message cause index".split()
        ),
        values,
    ),
)


@some
@given(bodies, st.sampled_from([200, 201, 204, 307, 400, 401, 403, 404, 409, 412, 500, 503]))
def test_a_body_is_an_answer_or_an_error(body, status):
    check_answer(message(status, body))


@some
@given(values, st.sampled_from(list(Api)))
def test_shapes_hold_of_every_value(value, api):
    assert _shapes.fits(api, {"action": "get", "node": value}) in (True, False)
    assert _shapes.fits(api, {name: value for name in NAMES}) in (True, False)


@some
@given(st.binary(max_size=6))
def test_the_index_in_a_head_is_a_number_or_none(raw):
    index = bytes(one for one in raw if one >= 32 and one != 127)
    client, unused = client_of(message(200, {"action": "get", "node": {"key": "/a"}}, index))
    assert client.read("/a").x_etcd_index in (None, int(index) if index.strip().isdigit() else None)
