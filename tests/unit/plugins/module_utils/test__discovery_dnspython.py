# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""dnspython's answers and exceptions become ours, without a name server."""

from __future__ import annotations

import dns.exception
import dns.name
import dns.resolver
import pytest
from ansible_collections.quorum.etcd.plugins.module_utils._discovery import (
    LookupFailed,
    NoSuchRecord,
    Srv,
    system_resolve,
)
from ansible_collections.quorum.etcd.tests.unit.fakes.network import FakeClock


class Record:
    priority, weight, port = 10, 20, 2379
    target = dns.name.from_text("etcd1.example.com.")


class Resolver:
    """Takes the place of dns.resolver.Resolver."""

    def __init__(self, answer):
        self._answer = answer
        self.asked = []

    def resolve(self, name, kind, lifetime):
        self.asked.append((name, kind, lifetime))
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def test_records_are_read():
    resolver = Resolver([Record()])
    assert system_resolve(2.5, 30.0, resolver)("_x._tcp.example.com") == [
        Srv(10, 20, 2379, "etcd1.example.com.")
    ]
    assert resolver.asked == [("_x._tcp.example.com", "SRV", 2.5)]


def test_the_names_share_the_budget():
    """The first one leaves half of it, and time that is used up is gone."""
    resolver, clock = Resolver([Record()]), FakeClock()
    resolve = system_resolve(10.0, 4.0, resolver, clock)
    resolve("_a._tcp.example.com")
    clock.sleep(2.0)
    resolve("_b._tcp.example.com")
    assert [seconds for unused, unused, seconds in resolver.asked] == [2.0, 1.0]


def no_answer():
    exc = dns.resolver.NoAnswer.__new__(dns.resolver.NoAnswer)
    Exception.__init__(exc)
    return exc


@pytest.mark.parametrize(
    "exc, expected, says",
    [
        (dns.resolver.NXDOMAIN(), NoSuchRecord, "no such record"),
        (no_answer(), NoSuchRecord, "no such record"),
        (dns.exception.Timeout(), LookupFailed, "no name server answered in time"),
        (dns.resolver.NoNameservers(), LookupFailed, ""),
        (dns.exception.DNSException("odd"), LookupFailed, "odd"),
        (OSError("no network"), LookupFailed, "no network"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_failures_are_told_apart(exc, expected, says):
    with pytest.raises(expected) as caught:
        system_resolve(1.0, 30.0, Resolver(exc))("_x._tcp.example.com")
    assert says in str(caught.value)
    assert str(caught.value)
