#!/bin/bash
# Removal of what a container made to be hard to remove, at full size: 100 000
# directories nested in each other, 2 million names of 255 bytes in one
# directory, 30 000 cgroups (half of them nested, half side by side).
#
#   sudo tests/suites/giant.sh [DIRECTORY]
#
# DIRECTORY is ctest's; the release tree runs in any case, which is built here:
# never under sanitizers. Prints how long each call took and the peak memory of
# the agent. Needs 2 GiB and 2.2 million inodes below the temporary directory.
# WARREN_GIANT_LEVELS, WARREN_GIANT_NAMES and WARREN_GIANT_CGROUPS (of each
# kind) change the sizes.
set -euo pipefail

cd "$(dirname "$(readlink -f "$0")")/../.."
if ((EUID != 0)); then
  echo "giant: run as root" >&2
  exit 2
fi
export WARREN_GIANT_LEVELS=${WARREN_GIANT_LEVELS:-100000}
export WARREN_GIANT_NAMES=${WARREN_GIANT_NAMES:-2000000}
export WARREN_GIANT_CGROUPS=${WARREN_GIANT_CGROUPS:-15000}
cmake --build build/release --target e2e_containers_test
exec build/release/tests/e2e_containers_test --gtest_filter='GiantTreeTest.*'
