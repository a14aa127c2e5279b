# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every block of code that the documentation shows: guides, READMEs, examples of plugins."""

from __future__ import annotations

import ast
import re
import textwrap
import typing as t
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_RST_BLOCK = re.compile(
    r"^(?P<lead>[ ]*(?P<left>\* - )?(?:- )?)\.\. code-block:: (?P<language>\w+)\n\n"
    r"(?P<text>(?:(?P<indent>[ ]+)\S.*\n)(?:(?P=indent).*\n|[ ]*\n)*)",
    re.MULTILINE,
)
"""A block, also one in a cell of a table; `left` if the cell is the first one of its row."""

_MD_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

_FIRST_NAME = re.compile(r"^ *- name: (.+)$", re.MULTILINE)

_ENDINGS = {"yaml": "yml", "python": "py", "jinja": "j2"}


@dataclass(frozen=True)
class Block:
    """A block of code. `before` if it shows what one had before, in a guide on moving."""

    document: str
    name: str
    language: str
    text: str
    before: bool

    @property
    def file(self) -> str:
        """The name of the file that it is written to."""
        return "%s.%s" % (self.name, _ENDINGS.get(self.language, self.language))


def all_blocks() -> t.List[Block]:
    """All of them, in the order in which a reader sees them, document by document."""
    blocks: t.List[Block] = []
    for path in sorted(ROOT.glob("docs/docsite/rst/*.rst")):
        found = [
            (match["language"], textwrap.dedent(match["text"]), match["left"] is not None)
            for match in _RST_BLOCK.finditer(_text(path))
        ]
        blocks += _named(path.stem, found)
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("roles/*/*.md")]):
        document = path.parent.name if path.parent.parent.name == "roles" else path.stem
        found = [(one["language"], one["text"], False) for one in _MD_BLOCK.finditer(_text(path))]
        blocks += _named(document, found)
    for kind in ("modules", "lookup"):
        for path in sorted(ROOT.glob("plugins/%s/*.py" % kind)):
            blocks += _named("%s/%s" % (kind, path.stem), [("yaml", _examples(path), False)])
    return blocks


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _named(document: str, found: t.Iterable[t.Tuple[str, str, bool]]) -> t.Iterator[Block]:
    seen: t.Counter[str] = Counter()
    for language, text, before in found:
        first = _FIRST_NAME.search(text)
        words = first[1].lower() if language == "yaml" and first else language
        name = re.sub("[^a-z0-9]+", "-", words).strip("-")
        if document.startswith(("modules/", "lookup/")):
            name = "examples"
        name = "before-" + name if before else name
        seen[name] += 1
        number = "-%d" % seen[name] if seen[name] > 1 else ""
        yield Block(document, name + number, language, text.strip("\n") + "\n", before)


def _examples(path: Path) -> str:
    for node in ast.parse(_text(path)).body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "EXAMPLES"
        ):
            return str(ast.literal_eval(node.value))
    raise AssertionError("%s has no EXAMPLES" % path.name)
