#!/bin/bash
# Installs the Debian packages of the given lists (default: the list beside
# this script) that are not there yet.  Does nothing, and needs no network,
# when all are present.
#
#   deploy/install-packages.sh [LIST...]
set -euo pipefail

lists=("$@")
if ((${#lists[@]} == 0)); then
  lists=("$(dirname "$(readlink -f "$0")")/debian-packages.txt")
fi

mapfile -t wanted < <(sed 's/#.*//' "${lists[@]}" | awk 'NF {print $1}')
mapfile -t present < <(
  dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${wanted[@]}" \
    2>/dev/null | awk '$1 == "ii" {print $2}')
mapfile -t missing < <(
  comm -23 <(printf '%s\n' "${wanted[@]}" | sort -u) \
    <(printf '%s\n' "${present[@]}" | sort -u))

if ((${#missing[@]} == 0)); then
  exit 0
fi
if ((EUID != 0)); then
  echo "install-packages: run as root to install: ${missing[*]}" >&2
  exit 1
fi

echo "installing ${#missing[@]} packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
