# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _connection
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException
from ansible_collections.quorum.etcd.tests.unit.fakes.options import defaults

DEFAULTS = defaults(_connection.ARGUMENT_SPEC)


def settings(environ=None, **options):
    assert set(options) <= set(DEFAULTS)
    return _connection.settings(dict(DEFAULTS, **options), environ or {})


def test_without_options_and_environment_the_defaults_hold():
    found = settings()
    for name, default in DEFAULTS.items():
        assert getattr(found, name) == default


@pytest.mark.parametrize(
    "name, variables",
    [
        ("endpoints", ["ANSIBLE_ETCD_ENDPOINTS", "ETCDCTL_ENDPOINTS", "ETCDCTL_ENDPOINT"]),
        ("srv_domain", ["ANSIBLE_ETCD_SRV_DOMAIN", "ETCDCTL_DISCOVERY_SRV"]),
        ("srv_name", ["ANSIBLE_ETCD_SRV_NAME", "ETCDCTL_DISCOVERY_SRV_NAME"]),
        ("ca_cert", ["ANSIBLE_ETCD_CA_CERT", "ETCDCTL_CACERT", "ETCDCTL_CA_FILE"]),
    ],
)
def test_the_first_variable_that_is_set_counts_after_the_option(name, variables):
    def shown(value):
        return (value,) if name == "endpoints" else value

    environ = {variable: "from-%s" % variable for variable in variables}
    option = ["option"] if name == "endpoints" else "option"
    assert getattr(settings(environ, **{name: option}), name) == shown("option")
    for variable in variables:
        assert getattr(settings(environ), name) == shown("from-%s" % variable)
        environ[variable] = ""  # an empty one is none
    assert getattr(settings(environ), name) is None


def test_endpoints_from_the_environment_are_a_list_with_commas():
    found = settings({"ETCDCTL_ENDPOINTS": "http://a:1, b ,c"})
    assert _connection.connect(found, print).endpoints() == (
        "http://a:1",
        "http://b:2379",
        "http://c:2379",
    )


@pytest.mark.parametrize("text", ["http://a:1,b,", "http://a:1, b , ,", "http://a:1,b,b/,"])
@pytest.mark.parametrize("source", ["ETCDCTL_ENDPOINTS", "ANSIBLE_ETCD_ENDPOINTS", "option"])
def test_blanks_slashes_duplicates_and_commas_at_the_end_are_tolerated(text, source):
    if source == "option":  # as Ansible splits it
        found = settings(endpoints=[one.strip() for one in text.split(",")])
    else:
        found = settings({source: text})
    assert _connection.connect(found, print).endpoints() == ("http://a:1", "http://b:2379")


@pytest.mark.parametrize(
    "text, says",
    [
        (",", "an endpoint is a URL or a host name"),
        ("a,,b", "an endpoint is a URL or a host name"),
        ("ftp://a", "has the scheme 'ftp'"),
        ("http://u:hunter2@a", "holds credentials"),
    ],
)
@pytest.mark.parametrize("variable", ["ETCDCTL_ENDPOINTS", "ANSIBLE_ETCD_ENDPOINTS"])
def test_what_is_wrong_with_a_variable_is_said_with_its_name(variable, text, says):
    with pytest.raises(ClientException) as caught:
        settings({variable: text})
    assert str(caught.value).startswith("the environment variable %s: " % variable)
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)


A, C = ("ANSIBLE_ETCD_USERNAME", "ANSIBLE_ETCD_PASSWORD"), ("ETCDCTL_USER", "ETCDCTL_PASSWORD")
D = ("ETCDCTL_USERNAME", "ETCDCTL_PASSWORD")


def pair(variables, *values):
    return dict(zip(variables, values))


USERS = [
    ({}, {}, None, None),
    (pair(A, "u", "p"), {}, "u", "p"),
    (pair(A, "u"), {}, "u", None),
    (pair(C, "root:secret"), {}, "root", "secret"),
    (pair(C, "root:se:cr:et"), {}, "root", "se:cr:et"),
    (pair(C, "root:"), {}, "root", ""),
    (pair(C, "root"), {}, "root", None),
    (pair(C, ""), {}, None, None),
    (pair(C, "root", "secret"), {}, "root", "secret"),
    (pair(D, "u", "p"), {}, "u", "p"),
    ({**pair(C, "a"), **pair(D, "u", "p")}, {}, "a", "p"),
    # From one source or from the other.
    ({**pair(A, "u"), **pair(C, "a", "b")}, {}, "u", None),
    ({**pair(A, "u", "p"), **pair(C, "a:b")}, {}, "u", "p"),
    (pair(A, "u", "p"), {"username": "mine"}, "mine", None),
    (pair(C, "a", "b"), {"username": "mine"}, "mine", None),
    (pair(C, "a:b"), {"username": "mine", "password": "own"}, "mine", "own"),
    # Which connect() refuses.
    (pair(A, "u", "p"), {"password": "own"}, None, "own"),
]


@pytest.mark.parametrize("environ, options, username, password", USERS)
def test_user_and_password_come_from_one_source(environ, options, username, password):
    found = settings(environ, **options)
    assert (found.username, found.password) == (username, password)


ANSIBLES = ("ANSIBLE_ETCD_CLIENT_CERT", "ANSIBLE_ETCD_CLIENT_KEY")
OLDER = ("ANSIBLE_ETCD_CERT", "ANSIBLE_ETCD_KEY")
ETCDCTLS = ("ETCDCTL_CERT", "ETCDCTL_KEY")
FILES = ("ETCDCTL_CERT_FILE", "ETCDCTL_KEY_FILE")


@pytest.mark.parametrize(
    "environ, options, cert, key",
    [
        (pair(ANSIBLES, "c", "k"), {}, "c", "k"),
        (pair(OLDER, "c", "k"), {}, "c", "k"),
        ({**pair(ANSIBLES, "c", "k"), **pair(OLDER, "old", "old")}, {}, "c", "k"),
        (pair(ETCDCTLS, "c", "k"), {}, "c", "k"),
        (pair(FILES, "c", "k"), {}, "c", "k"),
        ({**pair(ANSIBLES, "c", "k"), **pair(ETCDCTLS, "x", "x")}, {}, "c", "k"),
        ({**pair(ETCDCTLS, "c", "k"), **pair(FILES, "x", "x")}, {}, "c", "k"),
        (pair(ANSIBLES, "c", "k"), {"client_cert": "x", "client_key": "y"}, "x", "y"),
        # Which connect() refuses.
        (pair(ETCDCTLS, "c", "k"), {"client_cert": "x"}, "x", None),
        (pair(ETCDCTLS, "c", "k"), {"client_key": "x"}, None, "x"),
    ],
)
def test_certificate_and_key_come_from_one_source(environ, options, cert, key):
    found = settings(environ, **options)
    assert (found.client_cert, found.client_key) == (cert, key)


@pytest.mark.parametrize(
    "environ, given, missing",
    [
        ({A[1]: "hunter2"}, A[1], A[0]),
        ({A[1]: "hunter2", **pair(C, "a:hunter2")}, A[1], A[0]),
        ({C[1]: "hunter2"}, C[1], "ETCDCTL_USER or ETCDCTL_USERNAME"),
        ({ANSIBLES[0]: "c"}, ANSIBLES[0], "ANSIBLE_ETCD_CLIENT_KEY or ANSIBLE_ETCD_KEY"),
        ({OLDER[1]: "k", **pair(ETCDCTLS, "c", "k")}, OLDER[1], "ANSIBLE_ETCD_CLIENT_CERT"),
        ({ETCDCTLS[0]: "c", FILES[1]: "k"}, ETCDCTLS[0], ETCDCTLS[1]),
        ({FILES[1]: "k"}, FILES[1], FILES[0]),
    ],
)
def test_half_an_identity_in_the_environment_is_refused(environ, given, missing):
    with pytest.raises(ClientException) as caught:
        settings(environ)
    says = "the environment variable %s is set, and %s" % (given, missing)
    assert str(caught.value).startswith(says)
    assert "hunter2" not in str(caught.value)
    settings(environ, username="u", client_cert="c", client_key="k")


@pytest.mark.parametrize(
    "environ, options, endpoints, domain",
    [
        ({"ETCDCTL_ENDPOINTS": "a"}, {"srv_domain": "d"}, None, "d"),
        ({"ETCDCTL_DISCOVERY_SRV": "d"}, {"endpoints": ["a"]}, ("a",), None),
        ({"ETCDCTL_DISCOVERY_SRV": "d"}, {}, None, "d"),
    ],
)
def test_an_option_outweighs_the_environments_other_way(environ, options, endpoints, domain):
    found = settings(environ, **options)
    assert (found.endpoints, found.srv_domain) == (endpoints, domain)


def test_a_suffix_from_the_environment_is_nothing_to_endpoints_from_a_task():
    found = settings({"ETCDCTL_DISCOVERY_SRV_NAME": "blue"}, endpoints=["a"])
    assert found.srv_name is None
    assert _connection.connect(found, print).endpoints() == ("http://a:2379",)


@pytest.mark.parametrize(
    "environ, options, says",
    [
        (
            {},
            {"endpoints": ["a"], "srv_domain": "d"},
            "endpoints and srv_domain exclude each other",
        ),
        (
            {"ETCDCTL_ENDPOINTS": "a", "ETCDCTL_DISCOVERY_SRV": "d"},
            {},
            "the environment sets endpoints",
        ),
    ],
)
def test_endpoints_and_a_domain_exclude_each_other(environ, options, says):
    with pytest.raises(ClientException) as caught:
        settings(environ, **options)
    assert says in str(caught.value)


def test_the_password_is_hidden():
    found = settings(username="root", password="hunter2")
    assert "hunter2" not in repr(found)
    assert "root" in repr(found)


def test_settings_can_be_told_apart():
    assert hash(settings(endpoints=["a"])) == hash(settings(endpoints=["a"]))
    assert settings(password="a", username="u") != settings(password="b", username="u")


class Tagged(str):
    """A subclass, as Ansible's data tagging makes of strings."""


def test_texts_become_plain_ones():
    found = settings(
        endpoints=[Tagged("a")], username=Tagged("u"), password=Tagged("p"), srv_domain=None
    )
    assert {type(one) for one in (found.endpoints[0], found.username, found.password)} == {str}


@pytest.mark.parametrize(
    "options, says",
    [
        ({"endpoints": []}, "there is no endpoint"),
        ({"endpoints": ["ftp://a"]}, "has the scheme 'ftp'"),
        ({"endpoints": ["a"], "srv_name": "blue"}, "srv_name needs srv_domain"),
        ({"client_cert": "/cert.pem"}, "client_cert and client_key belong together"),
        ({"client_key": "/key.pem"}, "client_cert and client_key belong together"),
        ({"password": "p"}, "a password needs a username"),
        ({"timeout": 0.0}, "timeout is a number of seconds above 0 and up to 1000000, not 0.0"),
        ({"connect_timeout": -1.0}, "connect_timeout is a number of seconds above 0"),
        ({"total_timeout": float("nan")}, "total_timeout is a number of seconds above 0"),
        ({"hedge_delay": float("inf")}, "hedge_delay is a number of seconds"),
        ({"port": 0}, "has the port 0"),
    ],
)
def test_connect_refuses(options, says):
    with pytest.raises(ClientException) as caught:
        _connection.connect(settings(**options), print)
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)


FLOATS = [name for name, option in _connection.ARGUMENT_SPEC.items() if option["type"] == "float"]


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), -1.0, 1e10, 1e300])
@pytest.mark.parametrize("name", FLOATS)
def test_a_time_that_no_clock_can_hold_is_refused(name, seconds):
    with pytest.raises(ClientException) as caught:
        _connection.connect(settings(**{name: seconds}), print)
    assert str(caught.value).startswith("%s is a number of seconds above 0" % name)


HTTP, HTTPS = "http://a:2379", "https://b:2379"


@pytest.mark.parametrize(
    "options, says",
    [
        ({"endpoints": [HTTP]}, []),
        ({"endpoints": [HTTPS]}, []),
        ({"endpoints": [HTTPS], "username": "u", "password": "p"}, []),
        ({"endpoints": [HTTP], "username": "u"}, []),
        ({"endpoints": [HTTP], "validate_certs": False}, []),
        (
            {"endpoints": [HTTP, HTTPS], "username": "u", "password": "p"},
            ["the password is sent unencrypted to http://a:2379; use https"],
        ),
        (
            {"endpoints": [HTTPS], "validate_certs": False},
            ["certificates are not validated: whoever answers is taken for etcd"],
        ),
        (
            {
                "endpoints": [HTTP, HTTPS],
                "validate_certs": False,
                "username": "u",
                "password": "p",
            },
            ["the password is sent unencrypted", "certificates are not validated"],
        ),
    ],
)
def test_what_weakens_the_connection_is_warned_about_once(options, says):
    warnings = []
    client = _connection.connect(settings(**options), warnings.append)
    assert warnings == []  # nothing has been asked yet
    client.endpoints()
    client.endpoints()
    assert len(warnings) == len(says)
    for warning, start in zip(warnings, says):
        assert warning.startswith(start)


def test_every_setting_reaches_the_client(monkeypatch):
    made = []
    monkeypatch.setattr(
        _connection, "KeysClient", lambda host, **options: made.append(dict(options, host=host))
    )
    options = {
        "endpoints": ["a"],
        "srv_domain": None,
        "port": 1,
        "protocol": "https",
        "connect_timeout": 1.5,
        "timeout": 2.5,
        "total_timeout": 3.5,
        "hedge_delay": 4.5,
        "validate_certs": False,
        "use_proxy": True,
        "allow_failover": False,
        "srv_allow_insecure": True,
    }
    options.update({name: name for name in DEFAULTS if name not in options})
    _connection.connect(settings(**options), print, keys_only=True)
    names = {"endpoints": "host", "allow_failover": "allow_reconnect"}
    wanted = {names.get(name, name): value for name, value in options.items()}
    assert made == [dict(wanted, host=("a",), warn=print)]
