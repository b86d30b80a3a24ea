#!/usr/bin/python3
"""Every row of tests/SECURITY.md names tests that exist, and a requirement is
shown by at least one test that carries its ID, unless it is not built."""
import re

import test_names
import tree

PATH = "tests/SECURITY.md"
_ID = re.compile(r"^[A-Z]{3}-\d+$|^FS-\d+$")
OPEN = ("not built", "(pending)")


def rows(text):
    """(line, first cell, last cell) of each row of the tables."""
    for number, line in enumerate(text.split("\n"), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|") or len(cells) < 3 or \
                set(cells[0]) <= set("-: ") or cells[0] in ("ID", "CVE"):
            continue
        yield number, cells[0], cells[-1]


def carries(name, row):
    """Does the test's name carry the ID: FS_1_Race… or test_fs_1_…?"""
    return re.search(rf"(?:^|[._]){row.replace('-', '_')}(?:_|$)", name,
                     re.I) is not None


def check_text(text, known):
    findings = []
    for number, row, named in rows(text):
        tests = re.findall(r"`([^`]+)`", named)
        findings += [tree.Finding(PATH, number, f"there is no test {test}")
                     for test in tests if test not in known]
        if any(word in named for word in OPEN):
            continue
        if not tests and not re.search(r"\b[A-Z]{2,3}-\d+\b", named):
            findings.append(tree.Finding(PATH, number, f"{row}: no test"))
        elif _ID.match(row) and not any(carries(t, row) for t in tests):
            findings.append(tree.Finding(
                PATH, number, f"{row}: no test carries the ID"))
    return findings


def check(files, read):
    return check_text(read(PATH), test_names.names(files, read))


if __name__ == "__main__":
    tree.main("security", check)
