#!/usr/bin/python3
"""Who may include whom: the rooms of the tree, from below to above.

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
             "archive.h", "openssl/", "curl/", "netlink/", "libnftnl/",
             "libmnl/")


class Row:
    def __init__(self, pattern, ours, never=()):
        self.pattern, self.ours, self.never = re.compile(pattern), ours, never


# `ours` are prefixes. A path that ends in ".h" is that header alone.
SEAM = ("runtime/runtime.h", "runtime/specs.h", "runtime/views.h",
        "runtime/device_spec.h")
NETWORK_SEAM = ("netplugin/pod_network.h", "netplugin/ip.h")
BASE = "runtime/base/"
# Nothing in runtime/ or netplugin/ but the image store and the parsers of
# profiles and of JSON has a library of its own.
NO_GRPC = GRPC + ("absl/log",)


def room(path, below, ours=(), never=(), header=True):
    """A row: the room `path` includes itself, base, `ours` and the rooms
    `below` it."""
    own = (path + "/",) if header else ()
    return Row(re.escape(path) + r"/[^/]+$",
               own + (BASE,) + tuple(ours) + tuple(b + "/" for b in below),
               never)


def runtime(name, below=(), ours=()):
    return room("runtime/" + name, ["runtime/" + b for b in below],
                SEAM + tuple(ours), GRPC + LIBRARIES)


def network(name, below=()):
    return room("netplugin/" + name, ["netplugin/" + b for b in below],
                NETWORK_SEAM + ("netplugin/ip_testing.h",), GRPC + PROTOBUF)


def agent(name, below, ours=(), never=("grpcpp/",)):
    return room("agent/" + name, ["agent/" + b for b in below],
                (PROTO_CRI,) + tuple(ours), never)


WORDS = ("cri",)
CONVERT = WORDS + ("cdi", "host", "convert")
STORE = CONVERT + ("caller", "store")
PODS = STORE + ("options", "pods")
RECORDS = (PROTO_RECORD, PROTO_NODE)
# The credentials are plain text fields of the seam of pulls.
IMAGE_SEAM = ("runtime/image/image_store.h",
              "runtime/image/pull/image_puller.h",
              "runtime/image/registry/credentials.h")
SEAMS = SEAM + NETWORK_SEAM + IMAGE_SEAM
FAKES = ("tests/fakes/",)

# Of the image store, without its parts unpack/ and testing/.
IMAGE_HEADERS = tuple("runtime/image/" + name + ".h" for name in (
    "archive_reader", "blob_store", "completion", "compression", "digest",
    "image_store", "image_table", "import_session", "json", "layer_stack",
    "layer_store", "leanings", "leanings_store", "limits", "local_image_store",
    "manifest", "platform", "reference", "refs_file", "resolve",
    "session_directory", "tar_entry",
    "tar_header", "tar_pax", "tar_reader", "unpack_protocol", "unpacker"))

# From below to above. A room includes itself and what its row names; the row
# of a room never names one that names it: no_circles() checks that.
TABLE = [
    Row(r"runtime/base/", (BASE,),
        GRPC + PROTOBUF + LIBRARIES + ("absl/log",)),
    Row(r"runtime/init/", (BASE, "runtime/init/"),
        GRPC + PROTOBUF + LIBRARIES + THREADS),
    Row(r"runtime/shim/",
        (BASE, "runtime/init/", "runtime/shim/", PROTO_SHIM),
        GRPC + LIBRARIES + THREADS),
    Row(r"runtime/image/unpack/",
        (BASE, "runtime/image/"), GRPC),
    Row(r"runtime/image/registry/testing/",
        (BASE, "runtime/image/digest.h", "runtime/image/registry/",
         "runtime/image/registry/testing/"), GRPC + ("absl/log",)),
    Row(r"runtime/image/registry/.*_test\.cc$",
        (BASE, "runtime/image/registry/", "runtime/image/registry/testing/",
         "runtime/image/digest.h"), GRPC + ("absl/log",)),
    room("runtime/image/registry", (),
         tuple("runtime/image/" + name + ".h"
               for name in ("digest", "json", "limits")),
         GRPC + PROTOBUF + ("absl/log",)),
    Row(r"runtime/image/testing/",
        (BASE, "runtime/image/testing/") + IMAGE_HEADERS, GRPC),
    Row(r"runtime/image/pull/",
        (BASE, "runtime/image/registry/", "runtime/image/pull/")
        + IMAGE_HEADERS, GRPC),
    Row(r"runtime/image/[^/]+_test\.cc$",
        (BASE, "runtime/image/"), GRPC),
    Row(r"runtime/image/[^/]+$",
        (BASE,) + IMAGE_HEADERS, GRPC),
    Row(r"runtime/seccomp/",
        (BASE, "runtime/seccomp/", "runtime/image/json.h"),
        GRPC + PROTOBUF),
    Row(r"runtime/[^/]+$", SEAM + ("runtime/exec.h", BASE),
        GRPC + LIBRARIES),
    runtime("identity"),
    runtime("namespaces"),
    runtime("devices", ("identity",)),
    runtime("cgroup", ("devices",)),
    runtime("rootfs", ("identity",)),
    runtime("mounts",
            ("identity", "namespaces", "devices", "cgroup", "rootfs"),
            (PROTO_SHIM,)),
    runtime("inspect", ("identity",)),
    runtime("launch",
            ("identity", "namespaces", "devices", "cgroup", "rootfs",
             "mounts", "seccomp"), (PROTO_SHIM,)),
    runtime("machine",
            ("identity", "namespaces", "devices", "cgroup", "rootfs",
             "mounts", "seccomp", "inspect", "launch"), (PROTO_SHIM,)),
    Row(r"netplugin/[^/]+$", NETWORK_SEAM + (BASE, "netplugin/ip_testing.h"),
        GRPC + PROTOBUF),
    network("netlink"),
    network("ipam", ("netlink",)),
    network("nft", ("netlink",)),
    network("bridge", ("netlink", "ipam", "nft")),
    # The one file of warrenctl that talks gRPC, and its fake daemon.
    Row(r"agent/ctl/(client|fake_node)\.",
        ("agent/ctl/", "agent/cri/cri.h", BASE, PROTO_CRI, PROTO_NODE),
        KERNEL),
    Row(r"agent/ctl/",
        ("agent/ctl/", "agent/cri/cri.h", BASE, PROTO_NODE),
        GRPC + KERNEL),
    agent("cri", (), SEAM),
    # Its test walks the services.
    Row(r"agent/caller/.*_test\.cc$",
        ("agent/caller/", "agent/cri/cri.h", PROTO_NODE, PROTO_HEALTH), ("grpcpp/",)),
    agent("caller", ()),
    agent("cdi", WORDS, SEAM + ("runtime/image/json.h",)),
    agent("host", WORDS),
    agent("options", (), NETWORK_SEAM + ("netplugin/ipam/pod_ranges.h",)),
    agent("convert", WORDS + ("cdi", "host"), SEAMS + (PROTO_RECORD,)),
    agent("store", CONVERT + ("caller",), SEAMS + RECORDS + FAKES),
    agent("pods", STORE + ("options",), SEAMS + RECORDS + FAKES),
    # Makes what is below the seams on a real node.
    Row(r"agent/node/parts\.(h|cc)$",
        ("agent/node/", "agent/options/", BASE, "runtime/image/",
         "runtime/machine/linux_runtime.h",
         "netplugin/bridge/network.h") + SEAM + NETWORK_SEAM, ("grpcpp/",)),
    agent("node", PODS, SEAMS + RECORDS + FAKES +
          ("netplugin/ipam/pod_ranges.h",)),
    # The server of its test is a whole one, with calls.
    Row(r"agent/transport/(.*_(test|test_daemon)\.cc|server_testing\.h)$",
        ("agent/transport/", "agent/api/", BASE, PROTO_NODE,
         PROTO_HEALTH), ()),
    agent("transport", ("caller",), (), KERNEL),
    agent("api", PODS + ("node", "transport"),
          SEAMS + RECORDS + FAKES + ("tests/support/", PROTO_HEALTH), KERNEL),
    # Assembly: knows all.
    Row(r"agent/[^/]+$", ("agent/", BASE), KERNEL),
]

_INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)
_OURS = re.compile(r"^(runtime|netplugin|agent|tests|warren)/|^grpc/health/")


def fits(include, prefixes):
    for prefix in prefixes:
        if prefix.endswith("/"):
            # A room's own files; a room inside a room has a row of its own.
            if include.startswith(prefix):
                return True
        elif include == prefix or prefix[-2:] != ".h" and include.startswith(
                prefix):
            return True
    return False


def check_file(path, text):
    row = next((r for r in TABLE if r.pattern.match(path)), None)
    if not path.endswith(tree.CPP):
        return []
    if row is None:
        if not path.startswith(("agent/", "runtime/", "netplugin/")):
            return []
        return [tree.Finding(path, 1, "its room has no row in "
                             "tests/lint/includes.py")]
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


def rooms_of(row_ours):
    """The rooms that a row's prefixes name."""
    return {o[:-1] for o in row_ours if o.endswith("/") and
            o.startswith(("agent/", "runtime/", "netplugin/"))}


def no_circles(files):
    """Rooms that include each other, by the table alone."""
    rows = {}
    for path in files:
        if not path.endswith(tree.CPP) or "test" in path:
            continue
        row = next((r for r in TABLE if r.pattern.match(path)), None)
        if row is not None:
            rows.setdefault(os.path.dirname(path), set()).update(
                rooms_of(row.ours) - {os.path.dirname(path)})
    reach = {name: set(below) for name, below in rows.items()}
    for _ in rows:
        for name in rows:
            for below in list(reach[name]):
                reach[name] |= reach.get(below, set())
    return [tree.Finding("tests/lint/includes.py", 1,
                         f"{name} is below itself: {sorted(rows[name])}")
            for name in sorted(rows) if name in reach[name]
            # unpack/ and testing/ are parts of their room.
            and not name.startswith("runtime/image/")
            and name not in ("agent", "agent/node")]


def check(files, read):
    return [finding for path in files if path.endswith(tree.CPP)
            for finding in check_file(path, read(path))] + no_circles(files)


if __name__ == "__main__":
    tree.main("includes", check)
