#!/bin/bash
# The tests beside a noisy neighbour: no test may depend on what else is on the
# machine, on its speed, or on the order of tests.
#
#   sudo tests/suites/noise.sh DIRECTORY [CTEST-ARGUMENT...]
#
# DIRECTORY is ctest's (build/all, build/release). Runs its tests ROUNDS times in
# a row (3 unless the environment says so), programs and the tests of each in
# random order, beside
#   - two busy loops for each processor,
#   - named network namespaces with links, bridges (one of Warren's own name), a
#     table of nftables, cgroups, processes with the arguments of tests' own,
#   - files and directories in the temporary directory,
#   - containers of podman, where it is installed.
# All of it is made before the first round and removed after the last, also
# after a failure or a signal. Exit code 0 when every test of every round passed.
set -euo pipefail

readonly ROUNDS=${ROUNDS:-3}
readonly NAME=warren-noise-$$
readonly NETNS_ROOT=/run/netns
# Names that a test might be tempted to look for.
readonly PATHS=(/tmp/x /tmp/below /tmp/sub /tmp/go /tmp/acct /tmp/jail
  "/tmp/$NAME" "/tmp/warren-quickstart.$$" "/var/tmp/$NAME" "/dev/shm/$NAME")
readonly SLEEPS=(600 1000 1001 1002 1003 1004 3131 4141 4242 5151 5175 6161 7171)

undo=()   # commands, of which the last one is run first
state=""  # directory for logs

# does WORDS...: to be run at the end.
undoes() { undo+=("$(printf '%q ' "$@")"); }

clean_up() {
  local i
  trap '' INT TERM HUP
  for ((i = ${#undo[@]} - 1; i >= 0; --i)); do
    eval "${undo[i]}" || echo "noise: not undone: ${undo[i]}" >&2
  done
}

skip() { echo "noise: SKIPPED $1: $2"; }

# stop PID: a process of this script.
stop() {
  kill -KILL "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

busy_loops() {
  local i
  for ((i = 0; i < 2 * $(nproc); ++i)); do
    (exec -a "$NAME" bash -c 'while :; do :; done') &
    undoes stop $!
  done
}

processes() {
  local seconds
  for seconds in "${SLEEPS[@]}"; do
    sleep "$seconds" &
    undoes stop $!
  done
}

# "ip netns" leaves the directory behind as a mount, and umount(8) one of its
# own.
leave_netns_root() {
  mountpoint -q "$NETNS_ROOT" || return 0
  [[ -z $(ls -A "$NETNS_ROOT") ]] || return 0
  local directories=("$NETNS_ROOT")
  [[ -d /run/mount ]] || directories+=(/run/mount)
  umount "$NETNS_ROOT"
  rmdir --ignore-fail-on-non-empty "${directories[@]}"
}

network() {
  local end
  if ! ip link add "wn$$" type bridge 2>"$state/error"; then
    skip network "$(<"$state/error")"
    return
  fi
  undoes ip link del "wn$$"
  ip addr add 198.51.100.1/24 dev "wn$$"
  ip link set "wn$$" up
  if ! ip link show warren0 &>/dev/null; then
    ip link add warren0 type bridge
    undoes ip link del warren0
  fi
  mountpoint -q "$NETNS_ROOT" || undoes leave_netns_root
  for end in a b; do
    ip netns add "$NAME-$end"
    undoes ip netns del "$NAME-$end"
    ip -n "$NAME-$end" link set lo up
  done
  ip -n "$NAME-a" link add eth0 type veth peer name eth0 netns "$NAME-b"
  ip link add "wn$$-p" type veth peer name up netns "$NAME-a"
  ip link set "wn$$-p" master "wn$$" up
  nft -f - <<<"table inet $NAME { chain c { counter accept; }; }"
  undoes nft delete table inet "$NAME"
}

# A directory in each hierarchy, with a process in it.
cgroups() {
  local procs directory pid
  sleep infinity &
  pid=$!
  for procs in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do
    [[ -f $procs ]] || continue
    # Children of the root of v2 are no hierarchies.
    if [[ $procs != /sys/fs/cgroup/cgroup.procs &&
      -f /sys/fs/cgroup/cgroup.procs ]]; then continue; fi
    directory=${procs%/*}/$NAME
    mkdir "$directory" 2>/dev/null || continue
    undoes remove_cgroup "$directory"
    # Not into the empty set of processors of cpuset on v1.
    echo "$pid" >"$directory/cgroup.procs" 2>/dev/null || true
  done
  undoes stop "$pid"
}

# The kernel lets go of a cgroup a moment after its last process.
remove_cgroup() {
  local tries
  for ((tries = 0; tries < 1000; ++tries)); do
    rmdir "$1" 2>/dev/null && return 0
    sleep 0.01
  done
  return 1
}

files() {
  local path
  for path in "${PATHS[@]}"; do
    [[ ! -e $path && ! -L $path ]] || continue
    case $path in
      *go | *acct) echo "somebody's" >"$path" ;;
      *) mkdir "$path" && echo "somebody's" >"$path/file" ;;
    esac
    undoes rm -rf "$path"
  done
}

containers() {
  local box=/bin/busybox runtime=""
  ! command -v runc >/dev/null || runtime=runc
  if ! command -v podman >/dev/null; then
    skip "containers of podman" "podman is not installed"
    return
  fi
  if ! tar -C "${box%/*}" -c "${box##*/}" |
    podman import -q - "localhost/$NAME" >/dev/null 2>"$state/error"; then
    skip "containers of podman" "$(<"$state/error")"
    return
  fi
  undoes podman rmi -f "localhost/$NAME"
  # crun refuses a host with both versions of cgroups; a caller without
  # CAP_SYS_RESOURCE cannot have podman's own limits.
  local options=(--ulimit nofile=1000:1000 --ulimit nproc=1000:1000)
  if ! podman ${runtime:+--runtime "$runtime"} run -d "${options[@]}" \
    --name "$NAME" "localhost/$NAME" \
    /busybox sleep 1000000 >/dev/null 2>"$state/error"; then
    skip "containers of podman" "$(<"$state/error")"
  fi
  undoes podman rm -f -i -t 0 "$NAME"
}

# One round; its line in the summary.
round() {
  local number=$1 seed=$((RANDOM % 99999 + 1)) start=$SECONDS
  local log=$state/round-$number
  shift
  echo "== noise: round $number, GTEST_SHUFFLE=1 GTEST_RANDOM_SEED=$seed"
  if GTEST_SHUFFLE=1 GTEST_RANDOM_SEED=$seed ctest "$@" --schedule-random \
    --output-on-failure --no-tests=error --parallel "$(nproc)" | tee "$log"; then
    passed=$((passed + 1))
  fi
  summary+=("round $number (seed $seed, $((SECONDS - start)) s): $(
    grep -E '^[0-9]+% tests passed' "$log" || echo 'no result')")
  summary+=("$(sed -n '/^The following tests FAILED/,/^Errors while/p' "$log")")
}

main() {
  local number directory=${1:?usage: noise.sh DIRECTORY [CTEST-ARGUMENT...]}
  local passed=0 summary=()
  shift
  if ((EUID != 0)); then
    echo "noise: run as root" >&2
    exit 2
  fi
  trap clean_up EXIT
  trap 'exit 130' INT TERM HUP
  state=$(mktemp -d)
  undoes rm -rf "$state"
  processes
  network
  cgroups
  files
  containers
  busy_loops
  for ((number = 1; number <= ROUNDS; ++number)); do
    round "$number" --test-dir "$directory" "$@"
  done
  echo "== noise: $passed of $ROUNDS rounds without a failure"
  printf '%s\n' "${summary[@]}" | sed '/^$/d'
  ((passed == ROUNDS))
}

main "$@"
