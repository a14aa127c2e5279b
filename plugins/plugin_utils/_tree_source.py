# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing the tree of a task to the host that it runs on.

PRIVATE to the collection: it can change at any time.

A file of the controller is read here. A tree that is large goes to the host as a file, not as an
argument: arguments are part of a program that the host's Python compiles, of the host's log, and of
the task's result.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.quorum.etcd.plugins.module_utils import _documents
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException

#: Characters of JSON up to which a tree is an argument.
INLINE = 16 * 1024


def run_module(action: t.Any, task_vars: t.Any) -> t.Dict[str, t.Any]:
    """Run the module on the host, and say what the task returns.

    A failure is returned, as an exception would pass by the task's `failed_when` and `until`.

    Args:
        action: the action plugin; it finds files, transfers them, and runs the module.
    """
    try:
        arguments = with_tree_on_host(action, action._task.args)
    except Refusal as exc:
        return {
            "failed": True,
            "changed": False,
            "msg": str(exc),
            "error": ClientException.__name__,
            "error_code": None,
        }
    result: t.Dict[str, t.Any] = action._execute_module(
        module_args=arguments, task_vars=task_vars, wrap_async=action._task.async_val
    )
    return result


def with_tree_on_host(action: t.Any, arguments: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """The arguments for the module on the host.

    Raises:
        Refusal: there is no such file, or it holds no tree.
    """
    src, tree = arguments.get("src"), arguments.get("tree")
    on_host = _is_on_host(arguments.get("remote_src"))
    if (src is None) == (tree is None) or (src is not None and on_host):
        # Nothing to bring; what is wrong with it, if anything, is for the module to say.
        return dict(arguments)
    is_backup = arguments.get("src_format") == "backup"
    parse = _documents.parse_json if is_backup else _documents.parse
    tree = _documents.with_text_names(tree) if src is None else _read(action, str(src), parse)
    text = json.dumps(tree, default=_decrypted)
    if len(text) <= INLINE:
        return {**arguments, "src": None, "tree": tree}
    return {**arguments, "tree": None, "src": _transfer(action, text), "remote_src": True}


def _is_on_host(remote_src: t.Any) -> bool:
    """What the module will read it as.

    Raises:
        Refusal: it is no boolean.
    """
    if remote_src is None:
        return False
    try:
        found: bool = boolean(remote_src)
    except TypeError as exc:
        raise Refusal(
            f"remote_src is true or false, not {remote_src!r}; true is for a file of the host"
        ) from exc
    return found


def _read(action: t.Any, name: str, parse: t.Callable[[str, str], t.Any]) -> t.Any:
    try:
        found = action._find_needle("files", name)
    except AnsibleError as exc:
        raise Refusal(
            f"src {name} was not found on the controller; give its path, from the playbook or the"
            " files of the role on, or remote_src: true for a file of the host"
        ) from exc
    if not Path(found).is_file():
        raise Refusal(f"src {name} cannot be read: it is not a file")
    try:
        path = action._loader.get_real_file(found, decrypt=True)
    except AnsibleError as exc:
        raise Refusal(f"src {name} cannot be read: {' '.join(str(exc).split())}") from exc
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise Refusal(f"{name} is not valid UTF-8") from exc
    except OSError as exc:
        raise Refusal(f"{name} cannot be read: {exc.strerror}") from exc
    finally:
        action._loader.cleanup_tmp_file(path)
    tree = parse(text, name)
    if tree is None:
        raise Refusal(f"{name} is empty; write {{}} for a tree without keys")
    return tree


def _decrypted(value: t.Any) -> str:
    """The text of a value that is encrypted with Ansible Vault."""
    if hasattr(value, "_ciphertext"):
        return str(value)
    raise Refusal(
        f"the tree holds a value of type {type(value).__name__}; give strings, numbers, booleans, lists"
        " and mappings"
    )


def _transfer(action: t.Any, text: str) -> str:
    shell = action._connection._shell
    if shell.tmpdir is None:
        action._make_tmp_path()
    path = shell.join_path(shell.tmpdir, "tree.json")
    action._transfer_data(path, text)
    action._fixup_perms2((shell.tmpdir, path))
    return str(path)
