#!/usr/bin/python3
"""Files that the texts name exist.

In every *.md file:
  - a word in backticks that looks like a path of this tree; a name alone, such
    as `calls.py`, may also be that of a file further down;
  - each word in backticks of the first column of a table whose heading is
    "file", "files", "header", "script", "directory" or "room": there the
    endings .h and .cc may be left out;
  - the target of a link.
A path is looked for beside the text and then in each directory above it, so
that `netlink.h`, `netlink/netlink.h` and `netplugin/netlink/netlink.h` are all
good in netplugin/netlink/README.md. `{a,b}` means either, `*` any characters.
Blocks of code are pictures and not looked at.

In the README of a room of agent/, runtime/ or netplugin/ the sentence "May be
used by: ..." names all the rooms that includes.py lets include it.

In comments of C++ and of *.proto: a name that ends in .h, .cc, .proto or .md is
the end of the path of a file of this tree, or a header of the system.
tests/SECURITY.md names tests,
which security.py looks for.
"""
import fnmatch
import posixpath
import re

import includes
import tree

TABLES = ("file", "files", "header", "headers", "script", "directory", "room")
# No file of this tree: made by a build, read on a node, or part of a package;
# what CRI calls a profile; the specification of CDI.
ELSEWHERE = re.compile(r"^(build|bin|libexec|share|grpc/health|\.\./shared)/|"
                       r"\.pb\.(h|cc)$|^runtime/default$|^SPEC.md$")
MODULES = ("agent", "runtime", "netplugin")
SKIPPED = ("tests/SECURITY.md",)
ENDINGS = (".h", ".cc", ".py", ".sh", ".md", ".cmake", ".proto", ".textproto",
           ".supp")
STEMS = ("", ".h", ".cc", ".py", ".sh", ".textproto", "_test.cc")

SYSTEM = re.compile(r"^(linux|sys|asm|net|netinet|sanitizer)/")

_COMMENT = re.compile(r"//(.*)")
_SOURCE = re.compile(r"(?<![\w./<-])((?:\.\./)*[\w/]+\.(?:h|cc|proto|md))\b")
_USERS = re.compile(r"May\s+be\s+used\s+by: ([^.]*)\.")
_FENCE = re.compile(r"^```.*?^```", re.M | re.S)
_WORD = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")


def without_code(text):
    """The text with the lines of code blocks blanked: four spaces after an
    empty line, or between ```."""
    text = _FENCE.sub(lambda m: "\n" * m.group().count("\n"), text)
    lines, code, before = [], False, ""
    for line in text.split("\n"):
        code = line.startswith("    ") and (code or not before.strip())
        lines.append("" if code else line)
        before = line
    return "\n".join(lines)


def expand(word):
    """`target.{h,cc}` as two words."""
    match = _BRACES.search(word)
    if not match:
        return [word]
    return [one for part in match.group(1).split(",") for one in
            expand(word[:match.start()] + part.strip() + word[match.end():])]


class Tree:
    """Files and directories, looked up the way a reader would."""

    def __init__(self, files):
        self.paths = set(files)
        for path in files:
            while path:
                path = posixpath.dirname(path)
                self.paths.add(path)
        self.ends = {path[at:] for path in files for at in
                     [0] + [m.end() for m in re.finditer("/", path)]}
        self.top = {path.split("/")[0] for path in files if "/" in path}

    def has(self, directory, word, endings=("",)):
        word = word.rstrip("/")
        if "/" not in word and endings == ("",) and fnmatch.filter(
                self.paths, posixpath.join(directory, "*/" + word)):
            return True
        while True:
            path = posixpath.normpath(posixpath.join(directory, word))
            for ending in endings:
                if "*" in path:
                    if fnmatch.filter(self.paths, path + ending):
                        return True
                elif path + ending in self.paths:
                    return True
            if not directory:
                return False
            directory = posixpath.dirname(directory)

    def is_path(self, word):
        """Whether a word claims to be a file or directory of this tree."""
        if not re.fullmatch(r"[\w.{},*/-]+", word) or word.startswith("/") or \
                ELSEWHERE.search(word):
            return False
        first = word.split("/")[0]
        if "/" in word:
            return first in self.top or first in (".", "..") or \
                word.endswith(ENDINGS)
        return word.endswith(ENDINGS) and not word.startswith(".") and \
            "*" not in word


def check_file(path, text, where):
    directory = posixpath.dirname(path)
    findings = []

    def want(number, word, endings=("",)):
        for one in expand(word):
            if not ELSEWHERE.search(one) and \
                    not where.has(directory, one, endings):
                findings.append(tree.Finding(path, number,
                                             f"there is no {one}"))
    table = False  # inside one whose first column names files
    for number, line in enumerate(without_code(text).split("\n"), 1):
        for target in _LINK.findall(line):
            target = target.split("#")[0]
            if target and "://" not in target and posixpath.normpath(
                    posixpath.join(directory, target)) not in where.paths:
                findings.append(tree.Finding(path, number,
                                             f"the link {target} is broken"))
        cells = line.split("|") if line.startswith("|") else []
        if not cells:
            table = False
        elif cells[1].strip() in TABLES:
            table = True
        first = cells[1] if table else ""
        for word in _WORD.findall(first):
            want(number, word, STEMS)
        for word in _WORD.findall(line[len(first):]):
            if where.is_path(word):
                # Programs go by the names of their sources.
                want(number, word, ("", ".cc") if "/" in word else ("",))
    return findings


def check_comments(path, text, where):
    return [tree.Finding(path, number, f"there is no {name}")
            for number, line in enumerate(text.split("\n"), 1)
            for comment in _COMMENT.findall(line)
            for name in _SOURCE.findall(comment)
            if not SYSTEM.search(name) and not ELSEWHERE.search(name)
            and re.sub(r"^(\.\./)+", "", name) not in where.ends]


def users(room, rooms):
    """The rooms that may include all of `room`, but for assembly."""
    return {posixpath.basename(other) for other in rooms - {room}
            if not includes.check_file(f"{other}/a.cc",
                                       f'#include "{room}/a.h"\n')}


def check_users(path, text, rooms):
    room = posixpath.dirname(path)
    match = _USERS.search(text)
    if room not in rooms or not match:
        return []
    named = set(re.findall(r"`([a-z]+)/?`", match.group(1))) - set(MODULES)
    peers = {r for r in rooms if r.split("/")[0] == room.split("/")[0]}
    wrong = named ^ users(room, peers)
    return [tree.Finding(path, tree.line_of(text, match.start()),
                         f"by includes.py, {name} may "
                         + ("not use it" if name in named else "use it, too"))
            for name in sorted(wrong)]


def check(files, read):
    rooms = {posixpath.dirname(path) for path in files
             if path.startswith(MODULES) and re.match(r"\w+/\w+/\w+\.h$", path)}
    where = Tree(files)
    findings = []
    for path in files:
        if path.endswith(".md") and path not in SKIPPED:
            findings += check_file(path, read(path), where)
            findings += check_users(path, read(path), rooms)
        elif path.endswith(tree.CPP + (".proto",)):
            findings += check_comments(path, read(path), where)
    return findings


if __name__ == "__main__":
    tree.main("docs", check)
