#!/usr/bin/python3
"""Every C++ file is as clang-format (14, Debian 12) would write it."""
import re
import shutil
import subprocess
import sys

import tree

SKIPPED = 77  # what ctest takes for "skipped"


def unformatted(paths, root=tree.ROOT):
    """Those of `paths` that clang-format would change."""
    result = subprocess.run(
        ["clang-format", "--dry-run", "--style=file"] + paths, cwd=root,
        capture_output=True, text=True)
    return sorted(set(re.findall(r"^(\S+?):\d+:\d+: warning: code should be "
                                 r"clang-formatted", result.stderr, re.M)))


def main():
    if shutil.which("clang-format") is None:
        print("clang-format is not installed")
        return SKIPPED
    paths = [path for path in tree.files() if path.endswith(tree.CPP)]
    bad = unformatted(paths)
    return tree.report(
        [tree.Finding(path, 1, "run clang-format -i on it") for path in bad],
        "format")


if __name__ == "__main__":
    sys.exit(main())
