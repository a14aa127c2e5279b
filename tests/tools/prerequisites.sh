#!/usr/bin/env bash
# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Usage: prerequisites.sh PYTHON. Prints one line for each thing that is missing; fails if there was one.
set -euo pipefail

python=${1:-python3}
status=0

missing() {
    echo "missing: $1" >&2
    status=1
}

[ "$(uname -s)" = Linux ] ||
    missing "Linux: the embedded etcd server is a Linux program"
command -v git >/dev/null ||
    missing "git (Debian: apt-get install git)"
command -v tar >/dev/null ||
    missing "tar (Debian: apt-get install tar)"
if ! command -v "$python" >/dev/null; then
    missing "$python: Python 3.11 or newer (Debian: apt-get install python3 python3-venv; or make PYTHON=/path/to/python3.11)"
elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    missing "Python 3.11 or newer: $python is $("$python" --version 2>&1 || true) (make PYTHON=/path/to/python3.11)"
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    missing "the venv and ensurepip modules of $python (Debian: apt-get install python3-venv)"
fi
exit "$status"
