# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils._patterns import matcher, unmatched


@pytest.mark.parametrize(
    "patterns, name, matches",
    [
        # A name, at any depth, and what is below it
        (["a"], "a", True),
        (["a"], "d/a", True),
        (["a"], "d/e/a", True),
        (["a"], "a/b", True),
        (["a"], "d/a/b/c", True),
        (["a"], "ba", False),
        (["a"], "d/ba", False),
        (["a"], "ab/c", False),
        (["a/"], "d/a", True),
        (["pass*"], "db/password", True),
        (["pass*"], "db/user", False),
        # From the path on
        (["/a"], "a", True),
        (["/a"], "a/b", True),
        (["/a"], "d/a", False),
        (["/a"], "ab", False),
        (["d/a"], "d/a", True),
        (["d/a"], "d/a/b", True),
        (["d/a"], "e/d/a", False),
        # A star stands for slashes too
        (["a*"], "a/b/c", True),
        (["*/c"], "a/b/c", True),
        (["*/c"], "c", False),
        (["*"], "a/b", True),
        # Other characters of shell patterns, and of regular expressions
        (["b", "[ab]?"], "ax", True),
        (["a.c"], "abc", False),
        (["a\nb"], "a\nb", True),
        (["a+"], "aa", False),
    ],
)
def test_patterns(patterns, name, matches):
    assert bool(matcher(patterns).match(name)) is matches


def test_no_patterns():
    assert matcher([]) is None
    assert unmatched([], ["a"]) == []


def test_patterns_that_match_nothing():
    names = ["a", "d", "d/password", "d/e/f"]
    assert unmatched(["a", "pasword", "password", "/e", "/d/e"], names) == ["pasword", "/e"]
    assert unmatched(["a"], []) == ["a"]
