# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys and values come back as they were written; what cannot is refused before it is sent."""

from __future__ import annotations

import typing as t
from urllib.parse import unquote

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _apply, errors
from ansible_collections.quorum.etcd.plugins.module_utils._plan import key as key_plan
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from conftest import ProxyTo
from harness import Cluster

KEYS = {
    "every-special-character": "/k/a#b;c?d%41 e",
    "cyrillic": "/ключ",
    "percent-encoded-slash": "/x%2Fy",
    "no-leading-slash": "a/b",
    "long-segments": "/" + "s" * 300 + "/" + "ü" * 300,
    "nul-and-newline": "/n\0u\nl",
    "plus-and-dots": "/a+b/.../..c",
    "emoji": "/🙂/é",
}

VALUES = {
    "empty": "",
    "lines": "a\nb\n",
    "form-characters": "A+++B 100%",
    "looks-like-an-option": "-param",
    "beyond-ascii": "õäö🙂",
    "nul": "a\0b",
    "one-megabyte": "0123456789abcdef" * 65536,
    "json": '{"a": [1, "&<>;="]}',
    "blanks": "  \t ",
    "not-a-number": "007",
}


@pytest.mark.parametrize("name", KEYS)
def test_key(name: str, client: Client, key: str) -> None:
    """Written, listed under its own name, read back, deleted."""
    wanted = key + "/" + KEYS[name].lstrip("/")
    given = wanted.lstrip("/") if name == "no-leading-slash" else wanted
    assert client.write(given, name).node.key == wanted
    assert client.read(given).node.value == name
    assert _leaves(client.read(key, recursive=True).node) == [wanted]
    assert client.delete(given).node.key == wanted
    with pytest.raises(errors.EtcdKeyNotFound):
        client.read(given)


def _leaves(node: t.Any) -> t.List[str]:
    return [leaf for one in node.nodes for leaf in _leaves(one)] if node.dir else [node.key]


def test_trailing_slash_is_dropped(client: Client, key: str) -> None:
    """As the server does."""
    assert client.write(key + "/x/", "1").node.key == key + "/x"


@pytest.mark.parametrize("name", VALUES)
def test_value(name: str, client: Client, key: str) -> None:
    """Written, read back identical, found unchanged by a second run."""
    value = VALUES[name]
    first = _converge(client, key, value)
    assert first.action.changes
    assert client.read(key).node.value == value
    index = client.read(key).x_etcd_index
    second = _converge(client, key, value)
    assert not second.action.changes
    assert client.read(key).x_etcd_index == index


def _converge(client: Client, key: str, value: str) -> _apply.Outcome:
    wish = key_plan.Wish(key=key, wanted=key_plan.Wanted.PRESENT, value=value)
    return _apply.converge(client, key, lambda current: key_plan.plan(current, wish))


@pytest.mark.parametrize("name", [name for name in VALUES if name not in ("empty", "one-megabyte")])
def test_value_as_condition(name: str, client: Client, key: str) -> None:
    """A value as condition of a swap (in the form) and of a deletion (in the query)."""
    value = VALUES[name]
    client.write(key, value)
    assert client.compare_and_swap(key, value, prev_value=value).prev_node.value == value
    assert client.compare_and_delete(key, prev_value=value).prev_node.value == value


def test_number_as_value(client: Client, key: str) -> None:
    """A whole number is written as its digits."""
    assert client.write(key, 42).node.value == "42"


def test_value_in_order(client: Client, key: str) -> None:
    """In-order keys are created one after the other, below a key with special characters too."""
    first = client.create_in_order(key + "/q #?", "a+b")
    second = client.create_in_order(key + "/q #?", "")
    listing = client.read(key + "/q #?", sorted=True).node.nodes
    assert [(one.key, one.value) for one in listing] == [
        (first.node.key, "a+b"),
        (second.node.key, ""),
    ]


REFUSED: t.Dict[str, t.Callable[[Client], t.Any]] = {
    "dot-dot": lambda client: client.write("/app/../other", "1"),
    "dot": lambda client: client.write("/app/./other", "1"),
    "empty-segment": lambda client: client.write("/a//b", "1"),
    "two-slashes-first": lambda client: client.read("//a"),
    "no-key": lambda client: client.delete(""),
    "key-not-utf-8": lambda client: client.read("/\udcff"),
    "key-too-long": lambda client: client.read("/" + "ю" * 1000),
    "value-not-utf-8": lambda client: client.write("/a", "\udcff"),
    "value-none": lambda client: client.write("/a", None),  # type: ignore[arg-type]
    "value-boolean": lambda client: client.write("/a", True),
    "value-bytes": lambda client: client.write("/a", b"1"),  # type: ignore[arg-type]
    "value-too-long": lambda client: client.write("/a", "+" * 4 * 1024 * 1024),
    "in-order-not-utf-8": lambda client: client.create_in_order("/a", "\udcff"),
    "ttl-negative": lambda client: client.write("/a", "1", ttl=-1),
    "ttl-zero": lambda client: client.write("/a", "1", ttl=0),
    "ttl-too-long": lambda client: client.write("/a", "1", ttl=10000000000),
    "ttl-of-a-refresh": lambda client: client.update_ttl("/a", 0),
    "ttl-of-a-directory": lambda client: client.mkdir("/a", ttl=-1),
    "prev-index-zero": lambda client: client.compare_and_swap("/a", "1", prev_index=0),
    "prev-index-negative": lambda client: client.compare_and_delete("/a", prev_index=-1),
    "prev-value-empty": lambda client: client.compare_and_swap("/a", "1", prev_value=""),
    "no-condition": lambda client: client.compare_and_swap("/a", "1"),
    "no-condition-to-delete": lambda client: client.compare_and_delete("/a"),
    "conditions-that-exclude-each-other": lambda client: client.compare_and_swap(
        "/a", "1", prev_exist=False, prev_index=1
    ),
    "wait-with-quorum": lambda client: client.read("/a", wait=True, quorum=True),
    "wait-index-without-wait": lambda client: client.read("/a", wait_index=1),
    "wait-index-zero": lambda client: client.read("/a", wait=True, wait_index=0),
    "user-with-a-slash": lambda client: client.delete_user("a/b"),
    "member-dot-dot": lambda client: client.remove_member(".."),
    "empty-password": lambda client: client.update_user("root", password=""),
    "no-peer-url": lambda client: client.add_member([]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_anything_is_sent(name: str, single: Cluster, proxy_to: ProxyTo) -> None:
    """The call fails with a sentence, and not so much as a connection is made."""
    proxy = proxy_to(single.endpoints[0])
    with pytest.raises(errors.ClientException) as caught:
        REFUSED[name](Client(proxy.url))
    assert proxy.requests == []
    assert proxy.connections == 0
    assert 10 < len(str(caught.value)) < 400


def test_what_a_good_request_looks_like(single: Cluster, proxy_to: ProxyTo, key: str) -> None:
    """The proof that the log of the test above would show one."""
    proxy = proxy_to(single.endpoints[0])
    Client(proxy.url).write(key + "/a#b;c?d%41 e", "A+++B 100%")
    (seen,) = proxy.requests
    assert (seen.method, unquote(seen.target)) == ("PUT", "/v2/keys%s/a#b;c?d%%41 e" % key)
    assert seen.body == b"value=A%2B%2B%2BB+100%25"
