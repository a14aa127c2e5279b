# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operations on keys and directories.

PRIVATE to the collection: use it through client.py.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import replace

from ansible_collections.quorum.etcd.plugins.module_utils import _limits, _wire, errors
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils._types import Request
from ansible_collections.quorum.etcd.plugins.module_utils._watch import Seen, Watch


class KeysApi:
    """Operations on keys and directories; every one raises errors.EtcdException.

    A key may be given without its leading slash. A trailing slash is sent as it is given, and with
    every recursive request: the store ignores it, and permissions do not (a role with /app/* may use
    /app/ and not /app). Common to all: errors.ClientException for an
    argument that cannot be sent, errors.EtcdUnauthorized, errors.EtcdV2NotServed,
    errors.EtcdUnreachable; and, for writes, errors.EtcdOutcomeUnknown.
    """

    _prefix: str
    _send: t.Callable[[Request], EtcdResult]
    _send_within: t.Callable[[Request, t.Optional[float]], EtcdResult]
    _clock: t.Callable[[], float]
    _sleep: t.Callable[[float], None]

    def read(
        self,
        key: str,
        *,
        recursive: bool = False,
        sorted: bool = False,  # noqa: A002 - the documented name
        quorum: bool = False,
        wait: bool = False,
        wait_index: t.Optional[int] = None,
        timeout: t.Optional[float] = None,
        waitIndex: t.Optional[int] = None,  # noqa: N803 - the documented name
    ) -> EtcdResult:
        """Read a key or list a directory.

        Args:
            recursive: the whole tree below a directory, not its children only.
            sorted: children in the order of their names' bytes; otherwise in no order.
            quorum: ask the cluster, not the one member that answers, which may lag behind
                (35 to 59 of 200 reads from a follower right after a write were stale).
            wait: return the next event on the key instead of its present state; with recursive,
                below it as well. Survives broken connections, and endpoints that are away for up to
                total_timeout.
            wait_index: with wait, return the first event at or after this index, a past one too.
            timeout: with wait, seconds after which errors.EtcdWatchTimeout is raised; None to
                wait for ever.

        Raises:
            errors.EtcdKeyNotFound: there is no such key.
            errors.EtcdEventIndexCleared: with wait, there was an event that the server has
                forgotten (it remembers 1000 of the whole store): the index is older, or so much was
                written while the watch was stuck.
        """
        if wait:
            if quorum or sorted:
                raise errors.ClientException(
                    "wait cannot be combined with quorum or sorted: the server would not wait"
                )
            index = waitIndex if wait_index is None else wait_index
            watch = self.watcher(_below(key, recursive), index=index, recursive=recursive)
            told = self._next(watch, key, timeout)
            if isinstance(told, Seen):
                raise t.cast(errors.EtcdException, told.forgotten)
            return told
        if wait_index is not None or waitIndex is not None or timeout is not None:
            raise errors.ClientException("wait_index and timeout need wait=True")
        fields = {
            "recursive": recursive or None,
            "sorted": sorted or None,
            "quorum": quorum or None,
        }
        return self._send(_wire.read_key(self._prefix, key, fields))

    def watch(
        self,
        key: str,
        *,
        index: t.Optional[int] = None,
        recursive: bool = False,
        timeout: t.Optional[float] = None,
    ) -> t.Iterator[EtcdResult]:
        """Yield every event on a key, in order, none twice and none left out.

        Where the server has forgotten events that were asked for (it remembers 1000 of the whole
        store), the present state is read instead and yielded as a result with action "get", or
        "delete" and no node if the key is gone; events go on from there. So it is when that many
        were written while the watch was stuck, if the key shows that one of them was its own; what
        came and went in such a moment is not told, and with recursive neither is a removal below.

        Args:
            index: start with the first event at or after it; None for what comes from now on.
            recursive: events below the key as well.
            timeout: seconds to wait for each event.

        Raises:
            errors.EtcdWatchTimeout: no event came in `timeout` seconds.
            errors.EtcdUnreachable: no endpoint answered for `total_timeout`. A new watch that
                starts at the index of this error + 1 misses nothing; nor after EtcdWatchTimeout.
        """
        watch = self.watcher(_below(key, recursive), index=index, recursive=recursive)
        while True:
            told = self._next(watch, key, timeout)
            yield told.state if isinstance(told, Seen) else told

    def watcher(self, key: str, *, index: t.Optional[int] = None, recursive: bool = False) -> Watch:
        """What `watch` is made of, for who also wants to know how the key is after a silence."""
        if index is not None:
            _limits.index_number(index, "the index to wait for")

        def look(deep: bool, seconds: t.Optional[float]) -> EtcdResult:
            fields = {"recursive": deep or None, "quorum": True}
            return self._send_within(_wire.read_key(self._prefix, key, fields), seconds)

        def wait(since: t.Optional[int], silence: float, seconds: float) -> EtcdResult:
            fields = {"recursive": recursive or None, "waitIndex": since}
            request = _wire.wait_key(self._prefix, key, fields, silence)
            return self._send_within(request, None if seconds == math.inf else seconds)

        return Watch(
            look,
            wait,
            index=index,
            recursive=recursive,
            clock=self._clock,
            sleep=self._sleep,
        )

    def _next(
        self, watch: Watch, key: str, timeout: t.Optional[float]
    ) -> t.Union[EtcdResult, Seen]:
        """The next event, or the state of a key of which an event was forgotten."""
        deadline = math.inf if timeout is None else self._clock() + timeout
        while True:
            told = watch.next(deadline)
            if told is None:
                raise errors.EtcdWatchTimeout(
                    "no event on %s in %s seconds" % (_limits.canonical_key(key), timeout),
                    index=None if watch.index is None else watch.index - 1,
                )
            if not isinstance(told, Seen) or told.happened:
                return told

    def write(
        self,
        key: str,
        value: t.Union[str, int],
        ttl: t.Optional[int] = None,
        *,
        fresh_connection: bool = False,
    ) -> EtcdResult:
        """Set a key, whatever is there; its directories are made as needed.

        Args:
            ttl: seconds to live; None for ever (an earlier TTL goes).
            fresh_connection: connect for this write. A server may close a connection that was idle
                at the moment of the write, whose outcome is then unknown.

        Raises:
            errors.EtcdNotFile: the key is a directory.
            errors.EtcdNotDir: a key with a value stands where a directory is needed.
        """
        return self._put(key, value, ttl, {}, fresh_connection)

    def create_in_order(
        self, directory: str, value: t.Union[str, int], ttl: t.Optional[int] = None
    ) -> EtcdResult:
        """Create a key below the directory whose name is the store's next index.

        Never repeated: after errors.EtcdOutcomeUnknown there may be one, and nothing tells.

        Raises:
            errors.EtcdNotDir: the directory is a key with a value.
        """
        fields = {"value": _limits.value_text(value), "ttl": _ttl(ttl)}
        return self._send(_wire.write_key(self._prefix, directory, fields, method="POST"))

    def compare_and_swap(
        self,
        key: str,
        value: t.Union[str, int],
        prev_value: t.Optional[str] = None,
        prev_index: t.Optional[int] = None,
        prev_exist: t.Optional[bool] = None,
        ttl: t.Optional[int] = None,
    ) -> EtcdResult:
        """Set a key if all the conditions that are given hold together.

        Args:
            prev_value: its value; not "", which the server refuses to compare with (use
                prev_index).
            prev_index: its modifiedIndex.
            prev_exist: True if it must exist, False if it must not.
            ttl: seconds to live; None for ever (an earlier TTL goes).

        Raises:
            errors.EtcdTestFailed: value or index differ; the cause says which.
            errors.EtcdNodeExist: it exists, and must not.
            errors.EtcdKeyNotFound: it does not exist, and must.
            errors.EtcdNotFile: it is a directory.
        """
        conditions = _conditions(prev_value, prev_index)
        if prev_exist is None and not conditions:
            raise errors.ClientException(
                "a compare-and-swap needs prev_value, prev_index or prev_exist; use write() to set"
                " a key whatever is there"
            )
        if prev_exist is False and conditions:
            # The server would ignore them (observed): together they can never hold.
            raise errors.ClientException(
                "prev_exist=False excludes prev_value and prev_index: a key that does not exist"
                " has neither"
            )
        return self._put(key, value, ttl, dict(conditions, prevExist=prev_exist))

    def compare_and_delete(
        self,
        key: str,
        prev_value: t.Optional[str] = None,
        prev_index: t.Optional[int] = None,
    ) -> EtcdResult:
        """Delete a key if all the conditions that are given hold together.

        Raises:
            errors.EtcdTestFailed: value or index differ; the cause says which.
            errors.EtcdKeyNotFound: there is no such key.
            errors.EtcdNotFile: it is a directory.
        """
        conditions = _conditions(prev_value, prev_index)
        if not conditions:
            raise errors.ClientException(
                "a compare-and-delete needs prev_value or prev_index; use delete() to delete a key"
                " whatever it holds"
            )
        return self._send(_wire.delete_key(self._prefix, key, conditions))

    def delete(self, key: str, *, fresh_connection: bool = False) -> EtcdResult:
        """Delete a key, whatever it holds.

        Args:
            fresh_connection: as in `write`.

        Raises:
            errors.EtcdKeyNotFound: there is no such key.
            errors.EtcdNotFile: it is a directory; see rmdir().
        """
        return self._send(_fresh(_wire.delete_key(self._prefix, key, {}), fresh_connection))

    def mkdir(self, directory: str, ttl: t.Optional[int] = None) -> EtcdResult:
        """Make a directory that does not exist; those above it are made as needed.

        Raises:
            errors.EtcdNodeExist: a directory or key of this name exists. (Without the condition
                that is sent, the server would replace a key by a directory: observed.)
        """
        fields = {"dir": True, "prevExist": False, "ttl": _ttl(ttl)}
        return self._send(_wire.write_key(self._prefix, directory, fields))

    def rmdir(self, directory: str, recursive: bool = False) -> EtcdResult:
        """Remove a directory.

        Args:
            recursive: with all that is below it; otherwise it must be empty.

        Raises:
            errors.EtcdDirNotEmpty: it has children; hidden ones count.
            errors.EtcdKeyNotFound: there is no such directory.
        """
        fields = {"dir": True, "recursive": recursive or None}
        return self._send(_wire.delete_key(self._prefix, directory, fields))

    def update_ttl(self, key: str, ttl: int, prev_index: t.Optional[int] = None) -> EtcdResult:
        """Give a key another TTL; its value stays and no watcher wakes.

        Args:
            ttl: seconds to live. There is no refresh that takes a TTL away: set the value again.
            prev_index: only if this is its modifiedIndex.

        Raises:
            errors.EtcdKeyNotFound: there is no such key.
            errors.EtcdTestFailed: the index differs.
        """
        fields = {
            "ttl": _limits.ttl_seconds(ttl),
            "refresh": True,
            "prevExist": True,
        }
        return self._send(
            _wire.write_key(self._prefix, key, dict(fields, **_conditions(None, prev_index)))
        )

    def update_dir_ttl(self, directory: str, ttl: t.Optional[int]) -> EtcdResult:
        """Give a directory another TTL, or None for none; what is below it stays.

        Only etcd 3.4 can do it. The server takes no condition with it; a key with a value in the
        directory's place would be blanked (observed).

        Raises:
            errors.EtcdKeyNotFound: there is no such directory.
            errors.EtcdRaftInternal: etcd 3.5 answers "Not a file".
        """
        fields = {"dir": True, "prevExist": True, "ttl": _ttl(ttl)}
        return self._send(_wire.write_key(self._prefix, directory, fields))

    def _put(
        self,
        key: str,
        value: t.Union[str, int],
        ttl: t.Optional[int],
        conditions: t.Mapping[str, t.Any],
        fresh_connection: bool = False,
    ) -> EtcdResult:
        fields = dict(conditions, value=_limits.value_text(value), ttl=_ttl(ttl))
        return self._send(_fresh(_wire.write_key(self._prefix, key, fields), fresh_connection))


class Composer(KeysApi):
    """The same operations as requests that can be sent later (`Client.send_all`).

    What a write returns is then the request. A key that is written is not shown in its answer, which
    is shorter for it, and whose index is in its head.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def _send(self, request: Request) -> t.Any:
        return request if request.body is None else _wire.without_node(request)


def _fresh(request: Request, fresh_connection: bool) -> Request:
    return replace(request, fresh_connection=True) if fresh_connection else request


def _below(key: str, recursive: bool) -> str:
    """Whoever may read what is below /app by the pattern /app/* may read /app/, and not /app."""
    return key + "/" if recursive and isinstance(key, str) and not key.endswith("/") else key


def _ttl(ttl: t.Optional[int]) -> t.Optional[int]:
    return None if ttl is None else _limits.ttl_seconds(ttl)


def _conditions(prev_value: t.Optional[str], prev_index: t.Optional[int]) -> t.Dict[str, t.Any]:
    conditions = {}  # type: t.Dict[str, t.Any]
    if prev_value is not None:
        if prev_value == "":
            raise errors.ClientException(
                "the server does not compare with an empty prev_value; use prev_index"
            )
        conditions["prevValue"] = _limits.value_text(prev_value)
    if prev_index is not None:
        conditions["prevIndex"] = _limits.index_number(prev_index, "prev_index")
    return conditions
