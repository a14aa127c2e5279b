# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the connection options of a task or lookup to a client.

PRIVATE to the collection: it can change at any time.

The only file that names concrete clients.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _endpoints
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
    "hedge_delay": {"type": "float", "default": 0.1},
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
}


class Identity(t.NamedTuple):
    """Two options that say together who we are, so that both come from the same source.

    Attributes:
        names: of the options.
        complete: whether the first one is of no use without the second.
        sources: for each place in the environment that may hold the identity, the variables of
            the first option and those of the second; of each the first that is set wins.
    """

    names: t.Tuple[str, str]
    complete: bool
    sources: t.Tuple[t.Tuple[t.Tuple[str, ...], t.Tuple[str, ...]], ...]


IDENTITIES = (
    Identity(
        ("username", "password"),
        False,
        (
            (("ANSIBLE_ETCD_USERNAME",), ("ANSIBLE_ETCD_PASSWORD",)),
            (("ETCDCTL_USER", "ETCDCTL_USERNAME"), ("ETCDCTL_PASSWORD",)),
        ),
    ),
    Identity(
        ("client_cert", "client_key"),
        True,
        (
            (
                ("ANSIBLE_ETCD_CLIENT_CERT", "ANSIBLE_ETCD_CERT"),
                ("ANSIBLE_ETCD_CLIENT_KEY", "ANSIBLE_ETCD_KEY"),
            ),
            (("ETCDCTL_CERT",), ("ETCDCTL_KEY",)),
            (("ETCDCTL_CERT_FILE",), ("ETCDCTL_KEY_FILE",)),
        ),
    ),
)

#: Options that exclude each other: both say where the cluster is.
WAYS = ("endpoints", "srv_domain")

#: Holds a user, or a user and a password, as etcdctl reads it.
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
    hedge_delay: float
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
        ClientException: endpoints and srv_domain are both given, or half an identity is, or a
            variable of the environment holds no endpoints.
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
            found[name] = _first(environ, variables)[1]
    if found["endpoints"] is not None and found["srv_domain"] is not None:
        raise ClientException(
            "the environment sets endpoints (%s) and a domain to find them by (%s); unset one"
            % (", ".join(ENVIRONMENT["endpoints"]), ", ".join(ENVIRONMENT["srv_domain"]))
        )
    if isinstance(found["endpoints"], str):
        found["endpoints"] = _endpoints_of_environment(found, environ)
    elif found["endpoints"] is not None:
        found["endpoints"] = _without_trailing_blanks(found["endpoints"])
    for identity in IDENTITIES:
        found.update(_identity(identity, found, environ))
    for name in ("username", "password", "srv_domain", "srv_name"):
        if found[name] is not None:
            found[name] = str(found[name])
    return Settings(**found)


def _first(
    environ: t.Mapping[str, str], variables: t.Sequence[str]
) -> t.Tuple[t.Optional[str], t.Optional[str]]:
    """The first of the variables that is set, and its value; an empty one is not set."""
    for variable in variables:
        if environ.get(variable):
            return variable, environ[variable]
    return None, None


def _without_trailing_blanks(endpoints: t.Iterable[t.Any]) -> t.Tuple[str, ...]:
    """The endpoints, without what a comma at the end of a list leaves behind."""
    texts = [str(one) for one in endpoints]
    while len(texts) > 1 and not texts[-1].strip():
        texts.pop()
    return tuple(texts)


def _endpoints_of_environment(
    found: t.Mapping[str, t.Any], environ: t.Mapping[str, str]
) -> t.Tuple[str, ...]:
    variable = _first(environ, ENVIRONMENT["endpoints"])[0]
    texts = _without_trailing_blanks(found["endpoints"].split(","))
    try:
        _endpoints.parse_all(texts, port=found["port"], protocol=found["protocol"])
    except ClientException as exc:
        raise ClientException("the environment variable %s: %s" % (variable, exc)) from exc
    return texts


def _identity(
    identity: Identity, options: t.Mapping[str, t.Any], environ: t.Mapping[str, str]
) -> t.Dict[str, t.Optional[str]]:
    """The identity from the options, or else from the first source that holds a part of it.

    Raises:
        ClientException: a variable is set, and the one that belongs to it is not.
    """
    values = (options[identity.names[0]], options[identity.names[1]])
    for source in identity.sources:
        if values != (None, None):
            break
        values = _identity_from(environ, source, complete=identity.complete)
    return dict(zip(identity.names, values))


def _identity_from(
    environ: t.Mapping[str, str],
    source: t.Tuple[t.Sequence[str], t.Sequence[str]],
    *,
    complete: bool,
) -> t.Tuple[t.Optional[str], t.Optional[str]]:
    (variable, first), (other, second) = [_first(environ, variables) for variables in source]
    if variable == _USER_AND_PASSWORD and first is not None:
        user, colon, password = first.partition(":")
        first, second = user or None, password if colon else second
    if second is not None and first is None:
        raise _half(other or variable, source[0])
    if complete and first is not None and second is None:
        raise _half(variable, source[1])
    return first, second


def _half(given: t.Optional[str], missing: t.Sequence[str]) -> ClientException:
    return ClientException(
        "the environment variable %s is set, and %s, which belongs to it, is not; set both or"
        " neither" % (given, " or ".join(missing))
    )


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
        hedge_delay=chosen.hedge_delay,
        use_proxy=chosen.use_proxy,
        warn=warn,
    )
