// linux.cgroup_parent, linux.overhead, linux.resources of a pod sandbox, and
// UpdatePodSandboxResources: the pod's cgroup belongs to whoever made it.
#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <algorithm>

#include "tests/e2e/resources/resources_test.h"
#include "tests/support/command.h"
#include "tests/support/node_namespace.h"

namespace warren::test {
namespace {

class PodCgroupTest : public ResourcesTest {
 protected:
  cri::PodSandboxConfig PodIn(const std::string& name,
                              const std::string& parent) {
    cri::PodSandboxConfig pod = Pod(name);
    pod.mutable_linux()->set_cgroup_parent(parent);
    return pod;
  }
  absl::Status UpdatePod(const std::string& id, const std::string& overhead,
                         const std::string& resources) {
    cri::UpdatePodSandboxResourcesRequest request;
    request.set_pod_sandbox_id(id);
    if (!overhead.empty()) {
      *request.mutable_overhead() = ParseResources(overhead);
    }
    if (!resources.empty()) {
      *request.mutable_resources() = ParseResources(resources);
    }
    return client()
        .Call<cri::UpdatePodSandboxResourcesResponse>(request)
        .status();
  }
  // What is behind the configuration, which shows the same fields as sent.
  std::string Info(const std::string& pod_id) {
    auto status = client().PodSandboxStatus(pod_id, /*verbose=*/true);
    EXPECT_TRUE(status.ok()) << status.status();
    if (!status.ok()) return "";
    const std::string& info = status->info().at("info");
    const size_t behind = info.rfind("\"overhead\":");
    EXPECT_NE(behind, std::string::npos) << info;
    return behind == std::string::npos ? "" : info.substr(behind);
  }
};

TEST_F(PodCgroupTest, NeitherWrittenToNorDeleted) {
  KubeletCgroup kubelet("kept");
  const std::vector<std::string> before = kubelet.Values();
  const cri::PodSandboxConfig pod = PodIn("kept", kubelet.path());
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = IdleConfig("main");
  *Resources(&config) = ParseResources(
      "cpu_shares: 512 cpu_quota: 20000 memory_limit_in_bytes: 67108864 "
      "cpuset_cpus: '0'");
  const std::string id = Run(pod_id, pod, config);
  EXPECT_EQ(kubelet.Values(), before);
  EXPECT_TRUE(
      Update(id, ParseResources("memory_limit_in_bytes: 33554432")).ok());
  EXPECT_TRUE(UpdatePod(pod_id, "cpu_shares: 7", "cpu_shares: 9").ok());
  EXPECT_EQ(kubelet.Values(), before);
  EXPECT_NE(Control(id, "cgroup.procs"), "none") << "below the parent";
  RemoveAllPods();
  EXPECT_EQ(Control(id, "cgroup.procs"), "none");
  EXPECT_TRUE(kubelet.Exists());
  EXPECT_EQ(kubelet.Values(), before);
}

TEST_F(PodCgroupTest, SystemdSpellingsAreExpanded) {
  // "/warren-test-abc": a slice of the run, in the root as systemd has it.
  std::string stem = "warrentest" + CgroupParent();
  stem.erase(std::remove_if(stem.begin(), stem.end(),
                            [](char c) { return c == '/' || c == '-'; }),
             stem.end());
  const std::string outer = "/" + stem + ".slice";
  const std::string inner = outer + "/" + stem + "-pod1.slice";
  for (const std::string& spelling :
       {stem + "-pod1.slice", "/x.slice/" + stem + "-pod1.slice"}) {
    const cri::PodSandboxConfig pod = PodIn("slice", spelling);
    const std::string pod_id = RunPod(pod);
    const std::string id = Run(pod_id, pod, IdleConfig("main"));
    const std::string cgroups =
        absl::StrCat("/proc/", HostPid(pod_id, id), "/cgroup");
    EXPECT_THAT(ReadHostFile(cgroups),
                testing::HasSubstr(inner + "/warren-" + id + ".scope\n"));
    RemoveAllPods();
  }
  for (const std::string& mount : CgroupMounts()) {
    rmdir((mount + inner).c_str());
    rmdir((mount + outer).c_str());
    EXPECT_FALSE(HostFileExists(mount + outer)) << mount;
  }
}

TEST_F(PodCgroupTest, GHSA_5g49_OddParentsAreRefused) {
  const std::vector<std::string> odd = {"..",
                                        ".",
                                        "/",
                                        "/a/../b",
                                        "a/../../b",
                                        "/a/./b",
                                        "/a/..",
                                        "/a b",
                                        "/a\nb",
                                        std::string("/a\0b", 4),
                                        "/" + std::string(256, 'a'),
                                        "/" + std::string(5000, 'a'),
                                        "a--b.slice",
                                        "-a.slice",
                                        ".slice",
                                        "..slice/../x.slice"};
  for (const std::string& parent : odd) {
    const auto id = client().RunPodSandbox(PodIn("odd", parent));
    EXPECT_CODE(id.status(), kInvalidArgument) << parent << id.status();
    EXPECT_THAT(std::string(id.status().message()),
                testing::HasSubstr("cgroup_parent"));
  }
}

TEST_F(PodCgroupTest, OverheadAndResourcesAreKeptAndShown) {
  KubeletCgroup kubelet("sums");
  cri::PodSandboxConfig pod = PodIn("sums", kubelet.path());
  *pod.mutable_linux()->mutable_overhead() =
      ParseResources("cpu_shares: 11 memory_limit_in_bytes: 1111");
  *pod.mutable_linux()->mutable_resources() =
      ParseResources("cpu_shares: 22 memory_limit_in_bytes: 2222");
  const std::vector<std::string> before = kubelet.Values();
  const std::string id = RunPod(pod);
  const auto shown = [&](const char* overhead, const char* resources) {
    return testing::AllOf(
        testing::HasSubstr(absl::StrCat("\"overhead\":{", overhead)),
        testing::HasSubstr(absl::StrCat("\"resources\":{", resources)));
  };
  EXPECT_THAT(Info(id),
              shown("\"cpu_shares\":\"11\"", "\"cpu_shares\":\"22\""));
  // What is not given stays.
  EXPECT_TRUE(UpdatePod(id, "", "cpu_shares: 33").ok());
  EXPECT_THAT(Info(id),
              shown("\"cpu_shares\":\"11\"", "\"cpu_shares\":\"33\""));
  EXPECT_TRUE(UpdatePod(id, "cpu_shares: 44", "").ok());
  KillDaemon();
  StartDaemon();
  EXPECT_THAT(Info(id),
              shown("\"cpu_shares\":\"44\"", "\"cpu_shares\":\"33\""));
  EXPECT_EQ(kubelet.Values(), before);
  EXPECT_CODE(UpdatePod(std::string(64, 'f'), "", ""), kNotFound);
  EXPECT_CODE(UpdatePod("", "", ""), kInvalidArgument);
  RemoveAllPods();
}

TEST_F(PodCgroupTest, EXE_10_AForkBombStaysBelowThePodsLimit) {
  KubeletCgroup kubelet("bomb");
  const std::string pids = kubelet.DirectoryOf("pids");
  if (pids.empty()) GTEST_SKIP() << "no pids controller";
  ASSERT_TRUE(WriteHostFile(pids + "/pids.max", "20"));
  const cri::PodSandboxConfig pod = PodIn("bomb", kubelet.path());
  const std::string pod_id = RunPod(pod);
  const std::string id =
      Run(pod_id, pod,
          ShellConfig("bomb", "b() { b | b & }; b; while :; do :; done"));
  int peak = 0;
  EXPECT_TRUE(Eventually([&] {
    peak = std::max(peak, std::stoi(ReadHostFile(pids + "/pids.current")));
    // Older kernels count the refusal where it was tried.
    for (const std::string& directory :
         {pids, pids + "/" + id, pids + "/" + id + "/container"}) {
      const std::string events = ReadHostFile(directory + "/pids.events");
      if (!events.empty() && events.substr(0, 6) != "max 0\n") return true;
    }
    return false;
  })) << "the limit is never hit";
  if (HostFileExists(pids + "/pids.peak")) {
    peak = std::stoi(ReadHostFile(pids + "/pids.peak"));
  }
  EXPECT_GT(peak, 1);
  EXPECT_LE(peak, 20);
  EXPECT_TRUE(client().StopContainer(id, 0).ok());
  RemoveAllPods();
}

}  // namespace
}  // namespace warren::test
