#!/bin/bash
# The drain of a full node: 500 pods whose containers ignore their stop signal,
# 1000 StopContainer calls, and a client that reads meanwhile.
#
#   sudo tests/suites/drain.sh [DIRECTORY]
#
# DIRECTORY is ctest's; the drain runs the release tree in any case, which it
# builds. WARREN_DRAIN_PODS=n drains n pods.
set -euo pipefail

cd "$(dirname "$(readlink -f "$0")")/../.."
if ((EUID != 0)); then
  echo "drain: run as root" >&2
  exit 2
fi
cmake --build build/release --target e2e_node_test
export WARREN_DRAIN_PODS=${WARREN_DRAIN_PODS:-500}
exec build/release/tests/e2e_node_test --gtest_filter='AnswersTest.*'
