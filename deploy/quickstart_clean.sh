#!/bin/bash
# Part of quickstart.sh, which sources it: what it made, and how that is taken
# away again. Uses its functions and its variables.
# shellcheck disable=SC2154

# ---- What is ours ---------------------------------------------------------

# note THING...: this run makes it, so that --clean takes it away again. What
# was there before is never noted. Lines of $notes/made.
note() {
  mkdir -p "$notes"
  made "$@" || echo "$*" >>"$notes/made"
}
made() { grep -qxF -- "$*" "$notes/made" 2>/dev/null; }
# all_made KIND: the things of one kind, the last one first.
all_made() { sed -n "s/^$1 //p" "$notes/made" 2>/dev/null | tac; }

note_directory() { [[ -e $1 ]] || note directory "$1"; }

# ---- Taking everything away -----------------------------------------------

# Notes of a quickstart before this one say only which files it installed; all
# that is at its own places was its own.
adopt_old_notes() {
  local file
  [[ -e $notes/installed && ! -e $notes/made ]] || return 0
  note_node_as_ours
  note daemon
  note file "$config"
  note empty "$(dirname "$config")"
  while read -r file; do
    [[ -d $file ]] || note file "$file"
  done <"$notes/installed"
  ! with_systemd || note file "$unit"
}

note_node_as_ours() {
  local top
  note directory "$state_dir"
  note directory "$run_dir"
  note directory "$log_dir"
  note bridge "$bridge"
  note table "inet $table"
  note table "bridge $table"
  for top in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [[ ! -d $top$cgroup_parent ]] || note cgroup "$top$cgroup_parent"
  done
}

# All of a daemon whose state began with this script, else those it ran.
remove_pods() {
  local pod
  [[ -x $prefix/bin/warrenctl ]] || return 0
  if ! ctl version >/dev/null 2>&1; then
    [[ -d $state_dir && -x $prefix/bin/warrend ]] || return 0
    (start_daemon) >/dev/null || return 0  # it knows what the pods own
  fi
  if made directory "$state_dir"; then
    ctl rm --force --all >/dev/null || echo "quickstart: some pods stay" >&2
    return
  fi
  for pod in $(all_made pod); do
    ctl rm --force "$pod" >/dev/null || echo "quickstart: pod $pod stays" >&2
  done
}

# The kernel lets go of a cgroup a moment after its last process.
remove_cgroups() {
  local directory
  all_made cgroup | while read -r directory; do
    [[ -d $directory ]] || continue
    wait_until 50 remove_empty_cgroups "$directory" ||
      echo "quickstart: cgroup $directory stays" >&2
  done
}

# Those of a sibling, which may be in the directory that tests share, stay.
remove_empty_cgroups() {
  if [[ $1 == *"$cgroup_parent" ]]; then
    find "$1" -mindepth 1 -depth -type d -exec rmdir {} +
    rmdir "$1"
  else
    rmdir "$1" || [[ -n $(find "$1" -mindepth 1 -type d) ]]
  fi
}

remove_mounts() {
  local target
  made directory "$run_dir" || return 0
  # Last mounted, first unmounted. A path that merely begins alike is another's.
  awk -v d="$run_dir" '$5 == d || index($5, d "/") == 1 {print $5}' \
    /proc/self/mountinfo |
    tac | while read -r target; do umount -l "$target"; done
}

remove_network() {
  local bridge table
  for bridge in $(all_made bridge); do ip link delete "$bridge"; done
  all_made table | while read -r table; do
    # shellcheck disable=SC2086  # a family and a name
    nft delete table $table
  done
} 2>/dev/null

remove_files() {
  local path
  all_made directory | while read -r path; do rm -rf "$path"; done
  all_made file | while read -r path; do rm -f "$path"; done
  all_made empty | while read -r path; do
    rmdir --ignore-fail-on-non-empty "$path"
  done
  if with_systemd; then systemctl daemon-reload; fi
  rm -rf "$notes"
}

# Goes on whatever one step says: what can go goes.
clean_all() {
  set +e
  adopt_old_notes
  remove_pods
  stop_daemon
  remove_network
  put_sysctls_back
  remove_mounts
  remove_cgroups
  remove_files
}
