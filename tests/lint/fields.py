#!/usr/bin/python3
"""Every field of a pod's and a container's configuration has a row in
agent/convert/FIELDS.md ("Every configuration field") and every test named there
exists."""
import re

import test_names
import tree

PROTO = "proto/runtime/v1/api.proto"
FIELDS = "agent/convert/FIELDS.md"
SECTION = "## Every configuration field"
# Table of the section -> the message whose fields its rows name, and what a
# row may leave out at the start of a path.
TABLES = {
    "PodSandboxConfig": ("PodSandboxConfig", ""),
    "ContainerConfig: the process": ("ContainerConfig", ""),
    "ContainerConfig: security context": ("ContainerConfig",
                                          "linux.security_context."),
    "ContainerConfig: mounts": ("ContainerConfig", "mounts."),
    "ContainerConfig: devices": ("ContainerConfig", "devices."),
    "LinuxContainerResources": ("ContainerConfig", "linux.resources."),
}
# Not for Linux, or replaced by a field that has a row; they may have one.
EXCLUDED = re.compile(r"^windows$|\.seccomp_profile_path$|"
                      r"\.apparmor_profile$")
# Messages that are more than one row: each of their fields needs its own.
OPENED = re.compile(r"^linux(\.security_context(\.namespace_options)?)?$|"
                    r"^(mounts|devices)$")
ALSO_OPENED = {"ContainerConfig": ("linux.resources",), "PodSandboxConfig": ()}

_BLOCK = re.compile(r"\b(message|enum|service|oneof)\s+(\w+)\s*\{|[{}]|"
                    r"(?:repeated\s+)?(map\s*<[^>]*>|[\w.]+)\s+(\w+)\s*="
                    r"\s*\d+\s*(?:\[[^\]]*\])?\s*;")


def messages(text):
    """Message name -> [(field, type)] of a .proto."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)
    found, stack = {}, []
    for match in _BLOCK.finditer(text):
        kind, name, of_type, field = match.groups()
        if kind:
            stack.append((kind, name))
            if kind == "message":
                found[name] = []
        elif field:
            if stack and stack[-1][0] == "message":
                found[stack[-1][1]].append((field, of_type))
        elif match.group() == "{":
            stack.append(("", ""))
        elif stack:
            stack.pop()
    return found


def is_opened(root, path):
    return OPENED.match(path) or path in ALSO_OPENED[root]


def missing(all_messages, message, root, covered, prefix=""):
    """Paths without a row: neither one of their own (opened messages have
    none) nor one for each of their fields."""
    paths = []
    for field, of_type in all_messages.get(message, ()):
        path = prefix + field
        if EXCLUDED.search(path) or (root, path) in covered:
            continue
        inner = missing(all_messages, of_type, root, covered, path + ".")
        if is_opened(root, path):
            paths += inner
        elif of_type not in all_messages or inner:
            paths.append(path)
    return paths


def is_path(all_messages, message, path):
    """Whether a path of field names exists, however deep."""
    for name in path.split("."):
        types = dict(all_messages.get(message, ()))
        if name not in types:
            return False
        message = types[name]
    return True


def rows(text):
    """(line, table, first cell, last cell) of each row of the section."""
    table, inside = None, False
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("## "):
            inside = line == SECTION
        elif inside and line.startswith("### "):
            table = line[4:].strip()
        elif inside and table and line.startswith("| `"):
            cells = [cell.strip() for cell in
                     re.split(r"(?<!\\)\|", line.strip().strip("|"))]
            yield number, table, cells[0], cells[-1] if len(cells) > 2 else ""


def check_row(row, all_messages, tests):
    """Findings, and the paths (root, path) that the row covers."""
    number, table, fields, named = row
    root, prefix = TABLES[table]
    findings, covered = [], []
    for field in re.findall(r"`([^`]+)`", fields):
        whole = next((path for path in (field, prefix + field)
                      if is_path(all_messages, root, path)), None)
        if whole is None:
            findings.append(tree.Finding(FIELDS, number, f"{root} has no "
                                         f"field {field}"))
        elif is_opened(root, whole):
            findings.append(tree.Finding(FIELDS, number, f"{whole} is too "
                                         "much for one row"))
        else:
            covered.append((root, whole))
    names = re.findall(r"`([^`]+)`", named)
    if not names:
        findings.append(tree.Finding(FIELDS, number, "the row names no test"))
    findings += [tree.Finding(FIELDS, number, f"there is no test {name}")
                 for name in names if name not in tests]
    return findings, covered


def check(files, read):
    all_messages = messages(read(PROTO))
    tests = test_names.names(files, read) | set(files)
    findings, covered = [], []
    for row in rows(read(FIELDS)):
        if row[1] not in TABLES:
            findings.append(tree.Finding(FIELDS, row[0],
                                         f"unknown table {row[1]}"))
            continue
        more, fields = check_row(row, all_messages, tests)
        findings += more
        covered += fields
    for root in ("PodSandboxConfig", "ContainerConfig"):
        findings += [tree.Finding(FIELDS, 1, f"{root}.{path} has no row")
                     for path in missing(all_messages, root, root,
                                         set(covered))]
    return findings


if __name__ == "__main__":
    tree.main("fields", check)
