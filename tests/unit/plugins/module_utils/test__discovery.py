# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils._discovery import (
    LookupFailed,
    NoSuchRecord,
    Srv,
    discover,
    random_up_to,
)
from ansible_collections.quorum.etcd.plugins.module_utils.errors import EtcdDiscoveryFailed

SSL = "_etcd-client-ssl._tcp.example.com"
PLAIN = "_etcd-client._tcp.example.com"


class Dns:
    """Name servers in memory, and what was asked of them."""

    def __init__(self, records):
        self.records = records
        self.asked = []
        self.warnings = []

    def resolve(self, record):
        self.asked.append(record)
        answer = self.records.get(record, NoSuchRecord("no such record"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def urls(
        self,
        domain="example.com",
        name=None,
        allow_insecure=False,
        tls_wanted=False,
        choose=lambda high: 0,
    ):
        found = discover(
            domain,
            name=name,
            allow_insecure=allow_insecure,
            tls_wanted=tls_wanted,
            resolve=self.resolve,
            choose=choose,
            warn=self.warnings.append,
        )
        return [endpoint.url for endpoint in found]

    def fail(self, **options):
        with pytest.raises(EtcdDiscoveryFailed) as caught:
            self.urls(**options)
        return caught.value.message


def srv(target, priority=0, weight=0, port=2379):
    return Srv(priority, weight, port, target)


def test_https_and_http_records_are_asked_for():
    dns = Dns({SSL: [srv("a.example.com.", port=4001)]})
    assert dns.urls() == ["https://a.example.com:4001"]
    assert dns.asked == [SSL, PLAIN]
    assert dns.warnings == []


def test_http_endpoints_are_used_where_there_are_no_others():
    dns = Dns({PLAIN: [srv("a.example.com.")]})
    assert dns.urls() == ["http://a.example.com:2379"]
    assert dns.warnings == []


def test_http_endpoints_are_not_used_where_tls_is_wanted():
    dns = Dns({PLAIN: [srv("a.example.com."), srv("b.example.com.")]})
    said = dns.fail(tls_wanted=True)
    assert "2 http endpoints are not used" in said
    assert "set srv_allow_insecure" in said
    assert dns.urls(tls_wanted=True, allow_insecure=True)[0].startswith("http://")


@pytest.mark.parametrize("domain", ["example.com", "example.com.", ".example.com"])
def test_dots_around_the_domain_do_not_matter(domain):
    dns = Dns({PLAIN: [srv("a")]})
    assert dns.urls(domain=domain) == ["http://a:2379"]


def test_a_name_becomes_a_suffix_of_the_service():
    dns = Dns(
        {
            "_etcd-client-ssl-blue._tcp.example.com": [srv("a")],
            "_etcd-client-blue._tcp.example.com": [srv("b")],
        }
    )
    assert dns.urls(name="blue", allow_insecure=True) == ["https://a:2379", "http://b:2379"]


def test_targets_lose_their_trailing_dot_and_duplicates():
    dns = Dns({SSL: [srv("A.Example.com."), srv("a.example.com"), srv("a.example.com", port=1)]})
    assert dns.urls() == ["https://a.example.com:2379", "https://a.example.com:1"]


def test_the_lowest_priority_comes_first():
    dns = Dns({SSL: [srv("c", 20), srv("a", 5), srv("b", 10)]})
    assert dns.urls() == ["https://a:2379", "https://b:2379", "https://c:2379"]


WEIGHTED = [srv("light", weight=10), srv("heavy", weight=30), srv("never", weight=0)]


@pytest.mark.parametrize(
    "point, first",
    [(0, "never"), (1, "light"), (10, "light"), (11, "heavy"), (40, "heavy")],
)
def test_the_first_is_chosen_by_weight(point, first):
    highest = []

    def choose(high):
        highest.append(high)
        return min(point, high)

    urls = Dns({SSL: WEIGHTED}).urls(choose=choose)
    assert urls[0] == "https://%s:2379" % first
    assert len(urls) == 3
    assert highest[0] == 40


def test_the_others_are_chosen_among_those_that_are_left():
    highest = []
    urls = Dns({SSL: WEIGHTED}).urls(choose=lambda high: highest.append(high) or high)
    assert urls == ["https://heavy:2379", "https://light:2379", "https://never:2379"]
    assert highest == [40, 10, 0]


def test_every_point_of_the_scale_gives_the_share_of_its_weight():
    firsts = [
        Dns({SSL: WEIGHTED}).urls(choose=lambda high, point=point: min(point, high))[0]
        for point in range(41)
    ]
    assert [firsts.count("https://%s:2379" % one) for one in ("never", "light", "heavy")] == [
        1,
        10,
        30,
    ]


def test_weights_count_within_one_priority_only():
    dns = Dns({SSL: [srv("b", 10, weight=65535), srv("a", 5, weight=0)]})
    assert dns.urls(choose=lambda high: high) == ["https://a:2379", "https://b:2379"]


def test_random_up_to_includes_both_ends():
    assert {random_up_to(1) for unused in range(200)} == {0, 1}


BOTH = {SSL: [srv("a")], PLAIN: [srv("b"), srv("c")]}


def test_http_endpoints_are_dropped_with_a_warning_where_https_ones_exist():
    dns = Dns(BOTH)
    assert dns.urls() == ["https://a:2379"]
    (warning,) = dns.warnings
    assert "2 http endpoints are not used" in warning
    assert "srv_allow_insecure" in warning


def test_http_endpoints_come_after_https_ones_where_they_are_allowed():
    dns = Dns(BOTH)
    assert dns.urls(allow_insecure=True) == ["https://a:2379", "http://b:2379", "http://c:2379"]
    assert dns.warnings == []


def test_no_record_at_all_names_every_record_asked_for():
    message = Dns({}).fail()
    assert "%s: no such record" % SSL in message
    assert "%s: no such record" % PLAIN in message


def test_a_service_that_is_not_offered_is_said_to_be():
    message = Dns({SSL: [srv(".")]}).fail()
    assert "%s: it says that the service is not offered" % SSL in message
    assert "%s: no such record" % PLAIN in message


def test_a_service_that_is_not_offered_with_tls_may_be_without():
    assert Dns({SSL: [srv(".")], PLAIN: [srv("b")]}).urls() == ["http://b:2379"]


def test_whoever_can_silence_dns_cannot_switch_tls_off():
    dns = Dns({SSL: LookupFailed("no name server answered in time"), PLAIN: [srv("b")]})
    assert "%s: no name server answered in time" % SSL in dns.fail()
    assert dns.asked == [SSL]


def test_http_goes_on_without_the_https_records_where_that_is_allowed():
    dns = Dns({SSL: LookupFailed("no name server answered in time"), PLAIN: [srv("b")]})
    assert dns.urls(allow_insecure=True) == ["http://b:2379"]


def test_a_failed_lookup_of_http_records_does_not_matter_where_https_ones_exist():
    dns = Dns({SSL: [srv("a")], PLAIN: LookupFailed("SERVFAIL")})
    assert dns.urls() == ["https://a:2379"]


@pytest.mark.parametrize("allow_insecure", [False, True])
def test_a_failed_lookup_of_http_records_is_named(allow_insecure):
    message = Dns({PLAIN: LookupFailed("SERVFAIL")}).fail(allow_insecure=allow_insecure)
    assert "%s: no such record" % SSL in message
    assert "%s: SERVFAIL" % PLAIN in message
