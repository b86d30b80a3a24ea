#!/bin/bash
# Builds everything and runs every test.
#
#   sudo tests/run.sh [--quick] [--trees LIST] [--suite NAME] [LABEL...]
#
# Labels: lint unit kernel root e2e; all of them when none is given.
# Three build trees: release (all labels), asan (AddressSanitizer and
# UndefinedBehaviorSanitizer; all but lint) and tsan (ThreadSanitizer; the
# tests with threads). --trees release,asan chooses among them; --quick: the
# release tree only.
# --suite NAME runs the tests by suites/NAME.sh: a bigger run, which CI does not
# do (noise: beside a noisy neighbour, three times, in random order).
# Ends with ctest's summary; fails when a test fails. Leaves the machine as
# found: tests work in namespaces, cgroups and directories of their own.
set -euo pipefail

cd "$(dirname "$(readlink -f "$0")")/.."
readonly TREES=build
# What runs under ThreadSanitizer: what has threads of our own. Not what goes
# through gRPC: Debian's is not built with it, so that everything it hands from
# one thread to another would be called a race.
TSAN='^(agent_(concurrency|managers|process|record|recovery|rpc)_test|'
TSAN+='image_(layer|root)_test|netplugin_lifecycle_kernel_test|'
TSAN+='runtime_exec_kernel_test|seccomp_test)$'
readonly TSAN
readonly USAGE='usage: tests/run.sh [--quick] [--trees LIST] [--suite NAME] [LABEL...]'
wanted_trees=release,asan,tsan
suite=""
labels=()

while (($#)); do
  case $1 in
    --quick) wanted_trees=release ;;
    --trees)
      wanted_trees=${2:?$USAGE}
      shift
      ;;
    --suite)
      suite=${2:?$USAGE}
      shift
      if [[ ! -x tests/suites/$suite.sh ]]; then
        echo "tests/run.sh: no suite $suite in tests/suites" >&2
        exit 2
      fi
      ;;
    lint | unit | kernel | root | e2e) labels+=("$1") ;;
    *)
      echo "$USAGE" >&2
      exit 2
      ;;
  esac
  shift
done
((${#labels[@]})) || labels=(lint unit kernel root e2e)
if ((EUID != 0)); then
  echo "tests/run.sh: run as root (pods need it)" >&2
  exit 2
fi

has_tree() { [[ ,$wanted_trees, == *,$1,* ]]; }
wants() { [[ " ${labels[*]} " == *" $1 "* ]]; }

# stage TITLE COMMAND...: runs it and says how long it took.
stage() {
  local title=$1 start=$SECONDS
  shift
  echo "== $title"
  "$@"
  echo "== $title: $((SECONDS - start)) s"
}

build_tree() {
  local tree=$1
  shift
  cmake --preset "$tree" >"$TREES/$tree.configure.log" 2>&1 || {
    cat "$TREES/$tree.configure.log" >&2
    return 1
  }
  cmake --build "$TREES/$tree" -- "${@}"
}

# Names of the tsan tests are those of their targets.
build_tsan() {
  cmake --preset tsan >"$TREES/tsan.configure.log" 2>&1 || {
    cat "$TREES/tsan.configure.log" >&2
    return 1
  }
  local targets
  mapfile -t targets < <(ctest --test-dir "$TREES/tsan" -N -R "$TSAN" \
    -L "^($1)\$" 2>/dev/null | sed -n 's/^ *Test *#[0-9]*: //p')
  cmake --build "$TREES/tsan" --target "${targets[@]}"
}

stage "packages" deploy/install-packages.sh
mkdir -p "$TREES"
comma=$(IFS=,; echo "${labels[*]}")
trees=("release=$TREES/release:$comma")
stage "build release" build_tree release
if has_tree asan && { wants unit || wants kernel || wants root || wants e2e; }; then
  stage "build asan" build_tree asan
  trees+=("asan=$TREES/asan:${comma/lint/}")
fi
if has_tree tsan && { wants unit || wants kernel || wants root; }; then
  stage "build tsan" build_tsan "${comma//,/|}"
  trees+=("tsan=$TREES/tsan:${comma//lint/}:$TSAN")
fi

tests/merge_trees.py "$TREES/all" "${trees[@]}"
echo "== tests: ${labels[*]}"
[[ -z $suite ]] || exec "tests/suites/$suite.sh" "$TREES/all"
exec ctest --test-dir "$TREES/all" --output-on-failure --no-tests=error \
  --parallel "$(nproc)"
