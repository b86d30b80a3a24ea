#include "tests/e2e/kubelet/volumes.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "runtime/base/unique_fd.h"
#include "tests/support/host_file.h"

namespace warren::test {

void MakeDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  ASSERT_FALSE(error) << path << ": " << error.message();
}

void MakeEmptyDir(const std::string& path, gid_t fs_group) {
  MakeDirectories(path);
  ASSERT_EQ(chown(path.c_str(), 0, fs_group), 0);
  ASSERT_EQ(chmod(path.c_str(), fs_group != 0 ? 02777 : 0777), 0);
}

void WriteAtomically(const std::string& path,
                     const std::map<std::string, std::string>& files) {
  static int serial = 0;
  const std::string data = path + "/..data";
  std::error_code error;
  const std::string old = std::filesystem::read_symlink(data, error).string();
  const std::string fresh = absl::StrCat("..2026_01_05_10_00_00.", ++serial);
  MakeDirectories(absl::StrCat(path, "/", fresh));
  for (const auto& [name, content] : files) {
    ASSERT_TRUE(
        WriteHostFile(absl::StrCat(path, "/", fresh, "/", name), content));
    const std::string link = absl::StrCat(path, "/", name);
    if (!HostFileExists(link)) {
      ASSERT_EQ(symlink(("..data/" + name).c_str(), link.c_str()), 0);
    }
  }
  const std::string temporary = path + "/..data_tmp";
  ASSERT_EQ(symlink(fresh.c_str(), temporary.c_str()), 0);
  ASSERT_EQ(rename(temporary.c_str(), data.c_str()), 0);
  if (!old.empty()) {
    std::filesystem::remove_all(absl::StrCat(path, "/", old), error);
  }
}

void NodeMounts::Tmpfs(const std::string& path, const std::string& options,
                       bool shared) {
  MakeDirectories(path);
  ASSERT_EQ(mount("tmpfs", path.c_str(), "tmpfs", 0, options.c_str()), 0)
      << path;
  targets_.push_back(path);
  if (shared) {
    ASSERT_EQ(mount(nullptr, path.c_str(), nullptr, MS_SHARED, nullptr), 0);
  }
}

void NodeMounts::SubPath(const std::string& source, const std::string& target) {
  const base::UniqueFd fd(open(source.c_str(), O_PATH | O_CLOEXEC));
  ASSERT_TRUE(fd.valid()) << source;
  if (std::filesystem::is_directory(source)) {
    MakeDirectories(target);
  } else {
    MakeDirectories(std::filesystem::path(target).parent_path().string());
    ASSERT_TRUE(WriteHostFile(target, ""));
  }
  const std::string by_fd = absl::StrCat("/proc/self/fd/", fd.get());
  ASSERT_EQ(mount(by_fd.c_str(), target.c_str(), nullptr, MS_BIND, nullptr), 0);
  targets_.push_back(target);
}

void NodeMounts::Clear() {
  for (; !targets_.empty(); targets_.pop_back()) {
    EXPECT_EQ(umount2(targets_.back().c_str(), MNT_DETACH), 0)
        << targets_.back();
  }
}

}  // namespace warren::test
