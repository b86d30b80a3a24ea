#!/usr/bin/python3
"""The compiler's check of locks finds a bad sample and lets a good one through."""
import os
import re
import tempfile
import unittest

import thread_safety
import tree


class ThreadSafety(unittest.TestCase):
    FILES = {"agent/a/a.cc": '#include "agent/a/a.h"\n',
             "agent/a/a.h": '#include "agent/a/b.h"\n',
             "agent/a/b.h": '#include "agent/a/a.h"\n'
                            '#include "runtime/base/mutex.h"\n',
             "agent/a/c.cc": "#include <string>\n"}

    def includes(self):
        return thread_safety.Includes(self.FILES.__getitem__)

    def entry(self, target, path):
        return {"file": os.path.join(tree.ROOT, path), "command":
                "c++ -std=c++20 -Wall -isystem x -DA=1 -o "
                f"CMakeFiles/{target}.dir/y.o -c {path}"}

    @unittest.skipUnless(thread_safety.clang(), "clang++ is not installed")
    def test_a_missing_lock_is_refused(self):
        held = "const MutexLock lock(&mutex);"
        wait = "changed.Wait(&mutex, Deadline::Never());"
        bodies = ((held, True), (held + wait, True), ("", False),
                  (f"{{ {held} }}", False), (wait, False))
        lines = ['#include "runtime/base/mutex.h"',
                 "namespace warren::base { struct Counter { Mutex mutex;",
                 "Condition changed; int count ABSL_GUARDED_BY(mutex) = 0;"]
        first = len(lines) + 1
        lines += [f"int Get{number}() {{ {body} return count; }}"
                  for number, (body, _) in enumerate(bodies)]
        lines.append("}; }")
        with tempfile.TemporaryDirectory() as directory:
            path = f"{directory}/a.cc"
            with open(path, "w", encoding="utf-8") as file:
                file.write("\n".join(lines))
            said = thread_safety.check_unit(
                ["-std=c++20", f"-I{tree.ROOT}"], [path])
        for number, (body, good) in enumerate(bodies, first):
            refused = re.search(rf"a\.cc:{number}:.*-Wthread-safety", said)
            self.assertEqual(not refused, good, body + said)

    def test_what_is_looked_at(self):
        for path in ("agent/a/a.cc", "netplugin/x.cc", "runtime/a/b.cc"):
            self.assertTrue(thread_safety.is_product(path))
        for path in ("agent/a/a_test.cc", "tests/fakes/a.cc", "agent/a/a.h",
                     "runtime/image/testing/a.cc",
                     "agent/a/server_test_daemon.cc"):
            self.assertFalse(thread_safety.is_product(path))
        self.assertTrue(self.includes().locks("agent/a/a.cc"))
        self.assertFalse(self.includes().locks("agent/a/c.cc"))

    def test_each_source_once_with_the_builds_flags(self):
        entries = [self.entry("one", "agent/a/a.cc"),
                   self.entry("one", "agent/a/c.cc"),
                   self.entry("two", "agent/a/a.cc")]
        self.assertEqual(
            list(thread_safety.wanted_units(entries, self.includes())),
            [("one.dir", ["-std=c++20", "-isystem", "x", "-DA=1"],
              ["agent/a/a.cc"])])


if __name__ == "__main__":
    unittest.main()
