# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of docs/architecture.md, held against the source."""

from __future__ import annotations

import ast
import fnmatch
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
ROOT = "ansible_collections.quorum.etcd.plugins."

#: The lowest first. An import points to a lower level, never to the same one.
LEVELS = [
    [
        "module_utils/errors.py",
        "module_utils/_types.py",
        "module_utils/_actions.py",
        "module_utils/_connecting.py",
        "module_utils/_deps.py",
        "module_utils/_records.py",
        "module_utils/_results.py",
    ],
    [
        "module_utils/_limits.py",
        "module_utils/_documents.py",
        "module_utils/_files.py",
        "module_utils/_lines.py",
        "module_utils/_messages.py",
        "module_utils/_reading.py",
        "module_utils/_retry.py",
        "module_utils/_patterns.py",
        "module_utils/_progress.py",
        "module_utils/_shapes.py",
    ],
    [
        "module_utils/_adapter.py",
        "module_utils/_endpoints.py",
        "module_utils/_in_doubt.py",
        "module_utils/_streams.py",
        "module_utils/_watch.py",
        "module_utils/_wire.py",
        "module_utils/_values.py",
        "module_utils/_diffs.py",
    ],
    [
        "module_utils/_operation.py",
    ],
    [
        "module_utils/_hedging.py",
    ],
    [
        "module_utils/_plan/auth.py",
        "module_utils/_plan/dir.py",
        "module_utils/_plan/key.py",
        "module_utils/_plan/member.py",
        "module_utils/_plan/tree_wish.py",
        "module_utils/_plan/wait.py",
        "module_utils/_http.py",
        "module_utils/_transport.py",
        "module_utils/_discovery.py",
        "module_utils/_backups.py",
        "module_utils/_carry_out.py",
        "module_utils/_host_files.py",
        "module_utils/_api/*.py",
    ],
    [
        "module_utils/_apply.py",
        "module_utils/_batch.py",
        "module_utils/_keys_client.py",
        "module_utils/_plan/tree.py",
        "module_utils/_plan/tree_diff.py",
        "module_utils/_plan/tree_restore.py",
    ],
    ["module_utils/client.py", "module_utils/_tasks/*.py"],
    ["module_utils/_connection.py"],
    ["module_utils/_module.py", "plugin_utils/*.py"],
    ["modules/*.py", "lookup/*.py", "action/*.py"],
]

#: These import nothing of ours.
ALONE = ["doc_fragments/*.py"]

FILES = sorted(path.relative_to(PLUGINS).as_posix() for path in PLUGINS.rglob("*.py"))
TREES = {name: ast.parse((PLUGINS / name).read_text(encoding="utf-8")) for name in FILES}


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def level_of(name):
    found = [level for level, patterns in enumerate(LEVELS) if matches(name, patterns)]
    assert len(found) == 1, "%s belongs into LEVELS once" % name
    return found[0]


def imports(tree):
    """Dotted names of all that is imported, `from a import b` as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                yield one.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "line %d: a relative import" % node.lineno
            for one in node.names:
                yield "%s.%s" % (node.module, one.name)


def files_imported(tree):
    """Our own files that are imported."""
    for dotted in imports(tree):
        if not dotted.startswith("ansible_collections."):
            continue
        assert dotted.startswith(ROOT), dotted
        parts = dotted[len(ROOT) :].split(".")
        for end in (len(parts), len(parts) - 1):
            name = "/".join(parts[:end]) + ".py"
            if name in TREES:
                yield name
                break
        else:
            raise AssertionError("%s is no file of the collection" % dotted)


def libraries(tree):
    return {dotted.partition(".")[0] for dotted in imports(tree)}


def text_of(name):
    return (PLUGINS / name).read_text(encoding="utf-8")


def names_used(tree):
    """Identifiers and attributes of the code; texts and comments are left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def test_there_is_something_to_look_at():
    assert len(FILES) > 20
    assert [name for name in FILES if name.endswith("__init__.py")] == []


def test_every_file_has_one_level():
    for name in FILES:
        assert matches(name, ALONE) or level_of(name) is not None


def test_imports_point_downwards():
    assert [
        "%s imports %s" % (name, other)
        for name in FILES
        for other in files_imported(TREES[name])
        if matches(name, ALONE) or level_of(other) >= level_of(name)
    ] == []


@pytest.mark.parametrize(
    "library, rooms",
    [
        ("requests", ["module_utils/_deps.py"]),
        ("urllib3", ["module_utils/_deps.py"]),
        ("dns", ["module_utils/_deps.py"]),
        (
            "os",
            [
                "module_utils/_files.py",
                "module_utils/_host_files.py",
                "module_utils/_module.py",
                "plugin_utils/_lookup.py",
            ],
        ),
        ("yaml", ["module_utils/_deps.py"]),
        ("six", []),
    ],
)
def test_a_library_is_imported_where_it_may_be(library, rooms):
    assert [name for name in FILES if library in libraries(TREES[name])] == rooms


def test_libraries_are_imported_only_where_they_are_asked_for():
    top = [
        one.name
        for node in TREES["module_utils/_deps.py"].body
        for part in ast.walk(node)
        if isinstance(part, ast.Import) and not isinstance(node, ast.FunctionDef)
        for one in part.names
    ]
    assert set(top) <= {"traceback", "typing"}


def test_plans_know_no_network_and_no_clock():
    known = {
        "__future__",
        "ansible_collections",
        "dataclasses",
        "enum",
        "fnmatch",
        "json",
        "re",
        "typing",
    }
    for name in FILES:
        if matches(name, ["module_utils/_plan/*"]):
            assert libraries(TREES[name]) <= known, name


@pytest.mark.parametrize(
    "word, rooms",
    [
        ("check_mode", ["module_utils/_module.py"]),
        ("AnsibleModule", ["module_utils/_module.py"]),
        ("fail_json", ["module_utils/_module.py"]),
        ("exit_json", ["module_utils/_module.py"]),
        ("AnsibleLookupError", ["plugin_utils/_lookup.py"]),
        ("Display", ["plugin_utils/_lookup.py"]),
        ("Client", ["module_utils/_connection.py"]),
    ],
)
def test_a_word_has_its_rooms(word, rooms):
    assert [name for name in FILES if word in set(names_used(TREES[name]))] == rooms


WIRE_WORDS = ("prevIndex", "prevValue", "prevExist", "waitIndex", "/v2/", "X-Etcd-", "noValueOn")


def test_no_word_of_the_wire_above_the_client():
    """A task says what it wishes; how v2 spells that is the client's business."""
    below = sum(LEVELS[:7], ["module_utils/client.py"])
    assert [
        "%s says %s" % (name, word)
        for name in FILES
        for word in WIRE_WORDS
        if not matches(name, below) and word in text_of(name)
    ] == []


HANDLERS = [
    ("%s:%d" % (name, node.lineno), node)
    for name in FILES
    for node in ast.walk(TREES[name])
    if isinstance(node, ast.ExceptHandler)
]


def test_no_exception_is_caught_blindly():
    for where, handler in HANDLERS:
        assert handler.type is not None, where
        caught = {part.id for part in ast.walk(handler.type) if isinstance(part, ast.Name)}
        assert not caught & {"Exception", "BaseException"}, where


def test_no_exception_is_dropped():
    for where, handler in HANDLERS:
        assert not any(isinstance(part, ast.Pass) for part in handler.body), where


def test_an_exception_names_the_one_it_comes_from():
    for where, handler in HANDLERS:
        for part in ast.walk(handler):
            if isinstance(part, ast.Raise) and part.exc is not None:
                again = isinstance(part.exc, ast.Name) and part.exc.id == handler.name
                assert part.cause is not None or again, where


# REUSE-IgnoreStart
HEADER = [
    "# Copyright the quorum.etcd contributors",
    "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)",
    "# SPDX-License-Identifier: GPL-3.0-or-later",
    "",
]
# REUSE-IgnoreEnd


def test_every_file_has_the_header():
    for name in FILES:
        lines = text_of(name).splitlines()
        if name.startswith("modules/"):
            assert lines.pop(0) == "#!/usr/bin/python", name
        assert lines[:4] == HEADER, name
        assert "from __future__ import annotations" in lines, name


PUBLIC = ["module_utils/client.py", "module_utils/errors.py"]


def test_a_util_says_whether_it_is_private():
    for name in FILES:
        if "_utils/" in name:
            docstring = ast.get_docstring(TREES[name])
            assert ("This file is PUBLIC" in docstring) is (name in PUBLIC), name
            assert ("PRIVATE to the collection" in docstring) is (name not in PUBLIC), name
            assert ("/_" in name) is (name not in PUBLIC), name


@pytest.mark.parametrize("name", [one for one in FILES if one.startswith("modules/")])
def test_a_module_is_documentation_and_one_call(name):
    tree = TREES[name]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Try)]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert [(one.name, len(one.body)) for one in functions] == [("main", 1)]
    assigned = {node.targets[0].id: node for node in tree.body if isinstance(node, ast.Assign)}
    assert list(assigned) == ["DOCUMENTATION", "EXAMPLES", "RETURN", "ARGUMENT_SPEC"]
    assert assigned["ARGUMENT_SPEC"].lineno - assigned["RETURN"].end_lineno < 8
    assert len(text_of(name).splitlines()) - assigned["ARGUMENT_SPEC"].end_lineno < 10


def test_the_code_is_valid_on_the_oldest_python():
    """Modules and what they use run on 3.8 and newer."""
    for name in FILES:
        if name.startswith(("module_utils/", "modules/")):
            ast.parse(text_of(name), name, feature_version=(3, 8))
            assert not [node for node in ast.walk(TREES[name]) if type(node).__name__ == "Match"]
