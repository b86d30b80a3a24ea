#include "tests/support/parent_cgroup.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>

#include "tests/support/host_file.h"
#include "tests/support/node_namespace.h"

namespace warren::test {
namespace {

// Nothing can enter an empty set of processors, or one below it: cgroup v1.
// On v2 an empty set is the parent's and these files of the root are missing.
void InheritCpuset(const std::string& parent, const std::string& directory) {
  for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
    const std::string above = ReadHostFile(parent + file);
    if (ReadHostFile(directory + file) == "\n" && above.size() > 1) {
      EXPECT_TRUE(WriteHostFile(directory + file, above)) << directory << file;
    }
  }
}

// What children may be limited in is what the parent passes on: cgroup v2.
void PassControllersOn(const std::string& directory) {
  const std::string names = ReadHostFile(directory + "/cgroup.controllers");
  for (absl::string_view name :
       absl::StrSplit(names, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
    // One at a time: cpu cannot be passed on while real-time processes run.
    WriteHostFile(directory + "/cgroup.subtree_control",
                  absl::StrCat("+", name));
  }
}

}  // namespace

void MakeParentCgroup(const std::string& path) {
  for (const std::string& mount : CgroupMounts()) {
    std::string directory = mount;
    for (absl::string_view name :
         absl::StrSplit(path, '/', absl::SkipEmpty())) {
      const std::string parent = directory;
      absl::StrAppend(&directory, "/", name);
      PassControllersOn(parent);
      EXPECT_TRUE(mkdir(directory.c_str(), 0755) == 0 || errno == EEXIST)
          << directory;
      InheritCpuset(parent, directory);
    }
    PassControllersOn(directory);
  }
}

}  // namespace warren::test
