#!/usr/bin/env bash
# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Usage: unpack_servers.sh FOLDER. Downloads the etcd servers of later Debian releases from the mirror that this
# machine's own sources name, and unpacks them below FOLDER/etcd-VERSION. Nothing is installed, and apt's own lists
# are not touched. The last line of a failure says why.
set -euo pipefail

folder=$1
releases="trixie sid"

give_up() {
    echo "$1" >&2
    exit 1
}

for program in apt-get apt-cache dpkg-deb; do
    command -v "$program" >/dev/null || give_up "$program is not there"
done
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || give_up "Debian's keyring is not there (package debian-archive-keyring)"
mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
if [ -z "$mirror" ]; then
    mirror=$(sed -n 's/^deb  *\(\[[^]]*\]  *\)\{0,1\}\([^ ]*\).*/\2/p' /etc/apt/sources.list 2>/dev/null | head -n 1)
fi
[ -n "$mirror" ] || give_up "the sources of apt name no mirror of Debian"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
for release in $releases; do
    echo "deb [signed-by=$keyring] $mirror $release main"
done >"$work/sources.list"
options=(
    -o "Dir::Etc::sourcelist=$work/sources.list" -o "Dir::Etc::sourceparts=-"
    -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User="
    -o "Acquire::Retries=2" -o "Acquire::http::Timeout=20"
)

apt-get "${options[@]}" -q update || give_up "apt-get update failed"
versions=$(apt-cache "${options[@]}" madison etcd-server | awk '{ print $3 }' | sort -u)
[ -n "$versions" ] || give_up "Debian's $releases have no package etcd-server"
for version in $versions; do
    target=$folder/etcd-${version%%-*}
    [ ! -x "$target/usr/bin/etcd" ] || continue
    (cd "$work" && apt-get "${options[@]}" -q download "etcd-server=$version") ||
        give_up "apt-get download of etcd-server $version failed"
    mkdir -p "$folder"
    # Under its own name only once it is whole.
    rm -rf "$target.part"
    dpkg-deb -x "$work"/etcd-server_*.deb "$target.part" || give_up "etcd-server $version cannot be unpacked"
    rm -f "$work"/etcd-server_*.deb
    mv -T "$target.part" "$target"
done
