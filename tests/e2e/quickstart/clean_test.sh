#!/bin/bash
# deploy/quickstart.sh --clean takes away what quickstart made and nothing that
# was there before: a configuration, programs, state, mounts, links and tables
# of somebody else.
#
#   clean_test.sh BUILD_DIR
set -euo pipefail

readonly BUILD=$1
SOURCE=$(cd "$(dirname "$(readlink -f "$0")")/../../.." && pwd)
readonly SOURCE
if ((EUID != 0)); then
  echo "skipped: needs root"
  exit 77
fi
if [[ ${WARREN_QUICKSTART_TEST:-} != yes ]]; then
  "$SOURCE/deploy/install-packages.sh"  # with a network
  WARREN_QUICKSTART_TEST=yes exec unshare --net --mount --propagation private \
    "$0" "$@"
fi
readonly NAME=quickstart-clean-$$

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# A node of its own: the directories that quickstart writes to are copies, which
# go with the mount namespace. Without systemd, whose directory is in /run, so
# that the daemon is a process of ours.
make_node() {
  local directory
  mount -t tmpfs tmpfs /mnt
  for directory in /etc /usr/local /var/log; do
    mkdir -p "/mnt/upper$directory" "/mnt/work$directory"
    mount -t overlay overlay "$directory" -o "lowerdir=$directory,upperdir=/mnt/upper$directory,workdir=/mnt/work$directory"
  done
  mkdir /mnt/lib
  mount --bind /var/lib /mnt/lib
  # No overlay: root file systems of containers, which are overlays, lie here.
  mount -t tmpfs tmpfs /var/lib
  for directory in dpkg apt; do
    mkdir "/var/lib/$directory"
    mount --bind "/mnt/lib/$directory" "/var/lib/$directory"
  done
  mount -t tmpfs tmpfs /run
  ip link set lo up
  mkdir -p /etc/warren
  # Pods of a test stay below the directory that tests share.
  sed "s|^#cgroup_parent = .*|cgroup_parent = \"/warren-test/$NAME\"|" \
    "$SOURCE/deploy/warren.toml" >/etc/warren/warren.toml
  grep -q "$NAME" /etc/warren/warren.toml || fail "no cgroup_parent"
}

# Siblings whose names begin alike.
make_siblings() {
  mkdir -p /run/warren-sibling /run/warren2
  mount -t tmpfs sibling /run/warren-sibling
  mount -t tmpfs sibling /run/warren2
  ip link add warren01 type bridge
  nft add table inet warren_sibling
}

# What is on the node: files with their content but for PATTERN, mounts, links,
# tables, cgroups.
node() {
  find /etc/warren /usr/local /var/lib /var/log /run -xdev -type f \
    -exec md5sum {} + | sort -k 2 | grep -Ev "$1" || true
  find /etc/warren /usr/local /var/lib /var/log /run -xdev -type d | sort |
    grep -Ev "$1" || true
  awk '{print $5, $(NF-2)}' /proc/self/mountinfo
  ip -o link show | awk '{print $2}'
  nft list tables
  find /sys/fs/cgroup -maxdepth 3 -type d -name "$NAME"
}

run_and_clean() {
  local output
  output=$("$SOURCE/deploy/quickstart.sh" --build-dir "$BUILD" 2>&1) ||
    fail "quickstart: exit code $?: $output"
  for pod in web-a web-b; do
    grep -q "says: hello from $pod," <<<"$output" || fail "no $pod: $output"
  done
  find /sys/fs/cgroup -maxdepth 3 -type d -name "$NAME" | grep -q . ||
    fail "no cgroups, so that the look at what is left says nothing"
  output=$("$SOURCE/deploy/quickstart.sh" --clean 2>&1) ||
    fail "--clean: exit code $?: $output"
}

same() {
  diff <(echo "$1") <(echo "$2") || fail "$3: the node is not as it was"
}

make_node
trap '"$SOURCE/deploy/quickstart.sh" --clean >/dev/null 2>&1 || true' EXIT
make_siblings
before=$(node '^$')
run_and_clean
same "$before" "$(node '^$')" "only a configuration was there"

# Programs, documentation and state were there, too. What of it has a name of
# ours has our content, and stays.
readonly KEPT=(/usr/local/bin/warrend /usr/local/share/doc/warren/NOTES
  /var/lib/warren/somebody)
for file in "${KEPT[@]}"; do
  mkdir -p "$(dirname "$file")"
  echo "somebody's" >"$file"
done
readonly OURS='/usr/local/bin/warrend$|/var/lib/warren'
before=$(node "$OURS")
run_and_clean
same "$before" "$(node "$OURS")" "an installation was there"
for file in "${KEPT[@]}"; do
  [[ -e $file ]] || fail "$file is gone"
done
grep -q somebody /var/lib/warren/somebody || fail "somebody's state has changed"
echo "--clean takes what quickstart made"
