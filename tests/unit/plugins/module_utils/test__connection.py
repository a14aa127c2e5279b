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
        ("client_cert", ["ANSIBLE_ETCD_CERT", "ETCDCTL_CERT", "ETCDCTL_CERT_FILE"]),
        ("client_key", ["ANSIBLE_ETCD_KEY", "ETCDCTL_KEY", "ETCDCTL_KEY_FILE"]),
        ("username", ["ANSIBLE_ETCD_USERNAME", "ETCDCTL_USERNAME"]),
        ("password", ["ANSIBLE_ETCD_PASSWORD", "ETCDCTL_PASSWORD"]),
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
    assert found.endpoints == ("http://a:1", " b ", "c")
    assert _connection.connect(found, print).endpoints() == (
        "http://a:1",
        "http://b:2379",
        "http://c:2379",
    )


@pytest.mark.parametrize(
    "environ, options, username, password",
    [
        ({"ETCDCTL_USER": "root:secret"}, {}, "root", "secret"),
        ({"ETCDCTL_USER": "root:se:cr:et"}, {}, "root", "se:cr:et"),
        ({"ETCDCTL_USER": "root:"}, {}, "root", ""),
        ({"ETCDCTL_USER": "root"}, {}, "root", None),
        ({"ETCDCTL_USER": ""}, {}, None, None),
        ({}, {}, None, None),
        ({"ETCDCTL_USER": "a:b", "ETCDCTL_USERNAME": "u"}, {}, "u", None),
        ({"ETCDCTL_USER": "a:b"}, {"username": "u"}, "u", None),
        ({"ETCDCTL_USER": "a:b"}, {"username": "u", "password": "p"}, "u", "p"),
        ({"ETCDCTL_PASSWORD": "p"}, {"username": "u"}, "u", "p"),
    ],
)
def test_user_and_password(environ, options, username, password):
    found = settings(environ, **options)
    assert (found.username, found.password) == (username, password)


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
        ({"timeout": 0.0}, "timeout is a number of seconds above 0, not 0.0"),
        ({"connect_timeout": -1.0}, "connect_timeout is a number of seconds above 0"),
        ({"total_timeout": float("nan")}, "total_timeout is a number of seconds above 0"),
        ({"port": 0}, "has the port 0"),
    ],
)
def test_connect_refuses(options, says):
    with pytest.raises(ClientException) as caught:
        _connection.connect(settings(**options), print)
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)


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
