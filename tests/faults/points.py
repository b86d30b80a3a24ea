#!/usr/bin/python3
"""The points of a faulty program: its call sites of wrapped calls.

  points.py PROGRAM

Writes a line "offset call function" for each: the hexadecimal offset of the
address that the call returns to, from the start of the program. A jump in
place of a call (the last act of a function) returns to whoever called the
function, so that each of those calls is a point.
"""
import re
import subprocess
import sys

FUNCTION = re.compile(r"^([0-9a-f]+) <(.+)>:$")
BRANCH = re.compile(r"^ *([0-9a-f]+):\t(call|jmp) +([0-9a-f]+) <(.+?)(\+0x[0-9a-f]+)?>")
LINE = re.compile(r"^ *([0-9a-f]+):\t")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True,
                          text=True).stdout


def readable(names):
    text = subprocess.run(["c++filt", "-p"], input="\n".join(names), check=True,
                          capture_output=True, text=True).stdout
    return dict(zip(names, text.split("\n")))


def main():
    program = sys.argv[1]
    base = next(int(line.split()[0], 16) for line in
                output("nm", program).split("\n")
                if line.endswith(" __ehdr_start"))
    sites, tails, calls = [], {}, []
    function, pending = "", None
    for line in output("objdump", "-d", "--no-show-raw-insn",
                       program).split("\n"):
        start = FUNCTION.match(line)
        if start:
            function = start.group(2)
            continue
        here = LINE.match(line)
        if here and pending:
            calls.append((int(here.group(1), 16), *pending))
            pending = None
        branch = BRANCH.match(line)
        if not branch or branch.group(5):
            continue
        kind, target = branch.group(2), branch.group(4)
        if kind == "call":
            pending = (target, function)
        elif target.startswith("__wrap_"):
            tails.setdefault(function, []).append(target)
    for after, target, function in calls:
        if target.startswith("__wrap_"):
            sites.append((after, target[7:], function))
        for tail in tails.get(target, []):
            sites.append((after, tail[7:], function))
    names = readable(sorted({function for _, _, function in sites}))
    for after, call, function in sorted(sites):
        if function.startswith("__wrap_"):
            continue
        print(f"{after - base:x} {call} {names[function].replace(' ', '')}")


main()
