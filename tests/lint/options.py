#!/usr/bin/python3
"""The keys of the configuration: the code, the file that is shipped and the
table of agent/options/README.md have the same keys with the same defaults."""
import re

import tree

CODE = "agent/options/values.cc"
HEADER = "agent/options/options.h"
SHIPPED = "deploy/warren.toml"
TABLE = "agent/options/README.md"

_SETTER = re.compile(r'^\s*\{"([a-z_.]+)",\s*(?:Into\(\w+, &Options::(\w+)\))?',
                     re.M)
_ROW = re.compile(r"^\| `([a-z_.]+)` \| `([^`]+)` \| .*\S \|$")
# A member whose default stands beside it as a literal.
_MEMBER = re.compile(r'\b(\w+) = ("[^"]*"|-?\d+|\{"[^}]*\});')


def keys_of_code(text):
    """key -> member of Options, or None where a setter of its own sets it."""
    table = text[text.find("Setters()"):]
    return {m.group(1): m.group(2) for m in _SETTER.finditer(table)}


def defaults_of_header(text):
    """member -> literal, as TOML spells it."""
    return {name: "[" + value[1:-1] + "]" if value[0] == "{" else value
            for name, value in _MEMBER.findall(text)}


def keys_of_file(text):
    """key -> (line, default) of the shipped file, where each is a comment."""
    keys, section = {}, ""
    for number, line in enumerate(text.split("\n"), 1):
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = match.group(1) + "."
        elif match := re.fullmatch(r"#([a-z_]+) = (.+)", line):
            keys[section + match.group(1)] = (number, match.group(2))
    return keys


def keys_of_table(text):
    """key -> (line, default) of the README, and findings."""
    keys, findings = {}, []
    for number, line in enumerate(text.split("\n"), 1):
        if not re.match(r"\|\s*`[a-z_.]+`", line):
            continue
        match = _ROW.match(line)
        if match is None:
            findings.append(tree.Finding(
                TABLE, number, "a row is | `key` | `default` | what |"))
        elif match.group(1) in keys:
            findings.append(tree.Finding(TABLE, number,
                                         f"{match.group(1)}: a second row"))
        else:
            keys[match.group(1)] = (number, match.group(2))
    return keys, findings


def check_texts(code, header, shipped, table):
    members = keys_of_code(code)
    literals = defaults_of_header(header)
    in_file = keys_of_file(shipped)
    in_table, findings = keys_of_table(table)
    if not members:
        findings.append(tree.Finding(CODE, 1, "no keys found"))
    for key, member in members.items():
        for path, have in ((SHIPPED, in_file), (TABLE, in_table)):
            if key not in have:
                findings.append(tree.Finding(path, 1, f"{key} is missing"))
        default = literals.get(member or key)
        if key in in_file and default not in (None, in_file[key][1]):
            findings.append(tree.Finding(
                SHIPPED, in_file[key][0],
                f"{key}: the default of the code is {default}"))
        if key in in_file and key in in_table and \
                in_file[key][1] != in_table[key][1]:
            findings.append(tree.Finding(
                TABLE, in_table[key][0],
                f"{key}: the default in {SHIPPED} is {in_file[key][1]}"))
    for path, have in ((SHIPPED, in_file), (TABLE, in_table)):
        findings += [tree.Finding(path, line, f"there is no key {key}")
                     for key, (line, _) in have.items() if key not in members]
    return findings


def check(_, read):
    return check_texts(*(read(path)
                         for path in (CODE, HEADER, SHIPPED, TABLE)))


if __name__ == "__main__":
    tree.main("options", check)
