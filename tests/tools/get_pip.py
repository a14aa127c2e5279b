# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A substitute for get-pip.py, the script that bootstraps pip in ansible-test's virtual environments.

ansible-test fetches the original from the web host of its own CI, which a machine without general
internet access cannot reach. The driver puts this file where ansible-test keeps its downloaded copy.
It does the same work with what Python brings along: ensurepip, then `pip install` with the arguments
that ansible-test passes. It runs on every target Python.
"""

from __future__ import annotations

import subprocess
import sys

args = [arg for arg in sys.argv[1:] if arg not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
subprocess.check_call([sys.executable, "-m", "pip", "install", *args])
