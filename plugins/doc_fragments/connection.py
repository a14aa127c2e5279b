# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The connection options: DOCUMENTATION for all plugins, PLUGINS for those of the controller."""

    DOCUMENTATION = r"""
options:
  endpoints:
    description:
      - The members of the cluster, in the order in which they are tried. If neither this nor
        O(srv_domain) is given, V(http://127.0.0.1:2379).
      - "Each is a URL, C(host), C(host:port), or an IPv6 address, bare or in brackets. An IPv6 address
        with a port needs the brackets, as in C([::1]:2379). Paths, queries and credentials in it are
        refused."
      - If not set, the environment variables E(ANSIBLE_ETCD_ENDPOINTS), E(ETCDCTL_ENDPOINTS) and
        E(ETCDCTL_ENDPOINT) are consulted where the plugin runs, each a list with commas.
      - Mutually exclusive with O(srv_domain).
    type: list
    elements: str
  srv_domain:
    description:
      - Find the members by the DNS SRV records C(_etcd-client-ssl._tcp) (https) and
        C(_etcd-client._tcp) (http) of this domain, in the order that their priorities and weights
        give. Needs the Python library C(dnspython).
      - If there is no such record, the task fails; it never falls back to another address.
      - If not set, E(ANSIBLE_ETCD_SRV_DOMAIN) and E(ETCDCTL_DISCOVERY_SRV) are consulted.
    type: str
  srv_name:
    description:
      - Suffix of the SRV service, where one domain publishes several clusters, as in
        C(_etcd-client-NAME._tcp).
      - If not set, E(ANSIBLE_ETCD_SRV_NAME) and E(ETCDCTL_DISCOVERY_SRV_NAME) are consulted.
    type: str
  srv_allow_insecure:
    description:
      - Use http members that DNS names also where it names https members, or where it could not be
        asked for them. Otherwise they are left out, with a warning.
      - Where O(protocol=https), O(ca_cert) or O(client_cert) ask for TLS, http members are left out even
        if there are no others.
    type: bool
    default: false
  port:
    description: Port of the endpoints that name none.
    type: int
    default: 2379
  protocol:
    description: Protocol of the endpoints that name none.
    type: str
    choices: [http, https]
    default: http
  ca_cert:
    description:
      - PEM file of the authorities to trust for https. If not set, E(ANSIBLE_ETCD_CA_CERT),
        E(ETCDCTL_CACERT) and E(ETCDCTL_CA_FILE) are consulted, and then the authorities that come
        with C(requests) are trusted.
    type: path
  client_cert:
    description:
      - PEM file of the certificate to show to https endpoints. Needs O(client_key).
      - Certificate and key come from the same source. If neither is set, the first of these pairs of
        which the environment has one counts. E(ANSIBLE_ETCD_CLIENT_CERT) and
        E(ANSIBLE_ETCD_CLIENT_KEY) (or their older names E(ANSIBLE_ETCD_CERT) and
        E(ANSIBLE_ETCD_KEY)); E(ETCDCTL_CERT) and E(ETCDCTL_KEY); E(ETCDCTL_CERT_FILE) and
        E(ETCDCTL_KEY_FILE).
    type: path
  client_key:
    description:
      - PEM file of the unencrypted private key of O(client_cert).
      - If O(client_cert) is not set either, E(ANSIBLE_ETCD_CLIENT_KEY) (or E(ANSIBLE_ETCD_KEY)),
        E(ETCDCTL_KEY) and E(ETCDCTL_KEY_FILE) are consulted, each together with its certificate.
    type: path
  validate_certs:
    description: V(false) accepts any certificate of https endpoints, and warns.
    type: bool
    default: true
  username:
    description:
      - User of the v2 access control, for basic authentication with the endpoints that are configured
        or discovered. Other members that a task asks for their health or version are asked without.
      - User and password come from the same source. If neither is set, the first of these of which the
        environment has one counts. E(ANSIBLE_ETCD_USERNAME) and E(ANSIBLE_ETCD_PASSWORD);
        E(ETCDCTL_USER) (C(user), or C(user:password)) or E(ETCDCTL_USERNAME), and
        E(ETCDCTL_PASSWORD).
    type: str
  password:
    description:
      - Password of O(username). It is sent unencrypted to http endpoints, with a warning.
      - If O(username) is not set either, E(ANSIBLE_ETCD_PASSWORD), E(ETCDCTL_USER)
        (C(user:password)) and E(ETCDCTL_PASSWORD) are consulted, each together with its user. Do not set
        them with the keyword C(environment), which Ansible writes into a command line that everybody on
        the host may read.
    type: str
  connect_timeout:
    description:
      - Seconds to connect to one endpoint. Resolving its name, trying all addresses of the name, and the
        TLS handshake are included.
    type: float
    default: 2.0
  timeout:
    description:
      - Seconds of silence after which an answer is no longer waited for. Each byte that comes or goes
        begins them again, so that what comes steadily may take longer, within O(total_timeout). (A server
        itself waits some 7 seconds for all of a value that is written.) A cluster without a quorum takes 7 seconds to answer that; with less than that
        the answer is lost.
    type: float
    default: 10.0
  total_timeout:
    description:
      - Seconds that one operation may take with all its endpoints and attempts; DNS discovery and the
        resolution of names are included. Finding out what became of a write whose answer was lost may
        take as many again.
      - Endpoints that refuse the connection, or cannot be reached, are asked again until it is over, so
        that a restart does not fail a task. TLS that is refused and a name that does not exist fail at
        once.
    type: float
    default: 30.0
  hedge_delay:
    description:
      - Seconds after which a read that has had no whole answer is sent to the next endpoint as well. The
        first answer counts.
      - It is a lower bound. Where answers were seen to take longer, a read is left alone for twice the
        longest of the last eight, up to half of O(timeout); and before any was seen, it is sent to one
        more endpoint only, until a quarter of O(timeout) is over.
    type: float
    default: 0.1
  use_proxy:
    description: Whether the proxy settings of the environment apply.
    type: bool
    default: false
  allow_failover:
    description:
      - Whether the next endpoint is asked when one gives no answer. V(false) uses the first only.
      - A write is sent to another endpoint only if it cannot have reached the first.
    type: bool
    default: true
    aliases: [allow_reconnect]
requirements:
  - Python 3.8 or newer where the plugin runs
  - requests >= 2.25 (for https endpoints and O(use_proxy=true))
  - dnspython >= 2.0.0 (for O(srv_domain))
"""

    PLUGINS = r"""
options:
  endpoints:
    vars: [{name: ansible_etcd_endpoints}]
    ini: [{section: etcd, key: endpoints}]
    env: [{name: ANSIBLE_ETCD_ENDPOINTS}]
  srv_domain:
    vars: [{name: ansible_etcd_srv_domain}]
    ini: [{section: etcd, key: srv_domain}]
    env: [{name: ANSIBLE_ETCD_SRV_DOMAIN}]
  srv_name:
    vars: [{name: ansible_etcd_srv_name}]
    ini: [{section: etcd, key: srv_name}]
    env: [{name: ANSIBLE_ETCD_SRV_NAME}]
  srv_allow_insecure:
    vars: [{name: ansible_etcd_srv_allow_insecure}]
    ini: [{section: etcd, key: srv_allow_insecure}]
    env: [{name: ANSIBLE_ETCD_SRV_ALLOW_INSECURE}]
  port:
    vars: [{name: ansible_etcd_port}]
    ini: [{section: etcd, key: port}]
    env: [{name: ANSIBLE_ETCD_PORT}]
  protocol:
    vars: [{name: ansible_etcd_protocol}]
    ini: [{section: etcd, key: protocol}]
    env: [{name: ANSIBLE_ETCD_PROTOCOL}]
  ca_cert:
    vars: [{name: ansible_etcd_ca_cert}]
    ini: [{section: etcd, key: ca_cert}]
    env: [{name: ANSIBLE_ETCD_CA_CERT}]
  client_cert:
    vars: [{name: ansible_etcd_client_cert}]
    ini: [{section: etcd, key: client_cert}]
    env: [{name: ANSIBLE_ETCD_CLIENT_CERT}, {name: ANSIBLE_ETCD_CERT}]
  client_key:
    vars: [{name: ansible_etcd_client_key}]
    ini: [{section: etcd, key: client_key}]
    env: [{name: ANSIBLE_ETCD_CLIENT_KEY}, {name: ANSIBLE_ETCD_KEY}]
  validate_certs:
    vars: [{name: ansible_etcd_validate_certs}]
    ini: [{section: etcd, key: validate_certs}]
    env: [{name: ANSIBLE_ETCD_VALIDATE_CERTS}]
  username:
    vars: [{name: ansible_etcd_username}]
    ini: [{section: etcd, key: username}]
    env: [{name: ANSIBLE_ETCD_USERNAME}]
  password:
    vars: [{name: ansible_etcd_password}]
    ini: [{section: etcd, key: password}]
    env: [{name: ANSIBLE_ETCD_PASSWORD}]
  connect_timeout:
    vars: [{name: ansible_etcd_connect_timeout}]
    ini: [{section: etcd, key: connect_timeout}]
    env: [{name: ANSIBLE_ETCD_CONNECT_TIMEOUT}]
  timeout:
    vars: [{name: ansible_etcd_timeout}]
    ini: [{section: etcd, key: timeout}]
    env: [{name: ANSIBLE_ETCD_TIMEOUT}]
  total_timeout:
    vars: [{name: ansible_etcd_total_timeout}]
    ini: [{section: etcd, key: total_timeout}]
    env: [{name: ANSIBLE_ETCD_TOTAL_TIMEOUT}]
  hedge_delay:
    vars: [{name: ansible_etcd_hedge_delay}]
    ini: [{section: etcd, key: hedge_delay}]
    env: [{name: ANSIBLE_ETCD_HEDGE_DELAY}]
  use_proxy:
    vars: [{name: ansible_etcd_use_proxy}]
    ini: [{section: etcd, key: use_proxy}]
    env: [{name: ANSIBLE_ETCD_USE_PROXY}]
  allow_failover:
    vars: [{name: ansible_etcd_allow_failover}]
    ini: [{section: etcd, key: allow_failover}]
    env: [{name: ANSIBLE_ETCD_ALLOW_FAILOVER}]
"""
