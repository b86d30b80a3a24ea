"""Names of the tests of the tree, for the lints that look them up."""
import os
import re

_CPP = re.compile(r"\bTEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)")
_PYTHON = re.compile(r"^    def (test_\w+)\(", re.M)


def names(files, read):
    """Everything a document may call a test: "Suite.Name" of each C++ test,
    "lint_test.test_name" of a Python one, and the base name of each file."""
    found = {os.path.basename(path) for path in files}
    for path in files:
        if path.endswith("_test.cc"):
            found |= {f"{suite}.{name}"
                      for suite, name in _CPP.findall(read(path))}
        elif path.endswith("_test.py"):
            module = os.path.basename(path)[:-len(".py")]
            found |= {f"{module}.{name}" for name in _PYTHON.findall(read(path))}
    return found
