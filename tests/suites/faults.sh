#!/bin/bash
# The complete walk through the points of the fault layer (tests/faults).
#
#   sudo tests/suites/faults.sh [DIRECTORY]
#
# DIRECTORY is ctest's; the walk runs the release tree in any case, which it
# builds. WARREN_FAULTS_SECONDS=n walks a random part of n seconds instead.
set -euo pipefail

cd "$(dirname "$(readlink -f "$0")")/../.."
if ((EUID != 0)); then
  echo "faults: run as root" >&2
  exit 2
fi
cmake --build build/release --target fault_walk_test
[[ -n ${WARREN_FAULTS_SECONDS:-} ]] || export WARREN_FAULTS_ALL=1
exec build/release/tests/fault_walk_test
