#!/usr/bin/env bash
# Installs what building and testing needs from Debian 12, as root or with sudo. Does nothing where all is there.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
mapfile -t packages < "$here/packages.txt"

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [[ "$status" == *" ok installed" ]] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "== packages: all ${#packages[@]} are installed"
  exit 0
fi

command -v apt-get >/dev/null || { echo "this is no Debian; install by its own means: ${missing[*]}" >&2; exit 1; }
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "run this as root, or install sudo: it must install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
# A plain `su` leaves out the folders that dpkg needs.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
# A fresh machine may be updating itself: its lock is waited for.
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@"; }

echo "== packages: installing ${missing[*]}"
# A list of some other source that cannot be read is no reason to stop.
apt update || echo "some package lists could not be read; going on with those that are there" >&2
apt install -y --no-install-recommends "${missing[@]}" > /dev/null
