#include "tests/kernel/shim_cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/kernel/shim_mounts.h"

namespace warren::test {
namespace {

constexpr char kCgroups[] = "/sys/fs/cgroup";

// A directory below the root has the files of what the root passes on.
bool PassOn(const std::string& controller) {
  const base::UniqueFd fd(
      open((std::string(kCgroups) + "/cgroup.subtree_control").c_str(),
           O_WRONLY | O_CLOEXEC));
  const std::string word = "+" + controller;
  return fd.valid() && write(fd.get(), word.data(), word.size()) ==
                           static_cast<ssize_t>(word.size());
}

}  // namespace

TestCgroup::TestCgroup(const std::string& controller) {
  std::string root = kCgroups;
  v2_ = access((root + "/cgroup.controllers").c_str(), F_OK) == 0;
  if (v2_ && !PassOn(controller)) {
    missing_ = "cgroup v2 without the controller " + controller;
    return;
  }
  if (!v2_) root += "/" + controller;
  directory_ = root + "/warren-test-shim-XXXXXX";
  if (mkdtemp(directory_.data()) == nullptr) {
    missing_ = "no " + controller + " hierarchy to write to";
  }
  path_ = directory_.substr(root.size());
}

TestCgroup::~TestCgroup() {
  if (!missing_.empty()) return;
  EXPECT_TRUE(Eventually([&] { return rmdir(directory_.c_str()) == 0; }))
      << directory_;
}

base::UniqueFd TestCgroup::Open(const std::string& file, int flags) const {
  base::UniqueFd fd(open((directory_ + "/" + file).c_str(), flags | O_CLOEXEC));
  Must(fd.valid(), file.c_str());
  return fd;
}

std::string TestCgroup::Read(const std::string& file) const {
  return Slurp(AT_FDCWD, directory_ + "/" + file);
}

void TestCgroup::Place(shim::v1::CgroupPlacement* placement,
                       FdList* fds) const {
  if (v2_) {
    placement->set_v2_dir_fd(fds->Add(Open(".", O_RDONLY | O_DIRECTORY)));
  } else {
    placement->add_v1_procs_fds(fds->Add(Open("cgroup.procs", O_RDWR)));
  }
}

}  // namespace warren::test
