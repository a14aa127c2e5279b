# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a lookup: which there are, and which source each of them is taken from.

PRIVATE to the collection: it can change at any time.

Ansible takes each option from the first source that has it: the call, variables, the environment, the
configuration file. Some options belong together, though. A user name from the call and a password from
the inventory are nobody's credentials; and the domain to find a cluster by, given in the call, is not
meant to be added to the endpoints of the inventory.
"""

from __future__ import annotations

import enum
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _connection
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException

_VARIABLES = "ansible_etcd_"

#: What people call the argument that has no name.
_TERMS = ("_terms", "key", "keys", "path", "term", "terms")

#: What Ansible itself may hand over with the options.
_FROM_ANSIBLE = ("wantlist",)

Definitions = t.Mapping[str, t.Mapping[str, t.Any]]


class OptionProvider(t.Protocol):
    """What a lookup plugin offers of its options."""

    def get_option(self, option: str) -> t.Any:
        """The value of an option."""


class Templar(t.Protocol):
    """What resolves templates."""

    def template(self, variable: t.Any) -> t.Any:
        """The text with what is templated in it."""


class _Source(enum.IntEnum):
    """Where an option comes from; the lowest outweighs the others."""

    CALL = 0
    VARIABLE = 1
    ENVIRONMENT = 2
    CONFIGURATION = 3
    NOWHERE = 4


def refuse_unknown(given: t.Iterable[str], definitions: Definitions) -> None:
    """Fail for an option that the lookup does not have, as Ansible does for those of a module.

    Args:
        definitions: the documented options.

    Raises:
        ClientException: there is no such option; the message names the nearest one.
    """
    known = {name for name in definitions if not name.startswith("_")}
    for definition in definitions.values():
        known.update(definition.get("aliases") or ())
    for name in given:
        if name not in known and name not in _FROM_ANSIBLE:
            raise ClientException(_unknown(name, known))


def _unknown(name: str, known: t.AbstractSet[str]) -> str:
    from difflib import get_close_matches

    if name in _TERMS:
        return (
            f"there is no option {name}; the keys are the arguments without a name, as in"
            " lookup('quorum.etcd.etcd_key', '/app/mode')"
        )
    for nearest in get_close_matches(name, sorted(known), 1):
        return f"there is no option {name}; did you mean {nearest}?"
    return f"there is no option {name}; the options are {', '.join(sorted(known))}"


def option_variables(
    variables: t.Optional[t.Mapping[str, t.Any]], templar: Templar
) -> t.Dict[str, t.Any]:
    """The variables that options are taken from, with their templates resolved.

    Ansible resolves the arguments of a lookup, and hands over variables as they are written.
    """
    return {
        name: templar.template(value)
        for name, value in (variables or {}).items()
        if name.startswith(_VARIABLES)
    }


def connection_options(
    plugin: OptionProvider,
    definitions: Definitions,
    direct: t.Mapping[str, t.Any],
    variables: t.Mapping[str, t.Any],
    environ: t.Mapping[str, str],
) -> t.Dict[str, t.Any]:
    """A value or None for each connection option, for `_connection.settings`.

    Args:
        definitions: the documented options.
        direct: the options of the call.
        variables: from `option_variables`.
    """
    options = {name: plugin.get_option(name) for name in _connection.ARGUMENT_SPEC}

    def source(name: str) -> _Source:
        definition = definitions[name]
        if direct.get(name) is not None:
            return _Source.CALL
        if any(variables.get(one["name"]) is not None for one in definition.get("vars") or ()):
            return _Source.VARIABLE
        if any(environ.get(one["name"]) for one in definition.get("env") or ()):
            return _Source.ENVIRONMENT
        return _Source.NOWHERE if options[name] in (None, "") else _Source.CONFIGURATION

    for names, optional in (
        (_connection.WAYS, ("srv_name",)),
        *((identity.names, ()) for identity in _connection.IDENTITIES),
    ):
        sources = {name: source(name) for name in (*names, *optional)}
        first = min(sources[name] for name in names)
        for name, one in sources.items():
            # `settings` knows the environment, and what belongs together there.
            if one is _Source.ENVIRONMENT or one > first:
                options[name] = None
    return options
