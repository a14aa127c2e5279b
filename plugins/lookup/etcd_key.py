# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: etcd_key
short_description: Read keys of an etcd v2 store
version_added: 0.1.0
description:
  - Reads keys, or whole directories, through the etcd v2 API.
  - There is one result for each term, in the same order. A key that is missing is an error, or has
    the result that O(missing) says. A cluster that cannot be reached, refuses the credentials or
    does not serve the v2 API is always an error. So is an option that this plugin does not have.
  - Options that belong together are taken from one source, in this order, the arguments, variables, the
    environment, the configuration file. They are O(username) and O(password); O(client_cert) and
    O(client_key); O(endpoints) or O(srv_domain).
extends_documentation_fragment:
  - quorum.etcd.connection
  - quorum.etcd.connection.plugins
options:
  _terms:
    description:
      - The keys. A leading slash is added where it is missing.
      - A list as a term stands for the keys in it, however deep they are nested.
    type: list
    elements: str
    required: true
  recursive:
    description:
      - Whether a term may be a directory; its result is then all that is below it.
      - Where a role limits what may be read, a term V(/app) then needs the pattern V(/app/*), not V(/app).
    type: bool
    default: false
  layout:
    description:
      - With O(recursive=true), how a directory is returned.
      - V(nested) is a mapping of names to values and, for directories, to mappings.
      - V(flat) is a mapping of full keys to values; empty directories are left out.
      - Hidden keys, whose names start with an underscore, are in neither.
    type: str
    choices: [nested, flat]
    default: nested
  missing:
    description:
      - What becomes of a key that does not exist; nothing exists below a key that holds a value.
      - V(error) fails, V(default) returns O(default), V(skip) leaves the result out.
      - If not set, V(default) if O(default) is given, and V(error) otherwise.
    type: str
    choices: [error, default, skip]
  default:
    description: The result for a key that does not exist. V(null) is one, too.
    type: raw
  from_json:
    description: Whether values are JSON and are returned as what they stand for. Otherwise they are strings.
    type: bool
    default: false
  details:
    description:
      - Return, instead of each value, a mapping with C(key), C(value), C(ttl), C(expiration),
        C(created_index) and C(modified_index). The last is what the option O(quorum.etcd.etcd_key#module:prev_index)
        of the module compares with.
    type: bool
    default: false
  quorum:
    description:
      - Whether the cluster is asked, so that the result holds every write that was acknowledged
        before. V(false) asks the one member that answers, which may lag behind, and which answers
        also when the cluster has no quorum.
    type: bool
    default: true
seealso:
  - module: quorum.etcd.etcd_key
author:
  - quorum.etcd contributors (@quorum-etcd)
"""

EXAMPLES = r"""
- name: Show a value
  ansible.builtin.debug:
    msg: "{{ lookup('quorum.etcd.etcd_key', '/app/config/mode', endpoints=['http://10.0.1.10:2379']) }}"

- name: Use a default where there is no key
  ansible.builtin.debug:
    msg: "{{ lookup('quorum.etcd.etcd_key', '/app/config/color', default='blue') }}"

- name: Loop over several keys, without those that are missing
  ansible.builtin.debug:
    msg: "{{ item }}"
  loop: "{{ query('quorum.etcd.etcd_key', '/app/a', '/app/b', missing='skip') }}"

- name: Read a directory as a nested mapping
  ansible.builtin.set_fact:
    app: "{{ lookup('quorum.etcd.etcd_key', '/app', recursive=true) }}"
  # app.config.mode is now 'production'

- name: Read a value that is stored as JSON
  ansible.builtin.debug:
    msg: "{{ lookup('quorum.etcd.etcd_key', '/app/config/limits', from_json=true).connections }}"
- name: Show the index that a later compare-and-swap needs
  ansible.builtin.debug:
    msg: "{{ lookup('quorum.etcd.etcd_key', '/app/config/mode', details=true).modified_index }}"
"""

RETURN = r"""
_list:
  description:
    - The values, as strings, or as what their JSON stands for, or with details. A directory is a
      mapping.
  type: list
  elements: raw
"""

import typing as t

from ansible.plugins.lookup import LookupBase

from ansible_collections.quorum.etcd.plugins.plugin_utils import _bytecode


class LookupModule(LookupBase):
    """The lookup plugin quorum.etcd.etcd_key."""

    def run(self, terms: t.List[t.Any], variables: t.Any = None, **kwargs: t.Any) -> t.List[t.Any]:
        with _bytecode.kept():
            from ansible_collections.quorum.etcd.plugins.plugin_utils import (
                _lookup,
                _lookup_options,
            )

            definitions = self.option_definitions
            with _lookup.failing():
                _lookup_options.refuse_unknown(kwargs, definitions)
            found = _lookup_options.option_variables(variables, self._templar)
            self.set_options(var_options=found, direct=kwargs)
            return _lookup.look_up_keys(
                self,
                terms,
                lambda environ: _lookup_options.connection_options(
                    self, definitions, kwargs, found, environ
                ),
                default_given="default" in kwargs,
            )
