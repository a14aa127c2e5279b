# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts of our own: namespaces of this machine, each with an address and a file tree, or mere folders.

A host is a process with mount, network, PID and host name namespaces of its own. Its file tree is the
machine's, read-only, under a layer in memory that takes what is written. Whoever ends the process
ends all that runs in the host, and loses its files, as when a machine burns down.

Where namespaces cannot be made, a host is a folder and two ports of loopback.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.namespaces import Bridge, NoNamespaces
from harness.ports import reserve

_INIT = r"""
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
name=$2 boot=$3
shift 3
for folder; do
    mkdir -p ".$folder"
    mount --rbind "$folder" ".$folder"
done
for folder in etc/etcd var/lib/etcd opt/etcd; do
    rm -rf "$folder"
done
mkdir -p var/lib/etcd
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs tmpfs run
if [ "$boot" = systemd ]; then
    cgroups=sys/fs/cgroup
    mount -t sysfs sysfs sys
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        mount -t cgroup2 cgroup2 $cgroups
    else
        mount -t tmpfs tmpfs $cgroups
        mkdir $cgroups/systemd
        mount -t cgroup -o none,name=systemd cgroup $cgroups/systemd
    fi
    # What a host of its own would need for its devices, its clock and its users.
    for unit in tmpfiles-setup tmpfiles-setup-dev timesyncd udevd udev-trigger logind update-utmp \
        pcrphase pcrphase-sysinit; do
        ln -sf /dev/null etc/systemd/system/systemd-$unit.service
    done
    printf '[Unit]\nDescription=Test host\n' >etc/systemd/system/test-host.target
fi
hostname "$name"
mkdir old
pivot_root . old
umount -l /old
echo up >/run/up
if [ "$boot" = systemd ]; then
    export container=quorum
    exec /lib/systemd/systemd --unit=test-host.target --log-target=null --show-status=false
fi
exec sleep infinity
"""


class Host:
    """One host on the bridge."""

    config = "/etc/etcd"

    def __init__(self, bridge: Bridge, number: int) -> None:
        self.systemd = False
        """Whether systemd is the first process of the next start."""
        self.name = f"node{number}"
        self._number = number + 10
        self.address = f"{bridge.network}.{self._number}"
        self._bridge = bridge
        self._plug = f"{bridge.name}n{number}"
        self.client = f"{self.address}:2379"
        self.log = f"/var/log/etcd/{self.name}.log"
        self.versions: set[str] = set()
        """The versions of etcd that answered here."""
        self._folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self._init: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The first process of the host, seen from outside."""
        assert self._init is not None
        children = Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children").read_text()
        return int(children.split()[0])

    @property
    def root(self) -> Path:
        """Its file tree, seen from outside."""
        return Path(f"/proc/{self.pid}/root")

    def start(self) -> None:
        """Start it with a file tree as new."""
        kinds = ("--mount", "--net", "--uts", "--pid", "--ipc", "--cgroup")
        command = ["unshare", *kinds, "--fork", "--kill-child", "sh", "-c", _INIT, "sh"]
        boot = "systemd" if self.systemd else "none"
        elsewhere = _on_other_disks(sys.prefix, sys.base_prefix)
        self._init = subprocess.Popen(
            [*command, str(self._folder), self.name, boot, *elsewhere],
            start_new_session=True,
        )
        deadline = time.monotonic() + 20
        while not self._is_up():
            if self._init.poll() is not None or time.monotonic() > deadline:
                raise NoNamespaces(f"the host {self.name} did not start")
            time.sleep(0.05)
        self._bridge.connect(self._plug, str(self.pid), self._number)
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")

    def _is_up(self) -> bool:
        try:
            return (self.root / "run" / "up").exists()
        except (OSError, IndexError):
            return False

    def run(self, *command: str) -> str:
        """Run a command in the host and return what it prints."""
        kinds = ("--mount", "--net", "--uts", "--pid", "--root")
        enter = ("nsenter", "--target", str(self.pid), *kinds)
        return subprocess.run([*enter, *command], capture_output=True, text=True, check=True).stdout

    def burn(self) -> None:
        """End it, with all that runs in it and with its files."""
        if self._init is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._init.pid, signal.SIGKILL)
            self._init.wait()
            self._init = None
            # The kernel takes its time to find out that nobody is left at the other end.
            subprocess.run(["ip", "link", "del", self._plug], capture_output=True, check=False)

    def boot_systemd(self) -> None:
        """Start it again, bare, with systemd as its first process."""
        self.burn()
        self.systemd = True
        self.start()
        deadline = time.monotonic() + 30
        while self.run("sh", "-c", "systemctl is-system-running || true").strip() != "running":
            if time.monotonic() > deadline:
                raise NoNamespaces(f"systemd does not come up in the host {self.name}")
            time.sleep(0.2)

    def remove(self) -> None:
        self.burn()
        shutil.rmtree(self._folder, ignore_errors=True)

    def variables(self) -> dict[str, object]:
        """What the inventory says of it."""
        return {
            "ansible_host": self.address,
            "ansible_connection": "namespace",
            "ansible_namespace_pid": self.pid,
        }


class LoopbackHost:
    """What stands for a host where there are no namespaces: a folder, and ports of loopback."""

    address = "127.0.0.1"

    def __init__(self, number: int) -> None:
        self.name = f"node{number}"
        self._folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        with reserve(2) as reservation:
            self._client_port, self._peer_port = reservation.ports
        self.client = f"{self.address}:{self._client_port}"
        self.config = str(self._folder / "etc")
        self.log = str(self._folder / "log" / "etcd.log")
        self.versions: set[str] = set()
        """The versions of etcd that answered here."""

    def start(self) -> None:
        """Begin with an empty folder."""
        self._folder.mkdir(exist_ok=True)

    def run(self, *command: str) -> str:
        """Run a command and return what it prints."""
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def burn(self) -> None:
        """Kill its etcd and remove its files."""
        pid = Path(self.config, "etcd.pid")
        if pid.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid.read_text().split()[0]), signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)

    def remove(self) -> None:
        self.burn()

    def variables(self) -> dict[str, object]:
        """What the inventory says of it."""
        return {
            "ansible_host": self.address,
            "ansible_connection": "local",
            "etcd_server_client_port": self._client_port,
            "etcd_server_peer_port": self._peer_port,
            "etcd_server_config_dir": self.config,
            "etcd_server_data_dir": str(self._folder / "data"),
            "etcd_server_log_file": self.log,
            "etcd_server_install_dir": str(self._folder / "opt"),
            "etcd_server_manage_user": False,
        }


def _on_other_disks(*folders: str) -> list[str]:
    """Those of the folders that the lowest layer, which is the disk of /, does not hold."""
    root = Path("/").stat().st_dev
    return [folder for folder in dict.fromkeys(folders) if Path(folder).stat().st_dev != root]
