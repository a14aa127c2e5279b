# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients that make a new TLS connection for every request, and count the handshakes that were refused."""

from __future__ import annotations

import http.client
import shutil
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from play import Cluster, Wrong

_PAUSE = 0.1


class Visitors:
    """One client for each node, with files of their own, which they have only once they are given them."""

    def __init__(self, cluster: Cluster, folder: Path, *files: Path) -> None:
        self.refused: list[str] = []
        self._folder = folder
        self._given: list[Path] = []
        self._served = {host.client: 0 for host in cluster.hosts}
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._visit_on, args=[host.client]) for host in cluster.hosts
        ]
        folder.mkdir()
        self.give(*files)

    def give(self, *files: Path) -> None:
        """Let them use other files from now on, each by its name; what is not given stays as it was."""
        following = self._folder / str(len(self._given))
        if self._given:
            shutil.copytree(self._given[-1], following)
        else:
            following.mkdir()
        for file in files:
            shutil.copy(file, following / file.name)
        self._given.append(following)

    @property
    def oldest(self) -> Path:
        """The folder with the files that they had first."""
        return self._given[0]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def check(self) -> None:
        """Each node served enough of them to tell, and none was refused."""
        if self.refused:
            raise Wrong(f"{len(self.refused)} handshakes were refused: {self.refused[:5]}")
        if min(self._served.values()) < 50:
            raise Wrong(f"the nodes served few: {self._served}")
        print(f"             {sum(self._served.values())} handshakes, none refused", flush=True)

    def _visit_on(self, address: str) -> None:
        while not self._ended.wait(_PAUSE):
            context = context_of(self._given[-1])
            try:
                visit(address, context)
            except ssl.SSLEOFError:
                # The node went away in the middle of it.
                continue
            except (ssl.SSLError, Wrong) as exc:
                self.refused.append(f"{address}: {exc}")
            except (OSError, http.client.HTTPException):
                continue
            else:
                self._served[address] += 1


def context_of(folder: Path) -> ssl.SSLContext:
    """What a client with the files of a folder shows and trusts."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def visit(address: str, context: ssl.SSLContext) -> str:
    """Make one request over a connection of its own.

    Returns:
        The common name of the authority that issued the server's certificate.

    Raises:
        ssl.SSLError: The handshake was refused by either side.
    """
    connection = http.client.HTTPSConnection(address, context=context, timeout=10)
    try:
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        shown = connection.sock.getpeercert() or {}
        # With TLS 1.3 a client learns that it was refused only when it reads.
        connection.request("GET", "/version")
        connection.getresponse().read()
    finally:
        connection.close()
    if _names(shown, "subject", "commonName"):
        raise Wrong(f"the certificate of {address} has a common name: {shown}")
    return "".join(_names(shown, "issuer", "commonName"))


def _names(shown: object, part: str, kind: str) -> list[str]:
    assert isinstance(shown, dict)
    return [value for parts in shown.get(part, ()) for name, value in parts if name == kind]
