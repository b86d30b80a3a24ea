# shellcheck shell=bash
# Sourced by compare.sh, outside: makes directory, cgroup and namespaces, runs
# the caller again inside them, and takes everything away again.

remove_cgroup() {
  local tree
  for tree in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [[ -d $tree$CGROUP ]] || continue
    find "$tree$CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
}

# v1: the hierarchy that accounts CPU time; v2: the tree itself.
account_tree() {
  if [[ -d /sys/fs/cgroup/cpuacct ]]; then
    echo /sys/fs/cgroup/cpuacct
  else
    echo /sys/fs/cgroup
  fi
}

# run_inside COMMAND…: what runs in there.
run_inside() {
  local status=0 tree
  WORK=$(mktemp -d /tmp/warren-compare-XXXXXX)
  CGROUP=/warren-test-bench-$$
  tree=$(account_tree)
  mkdir -p "$tree$CGROUP"/{warren,containerd}/daemon "$WORK"/{warren,logs} \
    "$WORK/containerd/cni"
  export WORK CGROUP WARREN_COMPARE_INSIDE=1
  export ACCOUNT=$tree$CGROUP
  unshare --net --mount --pid --fork --kill-child --mount-proc \
    --propagation private "$@" || status=$?
  remove_cgroup
  rm -rf --one-file-system "$WORK"
  return "$status"
}
