#ifndef WARREN_TESTS_E2E_RESOURCES_RESOURCES_TEST_H_
#define WARREN_TESTS_E2E_RESOURCES_RESOURCES_TEST_H_

#include <string>
#include <vector>

#include "tests/support/cri_test.h"

// What the tests of limits share. Thread-compatible.
namespace warren::test {

// One limit as either version of cgroups spells it.
struct Limit {
  const char* v1_file;
  const char* v1_value;
  const char* v2_file;
  const char* v2_value;
};

class ResourcesTest : public CriTest {
 protected:
  void SetUp() override;

  static cri::LinuxContainerResources* Resources(cri::ContainerConfig* config) {
    return config->mutable_linux()->mutable_resources();
  }
  // A control file of the container's cgroup, without the line feed; "none"
  // where no hierarchy has it.
  static std::string Control(const std::string& container_id,
                             const std::string& file);
  static void ExpectLimits(const std::string& container_id,
                           const std::vector<Limit>& limits);

  std::string Create(const cri::ContainerConfig& config);
  // Create and start.
  std::string Start(const cri::ContainerConfig& config);
  absl::Status Update(const std::string& container_id,
                      const cri::LinuxContainerResources& resources);

  cri::PodSandboxConfig pod_;
  std::string pod_id_;
};

// From the text form of the message.
cri::LinuxContainerResources ParseResources(const std::string& text);

// A container that can eat memory: /probe eat MIB.
void AddProbe(cri::ContainerConfig* config);

// A pod's cgroup as a kubelet makes it (parent_cgroup.h): the directory
// <CgroupParent()>/<name> in every hierarchy, removed at the end.
class KubeletCgroup {
 public:
  explicit KubeletCgroup(const std::string& name);
  ~KubeletCgroup();
  KubeletCgroup(const KubeletCgroup&) = delete;
  KubeletCgroup& operator=(const KubeletCgroup&) = delete;

  const std::string& path() const { return path_; }  // for cgroup_parent
  // The directory in which a controller has its files; "" when there is none.
  std::string DirectoryOf(const std::string& controller) const;
  bool Exists() const;  // in every hierarchy
  // Every limit of it: "file=value" of all control files that hold one.
  std::vector<std::string> Values() const;

 private:
  std::string path_;
};

}  // namespace warren::test

#endif  // WARREN_TESTS_E2E_RESOURCES_RESOURCES_TEST_H_
