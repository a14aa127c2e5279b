# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation against what it documents."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.quorum.etcd.plugins.doc_fragments import attributes, connection
from ansible_collections.quorum.etcd.plugins.module_utils import _connection, errors
from ansible_collections.quorum.etcd.plugins.module_utils._tasks import info

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = "ansible_collections.quorum.etcd.plugins."
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))

CONNECTION = yaml.safe_load(connection.ModuleDocFragment.DOCUMENTATION)["options"]
SETTABLE = yaml.safe_load(connection.ModuleDocFragment.PLUGINS)["options"]


def load(name):
    """Documentation, return values, and argument spec of a module."""
    module = importlib.import_module("%smodules.%s" % (PLUGINS, name))
    return yaml.safe_load(module.DOCUMENTATION), yaml.safe_load(module.RETURN), module.ARGUMENT_SPEC


def facts(option, nested):
    """What documentation and argument spec both say of an option."""
    return {
        "type": option.get("type", "str"),
        "elements": option.get("elements"),
        "required": option.get("required", False),
        "default": option.get("default"),
        "choices": option.get("choices"),
        "aliases": option.get("aliases", []),
        "suboptions": all_facts(option.get(nested) or {}, nested),
    }


def all_facts(options, nested):
    return {name: facts(option, nested) for name, option in options.items()}


def test_the_connection_options_are_those_of_the_argument_spec():
    assert all_facts(CONNECTION, "suboptions") == all_facts(_connection.ARGUMENT_SPEC, "options")


def test_the_connection_options_say_nothing_else():
    for name, option in CONNECTION.items():
        known = {"description", "type", "elements", "default", "choices", "aliases"}
        assert set(option) <= known, name


def test_every_connection_option_can_be_set_where_plugins_are():
    assert list(SETTABLE) == list(CONNECTION)
    for name, sources in SETTABLE.items():
        assert [one["name"] for one in sources["vars"]] == ["ansible_etcd_%s" % name]
        assert sources["ini"] == [{"section": "etcd", "key": name}], name
        assert sources["env"][0] == {"name": "ANSIBLE_ETCD_%s" % name.upper()}


def environment():
    """The variables of each option that modules look for."""
    yield from _connection.ENVIRONMENT.items()
    for identity in _connection.IDENTITIES:
        for name, sources in zip(identity.names, zip(*identity.sources)):
            yield name, tuple(variable for source in sources for variable in source)


def test_the_environment_of_plugins_is_that_of_modules():
    for name, variables in environment():
        ours = [one for one in variables if one.startswith("ANSIBLE_ETCD_")]
        assert [one["name"] for one in SETTABLE[name]["env"]] == ours


def test_every_variable_of_the_environment_is_documented():
    for name, variables in environment():
        description = CONNECTION[name]["description"]
        text = " ".join(description) if isinstance(description, list) else description
        for variable in variables:
            assert "E(%s)" % variable in text, name
    for name in ("username", "password"):
        assert "E(ETCDCTL_USER)" in " ".join(CONNECTION[name]["description"])


def test_secrets_are_marked():
    assert _connection.ARGUMENT_SPEC["password"]["no_log"] is True


@pytest.mark.parametrize("name", MODULES)
def test_the_options_of_a_module_are_those_of_its_argument_spec(name):
    documentation, unused, spec = load(name)
    assert documentation["module"] == name
    assert all_facts(documentation.get("options") or {}, "suboptions") == all_facts(spec, "options")


WORDS = {
    "description",
    "type",
    "elements",
    "required",
    "default",
    "choices",
    "aliases",
    "suboptions",
    "version_added",
}
"""What the documentation of an option may say, as validate-modules has it."""


def options_of(documented):
    """Every option and suboption with its name."""
    for name, option in documented.items():
        yield name, option
        yield from options_of(option.get("suboptions") or {})


@pytest.mark.parametrize("name", MODULES)
def test_the_options_of_a_module_say_nothing_else(name):
    for option, documented in options_of(load(name)[0].get("options") or {}):
        assert set(documented) <= WORDS, option


@pytest.mark.parametrize("name", MODULES)
def test_the_options_of_a_module_do_not_hide_those_of_the_connection(name):
    spec = load(name)[2]
    taken = set(_connection.ARGUMENT_SPEC) | {"allow_reconnect"}
    assert not set(spec) & taken


@pytest.mark.parametrize("name", MODULES)
def test_a_module_uses_the_fragments(name):
    documentation, returned, unused = load(name)
    files = ["ansible.builtin.files"] if name == "etcd_backup" else []
    assert documentation["extends_documentation_fragment"] == [
        *files,
        "quorum.etcd.attributes",
        "quorum.etcd.connection",
    ]
    known = yaml.safe_load(attributes.ModuleDocFragment.DOCUMENTATION)["attributes"]
    assert set(documentation["attributes"]) == set(known) - {"action_group"}
    for key, value in returned.items():
        assert {"description", "type", "returned"} <= set(value), key


def names_of(returned):
    """Every name in return values, those of what they contain included."""
    for name, value in returned.items():
        yield name
        yield from names_of(value.get("contains") or {})


@pytest.mark.parametrize("name", MODULES)
def test_return_values_can_be_read_with_a_dot(name):
    # In a template, `result.keys` is the method of the dictionary.
    for key in names_of(load(name)[1]):
        assert key.isidentifier() and not hasattr(dict, key)


ANSIBLE_SETS = {
    "ansible_facts",
    "ansible_job_id",
    "attempts",
    "deprecations",
    "exception",
    "failed",
    "failed_when_result",
    "finished",
    "invocation",
    "item",
    "msg",
    "path",
    "results",
    "results_file",
    "retries",
    "skip_reason",
    "skipped",
    "started",
    "stderr_lines",
    "stdout_lines",
    "unreachable",
    "warnings",
}
"""Keys of a result that Ansible sets or gives a meaning to; `path` is a file of the host, of which it
adds owner, mode and size."""


@pytest.mark.parametrize("name", MODULES)
def test_return_values_are_not_those_of_ansible(name):
    assert not set(load(name)[1]) & ANSIBLE_SETS


@pytest.mark.parametrize("name", MODULES)
def test_only_a_module_that_writes_a_file_names_one(name):
    # Ansible takes `dest` as it takes `path`.
    assert ("dest" in load(name)[1]) == (name == "etcd_backup")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_use_options_that_exist(name):
    module = importlib.import_module("%smodules.%s" % (PLUGINS, name))
    known = set(module.ARGUMENT_SPEC) | set(_connection.ARGUMENT_SPEC)
    examples = yaml.safe_load(module.EXAMPLES)
    used = [task["quorum.etcd." + name] for task in examples if "quorum.etcd." + name in task]
    assert used
    for options in used:
        assert set(options or {}) <= known


def test_every_module_is_in_the_action_group():
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    assert sorted(runtime["action_groups"]["etcd"]) == MODULES


def test_every_plugin_has_documentation_examples_and_return_values():
    for kind in ("modules", "lookup"):
        for path in (ROOT / "plugins" / kind).glob("*.py"):
            texts = [
                node.targets[0].id
                for node in ast.parse(path.read_text(encoding="utf-8")).body
                if isinstance(node, ast.Assign)
            ]
            assert {"DOCUMENTATION", "EXAMPLES", "RETURN"} <= set(texts), path.name


def lookup_documentation():
    path = ROOT / "plugins" / "lookup" / "etcd_key.py"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "DOCUMENTATION":
            return yaml.safe_load(node.value.value)
    raise AssertionError("no DOCUMENTATION")


def test_the_lookup_documents_every_option_that_it_reads():
    source = (ROOT / "plugins" / "plugin_utils" / "_lookup.py").read_text(encoding="utf-8")
    read = {
        node.args[0].value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "get_option"
        and isinstance(node.args[0], ast.Constant)
    }
    documentation = lookup_documentation()
    assert read == set(documentation["options"]) - {"_terms"}
    assert documentation["extends_documentation_fragment"] == [
        "quorum.etcd.connection",
        "quorum.etcd.connection.plugins",
    ]


def test_the_failure_page_has_the_name_of_every_failure():
    page = (ROOT / "docs/docsite/rst/failure_semantics_guide.rst").read_text(encoding="utf-8")
    table = page.partition("Names of failures\n---")[2].partition("\nWaiting\n")[0]
    names = {
        name
        for name, one in vars(errors).items()
        if isinstance(one, type)
        and issubclass(one, Exception)
        and one.__module__ == errors.__name__
    }
    assert len(names) > 50
    told = re.findall(r"``(ClientException|Etcd\w+)``", table)
    assert sorted(told) == sorted(names)
    # Nor is there a name elsewhere on the page that no failure has.
    assert set(re.findall(r"``(\w*Exception|Etcd\w+)``", page)) <= names


@pytest.mark.parametrize("name", MODULES)
def test_a_module_names_failures_that_there_are(name):
    text = str(load(name)[1]["error"]["description"])
    assert "failure_semantics_guide" in text
    named = re.findall(r"\bV\((\w+)\)", text)
    assert named
    assert [one for one in named if not hasattr(errors, one)] == []


def test_what_can_be_gathered_is_what_the_module_offers():
    spec = load("etcd_info")[2]
    assert sorted(spec["gather"]["choices"]) == sorted(info.SUBSETS)


def test_the_guide_lists_the_variables_of_the_playbook():
    playbook = (ROOT / "playbooks" / "restore.yml").read_text(encoding="utf-8")
    guide = (ROOT / "docs/docsite/rst/roles_guide.rst").read_text(encoding="utf-8")
    used = set(re.findall(r"\betcd_restore_\w+", playbook)) - {"etcd_restore_result"}
    listed = re.findall(r"``(etcd_restore_\w+)``", guide)
    assert sorted(listed) == sorted(used)
    defaults = dict(re.findall(r"(etcd_restore_\w+) \| default\('?(.*?)'?[,)]", playbook))
    rows = dict(re.findall(r"\* - ``(\w+)``\n     - ``(.*)``\n", guide))
    assert rows == {name: one for name, one in defaults.items() if one not in ("", "omit")}
