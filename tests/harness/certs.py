# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates for a test, good ones and bad ones."""

from __future__ import annotations

import datetime
import os

import trustme

from .tls import Certs

_HOSTS = ("localhost", "127.0.0.1", "::1")


def make(directory: str, common_name: str = "etcd-client") -> Certs:
    """Write a CA and what it issued to `directory`, and a foreign CA with a client of its own.

    `common_name` is the one of both client certificates; etcd takes it as the user name.
    """
    os.makedirs(directory, exist_ok=True)
    ca, other = trustme.CA(), trustme.CA()
    yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    server = ca.issue_cert(*_HOSTS)
    expired = ca.issue_cert(
        *_HOSTS, not_before=yesterday - datetime.timedelta(days=1), not_after=yesterday
    )
    # With a host: Go refuses a certificate whose (critical) list of names is empty.
    client = ca.issue_cert("localhost", common_name=common_name)
    foreign = other.issue_cert("localhost", common_name=common_name)
    return Certs(
        ca_cert=_write(directory, "ca.crt", ca.cert_pem),
        server_cert=_write(directory, "server.crt", *server.cert_chain_pems),
        server_key=_write(directory, "server.key", server.private_key_pem),
        client_cert=_write(directory, "client.crt", *client.cert_chain_pems),
        client_key=_write(directory, "client.key", client.private_key_pem),
        other_ca_cert=_write(directory, "other-ca.crt", other.cert_pem),
        foreign_client_cert=_write(directory, "foreign-client.crt", *foreign.cert_chain_pems),
        foreign_client_key=_write(directory, "foreign-client.key", foreign.private_key_pem),
        expired_server_cert=_write(directory, "expired-server.crt", *expired.cert_chain_pems),
        expired_server_key=_write(directory, "expired-server.key", expired.private_key_pem),
    )


def _write(directory: str, name: str, *blobs: trustme.Blob) -> str:
    path = os.path.join(directory, name)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        for blob in blobs:
            file.write(blob.bytes())
    return path
