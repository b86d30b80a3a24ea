#!/usr/bin/python3
"""Each lint rule finds its bad sample and lets a good one through."""
import os
import subprocess
import tempfile
import unittest

import calls
import fields
import format  # pylint: disable=redefined-builtin
import includes
import layout
import options
import security
import shell
import test_names
import tree
import unit_file


class Includes(unittest.TestCase):
    def bad(self, path, include):
        found = includes.check_file(path, f"#include {include}\n")
        self.assertEqual(len(found), 1, f"{path} including {include}")

    def good(self, path, include):
        found = includes.check_file(path, f"#include {include}\n")
        self.assertEqual([str(f) for f in found], [])

    def test_rows(self):
        self.bad("runtime/base/a.h", '"runtime/runtime.h"')
        self.bad("runtime/init/a.cc", '"warren/shim/v1/shim.pb.h"')
        self.bad("runtime/init/a.cc", "<thread>")
        self.bad("runtime/shim/a.cc", '"runtime/runtime.h"')
        self.bad("runtime/shim/a.cc", "<grpcpp/grpcpp.h>")
        self.bad("runtime/image/a.cc", '"agent/cri/cri.h"')
        self.bad("runtime/a.cc", '"runtime/image/image_store.h"')
        self.bad("runtime/a.cc", '"runtime/v1/api.pb.h"')
        self.bad("runtime/a.cc", '"netplugin/ip.h"')
        self.bad("netplugin/a.cc", '"runtime/runtime.h"')
        self.bad("netplugin/a.cc", '"warren/record/v1/record.pb.h"')
        self.bad("agent/store/store.cc", "<grpcpp/grpcpp.h>")
        self.bad("agent/store/store.cc", '"runtime/init/init.h"')
        self.bad("agent/store/store.cc", '"runtime/shim/spawn.h"')
        self.bad("agent/transport/server.cc", "<linux/mount.h>")
        self.bad("agent/ctl/table.cc", "<grpcpp/grpcpp.h>")
        self.bad("agent/convert/a.cc", '"runtime/identity/id_map.h"')
        self.bad("agent/pods/a.cc", '"runtime/machine/linux_runtime.h"')
        self.bad("agent/node/node.cc", '"netplugin/bridge/network.h"')
        self.bad("agent/pods/a.cc", '"runtime/image/blob_store.h"')
        self.bad("runtime/stats/a.cc", '"runtime/base/file.h"')  # no row
        self.bad("runtime/machine/a.cc", '"runtime/init/plan.h"')
        self.bad("runtime/image/a.cc", '"runtime/image/unpack/inode.h"')
        self.good("agent/node/parts.cc", '"runtime/machine/linux_runtime.h"')
        self.good("runtime/shim/a.cc", '"warren/shim/v1/shim.pb.h"')
        self.bad("runtime/a.cc", '"runtime/identity/id_map.h"')
        self.good("netplugin/a.cc", '"runtime/base/file.h"')
        self.good("agent/api/node_service.h", "<grpcpp/grpcpp.h>")
        self.good("agent/ctl/client.cc", "<grpcpp/grpcpp.h>")
        self.good("agent/store/store.cc", '"runtime/runtime.h"')

    def test_each_room_refuses_those_above_it(self):
        files = tree.files()
        rooms = {os.path.dirname(path) for path in files
                 if path.endswith(tree.CPP) and
                 path.startswith(("agent/", "runtime/", "netplugin/"))}

        def may(lower, upper):
            return not includes.check_file(f"{lower}/a.cc",
                                           f'#include "{upper}/a.h"\n')
        pairs = 0
        for one in rooms:
            for other in rooms - {one}:
                # Parts of one room, and assembly.
                if one.startswith(other) or other.startswith(one):
                    continue
                self.assertFalse(may(one, other) and may(other, one),
                                 f"{one} and {other}")
                pairs += may(one, other)
        self.assertGreater(pairs, 100)

    def test_a_circle_is_found(self):
        files = ["agent/cri/a.h", "agent/cdi/a.h"]
        self.assertEqual(includes.no_circles(files), [])
        table = includes.TABLE
        try:
            includes.TABLE = [includes.agent("cri", ("cdi",)),
                              includes.agent("cdi", ("cri",))]
            self.assertEqual(len(includes.no_circles(files)), 2)
        finally:
            includes.TABLE = table

    def test_comment_is_no_include(self):
        self.assertEqual(includes.check_file(
            "runtime/base/a.h", '// #include "runtime/runtime.h"\n'), [])


class Calls(unittest.TestCase):
    def bad(self, code, path="agent/a.cc"):
        self.assertTrue(calls.check_file(path, code), code)

    def good(self, code, path="agent/a.cc"):
        self.assertEqual([str(f) for f in calls.check_file(path, code)], [])

    def test_each_ban_has_a_bad_sample(self):
        samples = {
            "fork": "pid = fork();", "shell": 'system("ls");',
            "thread": "std::thread t;", "mutex": "std::mutex m;", "kill": "kill(pid, 9);",
            "mount": 'mount(a, b, "x", 0, 0);', "path": "realpath(a, b);",
            "fopen": 'f = fopen("a", "r");',
            "filesystem": "std::filesystem::remove_all(x);",
            "errno-status": "return absl::ErrnoToStatus(e, x);",
            "absence": "if (!dir.ok()) return {};",
            "exception": "throw 1;", "format": "std::format(x);",
            "random-signal-safe": "std::string s;",
        }
        paths = {"thread": "runtime/shim/a.cc",
                 "random-signal-safe": "runtime/init/steps.cc"}
        for ban in calls.BANS:
            path = paths.get(ban.name, "agent/a.cc")
            found = calls.check_file(path, samples[ban.name])
            self.assertTrue(any(f"[{ban.name}]" in str(f) for f in found),
                            ban.name)

    def test_exe_3_close_on_exec(self):
        self.bad("int fd = open(path, O_RDONLY);")
        self.bad("int fd = ::openat(at(x), path,\n O_RDONLY);")
        self.bad("socket(AF_UNIX, SOCK_STREAM, 0);")
        self.bad("accept(fd, nullptr, nullptr);")
        self.bad("accept4(fd, nullptr, nullptr, 0);")
        self.bad("pipe(fds);")
        self.good("open(path, O_WRONLY | O_CLOEXEC);")
        self.good("accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);")
        self.good("flags = A | OPEN_TREE_CLOEXEC; open_tree(d, p, flags);")
        self.good("store.open(path);")
        self.good("UniqueFd socket(kNumber);")

    def test_rel_18_an_error_is_no_absence(self):
        for code in ("if (!x.ok()) return;", "if (!x.ok()) return false;",
                     "if (!x.status().ok()) return std::nullopt;",
                     "if (!Look(a, b).ok()) { return absl::OkStatus(); }",
                     "if (!x[i].ok())\n  continue;",
                     "if (!x.ok() || !y.ok()) return nullptr;",
                     "if (!x->y.ok()) return std::vector<std::string>();"):
            self.bad(code)
            self.bad(code, "netplugin/bridge/a.cc")
            self.good(code, "tests/fakes/a.cc")
            self.good(code, "runtime/base/a_test.cc")
        for code in ("if (!x.ok()) return x.status();",
                     "if (!x.has_value()) return {};",
                     "if (!IsRunning() || !y.ok()) return;",
                     "if (base::ProvesAbsence(x.status())) return {};",
                     "if (!x.ok() && GetErrno(x) == ENOENT) return {};",
                     "// lint: allow absence: the store knows all\n"
                     "if (!x.ok()) return;"):
            self.good(code)

    def test_rel_16_files_of_a_disk_are_read_as_such(self):
        for code in ("base::ReadFileAt(AT_FDCWD, path);",
                     "ReadFd(file.get(), 10);",
                     "base::OpenAt(dir, name,\n O_RDONLY);",
                     "base::OpenInRoot(dir, name, O_RDWR | O_NOFOLLOW);",
                     "open(path, O_RDONLY | O_CLOEXEC);"):
            self.bad(code, "runtime/image/a.cc")
            self.good(code, "runtime/cgroup/a.cc")
            self.good(code, "runtime/image/a_test.cc")
        for code in ("base::ReadFileAt(AT_FDCWD, \"/proc/self/status\");",
                     "base::OpenAt(dir, name, O_RDONLY | O_DIRECTORY);",
                     "base::OpenAt(dir, name, O_RDONLY | O_NONBLOCK);",
                     "base::OpenAt(dir, name, O_PATH);",
                     "base::ReadRegularFd(fd, 10);",
                     "// lint: allow read: a pipe of ours\n"
                     "base::ReadFd(pipe.get(), 4);"):
            self.good(code, "runtime/image/a.cc")

    def test_rel_23_locks_are_those_that_are_checked(self):
        for code in ("std::condition_variable c;", "std::shared_mutex m;",
                     "const std::lock_guard<std::mutex> lock(m);",
                     "std::unique_lock lock(m);", "#include <mutex>",
                     "absl::CondVar c;", "m.AwaitWithTimeout(c, d);"):
            self.bad(code)
            self.bad(code, "runtime/launch/a.h")
            self.good(code, "runtime/base/mutex.h")
            self.good(code, "tests/fakes/a.cc")
        self.good("base::Mutex m; absl::Mutex n; m.Await(c);")

    def test_cpp_3_nothing_allocates_in_the_init(self):
        for code in ("std::string s;", "std::vector<int> v;", "throw 1;",
                     "std::thread t;"):
            self.bad(code, "runtime/init/steps.cc")
        self.good("char text[24];", "runtime/init/steps.cc")

    def test_where_it_is_fine(self):
        self.good("fork();", "runtime/shim/spawn.cc")
        self.good("kill(pid, 9);", "tests/support/x.cc")
        self.good('mount(nullptr, "/", nullptr, MS_REC, nullptr);')
        self.good("throw CLI::RequiredError(x);")
        self.good("// fork() here would be wrong")
        self.good('Say("system(ls)");')

    def test_exception_with_a_reason(self):
        self.good("// lint: allow fork: single-threaded so far\nfork();")
        self.bad("// lint: allow fork:\nfork();")
        self.bad("// lint: allow shell: why\nfork();")


class Layout(unittest.TestCase):
    def test_length(self):
        self.assertTrue(layout.check_length("a/b.cc", "x\n" * 401))
        self.assertFalse(layout.check_length("a/b.cc", "x\n" * 400))

    def test_marks_and_machine_paths(self):
        for text in ("// TO" + "DO: later", "/wor" + "k/main/x"):
            self.assertTrue(layout.check_marks("a.cc", text), text)
        self.assertFalse(layout.check_marks("a.cc", "rm /var/lib/warren"))

    def test_guard(self):
        self.assertTrue(layout.check_guard("a/b.h", "#ifndef B_H_\n"))
        self.assertFalse(layout.check_guard("a/b.h",
                                            "#ifndef WARREN_A_B_H_\n"))

    def test_alias(self):
        use = "::runtime" + "::v1::Mount m;"
        self.assertTrue(layout.check_alias("agent/a.cc", use))
        self.assertFalse(layout.check_alias("agent/cri/cri.h", use))

    def test_readme(self):
        self.assertTrue(layout.check_readmes(["README.md", "a/b.cc"]))
        self.assertFalse(layout.check_readmes(["README.md", "a/README.md"]))


class Options(unittest.TestCase):
    CODE = """Setters() {
      {"socket", Into(Path, &Options::socket)},
      {"limit",
       [](const OptionValue& value) {}},
      {"net.ranges",
       Into(Ranges, &Options::ranges)},"""
    HEADER = 'string socket = "/s";\nint limit = 5;\nx ranges = {"a", "b"};'
    SHIPPED = ('# words\n#socket = "/s"\n#limit = 5\n[net]\n'
               '#ranges = ["a", "b"]')
    TABLE = ('| key | default | what |\n|---|---|---|\n'
             '| `socket` | `"/s"` | where |\n| `limit` | `5` | how many |\n'
             '| `net.ranges` | `["a", "b"]` | which |')

    def found(self, change=("", ""), where="TABLE"):
        texts = [getattr(self, name).replace(*change) if name == where
                 else getattr(self, name)
                 for name in ("CODE", "HEADER", "SHIPPED", "TABLE")]
        return [str(f) for f in options.check_texts(*texts)]

    def test_all_there(self):
        self.assertEqual(self.found(("key", "key")), [])

    def test_each_difference_is_found(self):
        for where, old, new, count in (
                ("TABLE", "| `limit` | `5` | how many |\n", "", 1),
                ("TABLE", "`5`", "`6`", 1),
                ("TABLE", "`5`", "5", 2),
                ("TABLE", "how many", "", 2),
                ("TABLE", "`net.ranges`", "`socket`", 2),
                ("TABLE", "`limit`", "`limits`", 2),
                ("SHIPPED", "#limit = 5\n", "", 1),
                ("SHIPPED", "= 5", "= 6", 2),
                ("SHIPPED", "[net]", "[nets]", 2),
                ("HEADER", "limit = 5", "limit = 6", 1),
                ("HEADER", '"b"}', '"c"}', 1),
                ("CODE", '"limit"', '"limits"', 4),
                ("CODE", "Setters", "setters", 7)):
            self.assertEqual(len(self.found((old, new), where)), count,
                             (where, old, new,
                              self.found((old, new), where)))


class Fields(unittest.TestCase):
    PROTO = """
    message PodSandboxConfig { string hostname = 1;  // text
      LinuxPod linux = 8; Windows windows = 9; }
    message LinuxPod { map<string, string> sysctls = 3; Kind kind = 4; }
    message Kind { enum Mode { A = 0; } Mode mode = 1; int64 x = 2
      [deprecated = true]; }
    message Windows { string a = 1; }
    message ContainerConfig { repeated string args = 1; }
    """
    ROWS = ("| `hostname`, `linux.sysctls` | set | `A.B` |",
            "| `linux.kind.mode`, `linux.kind.x` | kept | `a_test.cc` |",
            "### ContainerConfig: the process",
            "| `args` | passed \\| on | `A.B`, `x/a_test.cc` |")

    def found(self, *lines):
        texts = {fields.PROTO: self.PROTO, "x/a_test.cc": "TEST_F(A,\n B) {}",
                 fields.FIELDS: "\n".join(
                     (fields.SECTION, "### PodSandboxConfig") + lines)}
        return [str(f) for f in fields.check(list(texts), texts.get)]

    def test_all_there(self):
        self.assertEqual(self.found(*self.ROWS), [])

    def test_each_missing_row_is_found(self):
        for gone in (0, 1, 3):
            lines = list(self.ROWS)
            del lines[gone]
            self.assertTrue(any("has no row" in text
                                for text in self.found(*lines)), gone)

    def test_a_message_is_one_row_or_one_for_each_field(self):
        lines = list(self.ROWS)
        lines[1] = "| `linux.kind` | kept | `A.B` |"
        self.assertEqual(self.found(*lines), [])
        lines[1] = "| `linux.kind.mode`, `linux.kind.x` | kept | `A.B` |"
        self.assertEqual(self.found(*lines), [])

    def test_names_of_nothing(self):
        for row, why in (("| `nohost` | x | `A.B` |", "no field nohost"),
                         ("| `hostname` | x | `A.C` |", "no test A.C"),
                         ("| `hostname` | x | |", "names no test"),
                         ("| `hostname` | x | b_test.cc |", "names no test"),
                         ("| `linux` | all | `A.B` |", "too much")):
            self.assertTrue(any(why in text
                                for text in self.found(row, *self.ROWS)), row)

    def test_the_real_wire_is_understood(self):
        wire = fields.messages(tree.read(fields.PROTO))
        paths = fields.missing(wire, "ContainerConfig", "ContainerConfig", ())
        for path in ("stdin_once", "mounts.uidMappings", "CDI_devices",
                     "linux.security_context.namespace_options.target_id",
                     "linux.security_context.seccomp",
                     "linux.resources.unified"):
            self.assertIn(path, paths)
        self.assertNotIn("windows", paths)


class Security(unittest.TestCase):
    def bad(self, row, known=("A.FS_1_X", "B.Y")):
        self.assertTrue(security.check_text(row + "\n", known), row)

    def good(self, row, known=("A.FS_1_X", "B.Y")):
        self.assertEqual([str(f) for f in security.check_text(
            row + "\n", known)], [])

    def test_rows(self):
        self.good("| FS-1 | x | `A.FS_1_X`, `B.Y` |")
        self.good("| FS-1 | x | not built |")
        self.good("| FS-1 | x | (pending) |")
        self.good("| 2020-1 runc | FS-1 | FS-1 |")
        self.good("| ID | x | y |\n|---|---|---|")
        self.bad("| FS-1 | x | |")
        self.bad("| FS-1 | x | `B.Y` |")
        self.bad("| FS-1 | x | `A.FS_1_X` `C.Z` |")
        self.bad("| FS-11 | x | `A.FS_1_X` |")
        self.bad("| 2020-1 runc | x | |")

    def test_names_of_tests(self):
        text = {"a/b_test.cc": "TEST_F(A,\n  B) {", "c_test.py":
                "class C:\n    def test_d(self):\n"}
        found = test_names.names(text, text.get)
        for name in ("A.B", "c_test.test_d", "b_test.cc"):
            self.assertIn(name, found)


class Tools(unittest.TestCase):
    def test_format(self):
        with tempfile.TemporaryDirectory() as directory:
            path = f"{directory}/a.cc"
            with open(path, "w", encoding="utf-8") as file:
                file.write("int  main( ){return 0;}\n")
            self.assertEqual(format.unformatted([path]), [path])
            subprocess.run(["clang-format", "-i", "--style=file", path],
                           cwd=tree.ROOT, check=True)
            self.assertEqual(format.unformatted([path]), [])

    def test_shell_knows_scripts(self):
        self.assertTrue(shell.is_script("a.sh", ""))
        self.assertTrue(shell.is_script("run", "#!/bin/bash\n"))
        self.assertFalse(shell.is_script("run", "#!/usr/bin/python3\n"))

    def test_cpp_4_unit(self):
        good = tree.read(unit_file.PATH)
        self.assertFalse(unit_file.check_unit("u", good))
        for old, new in (("KillMode=process", "KillMode=mixed"),
                         ("Delegate=yes", ""),
                         ("Delegate=yes", "Delegate=yes\nPrivateTmp=yes")):
            self.assertTrue(unit_file.check_unit("u", good.replace(old, new)))

    def test_code_only_keeps_lines(self):
        text = 'a /* x\n y */ "b\\"c" // d\nR"(e\nf)" 1\'000 \'"\' g\n'
        code = tree.code_only(text)
        self.assertEqual(code.count("\n"), text.count("\n"))
        for word in ("x", "b", "d", "e"):
            self.assertNotIn(word, code)
        self.assertIn("g", code)


if __name__ == "__main__":
    unittest.main()
