// What an operator can switch on: a user namespace for pods that ask for none,
// ambient capabilities.
#include <absl/strings/str_cat.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/oci_image.h"

namespace warren::test {
namespace {

constexpr uint32_t kRange = 65536;
constexpr uint32_t kPoolStart = 64 * kRange;

class GrantedIdsTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    Configure(absl::StrCat("userns = \"auto\"\nuserns_pool = \"", kPoolStart,
                           ":", 3 * kRange, "\"\n"),
              "[security]\nambient_capabilities = true\n");
  }
  void TearDown() override {
    RemoveAllPods();
    Configure("", "");
    CriTest::TearDown();
  }
  void Configure(const std::string& top, const std::string& more) {
    ASSERT_TRUE(daemon().Terminate().ok());
    daemon().extra_top = top;
    daemon().extra_network = more;
    StartDaemon();
  }
  // Host id of the container's root; 0 = it is the node's.
  uint32_t RootOf(const std::string& pod_id, const std::string& id) {
    const std::string map =
        ReadHostFile(absl::StrCat("/proc/", HostPid(pod_id, id), "/uid_map"));
    unsigned inside = 1, outside = 0, length = 0;
    EXPECT_EQ(std::sscanf(map.c_str(), "%u %u %u", &inside, &outside, &length),
              3)
        << map;
    EXPECT_EQ(inside, 0u);
    return length == kRange ? outside : 0;
  }
  struct Pair {
    std::string pod, container;
  };
  Pair RunPair(const cri::PodSandboxConfig& pod,
               const cri::ContainerConfig& config) {
    Pair pair;
    pair.pod = RunPod(pod);
    pair.container = Run(pair.pod, pod, config);
    return pair;
  }
};

TEST_F(GrantedIdsTest, PodsThatAskForNothingAreEachOnTheirOwn) {
  std::set<uint32_t> roots;
  std::vector<Pair> pods;
  for (const char* name : {"a", "b", "c"}) {
    pods.push_back(RunPair(Pod(name), IdleConfig("main")));
    const auto& [pod, id] = pods.back();
    const uint32_t root = RootOf(pod, id);
    EXPECT_GE(root, kPoolStart);
    EXPECT_LT(root, kPoolStart + 3 * kRange);
    EXPECT_TRUE(roots.insert(root).second);
    EXPECT_EQ(ShellOutput(id,
                          "id -u; stat -c %u /bin /etc/hosts /dev/shm; "
                          "echo x > /file && stat -c %u /file"),
              "0\n0\n0\n0\n0\n");
    // What it got is the pod's own affair; the status says what was asked.
    EXPECT_FALSE(client()
                     .PodSandboxStatus(pod)
                     ->status()
                     .linux()
                     .namespaces()
                     .options()
                     .has_userns_options());
  }
  EXPECT_CODE(client().RunPodSandbox(Pod("d")).status(), kResourceExhausted);
  // A second container of a pod has the pod's.
  const cri::PodSandboxConfig a = Pod("a");
  EXPECT_EQ(RootOf(pods[0].pod, Run(pods[0].pod, a, IdleConfig("more"))),
            RootOf(pods[0].pod, pods[0].container));
  // Stopping one makes room.
  const uint32_t freed = RootOf(pods[1].pod, pods[1].container);
  EXPECT_TRUE(client().StopPodSandbox(pods[1].pod).ok());
  const Pair d = RunPair(Pod("d"), IdleConfig("main"));
  EXPECT_EQ(RootOf(d.pod, d.container), freed);
}

TEST_F(GrantedIdsTest, WhoCannotUseOneStaysInTheNodes) {
  using Config = cri::PodSandboxConfig;
  const std::vector<std::pair<const char*, void (*)(Config*)>> cases = {
      {"net", [](Config* c) { NamespaceOptions(c)->set_network(cri::NODE); }},
      {"ipc", [](Config* c) { NamespaceOptions(c)->set_ipc(cri::NODE); }},
      {"pid", [](Config* c) { NamespaceOptions(c)->set_pid(cri::NODE); }},
      {"privileged",
       [](Config* c) {
         c->mutable_linux()->mutable_security_context()->set_privileged(true);
       }},
      {"asked", [](Config* c) {
         NamespaceOptions(c)->mutable_userns_options()->set_mode(cri::NODE);
       }}};
  for (const auto& [name, change] : cases) {
    Config pod = Pod(name);
    change(&pod);
    cri::ContainerConfig config = IdleConfig("main");
    *NamespaceOptions(&config) = *NamespaceOptions(&pod);
    const Pair pair = RunPair(pod, config);
    EXPECT_EQ(NamespaceInode(HostPid(pair.pod, pair.container), "user"),
              NamespaceInode(getpid(), "user"))
        << name;
  }
}

TEST_F(GrantedIdsTest, RangesOfAKubeletAreLeftAloneAndIdsSurviveARestart) {
  cri::PodSandboxConfig chosen = Pod("chosen");
  UseUserNamespace(NamespaceOptions(&chosen), kPoolStart + kRange);
  RunPod(chosen);
  const Pair a = RunPair(Pod("a"), IdleConfig("main"));
  const uint32_t root = RootOf(a.pod, a.container);
  EXPECT_NE(root, kPoolStart + kRange);
  cri::PodSandboxConfig taken = Pod("taken");
  UseUserNamespace(NamespaceOptions(&taken), root);
  EXPECT_CODE(client().RunPodSandbox(taken).status(), kFailedPrecondition);
  KillDaemon();
  StartDaemon();
  // What was one pod's is nobody else's, and the pod is as it was.
  EXPECT_EQ(
      ShellOutput(a.container, "id -u; cat /proc/self/uid_map | tr -s ' '"),
      absl::StrCat("0\n 0 ", root, " ", kRange, "\n"));
  const cri::PodSandboxConfig a_config = Pod("a");
  EXPECT_EQ(RootOf(a.pod, Run(a.pod, a_config, IdleConfig("later"))), root);
  const Pair b = RunPair(Pod("b"), IdleConfig("main"));
  EXPECT_NE(RootOf(b.pod, b.container), root);
  EXPECT_NE(RootOf(b.pod, b.container), kPoolStart + kRange);
  EXPECT_CODE(client().RunPodSandbox(Pod("c")).status(), kResourceExhausted);
}

// Since Linux 6.3.
bool TmpfsCanBeMapped() {
  utsname kernel;
  int major = 0;
  int minor = 0;
  return uname(&kernel) == 0 &&
         std::sscanf(kernel.release, "%d.%d", &major, &minor) == 2 &&
         (major > 6 || (major == 6 && minor >= 3));
}

class GrantedVolumesTest : public GrantedIdsTest {
 protected:
  void SetUp() override {
    GrantedIdsTest::SetUp();
    if (HasFatalFailure()) return;
    host_ = daemon().directory() + "/host";
    ASSERT_EQ(RunCommand({"mkdir", "-p", host_ + "/fs"}).exit_code, 0);
    ASSERT_TRUE(WriteHostFile(host_ + "/roots", "root's\n", 0600));
    ASSERT_TRUE(WriteHostFile(host_ + "/apps", "app's\n", 0600));
    ASSERT_EQ(chown((host_ + "/apps").c_str(), 1000, 1001), 0);
  }
  void TearDown() override {
    RemoveAllPods();
    RunCommand({"umount", "-R", host_ + "/fs"});
    RunCommand({"rm", "-rf", host_});
    GrantedIdsTest::TearDown();
  }
  void MountFs(const std::string& type) {
    ASSERT_EQ(RunCommand({"mount", "-t", type, type, host_ + "/fs"}).exit_code,
              0);
    ASSERT_EQ(RunCommand({"mount", "--make-shared", host_ + "/fs"}).exit_code,
              0);
    ASSERT_TRUE(WriteHostFile(host_ + "/fs/roots", "root's\n", 0600));
  }

  std::string host_;
};

// The same as in the node's user namespace: who does not ask for one of his
// own shall not need to know. Also for a container that was made by a daemon
// that is no more.
TEST_F(GrantedVolumesTest, FilesOfTheNodeAreWhoseTheyAre) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = IdleConfig("main");
  AddMount(&config, host_, "/rw", false);
  AddMount(&config, host_, "/ro", true);
  AddMount(&config, host_, "/rro", true);
  config.mutable_mounts(2)->set_recursive_read_only(true);
  AddMount(&config, host_ + "/apps", "/file", true);
  cri::Mount* image = config.add_mounts();
  image->set_container_path("/image");
  image->mutable_image()->set_image(config.image().image());
  const auto id = client().CreateContainer(pod_id, config, pod);
  ASSERT_TRUE(id.ok()) << id.status();
  KillDaemon();
  StartDaemon();
  ASSERT_TRUE(client().StartContainer(*id).ok());
  EXPECT_NE(RootOf(pod_id, *id), 0u);
  EXPECT_EQ(ShellOutput(*id,
                        "stat -c %u:%g /rw/roots /ro/apps /rro/roots /file "
                        "/image/bin; cat /rw/roots /ro/apps; "
                        "touch /rw/new && chown 5:6 /rw/new; "
                        "for f in /ro/x /rro/x /file; do "
                        "touch $f 2>/dev/null && echo $f; done; true"),
            "0:0\n1000:1001\n0:0\n1000:1001\n0:0\nroot's\napp's\n");
  struct stat st;
  ASSERT_EQ(stat((host_ + "/new").c_str(), &st), 0);
  EXPECT_EQ(absl::StrCat(st.st_uid, ":", st.st_gid), "5:6");
  // The status shows what was asked for.
  EXPECT_EQ(StatusOf(*id).mounts(0).uidmappings_size(), 0);
}

TEST_F(GrantedVolumesTest, WhatIsMountedLaterComesAsItIs) {
  MountFs("tmpfs");
  ASSERT_EQ(RunCommand({"mkdir", host_ + "/fs/later"}).exit_code, 0);
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = IdleConfig("main");
  AddMount(&config, host_ + "/fs", "/v", false);
  config.mutable_mounts(0)->set_propagation(cri::PROPAGATION_HOST_TO_CONTAINER);
  const auto made = client().CreateContainer(pod_id, config, pod);
  ASSERT_TRUE(made.ok()) << made.status();
  ASSERT_TRUE(client().StartContainer(*made).ok());
  ASSERT_EQ(
      RunCommand({"mount", "-t", "tmpfs", "x", host_ + "/fs/later"}).exit_code,
      0);
  EXPECT_EQ(ShellOutput(*made, "stat -c %u /v /v/roots /v/later"),
            TmpfsCanBeMapped() ? "0\n0\n65534\n" : "65534\n65534\n65534\n");
}

// Data of a file system that cannot do it, and what the kernel shows of itself.
TEST_F(GrantedVolumesTest, WhatCannotBeMappedStaysAsItIsUnlessAskedFor) {
  MountFs("ramfs");
  ASSERT_TRUE(WriteHostFile(host_ + "/fs/token", "for all", 0644));
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = IdleConfig("main");
  AddMount(&config, host_ + "/fs", "/data", true);
  AddMount(&config, "/proc", "/host/proc", true);
  AddMount(&config, "/sys", "/host/sys", true);
  AddMount(&config, "/dev/zero", "/host/zero", false);
  const std::string id = Run(pod_id, pod, config);
  EXPECT_EQ(ShellOutput(id, "cat /data/token; stat -c ' %u' /data/token"),
            "for all 65534\n");
  EXPECT_EQ(ShellOutput(id,
                        "test -d /host/sys/kernel && "
                        "cut -d' ' -f1 /host/proc/version; "
                        "head -c3 /host/zero | wc -c"),
            "Linux\n3\n");
  // Who asks for mappings gets them or an error, whatever it is.
  cri::ContainerConfig asked = IdleConfig("asked");
  AddMount(&asked, host_ + "/fs", "/data", true);
  for (cri::IDMapping* m : {asked.mutable_mounts(0)->add_uidmappings(),
                            asked.mutable_mounts(0)->add_gidmappings()}) {
    m->set_host_id(kPoolStart);
    m->set_length(kRange);
  }
  const auto refused = client().CreateContainer(pod_id, asked, pod).status();
  EXPECT_CODE(refused, kFailedPrecondition);
  for (const char* part : {"mount /data", "idmapped", "(type ramfs)"}) {
    EXPECT_THAT(std::string(refused.message()), testing::HasSubstr(part));
  }
}

TEST_F(GrantedIdsTest, EXE_6_AmbientCapabilitiesWhereAllowed) {
  cri::PodSandboxConfig pod = Pod("pod");
  cri::ContainerConfig config = IdleConfig("main");
  auto* security = config.mutable_linux()->mutable_security_context();
  security->mutable_run_as_user()->set_value(1000);
  security->mutable_capabilities()->add_drop_capabilities("ALL");
  security->mutable_capabilities()->add_add_ambient_capabilities(
      "CAP_NET_BIND_SERVICE");
  const std::string id = Run(RunPod(pod), pod, config);
  for (const char* process : {"1", "self"}) {
    for (const char* set : {"Bnd", "Eff", "Prm", "Inh", "Amb"}) {
      EXPECT_EQ(ShellOutput(id, absl::StrCat("grep Cap", set, " /proc/",
                                             process, "/status")),
                absl::StrCat("Cap", set, ":\t0000000000000400\n"))
          << process;
    }
  }
  // What was allowed then stays so when the switch is off.
  Configure("", "");
  EXPECT_EQ(ShellOutput(id, "grep CapAmb /proc/self/status"),
            "CapAmb:\t0000000000000400\n");
}

using AmbientTest = CriTest;

TEST_F(AmbientTest, EXE_6_AmbientCapabilitiesAreRefusedUnlessSwitchedOn) {
  cri::PodSandboxConfig pod = Pod("pod");
  cri::ContainerConfig config = IdleConfig("main");
  config.mutable_linux()
      ->mutable_security_context()
      ->mutable_capabilities()
      ->add_add_ambient_capabilities("CHOWN");
  const absl::Status status =
      client().CreateContainer(RunPod(pod), config, pod).status();
  EXPECT_CODE(status, kUnimplemented);
  EXPECT_THAT(std::string(status.message()),
              testing::HasSubstr("add_ambient_capabilities"));
}

}  // namespace
}  // namespace warren::test
