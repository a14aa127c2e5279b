# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of tasks."""

from __future__ import annotations


def defaults(spec):
    """The options of a task that gives none, by the argument spec of its module."""
    return {name: option.get("default") for name, option in spec.items()}
