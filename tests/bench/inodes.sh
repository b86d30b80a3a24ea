#!/bin/bash
# Inodes that a pod of one container makes on disk in its life, and what its
# calls cost on a disk where that matters most: ext4 without a journal.
#
#   inodes.sh [--build DIR] [--journal]
#
# In namespaces of its own, with the daemon's state on an ext4 image of its
# own, so that nobody else's inodes count. Needs root, tracefs and a loop
# device; nothing is left.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BUILD=$HERE/../../build/release
FEATURES=^has_journal
PODS=20
while (($#)); do
  case $1 in
    --build) BUILD=$2; shift ;;
    --journal) FEATURES=has_journal ;;
    *) sed -n '2,9p' "$0" >&2; exit 2 ;;
  esac
  shift
done
BUILD=$(realpath "$BUILD")

if [[ -z ${WARREN_COMPARE_INSIDE:-} ]]; then
  # shellcheck source=tests/bench/compare_outside.sh
  source "$HERE/compare_outside.sh"
  options=(--build "$BUILD")
  [[ $FEATURES != has_journal ]] || options+=(--journal)
  run_inside "$HERE/inodes.sh" "${options[@]}"
  exit
fi

# shellcheck source=tests/bench/compare_servers.sh
source "$HERE/compare_servers.sh"

# Counts on one device: $TRACE is a tracing instance of our own.
start_counting() {
  local device=$1
  [[ -d /sys/kernel/tracing/instances ]] ||
    mount -t tracefs tracefs /sys/kernel/tracing
  TRACE=/sys/kernel/tracing/instances/${CGROUP#/}
  mkdir "$TRACE"
  local event
  for event in ext4_allocate_inode ext4_free_inode; do
    echo "dev == $device" >"$TRACE/events/ext4/$event/filter"
    echo 1 >"$TRACE/events/ext4/$event/enable"
  done
}

count() {
  grep -c " $1: " "$TRACE/trace" || true
}

finish() {
  stop_servers
  [[ -z ${TRACE:-} ]] || rmdir "$TRACE"
}
trap finish EXIT

truncate -s 512M "$WORK/disk"
mkfs.ext4 -q -O "$FEATURES" "$WORK/disk"
mkdir -p "$WORK/warren/state"
mount -o loop "$WORK/disk" "$WORK/warren/state"
run_directory "$WORK/logs"
start_warren
# dev_t of the kernel: 12 bits major, 20 bits minor.
start_counting "$(($(stat -c '%Hd << 20 | %Ld' "$WORK/warren/state")))"
"$BUILD/testbin/cri_bench" \
  --endpoint "warren=$WORK/warren/warrend.sock,$CGROUP/warren" \
  --logs "$WORK/logs" --rounds 1 --pods "$PODS" --at-once 1 --json -
echo "$PODS pods: $(count ext4_allocate_inode) inodes made," \
  "$(count ext4_free_inode) freed"
