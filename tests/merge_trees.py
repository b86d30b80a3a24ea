#!/usr/bin/python3
"""One ctest directory out of several build trees.

  merge_trees.py OUT NAME=BUILD[:LABEL,...][:KIND] ...

Writes OUT/CTestTestfile.cmake with the tests of each tree under the name
NAME/test, so that one ctest run covers all and its summary tells the whole
truth. Of a tree's tests those are taken that have one of the LABELs and, where
one is named, the label KIND as well. A test whose program was not built is
kept, and fails.
"""
import json
import os
import subprocess
import sys

# What a sanitized program should know; {tests} is the directory of this script.
ENVIRONMENT = {
    "release": [],
    "asan": ["ASAN_OPTIONS=detect_stack_use_after_return=1",
             "UBSAN_OPTIONS=print_stacktrace=1"],
    "tsan": ["TSAN_OPTIONS=halt_on_error=1 ignore_noninstrumented_modules=1 "
             "suppressions={tests}/tsan.supp"],
}


def quote(text):
    """A CMake bracket argument: nothing in it is special."""
    return f"[==[{text}]==]"


def tests_of(build, labels, kind):
    listed = subprocess.run(
        ["ctest", "--test-dir", build, "--show-only=json-v1"],
        capture_output=True, check=True, text=True).stdout
    for test in json.loads(listed)["tests"]:
        properties = {p["name"]: p["value"] for p in test["properties"]}
        has = set(properties.get("LABELS", []))
        if labels and not has & set(labels):
            continue
        if not kind or kind in has:
            yield test["name"], test.get("command"), properties


def entry(tree, name, command, properties):
    """The CMake text of one test."""
    full = f"{tree}/{name}"
    here = os.path.dirname(os.path.abspath(__file__))
    extra = [text.format(tests=here) for text in ENVIRONMENT.get(tree, [])]
    if extra or "ENVIRONMENT" in properties:
        properties["ENVIRONMENT"] = properties.get("ENVIRONMENT", []) + extra
    lines = [f"add_test({quote(full)} " +
             " ".join(map(quote, command or ["/not/built", name])) + ")"]
    for key, value in properties.items():
        if isinstance(value, list):
            value = ";".join(map(str, value))
        elif isinstance(value, bool):
            value = "TRUE" if value else "FALSE"
        lines.append(f"set_tests_properties({quote(full)} PROPERTIES {key} "
                     f"{quote(value)})")
    return "\n".join(lines) + "\n"


def main(out, trees):
    text = ""
    for tree in trees:
        name, rest = tree.split("=", 1)
        build, labels, kind = (rest.split(":", 2) + ["", ""])[:3]
        for test in tests_of(build, [l for l in labels.split(",") if l],
                             kind):
            text += entry(name, *test)
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "CTestTestfile.cmake"), "w",
              encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
