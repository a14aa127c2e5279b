# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which certificates a server and its clients use."""

from __future__ import annotations

import ssl
from dataclasses import dataclass


@dataclass(frozen=True)
class Certs:
    """Paths of PEM files, as `harness.certs.make` writes them."""

    ca_cert: str
    server_cert: str
    server_key: str
    client_cert: str
    client_key: str
    other_ca_cert: str
    foreign_client_cert: str
    foreign_client_key: str
    expired_server_cert: str
    expired_server_key: str


@dataclass(frozen=True)
class Tls:
    """How a server is secured."""

    certs: Certs
    client_auth: bool = False
    """Whether clients must show a certificate of the CA."""
    peers: bool = False
    """Whether the members speak TLS, with client certificates, to each other as well."""
    expired: bool = False
    """Whether the server shows its expired certificate."""

    @property
    def server_cert(self) -> str:
        """The certificate that the server shows."""
        return self.certs.expired_server_cert if self.expired else self.certs.server_cert

    @property
    def server_key(self) -> str:
        """The key of that certificate."""
        return self.certs.expired_server_key if self.expired else self.certs.server_key

    def client_context(self) -> ssl.SSLContext:
        """What the harness's own requests use; shows the good client certificate."""
        context = ssl.create_default_context(cafile=self.certs.ca_cert)
        if self.expired:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(self.certs.client_cert, self.certs.client_key)
        return context

    def server_context(self) -> ssl.SSLContext:
        """What a server of the harness uses."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.certs.ca_cert)
        context.load_cert_chain(self.server_cert, self.server_key)
        if self.client_auth:
            context.verify_mode = ssl.CERT_REQUIRED
        return context
