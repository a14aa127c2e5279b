# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DNS SRV discovery: from a domain to the client endpoints of a cluster.

PRIVATE to the collection: it can change at any time.

Sources: RFC 2782 (priority, weight, the target "."), and etcd's "clustering" document for the
names of the records.
"""

from __future__ import annotations

import random
import time
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _deps
from ansible_collections.quorum.etcd.plugins.module_utils._types import Endpoint
from ansible_collections.quorum.etcd.plugins.module_utils.errors import EtcdDiscoveryFailed


class Srv(t.NamedTuple):
    """One SRV record."""

    priority: int
    weight: int
    port: int
    target: str


class NoSuchRecord(Exception):
    """The name has no SRV record, as its name server says."""


class LookupFailed(Exception):
    """The name server did not answer, or answered that it could not."""


Resolve = t.Callable[[str], t.Sequence[Srv]]


def discover(
    domain: str,
    *,
    name: t.Optional[str],
    allow_insecure: bool,
    tls_wanted: bool,
    resolve: Resolve,
    choose: t.Callable[[int], int],
    warn: t.Callable[[str], None],
) -> t.Sequence[Endpoint]:
    """Endpoints that the domain publishes, in the order in which RFC 2782 wants them tried.

    Args:
        name: suffix of the service, where one domain publishes several clusters.
        allow_insecure: whether http endpoints are used where https ones exist too, where it could
            not be learnt whether some exist, and where TLS is wanted.
        tls_wanted: whether the settings speak of TLS. Whoever can forge an answer of DNS that there
            are no https endpoints would otherwise switch it off.
        resolve: SRV records of a name; raises NoSuchRecord or LookupFailed.
        choose: a random whole number from 0 up to and including its argument.
        warn: is told in a sentence when http endpoints are dropped.

    Raises:
        EtcdDiscoveryFailed: there is none, or https records could not be asked for.
    """
    suffix = "-" + name if name else ""
    records = [
        ("https", "_etcd-client-ssl%s._tcp.%s" % (suffix, domain.strip("."))),
        ("http", "_etcd-client%s._tcp.%s" % (suffix, domain.strip("."))),
    ]
    found = {}  # type: t.Dict[str, t.List[Endpoint]]
    said = []
    for scheme, record in records:
        try:
            answers = resolve(record)
        except NoSuchRecord as exc:
            said.append("%s: %s" % (record, exc))
            continue
        except LookupFailed as exc:
            said.append("%s: %s" % (record, exc))
            if scheme == "https" and not allow_insecure:
                # Going on with http now would let whoever can silence DNS switch TLS off.
                break
            continue
        found[scheme] = _endpoints(scheme, answers, choose)
        if not found[scheme]:
            said.append("%s: it says that the service is not offered" % record)
    secure, plain = found.get("https", []), found.get("http", [])
    if secure and plain and not allow_insecure:
        warn(
            "DNS discovery for %s: %d http endpoints are not used, because https endpoints exist;"
            " set srv_allow_insecure to use them as well" % (domain, len(plain))
        )
        plain = []
    elif plain and tls_wanted and not allow_insecure:
        said.append(
            "%d http endpoints are not used, because TLS is asked for (protocol, ca_cert or"
            " client_cert); set srv_allow_insecure to use them" % len(plain)
        )
        plain = []
    if not secure and not plain:
        raise EtcdDiscoveryFailed(
            "DNS discovery for %s found no endpoint: %s" % (domain, "; ".join(said))
        )
    return secure + plain


def _endpoints(
    scheme: str, answers: t.Sequence[Srv], choose: t.Callable[[int], int]
) -> t.List[Endpoint]:
    hosts = [(srv.target.rstrip(".").lower(), srv.port) for srv in _in_order(answers, choose)]
    unique = dict.fromkeys(Endpoint(scheme, host, port) for host, port in hosts if host)
    return list(unique)


def _in_order(answers: t.Sequence[Srv], choose: t.Callable[[int], int]) -> t.Iterator[Srv]:
    """RFC 2782: the lowest priority first; within one, at random in proportion to the weights."""
    for priority in sorted({srv.priority for srv in answers}):
        # Weight 0 goes first so that it keeps a small chance (RFC 2782, "Weight").
        todo = sorted(
            (srv for srv in answers if srv.priority == priority), key=lambda srv: srv.weight > 0
        )
        while todo:
            point = choose(sum(srv.weight for srv in todo))
            for srv in todo:
                point -= srv.weight
                if point <= 0:
                    break
            todo.remove(srv)
            yield srv


def system_resolve(
    lifetime: float,
    total: float,
    resolver: t.Any = None,
    clock: t.Callable[[], float] = time.monotonic,
) -> Resolve:
    """A `resolve` that asks the name servers of this host, or a dnspython Resolver that is given.

    Args:
        lifetime: seconds for one name, all name servers and repetitions included.
        total: seconds from now on for all names. One name gets no more than half of what is left,
            so that there is time for another one and for asking what was found.
        clock: seconds, monotonic.
    """
    deadline = clock() + total

    def resolve(record: str) -> t.Sequence[Srv]:
        seconds = min(lifetime, (deadline - clock()) / 2)
        dns = _deps.load_dns()
        try:
            answer = (resolver or dns.resolver).resolve(record, "SRV", lifetime=seconds)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer) as exc:
            raise NoSuchRecord("no such record") from exc
        except dns.exception.Timeout as exc:
            raise LookupFailed("no name server answered in time") from exc
        except (dns.exception.DNSException, OSError) as exc:
            raise LookupFailed(str(exc) or type(exc).__name__) from exc
        return [Srv(one.priority, one.weight, one.port, one.target.to_text()) for one in answer]

    return resolve


def random_up_to(highest: int) -> int:
    """The `choose` of everyday use."""
    return random.randint(0, highest)
