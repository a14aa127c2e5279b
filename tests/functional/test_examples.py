# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every block of code in the documentation is run against real servers, or listed here with a reason.

What a document takes for granted, and what must hold afterwards, is in examples/DOCUMENT.yml. Only
addresses and paths of files are exchanged for real ones.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import subprocess
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import client as client_module
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from harness import Binary, Certs, Cluster, community
from harness.example_blocks import ROOT, Block, all_blocks

BLOCKS = all_blocks()
SCENARIOS = Path(__file__).parent / "examples"
COLLECTIONS = Path(client_module.__file__).parents[5]
_LIMIT = 300
"""Seconds that the playbook of a document may take."""

_BY_HAND = "a command that a person types; make test runs the same in another way: "
_ROLES = "a role makes hosts into a cluster: make roles PARTS=guide runs it, word for word"

NOT_RUN = {
    ("CONTRIBUTING", "yaml"): "a fragment of the changelog, nothing for a server",
    ("README", "console"): _BY_HAND + "the stage install",
    ("architecture", "mermaid"): "a picture",
    ("architecture", "mermaid-2"): "a picture",
    (
        "backup",
        "save-the-store-of-the-cluster",
    ): "as in the guide on the roles; the target role_backup",
    ("connection_guide", "set-a-key-of-the-cluster-that-dns-names"): (
        "needs the name servers of the system: the target etcd_key_srv has ones of its own"
    ),
    ("getting_started_guide", "console"): _BY_HAND + "the harness starts servers so",
    ("getting_started_guide", "console-2"): _BY_HAND + "the stage install",
    ("getting_started_guide", "console-3"): _BY_HAND + "examples/getting_started_guide.yml",
    ("getting_started_guide", "console-4"): _BY_HAND + "each target has a check mode and a diff",
    ("replace_member", "replace-what-is-broken-on-node3"): _ROLES,
    ("roles_guide", "an-etcd-cluster"): _ROLES,
    ("roles_guide", "console"): _ROLES,
    ("roles_guide", "app"): "make roles PARTS=certificates has such clients",
    ("roles_guide", "give-the-application-its-certificate"): _ROLES,
    ("roles_guide", "replace-what-is-broken-on-node3"): _ROLES,
    ("roles_guide", "save-the-store-of-the-cluster"): _ROLES,
    ("roles_guide", "yaml"): "an inventory: that of make roles has other addresses",
    ("roles_guide", "yaml-2"): _ROLES,
    ("roles_guide", "yaml-3"): _ROLES,
    ("roles_guide", "yaml-4"): _ROLES,
    ("server", "an-etcd-cluster"): _ROLES,
    ("server", "app"): "make roles PARTS=certificates has such clients",
    ("server", "yaml"): "an inventory: as in the guide on the roles",
}


def _scenario_of(document: str) -> Path:
    return SCENARIOS / (document.replace("/", "_") + ".yml")


PYTHON = sorted({one.document for one in BLOCKS if one.language == "python"})
BEFORE = sorted({one.document for one in BLOCKS if one.language == "python" and one.before})
PLAYBOOKS = sorted({one.document for one in BLOCKS if _scenario_of(one.document).is_file()})


@pytest.fixture(scope="session")
def binary(servers: t.Sequence[Binary]) -> Binary:
    """The examples are about how to use the collection: one server is enough."""
    return servers[0]


@pytest.fixture
def empty(three: Cluster) -> Cluster:
    """Three nodes that hold no key."""
    client = Client(three.endpoints)
    root = client.read("/", quorum=True).node
    assert root is not None
    for node in root.nodes:
        if node.dir:
            client.rmdir(node.key, recursive=True)
        else:
            client.delete(node.key)
    return three


class Stage(t.NamedTuple):
    """Where a document's examples run, what happens meanwhile, and what is exchanged in them.

    `collections` are folders of other collections.
    """

    cluster: Cluster
    meanwhile: t.ContextManager[t.Any]
    exchange: t.Mapping[str, str]
    collections: t.Sequence[Path] = ()


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    """What the document of the test needs: most of them an empty store and nothing else."""
    document = request.node.callspec.params["document"]
    exchange = {"/var/backups/etcd": str(tmp_path / "work")}
    if document == "modules/etcd_member":
        cluster = request.getfixturevalue("own_three")
        peer_url = cluster.new_peer_url()
        exchange["http://10.0.1.13:2380"] = peer_url
        return Stage(cluster, _meanwhile(_start_announced, cluster, peer_url), exchange)
    if document == "modules/etcd_auth":
        return Stage(request.getfixturevalue("own_single"), contextlib.nullcontext(), exchange)
    cluster = request.getfixturevalue("empty")
    if document == "migrate_pyetcd_guide":
        # Its hosts are names, which have no place for a port; pairs do.
        for number, endpoint in enumerate(cluster.endpoints):
            host, unused, port = endpoint.partition("://")[2].partition(":")
            exchange['"10.0.1.1%d"' % number] = '("%s", %s)' % (host, port)
    if document == "migrate_community_general_guide":
        try:
            other = community.collections_path()
        except community.CannotBeHadError as exc:
            pytest.skip(str(exc))
        return Stage(cluster, contextlib.nullcontext(), exchange, [other])
    if document == "modules/etcd_wait":
        return Stage(cluster, _meanwhile(_write_often, cluster), exchange)
    if document == "connection_guide":
        pem: Certs = request.getfixturevalue("pem")
        exchange["https://10.0.1.20:2379"] = request.getfixturevalue("secure").endpoints[0]
        exchange["http://10.0.1.30:2379"] = request.getfixturevalue("with_auth").endpoints[0]
        exchange["/etc/etcd/pki/ca.pem"] = pem.ca_cert
        exchange["/etc/etcd/pki/client.pem"] = pem.client_cert
        exchange["/etc/etcd/pki/client-key.pem"] = pem.client_key
    return Stage(cluster, contextlib.nullcontext(), exchange)


@contextlib.contextmanager
def _meanwhile(work: t.Callable[..., None], *arguments: t.Any) -> t.Iterator[None]:
    """Run `work(stop, *arguments)` in a thread, and tell it to stop in the end."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop, *arguments))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _write_often(stop: threading.Event, cluster: Cluster) -> None:
    """Play the application that the examples wait for."""
    client = Client(cluster.endpoints)
    for number in itertools.count():
        client.write("/app/state", "state %d" % number)
        client.write("/app/config/mode", "mode %d" % number)
        if stop.wait(0.3):
            return


def _start_announced(stop: threading.Event, cluster: Cluster, peer_url: str) -> None:
    """Start the server of a member as soon as it is announced."""
    client = Client(cluster.endpoints)
    while not stop.wait(0.1):
        if any(peer_url in one.peer_urls for one in client.members()):
            others = ["%s=%s" % (one.name, one.peer_url) for one in cluster.members]
            cluster.add_member_process("etcd4", peer_url, ",".join([*others, "etcd4=" + peer_url]))
            return


def _exchanged(text: str, stage: Stage) -> str:
    for example, real in stage.exchange.items():
        text = text.replace(example, real)
    netlocs = [url.partition("://")[2] for url in stage.cluster.endpoints]

    def real_netloc(match: t.Match[str]) -> str:
        netloc = netlocs[int(match["number"]) % len(netlocs)]
        # Some clients take the port as a number of its own.
        return netloc.replace(":", '", ') if match["pair"] else netloc

    text = re.sub(
        r"""10\.0\.1\.1(?P<number>[0-2])(?::2379|(?P<pair>", 2379))?""", real_netloc, text
    )
    return re.sub(r"etcd(?P<number>[1-3])\.example\.org:2379(?P<pair>)", real_netloc, text)


def _run(document: str, stage: Stage, folder: Path) -> None:
    """Run the document's scenario in a play on this machine; its blocks are in files beside it."""
    blocks = folder / "blocks"
    blocks.mkdir()
    for block in BLOCKS:
        if block.document == document:
            (blocks / block.file).write_text(_exchanged(block.text, stage), encoding="utf-8")
    play = {
        "name": "Run the examples of " + document,
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {
            "group/quorum.etcd.etcd": {"endpoints": "{{ ansible_etcd_endpoints }}"}
        },
        "vars": {
            "ansible_etcd_endpoints": stage.cluster.endpoints,
            "blocks": str(blocks),
            "work": str(folder / "work"),
            "etcd_root_password": "pw",
            "etcd_app_password": "secret",
        },
        "tasks": [{"ansible.builtin.include_tasks": str(_scenario_of(document))}],
    }
    playbook = blocks / "all.json"
    playbook.write_text(json.dumps([play]), encoding="utf-8")
    program = _ansible_playbook()
    # So that `ansible`, which some scenarios start, is the one beside ansible-playbook.
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    environment = {
        name: value
        for name, value in os.environ.items()
        if not re.match("ANSIBLE_|ETCD|PYTHON|[a-z]+_proxy", name)
    }
    environment.update(
        PATH=path,
        ANSIBLE_COLLECTIONS_PATH=os.pathsep.join(map(str, [COLLECTIONS, *stage.collections])),
        ANSIBLE_HOME=str(folder / "ansible"),
        ANSIBLE_LOCALHOST_WARNING="false",
        ANSIBLE_INVENTORY_UNPARSED_WARNING="false",
        ANSIBLE_PIPELINING="true",
        ANSIBLE_PYTHON_INTERPRETER=str(program.parent / "python"),
    )
    with stage.meanwhile:
        done = subprocess.run(
            [program, playbook],
            cwd=blocks,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=_LIMIT,
            check=False,
        )
    assert done.returncode == 0, done.stdout


def _ansible_playbook() -> Path:
    named = os.environ.get("QUORUM_ETCD_ANSIBLE_PLAYBOOK") or shutil.which("ansible-playbook")
    assert named, "the examples need ansible-playbook, on the path or in the environment"
    return Path(named)


@pytest.mark.parametrize("document", PLAYBOOKS)
def test_playbooks(document: str, stage: Stage, tmp_path: Path) -> None:
    """The blocks that Ansible reads."""
    _run(document, stage, tmp_path)


@pytest.mark.parametrize("document", PYTHON)
def test_python(document: str, stage: Stage) -> None:
    """The blocks in Python, in their order, as one program."""
    client: Client = _executed(document, stage, before=False)["client"]
    with pytest.raises(errors.EtcdKeyNotFound):
        client.read("/no-such-key")


@pytest.mark.parametrize("document", BEFORE)
def test_python_before(document: str, stage: Stage) -> None:
    """What one had, with the library that one had, in the same way."""
    assert not isinstance(_executed(document, stage, before=True)["client"], Client)


def _executed(document: str, stage: Stage, *, before: bool) -> t.Dict[str, t.Any]:
    names: t.Dict[str, t.Any] = {}
    for block in BLOCKS:
        if (block.document, block.language, block.before) == (document, "python", before):
            code = compile(_exchanged(block.text, stage), "%s, %s" % (document, block.name), "exec")
            exec(code, names)  # noqa: S102 - that is the purpose
    return names


def test_the_guides_on_python_use_what_they_name() -> None:
    """A guide on another library shows it on the left, and never on the right."""
    for document, library in (
        ("migrate_pyetcd_guide", "pyetcd"),
        ("migrate_python_etcd_guide", "etcd"),
    ):
        for block in BLOCKS:
            if block.document == document and "import" in block.text and block.language == "python":
                shown = re.search(r"^(from|import) %s\b" % library, block.text, re.MULTILINE)
                assert bool(shown) is block.before, block.name


def _is_run(block: Block) -> bool:
    if block.language == "python":
        return True
    scenario = _scenario_of(block.document)
    if not scenario.is_file():
        return False
    return re.search(r"blocks }}/%s\b" % re.escape(block.file), scenario.read_text()) is not None


def test_every_block_is_run_or_listed() -> None:
    """A new block, guide or plugin needs a scenario, or a reason."""
    listed = set(NOT_RUN)
    for block in BLOCKS:
        where = (block.document, block.name)
        assert _is_run(block) is not (where in listed), "%s, %s" % where
        listed.discard(where)
    assert not listed


def test_no_block_is_overlooked() -> None:
    """As many blocks as there are beginnings of blocks."""
    guides = [path.read_text("utf-8") for path in ROOT.glob("docs/docsite/rst/*.rst")]
    shown = sum(text.count("code-block::") + text.count("::\n\n    ") for text in guides)
    assert shown == sum(one.document.endswith("_guide") for one in BLOCKS)
    readmes = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("roles/*/*.md")]
    fences = sum(len(re.findall("^```", path.read_text("utf-8"), re.MULTILINE)) for path in readmes)
    others = ("_guide", "lookup/", "modules/")
    assert fences == 2 * sum(
        not one.document.endswith("_guide") and not one.document.startswith(others)
        for one in BLOCKS
    )


def test_every_scenario_belongs_to_a_document() -> None:
    """What is left over when a guide goes is found."""
    used = {_scenario_of(document).name for document in PLAYBOOKS} | {"lock.yml"}
    assert {path.name for path in SCENARIOS.glob("*.yml")} == used
