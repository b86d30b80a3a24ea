# shellcheck shell=bash
# Sourced by compare.sh, inside: the two servers, each in a network namespace
# and a cgroup of its own.

SERVERS=()

# run_directory DIR: what is below /run on a real node is on tmpfs.
run_directory() {
  mkdir -p "$1"
  mount -t tmpfs tmpfs "$1"
}

# start_server NAME COMMAND…: in the background, its output in $WORK/NAME/log.
start_server() {
  local name=$1
  shift
  (
    echo $BASHPID >"$ACCOUNT/$name/daemon/cgroup.procs"
    exec unshare --net sh -c 'ip link set lo up && exec "$@"' sh "$@"
  ) >"$WORK/$name/log" 2>&1 &
  SERVERS+=($!)
}

# wait_for NAME COMMAND…: until COMMAND works, at most 30 s.
wait_for() {
  local name=$1 tries
  shift
  for ((tries = 0; tries < 300; ++tries)); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.1
  done
  echo "$name does not answer:" >&2
  tail -20 "$WORK/$name/log" >&2
  exit 1
}

# Ends what start_server started; the end of the pid namespace does the rest.
stop_servers() {
  local pid
  for pid in "${SERVERS[@]}"; do
    kill "$pid" 2>/dev/null || continue
    wait "$pid" 2>/dev/null || true
  done
}

ctr_bench() {
  ctr --address "$WORK/containerd/containerd.sock" --namespace k8s.io "$@"
}

start_containerd() {
  local d=$WORK/containerd snapshotter
  mkdir -p "$d/probe"/{lower,upper,work,merged}
  snapshotter=native
  if mount -t overlay overlay "$d/probe/merged" -o \
    "lowerdir=$d/probe/lower,upperdir=$d/probe/upper,workdir=$d/probe/work"
  then
    snapshotter=overlayfs
    umount "$d/probe/merged"
  fi
  run_directory "$d/state"
  write_containerd_config "$d" "$snapshotter"
  start_server containerd containerd --config "$d/config.toml"
  wait_for containerd ctr_bench version
  "$HERE/make_pause_image.py" "$BUILD/testbin/bench_pause" \
    warren.local/pause:bench "$d/pause.tar"
  ctr_bench images import "$d/pause.tar" >/dev/null
  ctr_bench images import --digests --base-name warren.local/busybox \
    "$BUILD/share/warren/default-image.tar" >/dev/null
  tag_busybox
}

# The same image has whatever name the importer chose; give it ours.
tag_busybox() {
  local name
  name=$(ctr_bench images list -q | grep busybox | head -n 1)
  [[ $name == warren.local/busybox:latest ]] ||
    ctr_bench images tag "$name" warren.local/busybox:latest >/dev/null
}

write_containerd_config() {
  local d=$1 snapshotter=$2
  cat >"$d/config.toml" <<EOT
version = 2
root = "$d/root"
state = "$d/state"
[grpc]
  address = "$d/containerd.sock"
[debug]
  level = "warn"
[plugins."io.containerd.internal.v1.opt"]
  path = "$d/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "warren.local/pause:bench"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$d/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "$snapshotter"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
EOT
  cat >"$d/cni/10-bench.conflist" <<EOT
{"cniVersion": "0.4.0", "name": "bench", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true,
   "ipam": {"type": "host-local", "dataDir": "$d/ipam",
            "ranges": [[{"subnet": "10.98.0.0/16"}]],
            "routes": [{"dst": "0.0.0.0/0"}]}}]}
EOT
}

start_warren() {
  local d=$WORK/warren
  run_directory "$d/run"
  cat >"$d/warren.toml" <<EOT
socket = "$d/warrend.sock"
state_dir = "$d/state"
run_dir = "$d/run"
cgroup_parent = "$CGROUP/warren/pods"
[network]
pod_ranges = ["10.99.0.0/16"]
EOT
  start_server warren "$BUILD/bin/warrend" --config "$d/warren.toml"
  wait_for warren test -S "$d/warrend.sock"
}

print_versions() {
  echo "date      $(date -u +%F)"
  echo "machine   $(nproc) CPUs, $(sed -n 's/^model name.*: //p' /proc/cpuinfo |
    head -n 1), Linux $(uname -r)"
  if [[ $ONLY != warren ]]; then
    echo "containerd $(containerd --version | cut -d' ' -f3)," \
      "$(runc --version | head -n 1)," \
      "CNI plugins $(dpkg-query -W -f '${Version}' containernetworking-plugins)"
  fi
}
