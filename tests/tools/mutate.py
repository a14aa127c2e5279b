# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes one detail of the code after the other, and says which changes no unit test notices.

    mutate.py                               every file of `TESTS`, by the tests that are named there
    mutate.py _retry.py                     those whose names contain this
    mutate.py --tests FILE... -- FILE...    other files, by other tests

Comparisons, "and" and "or", numbers, True and False, "not", and the conditions of "if" and "while"
are changed, in a copy of the checkout. What survives wants a test, or is code that does not matter.
Exits with 1 if something survives that `EQUIVALENT` does not list.

Needs Python 3.9, pytest and ansible-core.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import importlib.util
import os
import py_compile
import shutil
import signal
import sys
import tempfile
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UTILS = "plugins/module_utils/"
UNITS = "tests/unit/plugins/module_utils/"

#: The files that decide, and the tests that are to notice each change of them.
TESTS: t.Dict[str, t.Tuple[str, ...]] = {
    UTILS + "_retry.py": ("test__retry.py",),
    UTILS + "_in_doubt.py": ("test__in_doubt.py", "test__apply.py"),
    UTILS + "_carry_out.py": ("test__in_doubt.py", "test__apply.py"),
    UTILS + "_apply.py": ("test__apply.py",),
    UTILS + "_reading.py": ("test__in_doubt.py", "test__apply.py"),
    UTILS + "_batch.py": ("test__batch.py",),
    UTILS + "_plan/key.py": ("_plan/test_plan_key.py", "test__apply.py"),
    UTILS + "_plan/dir.py": ("_plan/test_plan_dir.py",),
    UTILS + "_plan/tree.py": ("_plan/test_plan_tree.py",),
}

#: Changes that change nothing: file, the line as it becomes, and why.
EQUIVALENT: t.Dict[t.Tuple[str, str], str] = {
    (UTILS + "_in_doubt.py", "_HISTORY_WAIT = 1.5"): "a time to wait, no decision",
    (
        UTILS + "_carry_out.py",
        "if action.kind is ActionKind.REFRESH and action.ttl is not None:",
    ): "for the checker of types: a refresh is planned on a key that is there",
    (
        UTILS + "_carry_out.py",
        "if action.kind is ActionKind.REFRESH and action.before is not None:",
    ): "for the checker of types: a refresh has a TTL",
}

#: Seconds after which a test run that does not end counts as one that has failed.
LIMIT = 120.0

_OPPOSITES: t.Dict[t.Type[ast.cmpop], t.Type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}

#: Fields whose content does nothing when the code runs.
_TYPES = ("annotation", "returns", "decorator_list", "bases", "type_comment")


class Mutant(t.NamedTuple):
    """One change.

    Attributes:
        source: the whole file with it.
        before, after: the statement that it is in, or the first line of it.
    """

    name: str
    line: int
    before: str
    after: str
    source: str


def mutants(name: str, source: str) -> t.Iterator[Mutant]:
    """Every change of a file, one at a time."""
    tree = ast.parse(source)
    for parent, field, index, statement in _places(tree, None):
        holder = getattr(parent, field)
        node = holder if index is None else holder[index]
        before = _first_line(statement)
        for other in _replacements(node, parent, field):
            _put(parent, field, index, other)
            yield Mutant(
                name,
                getattr(node, "lineno", statement.lineno),
                before,
                _first_line(statement),
                ast.unparse(tree),
            )
            _put(parent, field, index, node)


def _first_line(statement: ast.stmt) -> str:
    lines = ast.unparse(statement).splitlines()
    return lines[0]


def _put(parent: ast.AST, field: str, index: t.Optional[int], node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


Place = t.Tuple[ast.AST, str, t.Optional[int], ast.stmt]


def _places(node: ast.AST, statement: t.Optional[ast.stmt]) -> t.Iterator[Place]:
    """Where expressions and operators are: parent, field, index in it, and the statement around."""
    if isinstance(node, ast.FunctionDef) and _is_declaration(node):
        return
    for field, value in ast.iter_fields(node):
        if field in _TYPES:
            continue
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            if not isinstance(child, ast.AST):
                continue
            inner = child if isinstance(child, ast.stmt) else statement
            if inner is not None and not isinstance(child, ast.stmt):
                yield node, field, index if isinstance(value, list) else None, inner
            yield from _places(child, inner)


def _is_declaration(function: ast.FunctionDef) -> bool:
    """Whether it is a docstring only, as in a protocol."""
    return len(function.body) == 1 and ast.get_docstring(function) is not None


def _replacements(node: ast.AST, parent: ast.AST, field: str) -> t.Iterator[ast.AST]:
    if isinstance(node, ast.cmpop) and type(node) in _OPPOSITES:
        yield _OPPOSITES[type(node)]()
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        for left_out in range(len(node.values)):
            rest = node.values[:left_out] + node.values[left_out + 1 :]
            yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        # What stands for None in "x or 0" hardly ever matters.
        if not (isinstance(parent, ast.BoolOp) and isinstance(parent.op, ast.Or)):
            yield ast.Constant(node.value + 1)
    if field == "test" and isinstance(parent, (ast.If, ast.IfExp)):
        yield ast.Constant(True)
        yield ast.Constant(False)
    elif field == "test" and isinstance(parent, ast.While):
        yield ast.Constant(False)
    elif field == "ifs":
        yield ast.Constant(True)


class Copy:
    """A copy of the checkout in which one change is tried at a time."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "ansible_collections" / "quorum" / "etcd"
        self._tree = folder
        for part in ("plugins", "tests/unit", "meta"):
            shutil.copytree(ROOT / part, self.root / part)
        for path in ROOT.glob("*.yml"):
            shutil.copy(path, self.root)
        # Most of a run is spent on compiling what is the same in each. What is changed is compiled
        # anew, as its file has no bytecode.
        unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_dir(self.root, quiet=2, invalidation_mode=unchecked)

    def start(self, mutant: Mutant, tests: t.Sequence[str]) -> int:
        """Put the change in and run the tests in a process of their own; its id."""
        path = self.root / mutant.name
        path.write_text(mutant.source, encoding="utf-8")
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
        pid = os.fork()
        if pid:
            return pid
        os.setpgid(0, 0)
        os.chdir(self.root)
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        sys.path.insert(0, str(self._tree))
        sys.dont_write_bytecode = True
        import pytest

        os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--assert=plain", *tests])))

    def restore(self, mutant: Mutant) -> None:
        """Take the change out; without bytecode, which could be that of the change."""
        shutil.copy(ROOT / mutant.name, self.root / mutant.name)


def survivors(
    todo: t.Iterator[Mutant], tests: t.Callable[[str], t.Sequence[str]], jobs: int
) -> t.Iterator[Mutant]:
    """The changes with which the tests pass."""
    with tempfile.TemporaryDirectory() as folder:
        free = [Copy(Path(folder) / str(number)) for number in range(jobs)]
        running: t.Dict[int, t.Tuple[Copy, Mutant, float]] = {}
        more = True
        while more or running:
            while more and free:
                mutant = next(todo, None)
                if mutant is None:
                    more = False
                    break
                copy = free.pop()
                running[copy.start(mutant, tests(mutant.name))] = (copy, mutant, time.monotonic())
            for pid, (copy, mutant, began) in list(running.items()):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if not ended and time.monotonic() - began > LIMIT:
                    os.kill(pid, signal.SIGKILL)
                    ended, status = os.waitpid(pid, 0)
                if ended:
                    del running[pid]
                    copy.restore(mutant)
                    free.append(copy)
                    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
                        yield mutant
            time.sleep(0.01)


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tests", nargs="+", help="test files, instead of those of TESTS")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("files", nargs="*", help="parts of names of files, or files with --tests")
    arguments = parser.parse_args()
    if arguments.tests:
        names = arguments.files
    else:
        wanted = arguments.files or [""]
        names = [name for name in TESTS if any(part in name for part in wanted)]

    def tests(name: str) -> t.Sequence[str]:
        return arguments.tests or [UNITS + one for one in TESTS[name]]

    # What every run imports is imported once.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    import ansible.module_utils.basic  # noqa: F401
    import pytest  # noqa: F401

    count = [0]

    def todo() -> t.Iterator[Mutant]:
        for name in names:
            for mutant in mutants(name, (ROOT / name).read_text(encoding="utf-8")):
                count[0] += 1
                yield mutant

    # Without a change, each file as it is when it is written anew, all tests have to pass.
    clean = [
        Mutant(name, 0, "", "", ast.unparse(ast.parse((ROOT / name).read_text(encoding="utf-8"))))
        for name in names
    ]
    if len(list(survivors(iter(clean), tests, arguments.jobs))) != len(clean):
        print("the tests fail without a change; run them first")
        return 2
    left = 0
    for one in survivors(todo(), tests, arguments.jobs):
        if (one.name, one.after) in EQUIVALENT:
            continue
        left += 1
        print("%s:%d\n  - %s\n  + %s" % (one.name, one.line, one.before, one.after), flush=True)
    print("%d changes, of which no test notices %d" % (count[0], left))
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
