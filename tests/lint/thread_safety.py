#!/usr/bin/python3
"""Locks as clang checks them: -Wthread-safety -Werror over the product.

  thread_safety.py --build DIR

DIR is a build tree whose generated headers are there. A member that is
ABSL_GUARDED_BY a lock is touched with it only, a function that says
ABSL_EXCLUSIVE_LOCKS_REQUIRED is called with it only. Looked at are all sources
of agent/, runtime/ and netplugin/ (no tests) from which a lock can be reached
through includes; in others there is nothing to find. Sources are compiled
(-fsyntax-only) together as the unity build does it, two such files at a time.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile

import calls
import tree

SKIPPED = 77
CLANG = ("clang++-14", "clang++")
BATCH = 12  # CMAKE_UNITY_BUILD_BATCH_SIZE
PRODUCT = re.compile(r"^(agent|runtime|netplugin)/.*\.cc$")
TESTS = re.compile(calls.TESTS + r"|_test_\w+\.cc$|(^|/)testing/")
LOCKS = ("absl/synchronization/mutex.h", "runtime/base/mutex.h")
_INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.M)
# Nothing but what is asked for: gcc's warnings are the build's affair.
WARNINGS = ["-fsyntax-only", "-Wno-everything", "-Wthread-safety", "-Werror"]


def clang():
    return next((name for name in CLANG if shutil.which(name)), None)


def is_product(path):
    return bool(PRODUCT.match(path)) and not TESTS.search(path)


class Includes:
    """Which sources a lock can be reached from."""

    def __init__(self, read=tree.read):
        self.read = read
        self.known = {}

    def locks(self, path):
        if path in LOCKS:
            return True
        if path in self.known:
            return self.known[path]
        self.known[path] = False  # of a circle
        if path.startswith(("agent/", "runtime/", "netplugin/")):
            try:
                names = _INCLUDE.findall(self.read(path))
            except OSError:  # generated
                return False
            self.known[path] = any(self.locks(name) for name in names)
        return self.known[path]


def flags_of(entry):
    """What the build tells the preprocessor and the parser."""
    words = shlex.split(entry["command"])
    flags = []
    for i, word in enumerate(words):
        if word.startswith(("-D", "-U", "-I", "-std=")) or \
                word == "-fno-exceptions" or word == "-fno-rtti":
            flags.append(word)
        elif word == "-isystem":
            flags += [word, words[i + 1]]
    return flags


def units(entries):
    """(name, flags, sources) of what is compiled together."""
    plain = collections.defaultdict(list)
    for entry in entries:
        path = entry["file"]
        if "/Unity/unity_" in path:
            try:
                with open(path, encoding="utf-8") as file:
                    names = _INCLUDE.findall(file.read())
            except OSError:
                names = []
            yield path, flags_of(entry), names
        else:
            target = entry["command"].split("CMakeFiles/")[-1].split("/")[0]
            plain[target].append(entry)
    for target, members in plain.items():
        for i in range(0, len(members), BATCH):
            yield (target, flags_of(members[i]),
                   [entry["file"] for entry in members[i:i + BATCH]])


def wanted_units(entries, includes):
    """Of each unit the product's sources that can have a finding, each source
    once."""
    seen = set()
    for name, flags, paths in units(entries):
        sources = []
        for path in paths:
            source = os.path.relpath(path, tree.ROOT)
            if source in seen or not is_product(source) or \
                    not includes.locks(source):
                continue
            seen.add(source)
            sources.append(source)
        if sources:
            yield name, flags, sources


def check_unit(flags, paths):
    """What clang says of these files compiled as one; "" = nothing."""
    with tempfile.TemporaryDirectory() as directory:
        unit = os.path.join(directory, "unit.cc")
        with open(unit, "w", encoding="utf-8") as file:
            file.writelines(f'#include "{path}"\n' for path in paths)
        result = subprocess.run([clang(), *flags, *WARNINGS, unit],
                                capture_output=True, text=True)
    if result.returncode == 0:
        return ""
    return result.stdout + result.stderr


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    build = parser.parse_args().build
    if clang() is None:
        print("clang++ is not installed")
        return SKIPPED
    with open(os.path.join(build, "compile_commands.json"),
              encoding="utf-8") as file:
        entries = json.load(file)
    includes = Includes()
    wanted = list(wanted_units(entries, includes))
    covered = {source for _, _, sources in wanted for source in sources}
    product = [path for path in tree.files() if is_product(path)]
    bad = [f"{path}: has a lock in reach and is not in {build}"
           for path in product
           if includes.locks(path) and path not in covered]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for output in pool.map(lambda unit: check_unit(
                unit[1], [os.path.join(tree.ROOT, s) for s in unit[2]]),
                wanted):
            if output:
                bad.append(output)
    for text in bad:
        print(text)
    if any(".pb.h' file not found" in text for text in bad):
        print(f"generated headers are missing: build {build} first")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"thread_safety: {len(covered)} of {len(product)} sources have a "
          f"lock in reach, {len(wanted)} units, {len(bad)} with findings, "
          f"{used.ru_utime + used.ru_stime:.0f} s of processors")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
