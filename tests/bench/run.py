# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmark of quorum.etcd: `python tests/bench/run.py [SECTION ...] [--quick]`.

It judges nothing: it prints what was measured and what falls short of the targets, and ends with
0. Rates depend on the machine and on what else it does; ratios in one run are what counts.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(_TESTS))

# pylint: disable=wrong-import-position
from harness import binaries
from lab import Lab, cluster
from table import Check, print_checks

SECTIONS = {
    "client": "sequential rate of the client",
    "task": "cost of one task",
    "lookup": "cost of the lookup",
    "load": "the server's own limit",
    "tree": "whole trees in one task",
    "growth": "how etcd_tree grows with its keys",
    "failover": "time to success when an endpoint is down",
}


def main() -> None:
    """Run the sections that were asked for."""
    args = _arguments()
    began = time.monotonic()
    checks: list[Check] = []
    with _lab(args.quick) as lab:
        print(f"etcd {lab.binary.version} ({lab.binary.source}), Python {sys.version.split()[0]}\n")
        for name in args.sections or SECTIONS:
            print(f"==> {name}: {SECTIONS[name]}\n", flush=True)
            found = _section(name)(lab)
            print_checks(found)
            checks += found
    _print_findings(checks)
    print(f"\nThe benchmark took {time.monotonic() - began:.0f} s.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Benchmark of quorum.etcd.",
        epilog="Sections: " + "; ".join(f"{name} ({what})" for name, what in SECTIONS.items()),
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="all if none is given")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, rougher numbers")
    args = parser.parse_args()
    for name in args.sections:
        if name not in SECTIONS:
            parser.error(f"there is no section {name}; there are {', '.join(SECTIONS)}")
    return args


@contextmanager
def _lab(quick: bool) -> Iterator[Lab]:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        # Others would send the requests there.
        del os.environ[name]
    binary = binaries.pick()
    with tempfile.TemporaryDirectory(prefix="quorum-etcd-bench-") as folder:
        scratch = Path(folder)
        tree = scratch / "tree"
        namespace = tree / "ansible_collections" / "quorum"
        namespace.mkdir(parents=True)
        (namespace / "etcd").symlink_to(_TESTS.parent, target_is_directory=True)
        sys.path.insert(0, str(tree))
        with cluster(binary, 1) as node:
            yield Lab(scratch, tree, binary, node, quick)


def _section(name: str) -> Callable[[Lab], list[Check]]:
    """Imported late: the sections need the collection, which has its name only in the lab."""
    # pylint: disable=import-outside-toplevel
    import clients
    import failover
    import growth
    import load
    import lookups
    import tasks
    import tree

    sections: dict[str, Callable[[Lab], list[Check]]] = {
        "client": clients.run,
        "task": tasks.run,
        "lookup": lookups.run,
        "load": load.run,
        "tree": tree.run,
        "growth": growth.run,
        "failover": failover.run,
    }
    return sections[name]


def _print_findings(checks: list[Check]) -> None:
    """What was not measured, and what falls short."""
    missing = [f"{check.what}: {check.why}" for check in checks if check.measured is None]
    if missing:
        _print_list("Not measured:", missing)
    short = [line for check in checks for line in check.shortfalls()]
    if not short:
        print("Nothing falls short of the targets.")
        return
    _print_list("Falls short of the targets:", short)


def _print_list(head: str, lines: list[str]) -> None:
    print("\n".join([head, *(f"  - {line}" for line in lines)]))


if __name__ == "__main__":
    main()
