# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where lookups meet Ansible: options, results and failures.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import typing as t

from ansible.errors import AnsibleLookupError
from ansible.utils.display import Display

from ansible_collections.quorum.etcd.plugins.module_utils import _connection, _deps, errors
from ansible_collections.quorum.etcd.plugins.module_utils._keys_client import KeysClient
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult, Node

_FAILURES = (errors.ClientException, errors.EtcdException, _deps.MissingLibrary)


class OptionProvider(t.Protocol):
    """What a lookup plugin offers of its options."""

    def get_option(self, option: str) -> t.Any:
        """The value of an option."""


def look_up_keys(
    plugin: OptionProvider,
    terms: t.Sequence[t.Any],
    connection: t.Callable[[t.Mapping[str, str]], t.Mapping[str, t.Any]],
    *,
    default_given: bool,
) -> t.List[t.Any]:
    """One result for each term, in their order; a list as a term stands for what is in it.

    Args:
        connection: gives a value or None for each connection option; takes the environment.
        default_given: whether the call names a default, which may be None.

    Raises:
        AnsibleLookupError: a key could not be read, or is missing and that is to be an error.
    """
    missing = plugin.get_option("missing")
    default = plugin.get_option("default")
    if missing is None:
        missing = "default" if default_given else "error"
    terms = list(_flat(terms))
    with failing():
        client = _client(connection)
        read = functools.partial(
            client.composer().read,
            recursive=plugin.get_option("recursive"),
            quorum=plugin.get_option("quorum"),
        )
        requests = [_request(read, term) for term in terms]
        found = []
        for term, outcome in zip(terms, client.read_all(requests)):
            # Below a key with a value nothing exists either.
            if not isinstance(outcome, (errors.EtcdKeyNotFound, errors.EtcdNotDir)):
                found.append(_value(term, outcome, plugin))
            elif missing == "error":
                raise errors.ClientException("%s does not exist" % term)
            elif missing == "default":
                found.append(default)
    return found


def _flat(terms: t.Iterable[t.Any]) -> t.Iterator[t.Any]:
    for term in terms:
        if isinstance(term, (list, tuple)):
            yield from _flat(term)
        else:
            yield term


@contextlib.contextmanager
def failing(about: str = "") -> t.Iterator[None]:
    """Whatever goes wrong inside becomes the lookup's failure.

    "from None": Ansible 2.19 and newer add the text of a cause to that of the error, 2.18 does not,
    and the text is whole without it.
    """
    try:
        yield
    except _FAILURES as exc:
        raise AnsibleLookupError("quorum.etcd.etcd_key: %s%s" % (about, exc)) from None


def _client(
    connection: t.Callable[[t.Mapping[str, str]], t.Mapping[str, t.Any]],
) -> KeysClient:
    return _shared_client(os.getpid(), _connection.settings(connection(os.environ), os.environ))


@functools.lru_cache(maxsize=8)
def _shared_client(process: int, chosen: _connection.Settings) -> KeysClient:
    """The client with these settings in this process (a forked one must not share connections)."""
    return _connection.connect(chosen, Display().warning, keys_only=True)


def _request(read: t.Callable[[str], t.Any], term: t.Any) -> t.Any:
    with failing("%s: " % term):
        if not isinstance(term, str):
            raise errors.ClientException("a term is a key, which is a string; quote it")
        return read(term)


def _value(term: str, outcome: t.Union[EtcdResult, Exception], plugin: OptionProvider) -> t.Any:
    with failing("%s: " % term):
        if isinstance(outcome, Exception):
            raise outcome
        # An answer to a read without a key has become an exception when it was decoded.
        return _content(t.cast(Node, outcome.node), plugin)


def _content(node: Node, plugin: OptionProvider) -> t.Any:
    read_value = _text_value  # type: t.Callable[[Node], t.Any]
    if plugin.get_option("from_json"):
        read_value = _json_value
    if plugin.get_option("details"):
        read_value = _with_details(read_value)
    if not node.dir:
        return read_value(node)
    if not plugin.get_option("recursive"):
        raise errors.ClientException("it is a directory; read it with recursive=true")
    if plugin.get_option("layout") == "flat":
        return dict(_leaves(node, read_value))
    return _nested(node, read_value)


def _text_value(node: Node) -> str:
    return node.value or ""


def _json_value(node: Node) -> t.Any:
    try:
        return json.loads(_text_value(node))
    except ValueError as exc:
        raise errors.ClientException(
            "the value of %s is not JSON, and from_json is true (%s)" % (node.key, exc)
        ) from exc


def _with_details(read_value: t.Callable[[Node], t.Any]) -> t.Callable[[Node], t.Any]:
    return lambda node: {
        "key": node.key,
        "value": read_value(node),
        "ttl": node.ttl,
        "expiration": node.expiration,
        "created_index": node.created_index,
        "modified_index": node.modified_index,
    }


def _nested(node: Node, read_value: t.Callable[[Node], t.Any]) -> t.Dict[str, t.Any]:
    return {
        child.key.rpartition("/")[2]: (
            _nested(child, read_value) if child.dir else read_value(child)
        )
        for child in sorted(node.nodes, key=lambda child: child.key)
    }


def _leaves(node: Node, read_value: t.Callable[[Node], t.Any]) -> t.Iterator[t.Tuple[str, t.Any]]:
    for child in sorted(node.nodes, key=lambda child: child.key):
        if child.dir:
            yield from _leaves(child, read_value)
        else:
            yield child.key, read_value(child)
