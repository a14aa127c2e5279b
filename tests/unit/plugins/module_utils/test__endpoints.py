# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils._endpoints import (
    Pool,
    parse,
    parse_all,
    parse_peer_url,
)
from ansible_collections.quorum.etcd.plugins.module_utils._types import Endpoint
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException


@pytest.mark.parametrize(
    "text, url",
    [
        ("http://etcd1:2379", "http://etcd1:2379"),
        ("https://etcd1.example.com:4001", "https://etcd1.example.com:4001"),
        ("http://etcd1", "http://etcd1:2379"),
        ("https://etcd1", "https://etcd1:2379"),
        ("etcd1", "http://etcd1:2379"),
        ("etcd1:4001", "http://etcd1:4001"),
        ("10.0.1.10", "http://10.0.1.10:2379"),
        ("10.0.1.10:80", "http://10.0.1.10:80"),
        ("::1", "http://[::1]:2379"),
        ("[::1]", "http://[::1]:2379"),
        ("[::1]:4001", "http://[::1]:4001"),
        ("https://[2001:db8::1]:443", "https://[2001:db8::1]:443"),
        ("http://2001:db8::1", "http://[2001:db8::1]:2379"),
        ("::ffff:10.0.1.10", "http://[::ffff:10.0.1.10]:2379"),
        ("fe80::1%eth0", "http://[fe80::1%eth0]:2379"),
        ("2001:db8::10", "http://[2001:db8::10]:2379"),
        ("1:2:3:4:5:6:7:8", "http://[1:2:3:4:5:6:7:8]:2379"),
        ("http://::1/", "http://[::1]:2379"),
        ("[::1:2379]", "http://[::1:2379]:2379"),
        ("2001:DB8::A", "http://[2001:db8::a]:2379"),
        ("  etcd1  ", "http://etcd1:2379"),
        ("\tetcd1:4001\n", "http://etcd1:4001"),
        ("http://etcd1:2379/", "http://etcd1:2379"),
        ("http://etcd1:2379///", "http://etcd1:2379"),
        ("etcd1/", "http://etcd1:2379"),
        ("HTTPS://ETCD1.Example.COM:2379", "https://etcd1.example.com:2379"),
        ("etcd_1", "http://etcd_1:2379"),
        ("etcd1:1", "http://etcd1:1"),
        ("etcd1:65535", "http://etcd1:65535"),
    ],
)
def test_parse(text, url):
    assert parse(text).url == url


@pytest.mark.parametrize(
    "text, expected",
    [
        ("etcd1", Endpoint("https", "etcd1", 4001)),
        ("etcd1:80", Endpoint("https", "etcd1", 80)),
        ("http://etcd1", Endpoint("http", "etcd1", 4001)),
        ("::1", Endpoint("https", "::1", 4001)),
    ],
)
def test_parse_with_other_defaults(text, expected):
    assert parse(text, port=4001, protocol="https") == expected


@pytest.mark.parametrize(
    "text, says",
    [
        ("ftp://etcd1", "endpoint ftp://etcd1 has the scheme 'ftp'; write http:// or https://"),
        ("unix:///run/etcd", "has the scheme 'unix'"),
        ("://etcd1", "has the scheme ''"),
        ("http://etcd1:2379/v2", "has a path or query; write only scheme, host and port"),
        ("etcd1/v2/keys", "has a path or query"),
        ("http://etcd1?x=1", "has a path or query"),
        ("http://etcd1#x", "has a path or query"),
        ("http://user@etcd1", "holds credentials; give them as username and password"),
        ("", "an endpoint is a URL or a host name, not ''"),
        ("   ", "an endpoint is a URL or a host name, not '   '"),
        (None, "an endpoint is a URL or a host name, not None"),
        (2379, "an endpoint is a URL or a host name, not 2379"),
        (["etcd1"], "an endpoint is a URL or a host name"),
        ("http://", "has no valid host"),
        ("http://:2379", "has no valid host"),
        (":2379", "has no valid host"),
        ("etcd 1", "has no valid host"),
        ("etcd1,etcd2", "has no valid host"),
        ("[::1", "has no valid host"),
        ("[::1]x", "has no valid host"),
        ("[etcd1]:2379", "has no valid host"),
        ("[]:2379", "has no valid host"),
        ("etcd1%41", "has no valid host"),
        ("etcd1\\x", "has no valid host"),
        ("etcd1:", "has the port ''; a port is a number from 1 to 65535"),
        ("[::1]:", "has the port ''"),
        ("etcd1:http", "has the port 'http'"),
        ("etcd1:0", "has the port '0'"),
        ("etcd1:65536", "has the port '65536'"),
        ("etcd1:-1", "has the port '-1'"),
        ("etcd1:+1", "has the port '+1'"),
        ("etcd1:2379:2379", "has the port '2379:2379'"),
        ("etcd1:\u0662\u0663", "has the port"),
        ("http://::1:2379", "write the brackets: http://[::1]:2379, or http://[::1:2379] if 2379"),
        ("::1:2379", "write the brackets: [::1]:2379, or [::1:2379] if 2379 is part"),
        ("https://fe80::a:1/", "write the brackets: https://[fe80::a]:1, or https://[fe80::a:1]"),
        ("fe80::1%eth0:2379", "write the brackets: [fe80::1%eth0]:2379"),
        ("::ffff:10.0.1.10:80", "write the brackets: [::ffff:10.0.1.10]:80"),
        ("1:2:3:4:5:6:7:8:9", "write the brackets: [1:2:3:4:5:6:7:8]:9"),
        ("::1:12379", "write the brackets: [::1]:12379"),
        ("1::2::3", "has no valid host"),
        ("[1::2::3]", "has no valid host"),
        ("[::12345]", "has no valid host"),
        ("::99999", "has no valid host"),
    ],
)
def test_parse_refuses(text, says):
    with pytest.raises(ClientException) as caught:
        parse(text)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "http://root:hunter2@etcd1:2379",
        "http://root:hunter2@etcd1:2379/v2",
        "root:hunter2@etcd1",
        "ftp://root:hunter2@etcd1",
        "http://root:hun@ter2@etcd1",
        "http://root:hunter2@@",
    ],
)
def test_a_password_is_in_no_message(text):
    with pytest.raises(ClientException) as caught:
        parse(text)
    assert "ter2" not in str(caught.value)
    assert "***@" in str(caught.value)


def test_parse_all_keeps_the_order_and_drops_duplicates():
    found = parse_all(["b", "http://A:2379/", ("a", 2379), " b:2379", "https://b"])
    assert [one.url for one in found] == ["http://b:2379", "http://a:2379", "https://b:2379"]


@pytest.mark.parametrize(
    "pair, url",
    [
        (("etcd1", 4001), "http://etcd1:4001"),
        (["etcd1", "4001"], "http://etcd1:4001"),
        (("::1", 4001), "http://[::1]:4001"),
    ],
)
def test_parse_all_takes_pairs(pair, url):
    assert [one.url for one in parse_all([pair])] == [url]


@pytest.mark.parametrize(
    "texts, options, says",
    [
        ([], {}, "there is no endpoint; give at least one"),
        ([""], {}, "an endpoint is a URL or a host name"),
        (["etcd1", "etcd2:x"], {}, "endpoint etcd2:x has the port 'x'"),
        ([("etcd1",)], {}, "an endpoint pair is (host, port), not ('etcd1',)"),
        ([("etcd1", 2379, 1)], {}, "an endpoint pair is (host, port)"),
        ([("etcd1", 0)], {}, "has the port 0"),
        ([("etcd1", True)], {}, "has the port True"),
        ([("etcd1", None)], {}, "has the port None"),
        (["etcd1"], {"port": 70000}, "has the port 70000"),
        (["etcd1"], {"port": None}, "has the port None"),
        (["etcd1"], {"protocol": "HTTPS"}, "protocol is http or https, not 'HTTPS'"),
        (["etcd1"], {"protocol": None}, "protocol is http or https, not None"),
    ],
)
def test_parse_all_refuses(texts, options, says):
    with pytest.raises(ClientException) as caught:
        parse_all(texts, **options)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text, url",
    [
        ("http://10.0.1.10:2380", "http://10.0.1.10:2380"),
        ("http://10.0.1.10", "http://10.0.1.10:2380"),
        (" HTTPS://Etcd1/ ", "https://etcd1:2380"),
        ("http://[::1]", "http://[::1]:2380"),
    ],
)
def test_parse_peer_url(text, url):
    assert parse_peer_url(text) == url


@pytest.mark.parametrize(
    "text", ["10.0.1.10:2380", "", None, "http://u:p@a:1", "http://a/x", "ftp://a"]
)
def test_parse_peer_url_refuses(text):
    with pytest.raises(ClientException):
        parse_peer_url(text)


A, B, C = (Endpoint("http", host, 2379) for host in "abc")


def test_pool_begins_in_the_order_given():
    assert Pool([B, A, C]).order(0.0) == (B, A, C)


def test_pool_asks_first_what_answered_last():
    pool = Pool([A, B, C])
    pool.answered(C)
    assert pool.order(0.0) == (C, A, B)
    pool.answered(B)
    assert pool.order(0.0) == (B, A, C)


def test_pool_puts_a_failed_one_last_for_a_while():
    pool = Pool([A, B, C], backoff=1.0)
    pool.failed(A, 100.0)
    assert pool.order(100.0) == (B, C, A)
    assert pool.order(100.9) == (B, C, A)
    assert pool.order(101.0) == (A, B, C)


@pytest.mark.parametrize(
    "failures, pause",
    [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 16.0), (6, 20.0), (7, 20.0), (5000, 20.0)],
)
def test_pool_doubles_the_while_up_to_a_maximum(failures, pause):
    pool = Pool([A, B], backoff=1.0, max_backoff=20.0)
    for unused in range(failures):
        pool.failed(A, 100.0)
    assert pool.order(100.0 + pause - 0.01) == (B, A)
    assert pool.order(100.0 + pause) == (A, B)


def test_pool_excludes_none_and_puts_the_next_to_recover_first():
    pool = Pool([A, B, C])
    pool.failed(B, 100.0)
    pool.failed(A, 100.2)
    pool.failed(C, 100.1)
    assert pool.order(100.3) == (B, C, A)


def test_pool_forgets_failures_with_an_answer():
    pool = Pool([A, B], backoff=1.0)
    for unused in range(5):
        pool.failed(A, 100.0)
    pool.answered(A)
    assert pool.order(100.0) == (A, B)
    pool.failed(A, 200.0)
    assert pool.order(200.9) == (B, A)
    assert pool.order(201.0) == (A, B)


def test_pool_does_not_prefer_the_last_to_answer_while_it_fails():
    pool = Pool([A, B])
    pool.answered(B)
    pool.failed(B, 100.0)
    assert pool.order(100.5) == (A, B)
    assert pool.order(101.5) == (B, A)
