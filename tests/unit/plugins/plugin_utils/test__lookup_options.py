# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the lookup, as Ansible itself resolves them, and what becomes of them."""

from __future__ import annotations

import pytest
import yaml
from ansible import constants
from ansible.plugins.lookup import LookupBase
from ansible_collections.quorum.etcd.plugins.doc_fragments.connection import (
    ModuleDocFragment,
)
from ansible_collections.quorum.etcd.plugins.lookup import etcd_key
from ansible_collections.quorum.etcd.plugins.module_utils import _connection
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException
from ansible_collections.quorum.etcd.plugins.plugin_utils import _lookup_options


def documented():
    """The options of the lookup, as Ansible puts them together."""
    options = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    for name, sources in yaml.safe_load(ModuleDocFragment.PLUGINS)["options"].items():
        options[name].update(sources)
    return {**options, **yaml.safe_load(etcd_key.DOCUMENTATION)["options"]}


class LookupModule(LookupBase):
    """A plugin with these options; Ansible tells its type from the name of the class."""

    _load_name = "test_lookup_options"

    def run(self, terms, variables=None, **kwargs):
        raise NotImplementedError


@pytest.fixture(name="plugin")
def fixture_plugin():
    constants.config.initialize_plugin_configuration_definitions(
        "lookup", LookupModule._load_name, documented()
    )
    return LookupModule()


@pytest.fixture(name="settings")
def fixture_settings(plugin, monkeypatch, tmp_path):
    """The settings of a lookup with options from these sources."""

    def settings(call=(), variables=(), environ=(), ini=(), only=()):
        for name, value in dict(environ).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(constants.config, "_config_file", str(tmp_path / "ansible.cfg"))
        lines = ["[etcd]"] + ["%s = %s" % pair for pair in dict(ini).items()]
        (tmp_path / "ansible.cfg").write_text("\n".join(lines) + "\n", encoding="utf-8")
        plugin.set_options(var_options=dict(variables), direct=dict(call))
        options = _lookup_options.connection_options(
            plugin,
            plugin.option_definitions,
            dict(call),
            dict(variables),
            dict(environ),
        )
        found = _connection.settings(options, dict(environ))._asdict()
        return {name: found[name] for name in only}

    return settings


@pytest.fixture(name="definitions")
def fixture_definitions(plugin):
    return plugin.option_definitions


USER = {"username": "u", "password": "p"}
OF_VARIABLES = {"ansible_etcd_username": "vu", "ansible_etcd_password": "vp"}
OF_ENVIRONMENT = {"ANSIBLE_ETCD_USERNAME": "eu", "ANSIBLE_ETCD_PASSWORD": "ep"}
OF_CONFIGURATION = {"username": "cu", "password": "cp"}
OF_ETCDCTL = {"ETCDCTL_USER": "xu", "ETCDCTL_PASSWORD": "xp"}
ALL = {
    "call": USER,
    "variables": OF_VARIABLES,
    "environ": {**OF_ENVIRONMENT, **OF_ETCDCTL},
    "ini": OF_CONFIGURATION,
}


@pytest.mark.parametrize(
    "left_out, found",
    [
        ([], ("u", "p")),
        (["call"], ("vu", "vp")),
        (["call", "variables"], ("eu", "ep")),
        (["call", "variables", "ours"], ("cu", "cp")),
        (["call", "variables", "ours", "ini"], ("xu", "xp")),
    ],
)
def test_the_order_of_the_sources(settings, left_out, found):
    sources = {name: one for name, one in ALL.items() if name not in left_out}
    if "ours" in left_out:
        sources["environ"] = OF_ETCDCTL
    assert tuple(settings(**sources, only=("username", "password")).values()) == found


@pytest.mark.parametrize(
    "sources, found",
    [
        ({"call": {"username": "u"}}, ("u", None)),
        ({"call": {}, "variables": {"ansible_etcd_username": "vu"}}, ("vu", None)),
        ({"call": {"password": "p"}}, (None, "p")),
        (
            {
                "call": {},
                "variables": {},
                "environ": {"ANSIBLE_ETCD_USERNAME": "eu", **OF_ETCDCTL},
            },
            ("eu", None),
        ),
        (
            {
                "call": {},
                "variables": {},
                "environ": OF_ETCDCTL,
                "ini": {"username": "cu"},
            },
            ("cu", None),
        ),
    ],
)
def test_user_and_password_are_never_from_two_sources(settings, sources, found):
    sources = {**ALL, **sources}
    assert tuple(settings(**sources, only=("username", "password")).values()) == found


def test_certificate_and_key_are_never_from_two_sources(settings):
    found = settings(
        call={"client_cert": "/c"},
        variables={"ansible_etcd_client_key": "/vk", "ansible_etcd_ca_cert": "/va"},
        environ={"ANSIBLE_ETCD_CLIENT_KEY": "/ek"},
        only=("client_cert", "client_key", "ca_cert"),
    )
    assert found == {"client_cert": "/c", "client_key": None, "ca_cert": "/va"}


@pytest.mark.parametrize("names", [("CLIENT_CERT", "CLIENT_KEY"), ("CERT", "KEY")])
def test_both_names_of_the_variables_of_certificates(settings, names):
    environ = {"ANSIBLE_ETCD_%s" % names[0]: "/c", "ANSIBLE_ETCD_%s" % names[1]: "/k"}
    found = settings(environ=environ, only=("client_cert", "client_key"))
    assert tuple(found.values()) == ("/c", "/k")


WAYS = ("endpoints", "srv_domain", "srv_name")


@pytest.mark.parametrize(
    "sources, found",
    [
        (
            {
                "call": {"srv_domain": "d"},
                "variables": {"ansible_etcd_endpoints": ["a"]},
            },
            (None, "d", None),
        ),
        (
            {
                "call": {"endpoints": ["a"]},
                "variables": {"ansible_etcd_srv_domain": "d"},
            },
            (("a",), None, None),
        ),
        (
            {
                "call": {"endpoints": ["a"]},
                "variables": {
                    "ansible_etcd_srv_domain": "d",
                    "ansible_etcd_srv_name": "n",
                },
            },
            (("a",), None, None),
        ),
        (
            {
                "call": {"srv_domain": "d"},
                "variables": {
                    "ansible_etcd_srv_domain": "x",
                    "ansible_etcd_srv_name": "n",
                },
            },
            (None, "d", None),
        ),
        (
            {"call": {"srv_name": "n"}, "variables": {"ansible_etcd_srv_domain": "d"}},
            (None, "d", "n"),
        ),
        (
            {
                "variables": {"ansible_etcd_srv_domain": "d"},
                "environ": {"ANSIBLE_ETCD_ENDPOINTS": "a"},
            },
            (None, "d", None),
        ),
        (
            {"environ": {"ANSIBLE_ETCD_ENDPOINTS": "a,b,"}, "ini": {"srv_domain": "d"}},
            (("a", "b"), None, None),
        ),
        (
            {"environ": {"ETCDCTL_ENDPOINTS": "a"}, "ini": {"srv_domain": "d"}},
            (None, "d", None),
        ),
        ({"ini": {"endpoints": "a,b,"}}, (("a", "b"), None, None)),
    ],
)
def test_one_way_to_find_the_cluster_outweighs_the_other(settings, sources, found):
    assert tuple(settings(**sources, only=WAYS).values()) == found


@pytest.mark.parametrize(
    "sources",
    [
        {"call": {"endpoints": ["a"], "srv_domain": "d"}},
        {"ini": dict(endpoints="a", srv_domain="d")},
    ],
)
def test_both_ways_in_one_source_exclude_each_other(settings, sources):
    with pytest.raises(ClientException) as caught:
        settings(**sources)
    assert "exclude each other" in str(caught.value)


def test_half_an_identity_of_the_environment_is_named(settings):
    with pytest.raises(ClientException) as caught:
        settings(environ={"ANSIBLE_ETCD_PASSWORD": "hunter2"}, ini={"username": "u"})
    assert "ANSIBLE_ETCD_PASSWORD is set, and ANSIBLE_ETCD_USERNAME" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "name, says",
    [
        ("endpoint", "there is no option endpoint; did you mean endpoints?"),
        ("defualt", "there is no option defualt; did you mean default?"),
        ("validate_cert", "did you mean validate_certs?"),
        ("allow_reconect", "did you mean allow_reconnect?"),
        ("key", "there is no option key; the keys are the arguments without a name"),
        ("_terms", "the keys are the arguments without a name"),
        (
            "zzz",
            "there is no option zzz; the options are allow_failover, allow_reconnect, ca_cert",
        ),
    ],
)
def test_an_unknown_option_is_refused(definitions, name, says):
    with pytest.raises(ClientException) as caught:
        _lookup_options.refuse_unknown(["quorum", name], definitions)
    assert says in str(caught.value)


def test_known_options_are_not_refused(definitions):
    known = [name for name in definitions if name != "_terms"]
    assert {"endpoints", "default", "hedge_delay"} <= set(known)
    _lookup_options.refuse_unknown([*known, "allow_reconnect", "wantlist"], definitions)
