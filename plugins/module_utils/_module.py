# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where modules meet Ansible: arguments, check mode, diff, exit and failure.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.common.parameters import remove_values

from ansible_collections.quorum.etcd.plugins.module_utils import (
    _connection,
    _deps,
    _endpoints,
    errors,
)
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    Incomplete,
    InVain,
    KeyState,
    Refusal,
)

_FAILURES = (
    Refusal,
    Incomplete,
    InVain,
    errors.ClientException,
    errors.EtcdException,
    _deps.MissingLibrary,
)


class Task(t.Protocol):
    """What a module does: options and a client in, what the task returns out.

    The returned mapping has "changed"; "diff" where the module has a diff mode (or what makes it,
    where that takes long); and "warnings", texts to show to the user, where there are any.
    """

    def __call__(
        self, options: t.Mapping[str, t.Any], connect: t.Callable[..., t.Any], *, apply: bool
    ) -> t.Dict[str, t.Any]:
        """Do it, or with `apply` off find out what it would do."""


class _Module(AnsibleModule):
    """A module that keeps credentials inside endpoints to itself.

    They are refused there; Ansible would show them with the arguments of a task, also of one whose
    arguments it refuses itself, and log the user name, which may be a token, with them.
    """

    def fail_json(self, msg: str, **kwargs: t.Any) -> t.Any:
        self._hide_credentials()
        super().fail_json(msg, **kwargs)

    def exit_json(self, **kwargs: t.Any) -> t.Any:
        self._hide_credentials()
        super().exit_json(**kwargs)

    def log(self, msg: t.Any, log_args: t.Optional[t.Mapping[str, t.Any]] = None) -> None:
        self._hide_credentials()
        super().log(msg, remove_values(log_args, self.no_log_values))

    def _hide_credentials(self) -> None:
        given = self.params.get("endpoints") or ()
        # What was given may not have been looked at yet.
        for part in given if isinstance(given, (list, tuple)) else [given]:
            for text in str(part).split(","):
                self.no_log_values.update(_endpoints.credentials_in(text))


def run(
    argument_spec: t.Mapping[str, t.Any],
    task: t.Callable[..., t.Dict[str, t.Any]],
    *,
    keys_only: bool = False,
    host_files: t.Optional[t.Callable[[AnsibleModule], t.Any]] = None,
) -> None:
    """Run a module: the connection options are added to its own.

    Args:
        task: a `Task`.
        keys_only: whether the task needs a client for keys and directories only.
        host_files: for a task that writes a file of the host, what makes its argument `files`;
            Ansible's options for files are added, too.
    """
    module = _Module(
        argument_spec=dict(_connection.ARGUMENT_SPEC, **argument_spec),
        supports_check_mode=True,
        add_file_common_args=host_files is not None,
    )
    extra = {} if host_files is None else {"files": host_files(module)}
    connected = []  # type: t.List[bool]

    def connect(**credentials: str) -> t.Any:
        connected.append(True)
        return _connect(module, keys_only, **credentials)

    try:
        report = task(module.params, connect, apply=not module.check_mode, **extra)
    except _FAILURES as exc:
        _fail(module, exc, asked=bool(connected))
    else:
        for warning in report.pop("warnings", ()):
            module.warn(warning)
        diff = report.pop("diff", None)
        if module._diff and diff is not None:
            report["diff"] = diff() if callable(diff) else diff
        module.exit_json(**report)


def _connect(module: AnsibleModule, keys_only: bool, **credentials: str) -> t.Any:
    """A client with the settings of the task; other credentials where they are given."""
    chosen = _connection.settings(module.params, os.environ)
    if credentials:
        chosen = chosen._replace(**credentials)  # type: ignore[arg-type]
    if chosen.password:
        # One from the environment is not known to Ansible as a secret.
        module.no_log_values.add(chosen.password)
    return _connection.connect(chosen, module.warn, keys_only=keys_only)


def _fail(module: AnsibleModule, exc: Exception, *, asked: bool) -> None:
    """Fail the task.

    Args:
        asked: whether the cluster was; a refusal before that is about the options.
    """
    if isinstance(exc, _deps.MissingLibrary):
        module.fail_json(msg=missing_required_lib(exc.name), exception=exc.reason)
    report = _named(exc, asked=asked)
    if isinstance(exc, Refusal):
        report.update(_found(exc.state))
    elif isinstance(exc, Incomplete):
        report.update(exc.report, changed=exc.changed)
    elif isinstance(exc, InVain):
        report.update(exc.report)
    module.fail_json(msg=str(exc), **report)


def _named(exc: t.Optional[BaseException], *, asked: bool) -> t.Dict[str, t.Any]:
    """What a playbook can tell the failure from others by: the name of a class in `errors`."""
    if isinstance(exc, errors.EtcdException):
        return {
            "error": type(exc).__name__,
            "error_code": exc.code,
            "etcd_index": exc.index,
            "endpoint": exc.endpoint,
        }
    if isinstance(exc, (Incomplete, InVain)) and exc.__cause__ is not None:
        return _named(exc.__cause__, asked=asked)
    cls = None  # type: t.Optional[t.Type[BaseException]]
    if isinstance(exc, Refusal):
        cls = exc.error if exc.error is not None or asked else errors.ClientException
    elif isinstance(exc, InVain):
        cls = errors.EtcdWatchTimeout
    elif isinstance(exc, errors.ClientException):
        cls = errors.ClientException
    if cls is None:
        return {}
    return {"error": cls.__name__, "error_code": getattr(cls, "code", None)}


def _found(state: t.Optional[KeyState]) -> t.Dict[str, t.Any]:
    if state is None:
        return {}
    return {"value": state.value, "modified_index": state.modified_index, "ttl": state.ttl}
