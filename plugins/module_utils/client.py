# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The etcd v2 client.

This file is PUBLIC and follows semantic versioning. It needs no Ansible at run time::

    from ansible_collections.quorum.etcd.plugins.module_utils.client import Client

    client = Client(["10.0.1.10", "10.0.1.11", "10.0.1.12"])
    client.write("/message", "Hello world")
    client.read("/message").node["value"]

What can go wrong is in errors.py. How requests move between endpoints is in _transport.py and
_retry.py.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils._api.auth import AuthApi
from ansible_collections.quorum.etcd.plugins.module_utils._api.cluster import ClusterApi
from ansible_collections.quorum.etcd.plugins.module_utils._api.survey import SurveyApi
from ansible_collections.quorum.etcd.plugins.module_utils._keys_client import KeysClient
from ansible_collections.quorum.etcd.plugins.module_utils._records import (
    Member,
    Permissions,
    Role,
    Survey,
    User,
)
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult, Node
from ansible_collections.quorum.etcd.plugins.module_utils._types import Endpoint, Request

__all__ = ("Client", "EtcdResult", "Member", "Node", "Permissions", "Role", "Survey", "User")


class Client(KeysClient, ClusterApi, SurveyApi, AuthApi):
    """A client of one cluster. Making one does no I/O; it may be shared by threads.

    Args:
        host: one endpoint or several: host names, addresses, ``host:port``, URLs, or
            (host, port) pairs.
        port: port of the endpoints that name none.
        srv_domain: find the endpoints by DNS SRV records of this domain instead.
        version_prefix: first segment of the API's paths.
        allow_reconnect: go on to the next endpoint when one gives no answer.
        protocol: ``http`` or ``https``, for the endpoints that name none.
        srv_name: suffix of the SRV service, where one domain publishes several clusters.
        srv_allow_insecure: use http endpoints from SRV records where https ones exist too.
        ca_cert, client_cert, client_key: paths of PEM files. Without ca_cert, the authorities
            that come with requests are trusted.
        validate_certs: False to accept any certificate.
        username, password: for basic authentication with these endpoints, and with no others.
        connect_timeout, timeout, total_timeout: seconds to connect (name resolution, all addresses
            of a name and TLS included), of silence to bear from the last byte of a request or an
            answer on, and for one operation with all its endpoints and attempts (DNS discovery
            included). Endpoints that cannot be reached are asked again until it is over.
        hedge_delay: seconds without a whole answer after which a read is sent to a second endpoint;
            more where answers were seen to take longer.
        use_proxy: whether the proxy settings of the environment apply.
        warn: is told in a sentence what the caller should know and what is no error.
        clock, sleep, resolver, http: monotonic seconds; how to wait; a dnspython Resolver; what
            sends one request to one endpoint. For tests and special surroundings.

    Raises:
        errors.ClientException: an argument is wrong, or two exclude each other.
    """

    def _all_endpoints(self) -> t.Sequence[Endpoint]:
        return self._transport.endpoints()

    def _send_in_turn(
        self, batches: t.Sequence[t.Tuple[Endpoint, t.Sequence[Request]]]
    ) -> t.Sequence[t.Sequence[t.Tuple[t.Any, t.Optional[float]]]]:
        return self._transport.send_in_turn(batches)

    def _send_to(self, endpoint: Endpoint, request: Request) -> EtcdResult:
        return self._transport.send_to(endpoint, request)
