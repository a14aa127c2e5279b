# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of modules, read from their source: these tests run without Ansible, which it imports."""

from __future__ import annotations

import ast
import typing as t
from pathlib import Path

_MODULES = Path(__file__).resolve().parents[2] / "plugins" / "modules"


def left_out(module: str) -> t.Dict[str, t.Any]:
    """What Ansible makes of the options of a module that a task does not set."""
    tree = ast.parse((_MODULES / (module + ".py")).read_text(encoding="utf-8"))
    (spec,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ARGUMENT_SPEC"
    )
    return {name: one.get("default") for name, one in ast.literal_eval(spec).items()}
