#!/usr/bin/env bash
# Installs what building and testing needs from Debian 12, as root or with sudo. Does nothing where all is there.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
mapfile -t packages < "$here/packages.txt"

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "== packages: all ${#packages[@]} are installed"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "run this as root, or install sudo: it must install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "== packages: installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
