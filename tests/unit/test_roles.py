# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables of the roles: documented, declared and defaulted alike."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[2] / "roles"
NAMES = ["replace_member", "server"]


def options(name):
    """What the role declares."""
    specs = yaml.safe_load(
        (ROLES / name / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    )
    return specs["argument_specs"]["main"]["options"]


def defaults(name):
    """What the role assumes."""
    return yaml.safe_load((ROLES / name / "defaults" / "main.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_has_the_variables_that_are_declared(name):
    text = (ROLES / name / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(etcd_\w+)` \|", text, re.MULTILINE)
    assert sorted(rows) == sorted(options(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_default_is_declared_as_it_is(name):
    declared = options(name)
    for variable, value in defaults(name).items():
        if "default" in declared[variable]:
            assert declared[variable]["default"] == value, variable
        else:
            # What is empty, or made of other variables, is described in words.
            assert value in ("", {}) or "{{" in str(value), variable


@pytest.mark.parametrize("name", [*NAMES, "backup"])
def test_no_password_is_logged(name):
    secret = {one: spec for one, spec in options(name).items() if "password" in one}
    assert [one for one, spec in secret.items() if spec.get("no_log") is not True] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_that_is_used_is_declared(name):
    declared = {variable for role in NAMES for variable in options(role)}
    files = [path for path in (ROLES / name).rglob("*") if path.suffix in (".yml", ".j2")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    used = set(re.findall(r"(?<![\w/])etcd_(?:server|replace_member)_\w+", text))
    assert used - declared == set()


def tasks(content):
    """All tasks of a list of them, those of blocks as well."""
    for task in content:
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks(task.get(part, []))


@pytest.mark.parametrize("name", [*NAMES, "backup"])
def test_no_variable_of_a_task_is_hidden_by_a_result(name):
    """What was registered or set once outweighs the variables of each later task."""
    found = [
        task
        for path in sorted((ROLES / name / "tasks").glob("*.yml"))
        for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8")))
    ]
    kept = {task["register"] for task in found if "register" in task}
    kept |= {one for task in found for one in task.get("ansible.builtin.set_fact", ())}
    assert sorted(kept & {one for task in found for one in task.get("vars", ())}) == []
