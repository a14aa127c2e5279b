# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the connection options of a task or lookup to a client.

PRIVATE to the collection: it can change at any time.

The only file that names concrete clients.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils._keys_client import KeysClient
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException

#: The connection options of every module; the documentation is in the fragment `connection`.
ARGUMENT_SPEC = {
    "endpoints": {"type": "list", "elements": "str"},
    "srv_domain": {"type": "str"},
    "srv_name": {"type": "str"},
    "srv_allow_insecure": {"type": "bool", "default": False},
    "port": {"type": "int", "default": 2379},
    "protocol": {"type": "str", "default": "http", "choices": ["http", "https"]},
    "ca_cert": {"type": "path"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "validate_certs": {"type": "bool", "default": True},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "connect_timeout": {"type": "float", "default": 2.0},
    "timeout": {"type": "float", "default": 10.0},
    "total_timeout": {"type": "float", "default": 30.0},
    "use_proxy": {"type": "bool", "default": False},
    "allow_failover": {"type": "bool", "default": True, "aliases": ["allow_reconnect"]},
}  # type: t.Dict[str, t.Dict[str, t.Any]]

#: Environment variables of each option, the first that is set wins. Those of etcdctl are bound
#: late: whatever Ansible knows of the option comes before them.
ENVIRONMENT = {
    "endpoints": ("ANSIBLE_ETCD_ENDPOINTS", "ETCDCTL_ENDPOINTS", "ETCDCTL_ENDPOINT"),
    "srv_domain": ("ANSIBLE_ETCD_SRV_DOMAIN", "ETCDCTL_DISCOVERY_SRV"),
    "srv_name": ("ANSIBLE_ETCD_SRV_NAME", "ETCDCTL_DISCOVERY_SRV_NAME"),
    "ca_cert": ("ANSIBLE_ETCD_CA_CERT", "ETCDCTL_CACERT", "ETCDCTL_CA_FILE"),
    "client_cert": ("ANSIBLE_ETCD_CERT", "ETCDCTL_CERT", "ETCDCTL_CERT_FILE"),
    "client_key": ("ANSIBLE_ETCD_KEY", "ETCDCTL_KEY", "ETCDCTL_KEY_FILE"),
    "username": ("ANSIBLE_ETCD_USERNAME", "ETCDCTL_USERNAME"),
    "password": ("ANSIBLE_ETCD_PASSWORD", "ETCDCTL_PASSWORD"),
}

#: Holds user and password in one, as etcdctl reads it.
_USER_AND_PASSWORD = "ETCDCTL_USER"


class Settings(t.NamedTuple):
    """Where the cluster is and how to talk to it, from options and environment."""

    endpoints: t.Optional[t.Tuple[str, ...]]
    srv_domain: t.Optional[str]
    srv_name: t.Optional[str]
    srv_allow_insecure: bool
    port: int
    protocol: str
    ca_cert: t.Optional[str]
    client_cert: t.Optional[str]
    client_key: t.Optional[str]
    validate_certs: bool
    username: t.Optional[str]
    password: t.Optional[str]
    connect_timeout: float
    timeout: float
    total_timeout: float
    use_proxy: bool
    allow_failover: bool

    def __repr__(self) -> str:
        """All of it but the password."""
        shown = self._asdict()
        del shown["password"]
        return "Settings(%s)" % ", ".join("%s=%r" % pair for pair in shown.items())


def settings(options: t.Mapping[str, t.Any], environ: t.Mapping[str, str]) -> Settings:
    """Settings from options, and from the environment for those that are None.

    Args:
        options: a value or None for each name in ARGUMENT_SPEC.

    Raises:
        ClientException: endpoints and srv_domain are both given, or half a certificate pair is.
    """
    found = {name: options.get(name) for name in ARGUMENT_SPEC}  # type: t.Dict[str, t.Any]
    if found["endpoints"] is not None and found["srv_domain"] is not None:
        raise ClientException(
            "endpoints and srv_domain exclude each other; give the endpoints, or the domain to"
            " find them by"
        )
    # An option of the task outweighs the environment's word on the other way to find endpoints.
    taken = found["endpoints"] is not None or found["srv_domain"] is not None
    for name, variables in ENVIRONMENT.items():
        if found[name] is None and not (taken and name in ("endpoints", "srv_domain", "srv_name")):
            found[name] = _first(environ, variables)
    if found["endpoints"] is not None and found["srv_domain"] is not None:
        raise ClientException(
            "the environment sets endpoints (%s) and a domain to find them by (%s); unset one"
            % (", ".join(ENVIRONMENT["endpoints"]), ", ".join(ENVIRONMENT["srv_domain"]))
        )
    if isinstance(found["endpoints"], str):
        found["endpoints"] = found["endpoints"].split(",")
    if found["endpoints"] is not None:
        found["endpoints"] = tuple(str(one) for one in found["endpoints"])
    if found["username"] is None and found["password"] is None:
        user, colon, password = (environ.get(_USER_AND_PASSWORD) or "").partition(":")
        found["username"] = user or None
        found["password"] = password if colon else None
    for name in ("username", "password", "srv_domain", "srv_name"):
        if found[name] is not None:
            found[name] = str(found[name])
    return Settings(**found)


def _first(environ: t.Mapping[str, str], variables: t.Sequence[str]) -> t.Optional[str]:
    for variable in variables:
        if environ.get(variable):
            return environ[variable]
    return None


def connect(
    chosen: Settings, warn: t.Callable[[str], None], *, keys_only: bool = False
) -> KeysClient:
    """A client with these settings; nothing is sent yet.

    Args:
        warn: is told, in a sentence each, of what weakens the connection.
        keys_only: False for a `client.Client`; True for one that knows keys and directories only,
            which is there sooner.

    Raises:
        ClientException: a setting is wrong; the message says what to write instead.
        MissingLibrary: requests is not installed.
    """
    make = KeysClient
    if not keys_only:
        from ansible_collections.quorum.etcd.plugins.module_utils.client import Client

        make = Client
    return make(
        chosen.endpoints,
        port=chosen.port,
        srv_domain=chosen.srv_domain,
        protocol=chosen.protocol,
        allow_reconnect=chosen.allow_failover,
        srv_name=chosen.srv_name,
        srv_allow_insecure=chosen.srv_allow_insecure,
        ca_cert=chosen.ca_cert,
        client_cert=chosen.client_cert,
        client_key=chosen.client_key,
        validate_certs=chosen.validate_certs,
        username=chosen.username,
        password=chosen.password,
        connect_timeout=chosen.connect_timeout,
        timeout=chosen.timeout,
        total_timeout=chosen.total_timeout,
        use_proxy=chosen.use_proxy,
        warn=warn,
    )
