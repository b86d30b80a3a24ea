"""The files of the tree and what every lint rule shares."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))

CPP = (".cc", ".h")


class Finding:
    """One violation: where, which rule, what to do about it."""

    def __init__(self, path, line, text):
        self.path, self.line, self.text = path, line, text

    def __str__(self):
        return f"{self.path}:{self.line}: {self.text}"


def files(root=ROOT):
    """Paths of all files that are or would be committed, sorted."""
    try:
        listed = subprocess.run(
            ["git", "-C", root, "-c", "safe.directory=*", "ls-files", "-co",
             "--exclude-standard"],
            capture_output=True, check=True, text=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        listed = []
        for directory, _, names in os.walk(root):
            listed += [os.path.relpath(os.path.join(directory, name), root)
                       for name in names]
        listed = [path for path in listed
                  if not path.startswith((".git/", "build"))]
    return sorted(p for p in set(listed)
                  if os.path.isfile(os.path.join(root, p)))


def read(path, root=ROOT):
    with open(os.path.join(root, path), encoding="utf-8",
              errors="replace") as file:
        return file.read()


_TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<d>[^(\s]*)\(.*?\)(?P=d)"'
    r'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text, keep_strings=False):
    """C++ with comments and the insides of literals blanked; line numbers
    stay."""
    def blank(match):
        token = match.group()
        if token.startswith("//"):
            return ""
        if keep_strings and not token.startswith("/*"):
            return token
        lines = "\n" * token.count("\n")
        return lines if token.startswith("/*") else '""' + lines
    # Digit separators look like character literals.
    text = re.sub(r"(?<=[0-9a-fA-F])'(?=[0-9a-fA-F]{2,})", "", text)
    return _TOKEN.sub(blank, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def allowed(text, line, rule):
    """True when the line, or the one above, says: lint: allow RULE: why."""
    lines = text.split("\n")
    near = lines[max(0, line - 2):line]
    return any(re.search(rf"lint: allow {rule}: \S", l) for l in near)


def report(findings, rule):
    """Prints them; the exit code of a lint program."""
    for finding in findings:
        print(finding)
    print(f"{rule}: {len(findings)} findings")
    return 1 if findings else 0


def main(rule, check):
    """A lint program: check(files, read) over the tree."""
    sys.exit(report(check(files(), read), rule))
