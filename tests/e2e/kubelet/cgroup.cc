// The pod cgroup, which a kubelet makes, limits and removes itself.
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/e2e/kubelet/pod.h"
#include "tests/support/host_file.h"
#include "tests/support/ledger.h"
#include "tests/support/node_namespace.h"
#include "tests/support/parent_cgroup.h"

namespace warren::test {
namespace {

std::string ControllerDirectory(const std::string& controller, bool unified) {
  return unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + controller;
}

}  // namespace

void KubeletPod::MakePodCgroup() {
  const auto& linux = requests_.sandbox.linux();
  MakeParentCgroup(linux.cgroup_parent());
  const auto& sum = linux.resources();
  if (unified()) {
    if (sum.memory_limit_in_bytes() != 0) {
      SetCgroupValue("memory", "memory.max",
                     absl::StrCat(sum.memory_limit_in_bytes()));
    }
    return;
  }
  SetCgroupValue("cpu", "cpu.shares", absl::StrCat(sum.cpu_shares()));
  if (sum.cpu_quota() != 0) {
    SetCgroupValue("cpu", "cpu.cfs_quota_us", absl::StrCat(sum.cpu_quota()));
  }
  if (sum.memory_limit_in_bytes() != 0) {
    SetCgroupValue("memory", "memory.limit_in_bytes",
                   absl::StrCat(sum.memory_limit_in_bytes()));
  }
}

void KubeletPod::RemovePodCgroup() {
  for (const std::string& mount : CgroupMounts()) {
    std::string path = requests_.sandbox.linux().cgroup_parent();
    // Nothing is in it any more; the kernel may need a moment to see that.
    EXPECT_TRUE(Eventually([&] {
      return rmdir((mount + path).c_str()) == 0 || errno == ENOENT;
    })) << mount
        << path;
    while (path.size() > CgroupParent().size()) {
      path.resize(path.rfind('/'));
      if (path == CgroupParent()) break;
      rmdir((mount + path).c_str());
    }
  }
}

std::string KubeletPod::CgroupValue(const std::string& controller,
                                    const std::string& file,
                                    const std::string& container_id) const {
  const std::string directory =
      absl::StrCat(ControllerDirectory(controller, unified()),
                   requests_.sandbox.linux().cgroup_parent(),
                   container_id.empty() ? "" : "/", container_id);
  if (!HostFileExists(absl::StrCat(directory, "/", file))) return "none";
  return std::string(absl::StripAsciiWhitespace(
      ReadHostFile(absl::StrCat(directory, "/", file))));
}

void KubeletPod::SetCgroupValue(const std::string& controller,
                                const std::string& file,
                                const std::string& value) const {
  EXPECT_TRUE(WriteHostFile(
      absl::StrCat(ControllerDirectory(controller, unified()),
                   requests_.sandbox.linux().cgroup_parent(), "/", file),
      value))
      << file << " = " << value;
}

}  // namespace warren::test
