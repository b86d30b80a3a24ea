#ifndef WARREN_TESTS_E2E_DEVICES_DEVICE_TEST_BASE_H_
#define WARREN_TESTS_E2E_DEVICES_DEVICE_TEST_BASE_H_

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/support/cri_test.h"

namespace warren::test {

// A device that no container has by itself and that opens without hardware.
inline constexpr uint32_t kLoopMajor = 7;
inline constexpr uint32_t kLoopMinor = 7;

// A daemon that looks for CDI files in two directories of the test, and a
// directory with device nodes, one of them "loop". All are empty again for each
// test.
class DeviceTest : public CriTest {
 protected:
  void SetUp() override {
    daemon().extra_top =
        absl::StrCat("[devices]\ncdi_spec_dirs = [\"", CdiDirectory(), "\", \"",
                     UpperCdiDirectory(), "\"]\n");
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    for (const std::string& directory :
         {Nodes(), CdiDirectory(), UpperCdiDirectory()}) {
      std::filesystem::remove_all(directory);
      ASSERT_EQ(mkdir(directory.c_str(), 0755), 0) << directory;
    }
    MakeNode("loop", 0666);
    if (!OpensHere(Nodes() + "/loop")) {
      GTEST_SKIP() << "this machine has no loop devices";
    }
  }

  std::string Nodes() { return daemon().directory() + "/nodes"; }
  std::string CdiDirectory() { return daemon().directory() + "/cdi"; }
  std::string UpperCdiDirectory() {
    return daemon().directory() + "/cdi-upper";
  }
  void MakeNode(const std::string& name, mode_t mode) {
    const std::string path = Nodes() + "/" + name;
    ASSERT_EQ(mknod(path.c_str(), S_IFBLK, makedev(kLoopMajor, kLoopMinor)), 0);
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
  }
  void AddDevice(cri::ContainerConfig* config, const std::string& host_path,
                 const std::string& container_path,
                 const std::string& permissions) {
    cri::Device* device = config->add_devices();
    device->set_host_path(host_path);
    device->set_container_path(container_path);
    device->set_permissions(permissions);
  }
  // What can be done with a node inside, as "r" and "w".
  std::string Access(const std::string& id, const std::string& path) {
    return ShellOutput(
        id, absl::StrCat("(: < ", path, ") 2>/dev/null && echo -n r; (: >> ",
                         path, ") 2>/dev/null && echo -n w; true"));
  }
  // An error must have this code and start with what `field` says.
  void ExpectRefused(const cri::ContainerConfig& config, absl::StatusCode code,
                     const std::string& field) {
    if (pod_id_.empty()) {
      pod_ = Pod("refuses");
      pod_id_ = RunPod(pod_);
    }
    const auto id = client().CreateContainer(pod_id_, config, pod_);
    EXPECT_EQ(absl::StatusCodeToString(id.status().code()),
              absl::StatusCodeToString(code))
        << id.status();
    EXPECT_THAT(std::string(id.status().message()), testing::HasSubstr(field));
    if (id.ok()) {
      EXPECT_TRUE(client().RemoveContainer(*id).ok());
    }
  }

 private:
  static bool OpensHere(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd >= 0) close(fd);
    return fd >= 0;
  }

  cri::PodSandboxConfig pod_;
  std::string pod_id_;
};

}  // namespace warren::test

#endif  // WARREN_TESTS_E2E_DEVICES_DEVICE_TEST_BASE_H_
