#!/bin/bash
# Random stacks of layers against a plain reader of them: 20 000, each a tree of
# Warren's own through a mounted overlay (tests/root/image_stack_test.cc).
#
#   sudo tests/suites/layers.sh [DIRECTORY]
#
# DIRECTORY is ctest's; the release tree runs in any case, which it builds.
# WARREN_LAYER_STACKS=n runs n stacks. WARREN_LAYER_SEED=n starts with this seed,
# which the output names; without it every run starts with another.
set -euo pipefail

cd "$(dirname "$(readlink -f "$0")")/../.."
if ((EUID != 0)); then
  echo "layers: run as root" >&2
  exit 2
fi
cmake --build build/release --target image_layer_test
export WARREN_LAYER_STACKS=${WARREN_LAYER_STACKS:-20000}
export WARREN_LAYER_SEED=${WARREN_LAYER_SEED:-$((SRANDOM % 1000000000))}
exec build/release/tests/image_layer_test --gtest_filter='ImageStacks.*'
