#!/usr/bin/python3
"""The shape of the tree: file length, a README in each directory, header guards,
no marks of unfinished work, no path of somebody's machine, CRI's messages
under one name."""
import os
import re

import tree

MAX_LINES = 400
SOURCES = (".cc", ".h", ".py", ".sh", ".cmake", ".proto")
# A wire description is as long as the wire.
LONG = ("proto/runtime/v1/api.proto",)
TEXT = SOURCES + (".md", ".txt", ".toml", ".service", ".yaml", ".json")
NO_README = re.compile(r"\.ci$|/v\d+$|/requests$")  # data of one kind

# Spelt so that they do not find themselves.
MARKS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X",
                                      "HA" + "CK")) + r")\b")
MACHINE = re.compile(r"/wor" + r"k/(?:main|shared)\b|/tmp/w" + r"b\b")
ALIAS = re.compile(r"(?<!\w)(?:::)?runtime::v1\b")
ALIAS_HOME = "agent/cri/cri.h"


def guard_of(path):
    return "WARREN_" + re.sub(r"[^A-Za-z0-9]", "_", path).upper() + "_"


def check_length(path, text):
    lines = text.count("\n")
    if path.endswith(SOURCES) and lines > MAX_LINES and path not in LONG:
        return [tree.Finding(path, lines, f"{lines} lines, {MAX_LINES} are "
                             "allowed: is it still one topic?")]
    return []


def check_marks(path, text):
    findings = []
    for number, line in enumerate(text.split("\n"), 1):
        for pattern, why in ((MARKS, "unfinished work is said in the README"),
                             (MACHINE, "path of one machine")):
            if pattern.search(line) and not tree.allowed(text, number,
                                                         "mark"):
                findings.append(tree.Finding(path, number, why))
    return findings


def check_guard(path, text):
    if path.endswith(".h") and f"#ifndef {guard_of(path)}\n" not in text:
        return [tree.Finding(path, 1, f"header guard is not "
                             f"{guard_of(path)}")]
    return []


def check_alias(path, text):
    if not path.startswith(("agent/", "runtime/", "netplugin/")) or \
            not path.endswith(tree.CPP) or path == ALIAS_HOME:
        return []
    code = tree.code_only(text)
    return [tree.Finding(path, tree.line_of(code, match.start()),
                         f"say cri:: ({ALIAS_HOME})")
            for match in ALIAS.finditer(code)]


def check_readmes(files):
    directories = {os.path.dirname(path) for path in files}
    have = set(files)
    return [tree.Finding(directory or ".", 1, "the directory has no README.md")
            for directory in sorted(directories)
            if os.path.join(directory, "README.md") not in have
            and not NO_README.search(directory)]


def check_file(path, text):
    if not path.endswith(TEXT) and "." in os.path.basename(path):
        return []
    return (check_length(path, text) + check_marks(path, text) +
            check_guard(path, text) + check_alias(path, text))


def check(files, read):
    findings = check_readmes(files)
    for path in files:
        findings += check_file(path, read(path))
    return findings


if __name__ == "__main__":
    tree.main("layout", check)
