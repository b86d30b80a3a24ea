#!/usr/bin/python3
"""shellcheck over every shell script of the tree."""
import shutil
import subprocess
import sys

import tree

SKIPPED = 77


def is_script(path, text):
    first = text.split("\n", 1)[0]
    return path.endswith(".sh") or \
        first.startswith("#!") and first.rstrip().endswith(("/sh", "bash"))


def main():
    if shutil.which("shellcheck") is None:
        print("shellcheck is not installed")
        return SKIPPED
    scripts = [path for path in tree.files()
               if "." not in path.rsplit("/", 1)[-1] or path.endswith(".sh")]
    scripts = [path for path in scripts if is_script(path, tree.read(path))]
    result = subprocess.run(["shellcheck", "--external-sources"] + scripts,
                            cwd=tree.ROOT)
    print(f"shell: {len(scripts)} scripts")
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
