# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Networks of the tests' own, for what crosses one."""

from __future__ import annotations

import os
import subprocess

_NETWORKS = "10.213"


class NoNamespaces(Exception):
    """This machine, or this user, makes no namespaces; the message says why."""


class Bridge:
    """The switch that the hosts are plugged into; the machine has the address .1 on it.

    The hardware address of each goes with its network address, so that a host that takes the place
    of another one is found at once by those who knew the other one. A bridge without an address of
    its own takes that of one of its plugs, and another one when that is pulled.

    Whoever has made the bridge has its network: there is one of each name, so that runs side by
    side get networks of their own.
    """

    def __init__(self) -> None:
        self.name = ""
        self.network = ""

    def __enter__(self) -> Bridge:
        if os.geteuid() != 0:
            raise NoNamespaces("only root makes network namespaces with addresses of their own")
        try:
            self._take_a_network()
            ip("link", "set", self.name, "address", self._hardware(1))
            ip("addr", "add", f"{self.network}.1/24", "dev", self.name)
            ip("link", "set", self.name, "up")
        except (OSError, subprocess.CalledProcessError) as exc:
            self.__exit__()
            raise NoNamespaces(f"no bridge could be made: {exc}") from exc
        return self

    def _take_a_network(self) -> None:
        addresses = ip("-o", "-4", "addr", "show")
        for number in range(1, 255):
            network = f"{_NETWORKS}.{number}"
            if f" {network}." in addresses:
                continue
            try:
                ip("link", "add", f"qe{number}", "type", "bridge")
            except subprocess.CalledProcessError as exc:
                if "exists" not in exc.stderr:
                    raise
            else:
                self.name, self.network = f"qe{number}", network
                return
        raise OSError(f"all networks of {_NETWORKS}.0.0 are taken")

    def __exit__(self, *_unused: object) -> None:
        if self.name:
            subprocess.run(["ip", "link", "del", self.name], capture_output=True, check=False)

    def connect(self, plug: str, space: str, number: int) -> None:
        """Give a network namespace, by its name or a process in it, an `eth0` that ends here.

        Its network address is to end with `number`.
        """
        eth0 = ("name", "eth0", "address", self._hardware(number), "netns", space)
        ip("link", "add", plug, "type", "veth", "peer", *eth0)
        ip("link", "set", plug, "master", self.name, "up")

    def _hardware(self, number: int) -> str:
        parts = [*map(int, self.network.split(".")), number]
        return "02:00" + "".join(f":{part:02x}" for part in parts)


def ip(*words: str) -> str:
    """Run `ip` and return what it prints."""
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout
