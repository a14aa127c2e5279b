# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import types

import pytest
from ansible.errors import AnsibleFileNotFound
from ansible.module_utils.parsing.convert_bool import BOOLEANS_FALSE, BOOLEANS_TRUE
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.quorum.etcd.plugins.plugin_utils import _tree_source

LARGE = {"k%d" % one: "x" * 1000 for one in range(20)}
"""More than is an argument."""

SECRETS = [("default", VaultSecret(b"the-password"))]


class Action:
    """What `_tree_source` needs of an action plugin; files are looked for in one folder."""

    def __init__(self, folder, arguments, secrets=(), tmpdir=None):
        self._folder = folder
        self._task = types.SimpleNamespace(args=arguments, async_val=0)
        self._loader = DataLoader()
        self._loader.set_vault_secrets(list(secrets))
        shell = types.SimpleNamespace(tmpdir=tmpdir, join_path=lambda *parts: "/".join(parts))
        self._connection = types.SimpleNamespace(_shell=shell)
        self.transferred = {}
        self.readable = ()
        self.executed = []

    def _find_needle(self, dirname, needle):
        found = self._folder / needle
        if not found.exists():
            raise AnsibleFileNotFound(file_name=needle, paths=["/a/%s" % dirname, "/b"])
        return str(found)

    def _make_tmp_path(self):
        self._connection._shell.tmpdir = "/made"

    def _transfer_data(self, path, text):
        self.transferred[path] = text

    def _fixup_perms2(self, paths):
        self.readable = paths

    def _execute_module(self, **options):
        self.executed.append(options)
        return {"changed": True}


@pytest.fixture(name="run")
def fixture_run(tmp_path):
    """Runs a task over these files; gives its result and the action plugin."""

    def run(arguments, files=(), **options):
        for name, text in dict(files).items():
            (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        action = Action(tmp_path, dict(arguments, path="/t"), **options)
        return _tree_source.run_module(action, {"a": "variable"}), action

    return run


def arguments_of(action):
    (executed,) = action.executed
    assert executed["task_vars"] == {"a": "variable"}
    return executed["module_args"]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"state": "absent"},
        {"tree": {1: "a"}, "src": "x.yml"},
        {"src": "nowhere.yml", "remote_src": True},
        *({"src": "nowhere.yml", "remote_src": one} for one in (*BOOLEANS_TRUE, "Y", "TRUE")),
    ],
)
def test_where_there_is_nothing_to_bring_the_module_decides(run, arguments):
    result, action = run(arguments)
    assert result == {"changed": True}
    assert arguments_of(action) == dict(arguments, path="/t")
    assert action.transferred == {}


@pytest.mark.parametrize(
    "tree, sent",
    [
        ({}, {}),
        ({"a": {"b": "x"}}, {"a": {"b": "x"}}),
        ({1: {True: "x"}, 2.5: []}, {"1": {"true": "x"}, "2.5": []}),
        # The module says what is wrong with these.
        ([1], [1]),
        ("text", "text"),
    ],
)
def test_a_small_tree_is_an_argument_with_names_that_are_text(run, tree, sent):
    action = run({"tree": tree, "purge": True})[1]
    assert arguments_of(action) == {"path": "/t", "purge": True, "tree": sent, "src": None}
    assert action.transferred == {}


@pytest.mark.parametrize(
    "name, text",
    [
        ("t.yml", "# a comment\n1: x\nd: {e: ä}\n"),
        ("t.json", '{"1": "x", "d": {"e": "ä"}}'),
        ("t", "{1: x, d: {e: ä}}"),
        ("t.yml", VaultLib(SECRETS).encrypt("1: x\nd: {e: ä}\n")),
    ],
)
@pytest.mark.parametrize("remote_src", [{}, {"remote_src": False}, {"remote_src": "no"}])
def test_a_file_of_the_controller_becomes_an_argument(run, name, text, remote_src):
    action = run(dict(remote_src, src=name), {name: text}, secrets=SECRETS)[1]
    sent = {"path": "/t", "tree": {"1": "x", "d": {"e": "ä"}}, "src": None}
    assert arguments_of(action) == dict(remote_src, **sent)


@pytest.mark.parametrize("remote_src", sorted(BOOLEANS_FALSE, key=str))
def test_what_is_false_for_a_module_is_false_here(run, remote_src):
    action = run({"src": "t", "remote_src": remote_src}, {"t": "a: x"})[1]
    assert arguments_of(action)["tree"] == {"a": "x"}


@pytest.mark.parametrize("remote_src", ["maybe", "", 2, [True]])
def test_what_is_no_boolean_is_refused(run, remote_src):
    result, action = run({"src": "t", "remote_src": remote_src}, {"t": "a: x"})
    assert result["failed"]
    assert result["msg"].startswith("remote_src is true or false, not %r" % (remote_src,))
    assert action.executed == []


def test_a_damaged_backup_is_not_taken_for_yaml(run):
    result, action = run({"src": "t", "src_format": "backup"}, {"t": "a: yaml"})
    assert result["failed"]
    assert result["msg"].startswith("t is not JSON")
    assert action.executed == []


def test_a_decrypted_copy_of_a_file_is_removed(run):
    action = run({"src": "t"}, {"t": VaultLib(SECRETS).encrypt("a: x")}, secrets=SECRETS)[1]
    assert action._loader._tempfiles == set()


@pytest.mark.parametrize(
    "arguments, files", [({"tree": LARGE}, {}), ({"src": "t.json"}, {"t.json": json.dumps(LARGE)})]
)
@pytest.mark.parametrize("tmpdir, path", [(None, "/made/tree.json"), ("/is", "/is/tree.json")])
def test_a_large_tree_goes_to_the_host_as_a_file(run, arguments, files, tmpdir, path):
    action = run(arguments, files, tmpdir=tmpdir)[1]
    assert arguments_of(action) == {"path": "/t", "tree": None, "src": path, "remote_src": True}
    assert json.loads(action.transferred.pop(path)) == LARGE
    assert action.transferred == {}
    assert path in action.readable


@pytest.mark.parametrize("length, transfers", [(-1, 0), (0, 0), (1, 1)])
def test_what_large_is(run, length, transfers):
    tree = {"a": "x" * (_tree_source.INLINE + length - len('{"a": ""}'))}
    assert len(run({"tree": tree})[1].transferred) == transfers


class Encrypted:
    """A value that Ansible decrypts when it is asked for its text."""

    _ciphertext = "x"

    def __str__(self):
        return "decrypted"


def test_an_encrypted_value_of_a_large_tree_is_decrypted(run):
    action = run({"tree": dict(LARGE, secret=Encrypted())})[1]
    (text,) = action.transferred.values()
    assert json.loads(text)["secret"] == "decrypted"


@pytest.mark.parametrize(
    "arguments, files, says",
    [
        ({"src": "t"}, {}, "src t was not found on the controller; give its path"),
        ({"src": "."}, {}, "src . cannot be read: it is not a file"),
        ({"src": "t"}, {"t": b"a: \xff"}, "t is not valid UTF-8"),
        ({"src": "t"}, {"t": ""}, "t is empty; write {}"),
        ({"src": "t"}, {"t": "null"}, "t is empty; write {}"),
        ({"src": "t"}, {"t": "a: 1\nb: [1"}, "is not YAML in line"),
        ({"src": "t.json"}, {"t.json": '{"a": hush}'}, "is not JSON: Expecting value: line 1"),
        ({"src": "t"}, {"t": "1: x\n'1': y"}, '"1" is named twice'),
        ({"src": "t"}, {"t": VaultLib(SECRETS).encrypt("a: x")}, "src t cannot be read: "),
        ({"tree": {1: "x", "1": "y"}}, {}, '"1" is named twice'),
        ({"tree": {"a": {1, 2}}}, {}, "a value of type set; give strings, numbers"),
    ],
)
def test_what_is_refused_is_a_failed_task_and_no_module_runs(run, arguments, files, says):
    result, action = run(arguments, files)
    assert result.pop("failed") is True
    assert result.pop("changed") is False
    message = result.pop("msg")
    assert result == {"error": "ClientException", "error_code": None}
    assert says in message
    assert "\n" not in message
    assert "hush" not in message
    assert action.executed == []


def test_a_task_in_the_background(run, tmp_path):
    action = Action(tmp_path, {"path": "/t", "tree": {}})
    action._task.async_val = 60
    _tree_source.run_module(action, {})
    assert action.executed[0]["wrap_async"] == 60
