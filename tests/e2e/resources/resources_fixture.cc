#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>
#include <google/protobuf/text_format.h>
#include <unistd.h>

#include "tests/e2e/resources/resources_test.h"
#include "tests/support/ledger_probes.h"
#include "tests/support/node_namespace.h"
#include "tests/support/parent_cgroup.h"

namespace warren::test {

void ResourcesTest::SetUp() {
  CriTest::SetUp();
  if (HasFatalFailure()) return;
  pod_ = Pod("pod");
  pod_id_ = RunPod(pod_);
}

std::string ResourcesTest::Control(const std::string& container_id,
                                   const std::string& file) {
  for (const std::string& directory : Cgroups()) {
    if (directory.find(container_id) == std::string::npos) continue;
    const std::string path = directory + "/" + file;
    if (HostFileExists(path)) {
      return std::string(absl::StripSuffix(ReadHostFile(path), "\n"));
    }
  }
  return "none";
}

void ResourcesTest::ExpectLimits(const std::string& container_id,
                                 const std::vector<Limit>& limits) {
  for (const Limit& limit : limits) {
    const std::string v1 = Control(container_id, limit.v1_file);
    if (v1 != "none") {
      EXPECT_EQ(v1, limit.v1_value) << limit.v1_file;
    } else {
      EXPECT_EQ(Control(container_id, limit.v2_file), limit.v2_value)
          << limit.v2_file;
    }
  }
}

std::string ResourcesTest::Create(const cri::ContainerConfig& config) {
  auto id = client().CreateContainer(pod_id_, config, pod_);
  EXPECT_TRUE(id.ok()) << id.status();
  return id.value_or("");
}

std::string ResourcesTest::Start(const cri::ContainerConfig& config) {
  return Run(pod_id_, pod_, config);
}

absl::Status ResourcesTest::Update(
    const std::string& container_id,
    const cri::LinuxContainerResources& resources) {
  cri::UpdateContainerResourcesRequest request;
  request.set_container_id(container_id);
  *request.mutable_linux() = resources;
  return client().Call<cri::UpdateContainerResourcesResponse>(request).status();
}

cri::LinuxContainerResources ParseResources(const std::string& text) {
  cri::LinuxContainerResources resources;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &resources));
  return resources;
}

void AddProbe(cri::ContainerConfig* config) {
  AddMount(config, ProbePath(), "/probe", true);
}

KubeletCgroup::KubeletCgroup(const std::string& name)
    : path_(CgroupParent() + "/" + name) {
  MakeParentCgroup(path_);
}

KubeletCgroup::~KubeletCgroup() {
  for (const std::string& mount : CgroupMounts()) {
    rmdir((mount + path_).c_str());
  }
}

std::string KubeletCgroup::DirectoryOf(const std::string& controller) const {
  for (const std::string& mount : CgroupMounts()) {
    for (const char* file : {".limit_in_bytes", ".max", ".shares", ".cpus"}) {
      const std::string directory = mount + path_;
      if (HostFileExists(absl::StrCat(directory, "/", controller, file))) {
        return directory;
      }
    }
  }
  return "";
}

bool KubeletCgroup::Exists() const {
  for (const std::string& mount : CgroupMounts()) {
    if (!HostFileExists(mount + path_)) return false;
  }
  return true;
}

std::vector<std::string> KubeletCgroup::Values() const {
  std::vector<std::string> values;
  for (const std::string& mount : CgroupMounts()) {
    for (const char* file :
         {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.max",
          "memory.swap.max", "memory.high", "cpu.shares", "cpu.weight",
          "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.max", "cpuset.cpus",
          "cpuset.mems", "pids.max"}) {
      const std::string path = absl::StrCat(mount, path_, "/", file);
      if (HostFileExists(path)) {
        values.push_back(absl::StrCat(file, "=", ReadHostFile(path)));
      }
    }
  }
  return values;
}

}  // namespace warren::test
