# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every case of data/v2_cases.json through the client's own encoding and decoding."""

from __future__ import annotations

import json
import re
import threading
import time
import typing as t

import case_requests
import case_table
import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _wire, errors
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils._types import Answer, Patience
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from case_requests import Call, Raw, Recorder, Way
from harness import Binary, Cluster, FaultProxy

_SERVER_FIXTURES = {"default": "single", "v2off": "without_v2", "auth": "with_auth"}
_CONCURRENT_AFTER = 0.4
_IDS = [case["id"] for case in case_table.CASES]


def test_no_case_is_left_out() -> None:
    """Each case is sent in one of the three ways, most of them by the client itself."""
    counts = case_requests.count()
    assert len(set(_IDS)) == len(case_table.CASES) == sum(counts.values()) == 154
    assert counts == {Way.CLIENT: 83, Way.BUILDER: 24, Way.RAW: 47}


def test_the_refusals_are_of_cases() -> None:
    """No refusal below is of a case that is gone."""
    assert set(case_requests.REFUSED) | set(case_table.CLASS_OF_UNNUMBERED) <= set(_IDS)


@pytest.mark.parametrize("case", case_table.CASES, ids=_IDS)
def test_case(case: case_table.Json, binary: Binary, request: pytest.FixtureRequest) -> None:
    """The server answers as the table says, and the client understands it so."""
    fixture = _SERVER_FIXTURES[case.get("server", "default")]
    cluster: Cluster = request.getfixturevalue(fixture)
    run = _Run(cluster.endpoints[0], case)
    for step in case["setup"]:
        run.prepare(step)
    sent = run.send(case["request"], case["id"])
    expected = case_table.expectation(case, binary.version)
    run.check(sent, expected)
    run.check_extras(sent, expected)
    for step in expected.get("after", ()):
        run.check_afterwards(step)


@pytest.mark.parametrize("case_id", case_requests.REFUSED)
def test_what_the_client_refuses_is_not_sent(case_id: str) -> None:
    """The client's own call with such an input fails before it even connects."""
    filler = case_table.Filler(case_id)
    name, arguments, options = case_requests.REFUSED[case_id]
    call = Call(name, tuple(filler.fill(list(arguments))), filler.fill(options))
    with FaultProxy("http://127.0.0.1:1") as proxy:
        with pytest.raises(errors.ClientException) as caught:
            call.on(Client(proxy.url))
        assert proxy.requests == []
        assert proxy.connections == 0
    assert len(str(caught.value)) < 400


class _Sent(t.NamedTuple):
    """What became of a request."""

    answer: t.Optional[Answer]
    result: t.Any
    error: t.Optional[errors.EtcdException]

    @property
    def body(self) -> t.Any:
        assert self.answer is not None
        return json.loads(self.answer.body.decode("utf-8"))


class _Run:
    """One case on its way through one server."""

    def __init__(self, endpoint: str, case: case_table.Json) -> None:
        self._endpoint = endpoint
        self._case = case
        self._filler = case_table.Filler(case["id"])
        self._clients: t.Dict[t.Optional[str], t.Tuple[Client, Recorder]] = {}

    def prepare(self, step: case_table.Json) -> None:
        """Carry out one step of `setup`."""
        if "sleep" in step:
            time.sleep(step["sleep"])
            return
        for unused in range(step.get("repeat", 1)):
            one = step.get("step", step)
            sent = self.send(one)
            assert sent.error is None, sent.error
        self._filler.capture(step.get("capture", {}), sent.body)

    def send(self, step: case_table.Json, case_id: str = "") -> _Sent:
        """Send a request in the best way there is, with what is to be sent meanwhile."""
        step = self._filler.fill(step)
        raw = Raw(step)
        others = [
            threading.Timer(_CONCURRENT_AFTER, self._send, (Raw(other),))
            for other in step.get("concurrent", ())
        ]
        for other in others:
            other.start()
        sent = self._send(raw, case_id)
        for other in others:
            other.join()
        return sent

    def _send(self, raw: Raw, case_id: str = "") -> _Sent:
        way = case_requests.way_of_request(raw, case_id)
        if way is Way.CLIENT:
            return self._send_by_client(raw)
        try:
            if way is Way.BUILDER:
                request = case_requests.request_for(raw)
                assert request is not None
                case_requests.assert_same(request, raw)
                recorder = self._client(raw.authorization)[1]
                endpoint = self._client(raw.authorization)[0]._all_endpoints()[0]
                answer = recorder.exchange(
                    endpoint, request, Patience(2.0, raw.timeout, raw.timeout)
                )
            else:
                request = case_requests.described(raw)
                answer = case_requests.send_raw(self._endpoint, raw)
            body = _wire.decode(request, answer)
        except errors.EtcdException as exc:
            return _Sent(answer, None, exc)
        return _Sent(answer, EtcdResult(body, answer.headers, endpoint=self._endpoint), None)

    def _send_by_client(self, raw: Raw) -> _Sent:
        client, recorder = self._client(raw.authorization)
        recorder.answers.clear()
        recorder.requests.clear()
        call = case_requests.call_for(raw, self._endpoint)
        assert call is not None
        result, error = None, None
        try:
            result = call.on(client)
        except errors.EtcdException as exc:
            error = exc
        # Where a watch finds its index forgotten, the client looks at the key as well.
        looks = isinstance(error, errors.EtcdEventIndexCleared)
        assert len(recorder.requests) == (2 if looks else 1)
        case_requests.assert_same(recorder.requests[0], raw)
        return _Sent(recorder.answers[0] if recorder.answers else None, result, error)

    def _client(self, authorization: t.Optional[str]) -> t.Tuple[Client, Recorder]:
        """A client of its own for each thread that may be in here."""
        place = "%s %d" % (authorization, threading.get_ident())
        if place not in self._clients:
            if authorization is not None:
                # The client's own header for this user and password is the one of the table.
                assert _wire.basic_authorization("root", "pw") == authorization
            recorder = Recorder(authorization=authorization)
            self._clients[place] = (Client(self._endpoint, http=recorder), recorder)
        return self._clients[place]

    def check(self, sent: _Sent, expected: case_table.Json) -> None:
        """Status and error, then the body, in the answer and in what the client made of it."""
        if expected.get("timeout"):
            assert isinstance(sent.error, errors.EtcdWatchTimeout)
            assert sent.error.index
            return
        assert sent.answer is not None
        assert sent.answer.status == expected["status"], sent.answer.body
        self._check_error(sent, expected)
        for path, wanted in self._filler.fill(expected.get("body", {})).items():
            assert case_table.dig(sent.body, path) == wanted, path
            self._check_result(sent.result, path, wanted)
        for path in expected.get("absent", ()):
            assert case_table.dig(sent.body, path) is case_table.ABSENT
            if isinstance(sent.result, EtcdResult):
                assert case_table.dig(sent.result.body, path) is case_table.ABSENT
        for path, unwanted in self._filler.fill(expected.get("not_body", {})).items():
            assert case_table.dig(sent.body, path) != unwanted

    def _check_error(self, sent: _Sent, expected: case_table.Json) -> None:
        code = expected.get("errorCode")
        if code is None:
            cls = case_table.CLASS_OF_UNNUMBERED.get(self._case["id"])
            if cls is not None:
                assert isinstance(sent.error, errors.EtcdException)
                assert sent.error.__class__ is cls  # Not one below it.
                assert sent.error.code is cls.code
                assert sent.error.http_status == expected["status"]
            else:
                assert sent.error is None, sent.error
                assert expected["status"] < 300
            return
        error = sent.error
        assert isinstance(error, errors.EtcdException)
        assert error.__class__ is errors.BY_CODE[code]  # Not one below it.
        assert (error.code, error.http_status) == (code, expected["status"])
        assert error.endpoint == self._endpoint
        assert sent.body["message"] in error.message
        assert error.cause == sent.body.get("cause")
        assert error.index == sent.body["index"]

    def _check_result(self, result: t.Any, path: str, wanted: t.Any) -> None:
        """The result says so too, by attribute."""
        if not isinstance(result, EtcdResult):
            return
        if path.partition(".")[0] in ("node", "prevNode", "action"):
            found: t.Any = result
            for step in path.split("."):
                found = found[int(step)] if step.isdigit() else getattr(found, step)
            assert found == wanted
        elif path == "health":
            assert result.health is (wanted == "true")
        else:
            assert case_table.dig(result.body, path) == wanted

    def check_extras(self, sent: _Sent, expected: case_table.Json) -> None:
        """Headers, texts and patterns."""
        if sent.answer is None:
            return
        headers, text = sent.answer.headers, sent.answer.body.decode("utf-8")
        for name in expected.get("headers", ()):
            assert headers.get(name)
        for name in expected.get("headers_absent", ()):
            assert headers.get(name) is None
        if "text" in expected:
            assert text == expected["text"]
        if "location" in expected:
            assert headers.get("Location") == self._filler.fill(expected["location"])
            assert sent.error is not None
            assert str(headers.get("Location")) in str(sent.error)
        if "text_regex" in self._case:
            assert re.search(self._case["text_regex"], text)
        if "cause_regex" in self._case:
            assert sent.error is not None
            assert re.search(self._case["cause_regex"], str(sent.error.cause))
        if "key_regex" in self._case:
            pattern = self._filler.fill_pattern(self._case["key_regex"])
            assert re.search(pattern, sent.result.node.key)
        if "json_keys" in self._case:
            assert sorted(sent.body) == sorted(self._case["json_keys"])
            assert sent.result == sent.body["etcdserver"]
        if isinstance(sent.result, EtcdResult) and headers.get("X-Etcd-Index"):
            assert sent.result.x_etcd_index == int(str(headers.get("X-Etcd-Index")))

    def check_afterwards(self, step: case_table.Json) -> None:
        """Carry out one step of `after`."""
        if "sleep" in step:
            time.sleep(step["sleep"])
        else:
            self.check(self.send(step["request"]), step)
