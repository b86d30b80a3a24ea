#!/usr/bin/python3
"""Calls that must not be made, each with its reason.

`// lint: allow NAME: why` on the line or the one above lets one through.
"""
import re

import tree

TESTS = r"^tests/|_test\.cc$|/fake_"


class Ban:
    """`pattern` must not be found in code outside of `but` (paths)."""

    def __init__(self, name, pattern, why, but=None, only=None):
        self.name, self.why = name, why
        self.pattern = re.compile(pattern)
        self.but = re.compile(but) if but else None
        self.only = re.compile(only) if only else None

    def concerns(self, path):
        if self.but and self.but.search(path):
            return False
        return not self.only or bool(self.only.search(path))


# A call as such: no member function, no declaration of one of that name.
def call(names):
    return rf"(?<![\w.>:~])(?:::|std::)?(?:{names})\s*\("


BANS = [
    Ban("fork", call("fork|vfork"),
        "the agent is threaded: use base::Spawn", but=TESTS +
        r"|^runtime/(shim|init|image/unpack)/"),
    Ban("shell", call("system|popen|wordexp"),
        "no shell, no exec of tools on the pod path", but=TESTS),
    Ban("thread", r"std::j?thread\b|pthread_create|std::async\b|absl::Mutex",
        "init and shim are single-threaded", only=r"^runtime/(init|shim)/",
        but=TESTS),
    Ban("mutex", r"std::(?:(?:recursive_|shared_|timed_|recursive_timed_|"
        r"shared_timed_)?mutex|condition_variable(?:_any)?|lock_guard|"
        r"unique_lock|scoped_lock|shared_lock)\b|absl::CondVar\b|"
        r"\bAwaitWith(?:Timeout|Deadline)\s*\(|"
        r"#\s*include\s*<(?:mutex|shared_mutex|condition_variable)>",
        "REL-23: the compiler checks no lock of theirs, or their time-outs run "
        "on the wall clock: use base::Mutex, or absl::Mutex without a time-out",
        but=TESTS + r"|^runtime/base/mutex\.h$"),
    Ban("kill", call("kill|killpg|tgkill"),
        "REL-9: a number may be somebody else's by now: use base::SendSignal "
        "on a pidfd",
        but=TESTS + r"|^runtime/(shim|init)/|^runtime/base/process\.cc$"),
    # A changed propagation (no source, a literal target) moves nothing.
    Ban("mount", call("mount") + r"(?!nullptr, \"\")",
        "FS-1: mounts go fd to fd: open_tree, fsmount, move_mount",
        but=TESTS),
    Ban("path", call("realpath|canonicalize_file_name|chroot|mktemp|tempnam"),
        "FS-1: paths are resolved by openat2 below a root descriptor"),
    Ban("fopen", call("fopen|freopen") + r"|std::(o|i|)fstream\b",
        "FS-1, EXE-3: use runtime/base/file.h", but=TESTS),
    Ban("filesystem", r"\b(?:std::filesystem|fs)::(?:create_\w+|remove\w*|"
        r"rename|copy\w*|resize_file|permissions)\s*\(",
        "FS-1: follows symlinks: use runtime/base/file.h", but=TESTS),
    Ban("errno-status", r"absl::ErrnoToStatus\w*",
        "says NOT_FOUND for ENOENT, which a kubelet reads as \"the pod is "
        "gone\": use base::ErrnoError"),
    # A status that fails, and then the answer that a thing is not there. A
    # condition that asks for more (which error it was) is let through.
    Ban("absence", r"\bif\s*\(\s*![^;{}&|]*\.ok\(\)"
        r"(?:\s*\|\|\s*![^;{}&|]*\.ok\(\))*\s*\)\s*\{?\s*"
        r"(?:return(?:\s*(?:\{\}|std::nullopt|nullptr|false|\"\"|"
        r"absl::OkStatus\(\)|[\w:<> ]+\(\)))?|continue)\s*;",
        "an error of a look is no absence (runtime/base/look.h): take the three "
        "answers apart, or hand the error on", only=r"^(agent|runtime|netplugin)/",
        but=TESTS + r"|^agent/ctl/"),
    Ban("exception", r"\bthrow\b(?!\s*CLI::)",
        "errors are absl::Status"),
    Ban("format", r"std::format\b|#\s*include\s*<(?:format|ranges)>|"
        r"std::(?:ranges::)?views::", "not in g++ 12 and clang 14 alike"),
    Ban("random-signal-safe", r"\bstd::(?:string|vector|map|function)\b",
        "nothing may allocate between clone and exec",
        only=r"^runtime/init/(steps|report|program)\.cc$"),
]

# EXE-3: a descriptor is close-on-exec from birth. Call -> what must be among
# its arguments; None = there is a better call.
CLOEXEC = {
    "open": "O_CLOEXEC", "openat": "O_CLOEXEC", "creat": None,
    "socket": "SOCK_CLOEXEC", "socketpair": "SOCK_CLOEXEC",
    "accept": None, "accept4": "SOCK_CLOEXEC",
    "pipe": None, "pipe2": "O_CLOEXEC", "dup": None,
    "epoll_create": None, "epoll_create1": "EPOLL_CLOEXEC",
    "eventfd": "EFD_CLOEXEC", "signalfd": "SFD_CLOEXEC",
    "timerfd_create": "TFD_CLOEXEC", "memfd_create": "MFD_CLOEXEC",
    "inotify_init": None, "inotify_init1": "IN_CLOEXEC",
    "open_tree": "OPEN_TREE_CLOEXEC", "fsopen": "FSOPEN_CLOEXEC",
    "fsmount": "FSMOUNT_CLOEXEC", "fspick": "FSPICK_CLOEXEC",
    "recvmsg": "MSG_CMSG_CLOEXEC",
}
_CLOEXEC_CALL = re.compile(call("|".join(CLOEXEC)))


def arguments(code, start):
    """The text between the parenthesis at `start` and its partner."""
    depth = 0
    for i in range(start, len(code)):
        depth += {"(": 1, ")": -1}.get(code[i], 0)
        if depth == 0:
            return code[start + 1:i]
    return code[start + 1:]


_NO_TYPE = ("return", "else", "do", "and", "or", "not", "co_return")


def declares(code, start):
    """Is the name at `start` the name of a variable: `UniqueFd mount(…)`?"""
    before = re.search(r"([\w>&*]+)\s+$", code[max(0, start - 80):start])
    return bool(before) and before.group(1) not in _NO_TYPE and \
        not before.group(1).endswith("&&")


def through_variable(code, inside, end, wanted):
    """Does an argument `flags` get the wanted bit shortly before?"""
    return any(re.search(rf"\b{name}\s*\|?=[^;]*{wanted}",
                         code[max(0, end - 1500):end])
               for name in re.findall(r"\w*flags\w*", inside))


def cloexec_findings(path, text, code):
    findings = []
    for match in _CLOEXEC_CALL.finditer(code):
        name = re.search(r"(\w+)\s*\($", match.group()).group(1)
        line = tree.line_of(code, match.end())
        wanted = CLOEXEC[name]
        inside = arguments(code, match.end() - 1)
        # A declaration or definition of our own function of that name.
        if re.match(r"\s*(int|const|char|unsigned|void)\b", inside):
            continue
        if declares(code, match.start()):
            continue
        if wanted is not None and (wanted in inside or through_variable(
                code, inside, match.start(), wanted)):
            continue
        if tree.allowed(text, line, "cloexec"):
            continue
        findings.append(tree.Finding(
            path, line, f"EXE-3: {name}() " +
            (f"without {wanted}" if wanted else "cannot be close-on-exec")))
    return findings


# Number 14 of nothing is destroyed on doubt: what stands in place of a file of
# a disk may be a FIFO, and its open waits for ever. These units read what the
# kernel makes (procfs, sysfs, cgroupfs) or what they made themselves; the first
# is where the bounded read lives.
READERS = re.compile(
    r"^runtime/base/(regular_)?file\.(cc|h)$|^runtime/cgroup/|"
    r"^runtime/inspect/proc_reader\.cc$|^agent/host/security_modules\.cc$|"
    r"^runtime/(init|shim)/")
_OPEN = call(r"(?:base::)?(?:OpenAt|OpenInRoot|OpenBeneath|open|openat)")
_READ = call(r"(?:base::)?(?:ReadFileAt|ReadFd)")
_READ_CALL = re.compile(f"{_OPEN}|{_READ}")
# Opened for other than a read of content, without waiting, or of the kernel.
_HARMLESS = re.compile(r"O_(NONBLOCK|DIRECTORY|PATH|CREAT|WRONLY)\b|"
                       r'"/(proc|sys)/|"/dev/null"')


def read_findings(path, text):
    if re.search(TESTS + r"|^agent/ctl/", path) or READERS.search(path) or \
            not re.match("(agent|runtime|netplugin)/", path):
        return []
    code = tree.code_only(text, keep_strings=True)
    findings = []
    for match in _READ_CALL.finditer(code):
        inside = arguments(code, match.end() - 1)
        name = re.search(r"(\w+)\s*\($", match.group()).group(1)
        if declares(code, match.start()) or _HARMLESS.search(inside):
            continue
        if name not in ("ReadFileAt", "ReadFd") and \
                not re.search(r"O_RD(ONLY|WR)\b", inside):
            continue
        line = tree.line_of(code, match.end())
        if not tree.allowed(text, line, "read"):
            findings.append(tree.Finding(
                path, line, f"[read] {name}(): a FIFO in its place would be "
                "waited for, a large file taken whole: use "
                "runtime/base/regular_file.h"))
    return findings


def check_file(path, text):
    if not path.endswith(tree.CPP):
        return []
    code = tree.code_only(text)
    findings = []
    for ban in BANS:
        if not ban.concerns(path):
            continue
        for match in ban.pattern.finditer(code):
            line = tree.line_of(code, match.start())
            if match.group().endswith("(") and declares(code, match.start()):
                continue
            if not tree.allowed(text, line, ban.name):
                findings.append(tree.Finding(
                    path, line, f"[{ban.name}] {match.group().strip()}: "
                    f"{ban.why}"))
    if not re.search(TESTS, path):
        findings += cloexec_findings(path, text, code)
        findings += read_findings(path, text)
    return findings


def check(files, read):
    return [finding for path in files if path.endswith(tree.CPP)
            for finding in check_file(path, read(path))]


if __name__ == "__main__":
    tree.main("calls", check)
