#!/bin/bash
# Puts Debian's docker-registry into a directory, for tests: the program alone,
# because the package would start it as a service of this machine.
#
#   tests/support/docker_registry.sh DIRECTORY
#
# The program is DIRECTORY/usr/bin/docker-registry then. Does nothing when it is
# there. Without the package registry it says so and succeeds: tests that need
# the program skip.
set -euo pipefail

readonly directory=${1:?usage: docker_registry.sh DIRECTORY}
[[ ! -x $directory/usr/bin/docker-registry ]] || exit 0
mkdir -p "$directory"
cd "$directory"
if ! apt-get download -qq docker-registry >apt.log 2>&1; then
  echo "docker_registry: not downloaded: $(tail -n 1 apt.log)" >&2
  exit 0
fi
dpkg-deb -x docker-registry_*.deb .
rm -f docker-registry_*.deb
