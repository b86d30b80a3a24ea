#!/bin/bash
# Warren, Debian's containerd + runc + CNI bridge, and the floor, under one
# workload in one run.
#
#   compare.sh [--quick] [--build DIR] [--only containerd|warren] --json FILE
#
# Everything happens in pid, mount and network namespaces of its own, in a
# temporary directory and below one cgroup; nothing is left. Needs root and the
# packages of deploy/debian-packages-bench.txt.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BUILD=$HERE/../../build/release
JSON=
ONLY=
ROUNDS=8
PODS=20
AT_ONCE=1,16
while (($#)); do
  case $1 in
    --quick) ROUNDS=2 PODS=8 AT_ONCE=1,8 ;;
    --build) BUILD=$2; shift ;;
    --only) ONLY=$2; shift ;;
    --json) JSON=$2; shift ;;
    *) sed -n '2,9p' "$0" >&2; exit 2 ;;
  esac
  shift
done
[[ -n $JSON ]] || { sed -n '2,9p' "$0" >&2; exit 2; }
BUILD=$(realpath "$BUILD")
JSON=$(realpath -m "$JSON")

if [[ -z ${WARREN_COMPARE_INSIDE:-} ]]; then
  # shellcheck source=tests/bench/compare_outside.sh
  source "$HERE/compare_outside.sh"
  ARGS=(--build "$BUILD" --json "$JSON")
  [[ $ROUNDS == 2 ]] && ARGS+=(--quick)
  [[ -n $ONLY ]] && ARGS+=(--only "$ONLY")
  run_inside "$HERE/compare.sh" "${ARGS[@]}"
  exit
fi

# shellcheck source=tests/bench/compare_servers.sh
source "$HERE/compare_servers.sh"
trap stop_servers EXIT

ENDPOINTS=()
if [[ $ONLY != containerd ]]; then
  start_warren
  ENDPOINTS+=(--endpoint "warren=$WORK/warren/warrend.sock,$CGROUP/warren")
fi
if [[ $ONLY != warren ]]; then
  start_containerd
  ENDPOINTS+=(--endpoint
              "containerd=$WORK/containerd/containerd.sock,$CGROUP/containerd")
fi
print_versions
"$BUILD/testbin/cri_bench" "${ENDPOINTS[@]}" \
  --floor "$BUILD/testbin/floor" --logs "$WORK/logs" \
  --rounds "$ROUNDS" --pods "$PODS" --at-once "$AT_ONCE" --json "$JSON"
