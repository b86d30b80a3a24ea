#!/bin/bash
# warrenctl against a real daemon with pods web-a and web-b; run by
# quickstart_test.sh inside the quickstart's own namespaces. Prints nothing
# but failures and a last line.
#
#   warrenctl_steps.sh DEFAULT_IMAGE_TAR
set -euo pipefail

readonly IMAGE=$1
work=$(mktemp -d)
readonly work
trap 'rm -rf "$work"' EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}
# is WANT COMMAND...: its output, as it is.
is() {
  local want=$1 got
  shift
  got=$("$@") || fail "exit code $? of: $*"
  [[ $got == "$want" ]] || fail "$* gave '$got', want '$want'"
}
# ends CODE COMMAND...
ends() {
  local want=$1 code=0
  shift
  "$@" >"$work/out" 2>"$work/err" || code=$?
  ((code == want)) || fail "$* ended with $code, want $want: $(<"$work/err")"
}

# exec: output, exit code, the pod's own view.
is 0 warrenctl exec web-a -- id -u
is web-b warrenctl exec web-b/web-b -- hostname
ends 7 warrenctl exec web-a -- sh -c 'exit 7'
ends 125 warrenctl exec no-such-pod -- true
ends 4 warrenctl stop no-such-pod

# A pod from a file, two containers, both streams in the logs.
cat >"$work/pod.yaml" <<'END'
name: pair
userns: 262144
containers:
- name: talk
  image: warren.local/busybox:latest
  command: [sh, -c, "echo to out; echo to err >&2"]
- name: wait
  image: warren.local/busybox:latest
  command: [sleep, "1000"]
  user: "1000:1000"
END
ends 0 warrenctl run -f "$work/pod.yaml" --log-root "$work/log" --json
python3 -c 'import json,sys; assert len(json.load(sys.stdin)["containerIds"]) == 2' \
  <"$work/out" || fail "run --json: $(<"$work/out")"
ends 0 warrenctl logs --follow pair/talk
is 'to out' cat "$work/out"
is 'to err' cat "$work/err"
is 1000 warrenctl exec pair/wait -- id -u
ends 1 warrenctl rm pair
ends 0 warrenctl stop --grace 0 pair
ends 0 warrenctl rm pair
[[ -z $(find "$work/log" -mindepth 1) ]] || fail "rm leaves logs"
ends 4 warrenctl ns pair

# A failed run leaves nothing.
ends 1 warrenctl run --name broken --log-root "$work/log" -- /no/such/program
[[ -z $(find "$work/log" -mindepth 1) ]] || fail "a failed run leaves logs"
warrenctl pods | grep broken && fail "broken stays"

# Images: from the tar, from a directory, from a pipe; then away.
mkdir "$work/layout"
tar -C "$work/layout" -xf "$IMAGE"
ends 0 warrenctl image import "$work/layout" --ref test.local/directory:1
id=$(<"$work/out")
is "$id" warrenctl image import - --ref test.local/pipe:1 <"$IMAGE"
warrenctl images | grep -q test.local/directory:1 || fail "images: no directory:1"
ends 1 warrenctl image import /etc/passwd --ref test.local/bad:1
ends 4 warrenctl image rm test.local/nothing:1

# Every command speaks JSON.
for command in version status pods ps images "ns web-a"; do
  # shellcheck disable=SC2086  # a command and its argument
  ends 0 warrenctl --json $command
  python3 -m json.tool "$work/out" >/dev/null || fail "$command --json"
done
echo "warrenctl steps pass"
