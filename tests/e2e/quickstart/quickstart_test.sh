#!/bin/bash
# deploy/quickstart.sh --isolated from a finished build: both pods answer, the
# pictures show what the issue of the day promised, and nothing is left.
#
#   quickstart_test.sh BUILD_DIR
set -euo pipefail

readonly BUILD=$1
SOURCE=$(cd "$(dirname "$(readlink -f "$0")")/../../.." && pwd)
readonly SOURCE
if ((EUID != 0)); then
  echo "skipped: needs root"
  exit 77
fi
# In namespaces where nobody else makes links and mounts, and in a directory
# where nobody else makes files.
if [[ ${WARREN_QUICKSTART_TEST:-} != yes ]]; then
  "$SOURCE/deploy/install-packages.sh"  # with a network
  WARREN_QUICKSTART_TEST=yes exec unshare --net --mount --propagation private \
    "$0" "$@"
fi
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# What a run could leave on the node; its cgroups have the name of its directory.
leftovers() {
  ls -A "$TMPDIR"
  find /sys/fs/cgroup -maxdepth 3 -type d -name "quickstart-${1##*.}" 2>/dev/null
  grep -c warren-quickstart /proc/self/mountinfo || true
  ip -o link show | grep -c warren0 || true
}

# shellcheck disable=SC2016  # for the inner shell
output=$("$SOURCE/deploy/quickstart.sh" --isolated --build-dir "$BUILD" -- \
  bash -c 'ls "$TMPDIR" && exec "$@"' steps \
  "$SOURCE/tests/e2e/quickstart/warrenctl_steps.sh" \
  "$BUILD/share/warren/default-image.tar" 2>&1) || fail "exit code $?: $output"
echo "$output"

expect() { grep -Eq -- "$1" <<<"$output" || fail "no line fits: $1"; }

for pod in web-a web-b; do
  expect "^http://10\.88\.[0-9.]+/ says: hello from $pod,"
  expect "pod default/$pod  READY"
done
for kind in user net ipc uts time mnt pid cgroup; do
  # Once in the box of each pod, with an inode of its own.
  count=$(grep -Ec "\| $kind +[0-9]+ .*\| $kind +[0-9]+" <<<"$output") || true
  ((count == 2)) || fail "$kind namespaces of their own: $count, want 2"
done
expect 'uid 0\.\.65535 inside = 65536\.\.131071 on the node'
expect 'uid 0\.\.65535 inside = 131072\.\.196607 on the node'
expect 'boot time \+10d, monotonic \+10d'
expect 'pid    1     uid 0    httpd -f -p 80'
expect '^warrenctl steps pass'
expect '^warren-quickstart\.'
left=$(leftovers "$(grep '^warren-quickstart\.' <<<"$output")")
[[ $left == $'0\n0' ]] || fail "left behind: $left"
echo "quickstart works and leaves nothing"
