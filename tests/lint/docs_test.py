#!/usr/bin/python3
"""docs.py finds its bad samples and lets good ones through; and the ways that
agent/README.md describes lead through files that exist."""
import unittest

import docs
import tree


class Docs(unittest.TestCase):
    FILES = ("README.md", "a/README.md", "a/one.h", "a/b/two.cc",
             "a/b/README.md", "c/three_bench.cc")

    def found(self, path, text):
        return [str(f) for f in docs.check_file(path, text,
                                                docs.Tree(self.FILES))]

    def good(self, path, text):
        self.assertEqual(self.found(path, text), [], text)

    def bad(self, path, text):
        self.assertEqual(len(self.found(path, text)), 1, text)

    def test_paths(self):
        for text in ("`a/one.h`", "`two.cc` below", "`a/`", "`a/b/*.cc`",
                     "`a/{one.h,b}`", "`c/three_bench` runs", "[x](a/one.h)",
                     "[x](a/README.md#top)", "[x](https://example.org/a.h)"):
            self.good("README.md", text)
        for text in ("`a/two.h`", "`four.cc`", "`a/b/*.h`", "`a/{one.h,c}`",
                     "[x](one.h)", "see `../a/one.h`"):
            self.bad("README.md", text)
        self.good("a/b/README.md", "`one.h`, `b/two.cc` and `../one.h`")
        self.bad("a/b/README.md", "`../two.cc`")

    def test_no_paths(self):
        for text in ("`/var/lib/a.h`", "`a.b`, `x/y`, `no.h` is not".replace(
                "`no.h`", "no.h"), "```\n`a/two.h`\n```", "\n    `a/two.h`\n",
                     "`build/release/x_test.cc`", "`runtime/v1/api.pb.h`"):
            self.good("README.md", text)

    def test_comments(self):
        where = docs.Tree(self.FILES)
        for text in ("int x;  // see one.h", "// b/two.cc, ../one.h",
                     "// linux/bpf.h has it", 'Open("four.h");',
                     "// <elf.h> has it"):
            self.assertFalse(docs.check_comments("a/x.h", text, where), text)
        for text in ("// see three.h", "// a/two.cc", "f();  // b/README.h"):
            self.assertTrue(docs.check_comments("a/x.h", text, where), text)

    def test_users_of_a_room(self):
        rooms = {"runtime/inspect", "runtime/machine", "runtime/launch",
                 "agent/cri"}

        def found(text):
            return [str(f) for f in docs.check_users(
                "runtime/inspect/README.md", text, rooms)]
        self.assertEqual(found("May be used by: `machine`.\n"), [])
        self.assertEqual(found("It is small."), [])
        self.assertEqual(len(found("May be used\nby: nobody.")), 1)
        self.assertEqual(len(found("May be used by: `machine`, `launch`.")), 1)

    def test_tables_of_files(self):
        head = "| files | what |\n|---|---|\n"
        self.good("a/README.md", head + "| `one` `b` | `x` |")
        self.bad("a/README.md", head + "| `one` `two` | `x` |")
        self.good("a/README.md", "| key | what |\n|---|---|\n| `two` | |")
        self.good("a/README.md", head + "\n| key |\n|---|\n| `two` |")

    def test_what_the_agents_readme_walks_through_exists(self):
        text = tree.read("agent/README.md")
        for heading in ("RunPodSandbox", "StartContainer"):
            section = text[text.index(f"## One {heading}"):]
            section = section[:section.index("\n## ", 4)]
            steps = [line for line in section.split("\n")
                     if line[:1].isdigit()]
            self.assertEqual(len(steps), 10, heading)
            for step in steps:
                self.assertRegex(step, r"`[\w/]+\.(h|cc)`", step)
                self.assertEqual(
                    [str(f) for f in docs.check_file(
                        "README.md", step, docs.Tree(tree.files()))], [])


if __name__ == "__main__":
    unittest.main()
