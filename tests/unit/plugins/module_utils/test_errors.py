# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils.errors import EtcdException

CLASSES = {
    name: found
    for name, found in vars(errors).items()
    if isinstance(found, type) and issubclass(found, Exception)
}


def test_every_class_has_a_docstring_of_its_own():
    assert [name for name, found in CLASSES.items() if not found.__dict__.get("__doc__")] == []


def drawn_tree():
    """What the docstring draws: class -> (code, parent), None for what it has not."""
    found = {}
    latest = {}  # column -> the class that was drawn there last
    for line in errors.__doc__.partition("::\n")[2].splitlines():
        drawn = list(re.finditer(r"((?:Etcd|Client)[A-Z]\w+)(?: (\d{3}))?", line))
        for one in drawn:
            column = drawn[0].start()
            above = [latest[left] for left in sorted(latest) if left < column]
            name, code = one.groups()
            found[name] = (int(code) if code else None, above[-1] if above else None)
            latest[column] = name
    return found


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes():
    """Every class is drawn, and no other, with its code and below its parent."""
    assert drawn_tree() == {
        name: (
            found.__dict__.get("code"),
            found.__base__.__name__ if found.__base__.__name__ in CLASSES else None,
        )
        for name, found in CLASSES.items()
    }


def test_codes_are_those_of_the_classes():
    assert errors.BY_CODE == {
        found.code: found for found in CLASSES.values() if getattr(found, "code", None) is not None
    }


def test_a_wrong_argument_is_no_answer_of_a_cluster():
    assert issubclass(errors.ClientException, ValueError)
    assert not issubclass(errors.ClientException, EtcdException)


@pytest.mark.parametrize(
    "exc, text",
    [
        (EtcdException("m"), "m"),
        (EtcdException("m", cause="/k"), "m: /k"),
        (EtcdException("m", http_status=502), "m (HTTP 502)"),
        (EtcdException("m", endpoint="http://a"), "m (from http://a)"),
        (
            errors.EtcdKeyNotFound("m", cause="/k", http_status=404, endpoint="http://a"),
            "m: /k (etcd error 100, from http://a)",
        ),
        (EtcdException("m", code=999), "m (etcd error 999)"),
        (
            errors.EtcdUnreachable("m", errors=[("http://a", "x"), ("http://b", "y")]),
            "m; http://a: x; http://b: y",
        ),
        (
            errors.EtcdRaftInternal(
                "m", endpoint="http://a", errors=[("http://a", "x"), ("http://b", "y")]
            ),
            "m (etcd error 300, from http://a); http://b: y",
        ),
    ],
)
def test_an_error_says_all_that_it_knows(exc, text):
    assert str(exc) == text


def test_an_error_keeps_what_it_was_given():
    exc = EtcdException(
        "m", code=1, cause="c", index=2, http_status=3, endpoint="e", errors=[("a", "b")]
    )
    assert (exc.message, exc.code, exc.cause, exc.index) == ("m", 1, "c", 2)
    assert (exc.http_status, exc.endpoint, exc.errors) == (3, "e", (("a", "b"),))
    bare = EtcdException("m")
    assert (bare.code, bare.cause, bare.index, bare.http_status) == (None, None, None, None)
    assert (bare.endpoint, bare.errors) == (None, ())
