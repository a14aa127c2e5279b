# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A v2 store in memory, with lost answers and other writers."""

from __future__ import annotations

import itertools
import typing as t
from collections import deque

from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult

Commit = t.Callable[[], EtcdResult]
Fault = t.Callable[[Commit], EtcdResult]


def unknown() -> errors.EtcdOutcomeUnknown:
    return errors.EtcdOutcomeUnknown("sent, and no answer", endpoint="http://fake:2379")


def delivered(commit: Commit) -> EtcdResult:
    """Nothing goes wrong."""
    return commit()


def lost_before(commit: Commit) -> EtcdResult:
    """The request never arrives."""
    raise unknown()


def lost_after(commit: Commit) -> EtcdResult:
    """The write is carried out, and the answer never arrives."""
    commit()
    raise unknown()


def raising(exc: Exception) -> Fault:
    """The write is not carried out, and this is the answer."""

    def fault(commit: Commit) -> EtcdResult:
        raise exc

    return fault


def after(other: t.Callable[[], t.Any], then: Fault = delivered) -> Fault:
    """Another writer comes between our read and our write."""

    def fault(commit: Commit) -> EtcdResult:
        other()
        return then(commit)

    return fault


def before(other: t.Callable[[], t.Any], then: Fault) -> Fault:
    """Another writer comes right after our write, and then ours ends in this way."""

    def fault(commit: Commit) -> EtcdResult:
        def both() -> EtcdResult:
            result = commit()
            other()
            return result

        return then(both)

    return fault


class FakeStore:
    """Implements `_carry_out.KeyClient` and `_batch.BatchClient` with the conditions, indexes and events of etcd v2.

    TTLs are kept and shown, and never run out. Other writers can do all that the task under test
    can, with the same values and conditions: events do not tell who wrote.

    Attributes:
        faults: what befalls the writes, one for each; nothing befalls those that are left.
        before_read: what happens before the reads, one call for each.
        sends: how many writes were sent.
        commits: the actions of the writes of the task under test that were carried out.
        batches: how many connections each `send_all` was to use.
        refusals: how many times `send_all` finds no connection, and takes nothing.
        idle_waits: how many times an event was waited for that there is not.
        now: the time that has passed, in seconds; only `until_seen` spends any.
        total: what `total_timeout` is to be.
        at: what happens at a time, by the second.
    """

    def __init__(self, first_index: int = 10) -> None:
        self.index = first_index
        self.nodes = {}  # type: t.Dict[str, t.Dict[str, t.Any]]
        self.events = []  # type: t.List[t.Dict[str, t.Any]]
        self.faults = deque()  # type: t.Deque[Fault]
        self.before_read = deque()  # type: t.Deque[t.Callable[[], t.Any]]
        self.reads = 0
        self.sends = 0
        self.commits = []  # type: t.List[str]
        self.batches = []  # type: t.List[int]
        self.refusals = 0
        self.idle_waits = 0
        self.now = 0.0
        self.total = 30.0
        self.at = {}  # type: t.Dict[int, t.Callable[[], t.Any]]
        self._oldest = 1

    # -- other writers, and what a test looks at

    def put(self, key: str, value: str, ttl: t.Optional[int] = None) -> None:
        """Another writer sets the key, whatever is there."""
        self._set("set", key, value=value, ttl=ttl)

    def swap(self, key: str, value: str) -> None:
        """Another writer swaps the key, from whatever there is."""
        self._set("compareAndSwap", key, value=value)

    def create(self, key: str, value: str, ttl: t.Optional[int] = None) -> int:
        """Another writer creates the key; its index."""
        assert key not in self.nodes
        self._set("create", key, value=value, ttl=ttl)
        return self.index

    def swap_on(self, index: int, key: str, value: str, ttl: t.Optional[int] = None) -> int:
        """Another writer swaps the key under the condition that a task has; the new index."""
        self._check(key, index)
        self._set("compareAndSwap", key, value=value, ttl=ttl)
        return self.index

    def remove_on(self, index: int, key: str) -> int:
        """Another writer deletes the key under the condition that a task has; the new index."""
        self._check(key, index)
        self._delete("compareAndDelete", key)
        return self.index

    def create_dir(self, key: str, ttl: t.Optional[int] = None) -> int:
        """Another writer makes the directory; its index."""
        assert key not in self.nodes
        self._set("create", key, dir=True, ttl=ttl)
        return self.index

    def enqueue(self, directory: str, value: str) -> int:
        """Another writer makes an in-order key; its index."""
        self._set("create", "%s/%020d" % (directory, self.index + 1), value=value)
        return self.index

    def set_dir_ttl(self, key: str, ttl: t.Optional[int]) -> int:
        """Another writer gives the directory another TTL; the index of the event."""
        self._set_dir_ttl(key, ttl)
        return self.index

    def put_dir(self, key: str, ttl: t.Optional[int] = None) -> None:
        self._set("set", key, dir=True, ttl=ttl)

    def remove(self, key: str) -> None:
        """Another writer removes the key, or the directory with all that is in it."""
        self._delete("delete", key)

    def refresh(self, key: str, ttl: int) -> None:
        """Another writer gives the key another TTL."""
        self._refresh(key, ttl)

    def forget(self) -> None:
        """The server forgets all events that there were."""
        self.events.clear()
        self._oldest = self.index + 1

    def value(self, key: str) -> t.Optional[str]:
        return self.nodes[key].get("value") if key in self.nodes else None

    # -- KeyClient

    def until_answered(self, ask: t.Callable[[], t.Any]) -> t.Any:
        return ask()

    def deadline(self) -> float:
        return self.now + self.total

    def until_seen(self, look: t.Callable[[], t.Any], deadline: float) -> t.Any:
        while True:
            seen = look()
            if seen is not None or self.now >= deadline:
                return seen
            self.now += 1.0
            self.at.pop(int(self.now), lambda: None)()

    def read(
        self,
        key: str,
        *,
        recursive: bool = False,
        quorum: bool = False,
        wait: bool = False,
        wait_index: t.Optional[int] = None,
        timeout: t.Optional[float] = None,
    ) -> EtcdResult:
        key = _canonical(key)
        if wait:
            return self._event(key, wait_index or self.index + 1)
        assert quorum, "a read that decides a write must be a quorum read"
        self.reads += 1
        if self.before_read:
            self.before_read.popleft()()
        self._check_above(key)
        if key not in self.nodes:
            raise self._error(errors.EtcdKeyNotFound, key)
        node = self._shown(key)
        if node.get("dir"):
            below = [one for one in sorted(self.nodes) if one.startswith(key + "/")]
            direct = [one for one in below if "/" not in one[len(key) + 1 :]]
            # In no order: the last ones first, so that nobody relies on one.
            shown = reversed(below if recursive else direct)
            node["nodes"] = [self._shown(one) for one in shown]
        return self._result("get", node)

    def write(
        self,
        key: str,
        value: str,
        ttl: t.Optional[int] = None,
        *,
        fresh_connection: bool = False,
    ) -> EtcdResult:
        assert fresh_connection, "no task sends this over a connection that was idle"

        def commit() -> EtcdResult:
            if self.nodes.get(key, {}).get("dir"):
                raise self._error(errors.EtcdNotFile, key)
            return self._set("set", key, value=value, ttl=ttl)

        return self._write(commit)

    def delete(self, key: str, *, fresh_connection: bool = False) -> EtcdResult:
        assert fresh_connection, "no task sends this over a connection that was idle"

        def commit() -> EtcdResult:
            self._check(key, None)
            return self._delete("delete", key)

        return self._write(commit)

    def compare_and_swap(
        self,
        key: str,
        value: str,
        prev_value: t.Optional[str] = None,
        prev_index: t.Optional[int] = None,
        prev_exist: t.Optional[bool] = None,
        ttl: t.Optional[int] = None,
    ) -> EtcdResult:
        key = _canonical(key)

        def commit() -> EtcdResult:
            if prev_exist is False:
                if key in self.nodes:
                    raise self._error(errors.EtcdNodeExist, key)
                return self._set("create", key, value=value, ttl=ttl)
            self._check(key, prev_index)
            return self._set("compareAndSwap", key, value=value, ttl=ttl)

        return self._write(commit)

    def compare_and_delete(
        self, key: str, prev_value: t.Optional[str] = None, prev_index: t.Optional[int] = None
    ) -> EtcdResult:
        key = _canonical(key)

        def commit() -> EtcdResult:
            self._check(key, prev_index)
            return self._delete("compareAndDelete", key)

        return self._write(commit)

    def create_in_order(
        self, directory: str, value: str, ttl: t.Optional[int] = None
    ) -> EtcdResult:
        directory = _canonical(directory)
        return self._write(
            lambda: self._set(
                "create", "%s/%020d" % (directory, self.index + 1), value=value, ttl=ttl
            )
        )

    def update_ttl(self, key: str, ttl: int, prev_index: t.Optional[int] = None) -> EtcdResult:
        key = _canonical(key)

        def commit() -> EtcdResult:
            self._check(key, prev_index)
            return self._refresh(key, ttl)

        return self._write(commit)

    def mkdir(self, directory: str, ttl: t.Optional[int] = None) -> EtcdResult:
        directory = _canonical(directory)

        def commit() -> EtcdResult:
            if directory in self.nodes:
                raise self._error(errors.EtcdNodeExist, directory)
            return self._set("create", directory, dir=True, ttl=ttl)

        return self._write(commit)

    def rmdir(self, directory: str, recursive: bool = False) -> EtcdResult:
        directory = _canonical(directory)

        def commit() -> EtcdResult:
            if directory not in self.nodes:
                raise self._error(errors.EtcdKeyNotFound, directory)
            if not recursive and any(one.startswith(directory + "/") for one in self.nodes):
                raise self._error(errors.EtcdDirNotEmpty, directory)
            return self._delete("delete", directory)

        return self._write(commit)

    def update_dir_ttl(self, directory: str, ttl: t.Optional[int]) -> EtcdResult:
        directory = _canonical(directory)

        def commit() -> EtcdResult:
            if directory not in self.nodes:
                raise self._error(errors.EtcdKeyNotFound, directory)
            if not self.nodes[directory].get("dir"):
                return self._set("update", directory, value="", ttl=ttl)
            return self._set_dir_ttl(directory, ttl)

        return self._write(commit)

    # -- _batch.BatchClient

    def composer(self) -> t.Any:
        """What keeps a call for later instead of making it."""
        return _Composer(self)

    def send_all(
        self, requests: t.Iterable[t.Tuple[t.Any, t.Any]], *, connections: int
    ) -> t.Iterator[t.Tuple[t.Any, t.Any]]:
        """Make the calls in their order, as many under way at once as there are connections.

        Once the outcome of one is not known nothing new is taken, and what is under way is made.
        """
        self.batches.append(connections)
        if self.refusals:
            self.refusals -= 1
            return
        source = iter(requests)
        sent = deque(itertools.islice(source, connections))
        doubtful = False
        while sent:
            mark, call = sent.popleft()
            try:
                outcome = call()
            except errors.EtcdException as exc:
                outcome = exc
            doubtful = doubtful or isinstance(outcome, errors.EtcdOutcomeUnknown)
            yield mark, outcome
            if not doubtful:
                sent.extend(itertools.islice(source, 1))

    # -- inside

    def _write(self, commit: Commit) -> EtcdResult:
        self.sends += 1

        def counted() -> EtcdResult:
            result = commit()
            self.commits.append(result.action)
            return result

        return self.faults.popleft()(counted) if self.faults else counted()

    def _check_above(self, key: str) -> None:
        for above in _above(key):
            if above in self.nodes and not self.nodes[above].get("dir"):
                raise self._error(errors.EtcdNotDir, above)

    def _check(self, key: str, prev_index: t.Optional[int]) -> None:
        self._check_above(key)
        if key not in self.nodes:
            raise self._error(errors.EtcdKeyNotFound, key)
        if self.nodes[key].get("dir"):
            raise self._error(errors.EtcdNotFile, key)
        if prev_index is not None and self.nodes[key]["modifiedIndex"] != prev_index:
            raise self._error(errors.EtcdTestFailed, key)

    def _set(self, action: str, key: str, **content: t.Any) -> EtcdResult:
        self._check_above(key)
        previous = self._shown(key) or None
        self.index += 1
        for above in _above(key):
            self.nodes.setdefault(
                above, {"dir": True, "createdIndex": self.index, "modifiedIndex": self.index}
            )
        kept = action in ("compareAndSwap", "update") and previous is not None
        created = previous["createdIndex"] if kept and previous else self.index
        content.update(createdIndex=created, modifiedIndex=self.index)
        self.nodes[key] = {name: one for name, one in content.items() if one is not None}
        return self._done(action, self._shown(key), previous)

    def _set_dir_ttl(self, key: str, ttl: t.Optional[int]) -> EtcdResult:
        """The answer and the event show another modified index, the store keeps it (3.4.23)."""
        kept = self.nodes[key]["modifiedIndex"]
        result = self._set("update", key, dir=True, ttl=ttl)
        self.nodes[key]["modifiedIndex"] = kept
        return result

    def _delete(self, action: str, key: str) -> EtcdResult:
        previous = self._shown(key)
        self.index += 1
        for one in [one for one in self.nodes if one == key or one.startswith(key + "/")]:
            del self.nodes[one]
        node = {name: previous[name] for name in ("key", "dir", "createdIndex") if name in previous}
        return self._done(action, dict(node, modifiedIndex=self.index), previous)

    def _refresh(self, key: str, ttl: int) -> EtcdResult:
        previous = self._shown(key)
        self.index += 1
        self.nodes[key].update(ttl=ttl, modifiedIndex=self.index)
        return self._result("update", self._shown(key), previous)  # and no event

    def _done(
        self, action: str, node: t.Dict[str, t.Any], previous: t.Optional[t.Dict[str, t.Any]]
    ) -> EtcdResult:
        result = self._result(action, node, previous)
        self.events.append(dict(result.body))
        return result

    def _event(self, key: str, since: int) -> EtcdResult:
        if since < self._oldest:
            raise self._error(errors.EtcdEventIndexCleared, "[%d/%d]" % (self._oldest, since))
        for event in self.events:
            about = event["node"]["key"]
            concerns = about == key or (
                event["action"] in ("delete", "expire") and key.startswith(about + "/")
            )
            if event["node"]["modifiedIndex"] >= since and concerns:
                return self._result(event["action"], event["node"], event.get("prevNode"))
        self.idle_waits += 1
        raise errors.EtcdWatchTimeout("no event", index=self.index)

    def _shown(self, key: str) -> t.Dict[str, t.Any]:
        if key not in self.nodes:
            return {}
        node = dict(self.nodes[key], key=key)
        return dict(node, expiration="2030-01-01T00:00:00Z") if "ttl" in node else node

    def _result(
        self,
        action: str,
        node: t.Dict[str, t.Any],
        previous: t.Optional[t.Dict[str, t.Any]] = None,
    ) -> EtcdResult:
        body = {"action": action, "node": node}  # type: t.Dict[str, t.Any]
        if previous is not None:
            body["prevNode"] = previous
        headers = {"X-Etcd-Index": str(self.index)}
        return EtcdResult(body, headers, endpoint="http://fake:2379")

    def _error(self, cls: t.Type[errors.EtcdException], cause: str) -> errors.EtcdException:
        return cls("refused", cause=cause, index=self.index, endpoint="http://fake:2379")


class _Composer:
    """The store's writes, to be made when they are called; what is set is not shown in the answer."""

    def __init__(self, store: FakeStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> t.Any:
        def call(*args: t.Any, **options: t.Any) -> EtcdResult:
            result = getattr(self._store, name)(*args, **options)  # type: EtcdResult
            if name in ("rmdir", "delete", "compare_and_delete"):
                return result
            index = {"X-Etcd-Index": str(result.x_etcd_index)}
            return EtcdResult({"action": result.action}, index, endpoint=result.endpoint)

        return lambda *args, **options: lambda: call(*args, **options)


def _canonical(key: str) -> str:
    """The key that the store knows: it drops a slash at the end, of a key with a value as well."""
    return key.rstrip("/") or "/"


def _above(key: str) -> t.List[str]:
    names = key.split("/")[1:-1]
    return ["/" + "/".join(names[: count + 1]) for count in range(len(names))]
