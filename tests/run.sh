#!/bin/bash
# Builds everything and runs every test.
#
#   sudo tests/run.sh [--quick] [--trees LIST] [--suite NAME] [LABEL...]
#
# Labels: lint unit kernel root e2e; all of them when none is given.
# Three build trees: release (lint, root, e2e: what ships), asan
# (AddressSanitizer and UndefinedBehaviorSanitizer: unit, kernel, root, e2e) and
# tsan (ThreadSanitizer: what has threads of ours). --trees release,asan chooses
# among them; --quick: the release tree only.
# --suite NAME runs the tests by suites/NAME.sh: a bigger run, which CI does not
# do (noise: beside a noisy neighbour, three times, in random order).
# Says how many seconds each stage took and ends with ctest's summary; fails
# when a test fails. Leaves the machine as found: tests work in namespaces,
# cgroups and directories of their own.
set -euo pipefail

cd "$(dirname "$(readlink -f "$0")")/.."
readonly TREES=build
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

# stage TITLE COMMAND...: runs it and notes how long it took.
stages=()
stage() {
  local title=$1 start=$SECONDS
  shift
  echo "== $title"
  "$@"
  stages+=("$title: $((SECONDS - start)) s")
  echo "== ${stages[-1]}"
}

configure() {
  cmake --preset "$1" >"$TREES/$1.configure.log" 2>&1 || {
    cat "$TREES/$1.configure.log" >&2
    return 1
  }
}

build_tree() {
  configure "$1"
  cmake --build "$TREES/$1"
}

# The programs of the tests with threads; a program is called like its test.
build_tsan() {
  configure tsan
  local targets
  mapfile -t targets < <(ctest --test-dir "$TREES/tsan" -N -L '^threads$' \
    -L "^($1)\$" 2>/dev/null | sed -n 's/^ *Test *#[0-9]*: //p')
  cmake --build "$TREES/tsan" --target "${targets[@]}"
}

stage "packages" deploy/install-packages.sh
mkdir -p "$TREES"
stage "docker-registry" tests/support/docker_registry.sh \
  "$TREES/docker-registry"
comma=$(IFS=,; echo "${labels[*]}")
trees=()
if has_tree release && { wants lint || wants root || wants e2e; }; then
  stage "build release" build_tree release
  only=${comma/unit/}
  trees+=("release=$TREES/release:${only/kernel/}")
fi
if has_tree asan && [[ $comma != lint ]]; then
  stage "build asan" build_tree asan
  trees+=("asan=$TREES/asan:${comma/lint/}")
fi
if has_tree tsan && { wants unit || wants kernel || wants root; }; then
  stage "build tsan" build_tsan "${comma//,/|}"
  trees+=("tsan=$TREES/tsan:${comma/lint/}:threads")
fi

tests/merge_trees.py "$TREES/all" "${trees[@]}"
printf '== %s\n' "${stages[@]}" "all before the tests: $SECONDS s"
echo "== tests: ${labels[*]}"
[[ -z $suite ]] || exec "tests/suites/$suite.sh" "$TREES/all"
exec ctest --test-dir "$TREES/all" --output-on-failure --no-tests=error \
  --parallel "$(nproc)"
