#!/bin/bash
# From a bare Debian 12 to two pods on one node: installs packages, builds,
# installs and starts warrend, runs two pods whose web servers both listen on
# port 80, fetches a page from each and draws the namespaces of each.
#
#   sudo deploy/quickstart.sh                    all of it; again: harmless
#   sudo deploy/quickstart.sh --clean            takes away what it made, and
#        nothing that was there before
#   sudo deploy/quickstart.sh --isolated         the same in a network and
#        mount namespace and directories of its own, gone at the end
#   --build-dir DIR                              use this finished build
#   -- COMMAND...                                run this at the end, with
#        warrenctl in the PATH; e.g. --isolated -- bash
#
# Packages stay after --clean.
set -euo pipefail

SOURCE=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
readonly SOURCE
isolated=0
clean=0
build_dir=
at_end=()

# shellcheck source=deploy/quickstart_clean.sh
source "$SOURCE/deploy/quickstart_clean.sh"

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
die() { echo "quickstart: $*" >&2; exit 1; }

parse_arguments() {
  while (($#)); do
    case $1 in
      --isolated) isolated=1 ;;
      --clean) clean=1 ;;
      --build-dir)
        [[ -n ${2:-} ]] || die "--build-dir wants a directory"
        build_dir=$(readlink -f "$2")
        shift
        ;;
      --)
        shift
        at_end=("$@")
        break
        ;;
      -h | --help) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 0 ;;
      *) die "unknown argument $1 (see --help)" ;;
    esac
    shift
  done
  ((EUID == 0)) || die "run as root"
}

# ---- Where everything is --------------------------------------------------

use_node_paths() {
  prefix=/usr/local
  config=/etc/warren/warren.toml
  unit=/etc/systemd/system/warrend.service
  log_dir=/var/log/warren
  notes=/var/lib/warren-quickstart  # what --clean must know
}

# Everything below one temporary directory, cgroups below that of all tests.
use_isolated_paths() {
  local root=$1
  prefix=$root/prefix
  config=$root/warren.toml
  log_dir=$root/log
  notes=$root/notes
  cat >"$config" <<END
socket = "$root/run/warrend.sock"
state_dir = "$root/state"
run_dir = "$root/run"
cgroup_parent = "/warren-test/quickstart-${root##*.}"
END
}

# setting KEY DEFAULT: what the configuration says.
setting() {
  local value
  value=$(sed -n "s/^ *$1 *= *\"\(.*\)\".*/\1/p" "$config" 2>/dev/null) || true
  echo "${value:-$2}"
}

read_settings() {
  socket=$(setting socket /run/warren/warrend.sock)
  state_dir=$(setting state_dir /var/lib/warren)
  run_dir=$(setting run_dir /run/warren)
  cgroup_parent=$(setting cgroup_parent /warren)
  bridge=$(setting bridge warren0)
  table=$(setting table warren)
  pid_file=$notes/warrend.pid
  export WARREN_SOCKET=$socket
}

ctl() { "$prefix/bin/warrenctl" "$@"; }

with_systemd() { ((!isolated)) && [[ -d /run/systemd/system ]]; }

# ---- Build and install ----------------------------------------------------

build() {
  if [[ -n $build_dir ]]; then
    return
  fi
  say "building (release)"
  build_dir=$SOURCE/build/release
  (cd "$SOURCE" && cmake --preset release >/dev/null &&
    cmake --build --preset release --target product)
}

write_config() {
  [[ ! -e $config ]] || return 0
  note_path "$config"
  install -D -m 644 "$SOURCE/deploy/warren.toml" "$config"
}

# A file's directories that are missing, and the file, if it is.
note_path() {
  local path=$1 missing=()
  [[ ! -e $path ]] || return 0
  note file "$path"
  path=$(dirname "$path")
  while [[ ! -e $path ]]; do
    missing=("$path" "${missing[@]}")
    path=$(dirname "$path")
  done
  for path in "${missing[@]}"; do note empty "$path"; done
}

install_product() {
  local staging path
  say "installing below $prefix"
  mkdir -p "$notes"
  # Into a directory of its own first, which says what there will be.
  staging=$(mktemp -d)
  DESTDIR=$staging cmake --install "$build_dir" --prefix "$prefix" \
    >"$notes/install.log"
  while read -r path; do
    note_path "${path#"$staging"}"
  done < <(find "$staging" ! -type d)
  rm -rf "$staging"
  # An unchanged file is left alone, so that a running daemon is, too.
  cmake --install "$build_dir" --prefix "$prefix" >"$notes/install.log"
  if with_systemd; then
    note_path "$unit"
    cp "$SOURCE/deploy/warrend.service" "$unit"
    systemctl daemon-reload
  fi
}

# What the daemon is going to make. With a daemon of somebody else's, or parts
# of its configuration, some of it is there.
note_node() {
  local top
  note_directory "$state_dir"
  note_directory "$run_dir"
  note_directory "$log_dir"
  ip link show "$bridge" &>/dev/null || note bridge "$bridge"
  nft list table inet "$table" &>/dev/null || note table "inet $table"
  nft list table bridge "$table" &>/dev/null || note table "bridge $table"
  for top in /sys/fs/cgroup /sys/fs/cgroup/*/; do
    [[ -e $top/cgroup.procs ]] || continue
    top=${top%/}
    # The directory that tests share goes when nobody else is in it.
    if ((isolated)) || [[ ! -d $top$(dirname "$cgroup_parent") ]]; then
      note cgroup "$top$(dirname "$cgroup_parent")"
    fi
    [[ -d $top$cgroup_parent ]] || note cgroup "$top$cgroup_parent"
  done
}

# ---- The daemon -----------------------------------------------------------

# The settings of the node that pods need and that warrend therefore changes:
# forwarding, and router advertisements where the node learns its routes so.
note_sysctls() {
  [[ -e $notes/sysctls ]] && return
  local file
  for file in /proc/sys/net/ipv4/ip_forward \
    /proc/sys/net/ipv6/conf/all/forwarding \
    /proc/sys/net/ipv6/conf/*/accept_ra; do
    [[ -e $file ]] && echo "$file $(<"$file")"
  done >"$notes/sysctls"
}

put_sysctls_back() {
  # Under a daemon of somebody else's they stay.
  made daemon && [[ -e $notes/sysctls ]] || return 0
  local file value
  while read -r file value; do
    [[ ! -e $file || $(<"$file") == "$value" ]] || echo "$value" >"$file"
  done <"$notes/sysctls"
}

daemon_pid() {
  local pid
  pid=$(cat "$pid_file" 2>/dev/null) || return 1
  # A number alone may belong to somebody else by now.
  [[ $(readlink "/proc/$pid/exe" 2>/dev/null) == "$prefix/bin/warrend"* ]] ||
    return 1
  echo "$pid"
}

start_daemon() {
  if ctl version >/dev/null 2>&1; then
    echo "warrend is running"
    return
  fi
  "$prefix/bin/warrend" --config "$config" --check-config
  note daemon
  if with_systemd; then
    systemctl enable --quiet --now warrend
  else
    note_path "$log_dir/warrend.log"
    mkdir -p "$log_dir"
    setsid "$prefix/bin/warrend" --config "$config" \
      >>"$log_dir/warrend.log" 2>&1 </dev/null &
    echo $! >"$pid_file"
  fi
  wait_until 100 ctl version || {
    if ! with_systemd; then tail -n 20 "$log_dir/warrend.log" >&2; fi
    die "warrend does not answer on $socket"
  }
  ctl status
}

stop_daemon() {
  made daemon || return 0
  if with_systemd; then
    systemctl disable --quiet --now warrend 2>/dev/null || true
    return
  fi
  local pid
  pid=$(daemon_pid) || return 0
  kill -TERM "$pid"
  wait_until 100 process_gone "$pid" || kill -KILL "$pid"
  rm -f "$pid_file"
}

process_gone() { ! kill -0 "$1" 2>/dev/null || is_zombie "$1"; }
is_zombie() { grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }

# wait_until TENTHS COMMAND...: until it succeeds, for so long at most.
wait_until() {
  local tries=$1
  shift
  while ! "$@" >/dev/null 2>&1; do
    ((tries-- > 0)) || return 1
    sleep 0.1
  done
}

# ---- The pods -------------------------------------------------------------

# run_pod NAME FIRST_HOST_UID CLOCK_OFFSETS
run_pod() {
  local name=$1
  if ctl pods | awk -v n="$name" '$2 == n && $4 == "READY"' | grep -q .; then
    echo "pod $name is running"
    return
  fi
  note pod "$name"
  # shellcheck disable=SC2016  # $HOSTNAME is the pod's
  ctl run --name "$name" --userns "$2" --time-offset "$3" \
    --log-root "$log_dir" -- sh -c '
      mkdir -p /www
      echo "hello from $HOSTNAME, process $$, boot time $(cut -d" " -f1 /proc/uptime) s" >/www/index.html
      exec httpd -f -p 80 -h /www'
}

pod_address() { ctl pods | awk -v n="$1" '$2 == n {print $5}'; }

fetch_page() {
  local address
  address=$(pod_address "$1")
  [[ -n $address ]] || die "pod $1 has no address"
  wait_until 50 curl -sf --max-time 2 "http://$address/" ||
    die "no page from pod $1 at $address"
  printf 'http://%s/ says: ' "$address"
  curl -sf --max-time 2 "http://$address/"
}

show() {
  say "two pods, both with a server on port 80"
  run_pod web-a 65536 boottime=864000,monotonic=864000
  run_pod web-b 131072 boottime=-100
  say "a page from each, fetched by the node"
  fetch_page web-a
  fetch_page web-b
  say "the eight namespaces of each"
  ctl ns web-a
  ctl ns web-b
}

next_steps() {
  cat <<END

What to try next (as root):
  warrenctl pods; warrenctl ps; warrenctl images
  warrenctl exec web-a -- ps            # PID 1 in there is the web server
  warrenctl exec web-a -- id            # root inside, uid 65536 on the node
  warrenctl logs web-a
  warrenctl run --name hello -- sleep 1000
  crictl --runtime-endpoint unix://$socket pods
  grpcurl -plaintext unix://$socket list
  grpcurl -plaintext unix://$socket runtime.v1.RuntimeService/Version
  sudo deploy/quickstart.sh --clean
END
}

# ---- One run ---------------------------------------------------------------

run_all() {
  write_config
  read_settings
  adopt_old_notes
  say "checking the pod ranges against this node's routes"
  "$SOURCE/deploy/check_ranges.py" "$config"
  build
  install_product
  note_sysctls
  note_node
  say "starting warrend"
  start_daemon
  show
  if ((${#at_end[@]})); then
    say "${at_end[*]}"
    PATH=$prefix/bin:$PATH "${at_end[@]}"
  elif ((!isolated)); then
    next_steps
  fi
}

# In namespaces of its own already (see main): a loopback device, a directory,
# and nothing left at the end, whatever happens.
run_isolated() {
  local root
  root=$(mktemp -d -t warren-quickstart.XXXXXX)
  use_isolated_paths "$root"
  # shellcheck disable=SC2064  # the directory of now
  trap "read_settings; clean_all; rm -rf '$root'" EXIT
  ip link set lo up
  run_all
}

main() {
  parse_arguments "$@"
  if ((isolated)) && [[ ${WARREN_ISOLATED:-} != yes ]]; then
    "$SOURCE/deploy/install-packages.sh"
    WARREN_ISOLATED=yes exec unshare --net --mount --propagation private \
      "$0" "$@"
  fi
  if ((isolated)); then
    run_isolated
    return
  fi
  use_node_paths
  if ((clean)); then
    read_settings
    clean_all
    echo "what quickstart made is gone; packages stay"
    return
  fi
  "$SOURCE/deploy/install-packages.sh"
  run_all
}

main "$@"
