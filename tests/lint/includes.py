#!/usr/bin/python3
"""Who may include whom: the table of the top README as a check.

Each row: which files, what of ours they may include, and what of others they
must not. The first row that fits a path counts.
"""
import os
import re

import tree

PROTO_SHIM = "warren/shim/v1/"
PROTO_RECORD = "warren/record/v1/"
PROTO_NODE = "warren/node/v1/"
PROTO_CRI = "runtime/v1/"
PROTO_HEALTH = "grpc/health/"
GENERATED = (PROTO_SHIM, PROTO_RECORD, PROTO_NODE, PROTO_CRI, PROTO_HEALTH)

THREADS = ("thread", "mutex", "future", "condition_variable", "pthread.h",
           "absl/synchronization/")
GRPC = ("grpcpp/", "grpc/")
KERNEL = ("linux/", "asm/", "sys/mount.h", "sched.h")
PROTOBUF = ("google/protobuf/",)
LIBRARIES = ("nlohmann/", "toml++/", "yaml-cpp/", "CLI/", "spdlog/", "fmt/",
             "archive.h", "openssl/", "netlink/", "libnftnl/", "libmnl/")


class Row:
    def __init__(self, pattern, ours, never=()):
        self.pattern, self.ours, self.never = re.compile(pattern), ours, never


# `ours` are prefixes; "runtime/*" stands for the files directly in runtime/.
TABLE = [
    Row(r"runtime/base/", ("runtime/base/",),
        GRPC + PROTOBUF + LIBRARIES + ("absl/log",)),
    Row(r"runtime/init/", ("runtime/base/", "runtime/init/"),
        GRPC + PROTOBUF + LIBRARIES + THREADS),
    Row(r"runtime/shim/",
        ("runtime/base/", "runtime/init/", "runtime/shim/", PROTO_SHIM),
        GRPC + LIBRARIES + THREADS),
    Row(r"runtime/image/", ("runtime/base/", "runtime/image/"), GRPC),
    Row(r"runtime/seccomp/",
        ("runtime/base/", "runtime/seccomp/", "runtime/image/json.h"),
        GRPC + PROTOBUF),
    Row(r"runtime/[^/]+$",
        ("runtime/base/", "runtime/*", "runtime/seccomp/", PROTO_SHIM),
        GRPC + LIBRARIES),
    Row(r"netplugin/", ("runtime/base/", "netplugin/"),
        GRPC + PROTOBUF),
    # The one file of warrenctl that talks gRPC, and its fake daemon.
    Row(r"agent/ctl/(client|fake_node)\.",
        ("agent/ctl/", "agent/cri/cri.h", "runtime/base/", PROTO_CRI, PROTO_NODE),
        KERNEL),
    Row(r"agent/ctl/",
        ("agent/ctl/", "agent/cri/cri.h", "runtime/base/", PROTO_NODE),
        GRPC + KERNEL),
    Row(r"agent/(rpc|server|listener|main|peer_acceptors|fake_[a-z_]*|"
        r"[a-z_]+_service)"
        r"(_test)?\.(h|cc)$",
        ("agent/", "runtime/*", "runtime/base/", "runtime/image/",
         "netplugin/", "tests/fakes/", "tests/support/", PROTO_CRI,
         PROTO_NODE, PROTO_HEALTH, PROTO_RECORD),
        KERNEL),
    Row(r"agent/",
        ("agent/", "runtime/*", "runtime/base/", "runtime/image/",
         "netplugin/", "tests/fakes/", PROTO_CRI, PROTO_RECORD, PROTO_NODE),
        ("grpcpp/",)),
]

_INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)
_OURS = re.compile(r"^(runtime|netplugin|agent|tests|warren)/|^grpc/health/")


def fits(include, prefixes):
    for prefix in prefixes:
        if prefix.endswith("/*"):
            if os.path.dirname(include) == prefix[:-2]:
                return True
        elif include.startswith(prefix):
            return True
    return False


def check_file(path, text):
    row = next((r for r in TABLE if r.pattern.match(path)), None)
    if row is None or not path.endswith(tree.CPP):
        return []
    findings = []
    code = tree.code_only(text, keep_strings=True)
    for match in _INCLUDE.finditer(code):
        include = match.group(2)
        line = tree.line_of(code, match.start(2))
        if _OURS.match(include):
            bad = not fits(include, row.ours)
        else:
            bad = fits(include, row.never)
        if bad and not tree.allowed(text, line, "include"):
            findings.append(tree.Finding(
                path, line, f"this part of the tree must not include "
                f"{include} (table in tests/lint/includes.py)"))
    return findings


def check(files, read):
    return [finding for path in files if path.endswith(tree.CPP)
            for finding in check_file(path, read(path))]


if __name__ == "__main__":
    tree.main("includes", check)
