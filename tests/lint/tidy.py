#!/usr/bin/python3
"""clang-tidy on what changed.

  tidy.py --build DIR [--base COMMIT] [--seconds N] [--all]

Changed means: since the branch left origin's main line (or since the parent
commit when it is that line), and what is not committed. Looks at as many
files as fit into the time, in an order that differs from commit to commit, so
that a large change is covered over several runs; says how many were left.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

import tree

SKIPPED = 77
_MEMBER = re.compile(r'^#include "([^"]+\.cc)"', re.M)


def git(*arguments):
    result = subprocess.run(
        ["git", "-C", tree.ROOT, "-c", "safe.directory=*", *arguments],
        capture_output=True, text=True)
    return result.stdout.strip() if result.returncode == 0 else ""


def default_base():
    head = git("rev-parse", "HEAD")
    for line in ("origin/HEAD", "origin/main", "origin/master"):
        base = git("merge-base", "HEAD", line)
        if base and base != head:
            return base
    return git("rev-parse", "--verify", "-q", "HEAD~1")


def changed(base):
    """Changed and new files; everything when there is nothing to compare
    with."""
    if not base:
        return set(tree.files())
    names = git("diff", "--name-only", base).splitlines()
    names += git("ls-files", "-o", "--exclude-standard").splitlines()
    return set(names)


def compile_database(build):
    """Writes BUILD/single/compile_commands.json: a command for each source of
    ours, that of the unity file which includes it where there is one. Returns
    its directory and the sources."""
    with open(os.path.join(build, "compile_commands.json"),
              encoding="utf-8") as file:
        entries = json.load(file)
    single = {}
    for entry in entries:
        with open(entry["file"], encoding="utf-8") as file:
            members = _MEMBER.findall(file.read()) if (
                "/Unity/" in entry["file"]) else [entry["file"]]
        for member in members:
            path = os.path.relpath(member, tree.ROOT)
            if not path.startswith(("..", "build")):
                single[path] = {
                    **entry, "file": member,
                    "command": entry["command"].replace(entry["file"], member)}
    directory = os.path.join(build, "single")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "compile_commands.json"), "w",
              encoding="utf-8") as file:
        json.dump(list(single.values()), file)
    return directory, set(single)


def tidy_one(build, path):
    result = subprocess.run(
        ["clang-tidy", "--quiet", "-p", build, "--extra-arg=-Wno-unknown-warning-option",
         os.path.join(tree.ROOT, path)], capture_output=True, text=True)
    if result.returncode == 0:
        return ""
    return result.stdout + result.stderr


def run(build, paths, seconds):
    """(outputs of the files with findings, number not looked at)."""
    end = time.monotonic() + seconds
    bad, left = [], 0

    def one(path):
        if time.monotonic() > end:
            return None
        return tidy_one(build, path)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, output in zip(paths, pool.map(one, paths)):
            if output is None:
                left += 1
            elif output:
                bad.append(output)
                print(output, flush=True)
    return bad, left


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--base", default=os.environ.get("WARREN_TIDY_BASE"))
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("--all", action="store_true")
    arguments = parser.parse_args()
    if shutil.which("clang-tidy") is None:
        print("clang-tidy is not installed")
        return SKIPPED
    database, wanted = compile_database(arguments.build)
    if not arguments.all:
        wanted &= changed(arguments.base or default_base())
    salt = git("rev-parse", "HEAD")
    order = sorted(wanted, key=lambda path: hashlib.sha256(
        (salt + path).encode()).hexdigest())
    bad, left = run(database, order,
                    1e9 if arguments.all else arguments.seconds)
    print(f"tidy: {len(order) - left} files, {len(bad)} with findings, "
          f"{left} left for want of time")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
