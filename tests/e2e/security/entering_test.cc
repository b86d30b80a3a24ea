// How programs enter a container: nothing of Warren's can be seen, traced or
// written to from inside, and nothing of it is left behind.
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <linux/keyctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/oci_image.h"

namespace warren::test {
namespace {

// Exec sessions of one test, unless the environment says how many.
int Execs() {
  const char* text = std::getenv("WARREN_TEST_EXECS");
  int count = 0;
  return text != nullptr && absl::SimpleAtoi(text, &count)
             ? count
             : WARREN_HUNTED_EXECS;
}

constexpr int kThreads = 4;
// So many times the exec sessions of a test at the most.
constexpr int kMostRounds = 10;
constexpr uint32_t kEnteringIds = 8 * 65536;

class EnteringTest : public CriTest {
 protected:
  // A container in which a hunter preys on all that enters its pid namespace.
  struct Ground {
    cri::PodSandboxConfig pod;
    std::string pod_id;
    std::string id;
    std::string log;
  };
  Ground MakeGround(const std::string& verb, cri::NamespaceMode pid,
                    const std::vector<std::string>& capabilities = {},
                    bool users = false) {
    Ground ground;
    ground.pod = Pod("pod-" + verb.substr(0, verb.find('=')));
    NamespaceOptions(&ground.pod)->set_pid(pid);
    if (users) UseUserNamespace(NamespaceOptions(&ground.pod), kEnteringIds);
    ground.pod_id = RunPod(ground.pod);
    cri::ContainerConfig config = ContainerConfig("hunter", {"/escape", verb});
    // Not the first process of its pid namespace, which it leaves alone.
    if (pid == cri::CONTAINER) {
      config = ShellConfig("hunter", "/escape " + verb + "; true");
    }
    NamespaceOptions(&config)->set_pid(pid);
    if (users) UseUserNamespace(NamespaceOptions(&config), kEnteringIds);
    for (const std::string& name : capabilities) {
      config.mutable_linux()
          ->mutable_security_context()
          ->mutable_capabilities()
          ->add_add_capabilities(name);
    }
    AddMount(&config, EscapeProbePath(), "/escape", true);
    ground.id = Run(ground.pod_id, ground.pod, config);
    ground.log = StatusOf(ground.id).log_path();
    EXPECT_TRUE(Eventually(
        [&] { return absl::StrContains(ReadHostFile(ground.log), "ready"); }));
    return ground;
  }

  // Exec sessions from several clients at once.
  void ExecMany(const std::string& id, int count) {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        CriClient own(daemon().socket());
        for (int i = 0; i < count / kThreads; ++i) {
          const auto reply = own.ExecSync(id, {"/bin/true"});
          ASSERT_TRUE(reply.ok()) << reply.status();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  // At least `count` exec sessions, and so many more as it takes until the
  // hunter has had `looks` looks at processes: it has fewer processors on a
  // busy machine than what it preys on.
  void ExecUntilSeen(const Ground& ground, int count, long looks) {
    ExecMany(ground.id, count);
    for (int more = 0; more < kMostRounds && !HasFailure(); ++more) {
      if (Number(LastCount(ReadHostFile(ground.log)), "seen") >= looks) return;
      ExecMany(ground.id, count);
    }
  }
  // Containers of the same pod, seen by the hunter if the pod shares a pid
  // namespace.
  // With TARGET they join the hunter's own.
  void StartMany(const Ground& ground, cri::NamespaceMode pid, int count) {
    for (int i = 0; i < count; ++i) {
      cri::ContainerConfig config =
          ContainerConfig(absl::StrCat("n", i), {"/bin/true"});
      NamespaceOptions(&config)->set_pid(pid);
      if (pid == cri::TARGET) {
        NamespaceOptions(&config)->set_target_id(ground.id);
      }
      WaitExited(Run(ground.pod_id, ground.pod, config));
    }
  }
  // Ends the hunt; its log.
  std::string LogOfEnded(const Ground& ground) {
    // The hunter may take the session along when it is quick to end. A
    // directory is made without a descriptor, which the hunter would see.
    client().ExecSync(ground.id, {"mkdir", "/stop"}).IgnoreError();
    WaitExited(ground.id);
    return ReadHostFile(ground.log);
  }
  // The same, for a hunt without hits; its last line.
  std::string Bag(const Ground& ground) {
    const std::string log = LogOfEnded(ground);
    EXPECT_FALSE(absl::StrContains(log, "HIT")) << log;
    return LastCount(log);
  }
  // The last line with numbers.
  static std::string LastCount(const std::string& log) {
    const size_t at = log.rfind("seen=");
    return at == std::string::npos ? "" : log.substr(at);
  }
  static long Number(const std::string& bag, const std::string& key) {
    const size_t at = bag.find(key + "=");
    return at == std::string::npos
               ? -1
               : std::atol(bag.c_str() + at + key.size() + 1);
  }
  static std::string ShimSum() {
    return RunCommand({"sha256sum", BinaryDirectory() + "/warren-shim"}).out;
  }
};

TEST_F(EnteringTest, EXE_1_TheShimCannotBeWrittenToFromInside) {
  const std::string before = ShimSum();
  const Ground ground = MakeGround("hunt", cri::POD);
  const int looks = Execs() / 10;
  ExecUntilSeen(ground, Execs(), looks);
  StartMany(ground, cri::POD, 50);
  const std::string bag = Bag(ground);
  EXPECT_EQ(Number(bag, "hits"), 0);
  EXPECT_GE(Number(bag, "seen"), looks) << bag;
  EXPECT_EQ(Number(bag, "foreign"), 0) << "not even by name";
  EXPECT_EQ(ShimSum(), before);
}

// With the node's processes in sight, and the right to look into them, shims
// and their programs can be opened, and yet not be written to. Descriptors of
// other processes, the test's own among them, are in sight as well: the hunter
// leaves them alone.
TEST_F(EnteringTest, EXE_1_TheShimIsSealedForAContainerThatSeesTheNode) {
  const std::string before = ShimSum();
  const Ground ground = MakeGround("hunt-programs", cri::NODE, {"SYS_PTRACE"});
  ExecMany(ground.id, Execs() / 4);
  StartMany(ground, cri::NODE, 20);
  const std::string bag = Bag(ground);
  EXPECT_EQ(Number(bag, "hits"), 0);
  EXPECT_GT(Number(bag, "foreign"), 0) << "the hunt has found something";
  EXPECT_EQ(ShimSum(), before);
}

TEST_F(EnteringTest, EXE_2_WhatEntersCannotBeTraced) {
  for (const cri::NamespaceMode pid : {cri::CONTAINER, cri::POD}) {
    const Ground ground = MakeGround("trace", pid);
    const int looks = Execs() / 20;
    ExecUntilSeen(ground, Execs() / 2, looks);
    if (pid == cri::POD) StartMany(ground, pid, 25);
    const std::string bag = Bag(ground);
    EXPECT_EQ(Number(bag, "hits"), 0);
    EXPECT_GE(Number(bag, "seen"), looks) << bag;
    RemoveAllPods();
  }
}

// With the capability for it everything can be traced that is in sight. What is
// caught has nothing that the container has not got, whenever it is caught.
TEST_F(EnteringTest, EXE_2_WhatATracerCatchesHasOnlyTheContainersOwn) {
  const std::string verb = "rights=" + daemon().socket();
  for (const cri::NamespaceMode pid : {cri::CONTAINER, cri::POD}) {
    const Ground ground = MakeGround(verb, pid, {"SYS_PTRACE"});
    const int looks = Execs() / 20;
    ExecUntilSeen(ground, Execs() / 2, looks);
    StartMany(ground, pid == cri::POD ? pid : cri::TARGET, Execs() / 50);
    const std::string bag = Bag(ground);
    EXPECT_EQ(Number(bag, "hits"), 0);
    EXPECT_GE(Number(bag, "seen"), looks) << bag;
    EXPECT_GT(Number(bag, "stopped"), 0) << "the hunt has found something";
    RecordProperty(pid == cri::POD ? "pod" : "container", bag);
    RemoveAllPods();
  }
}

// A hunter with every capability in a user namespace has none less than what
// enters it: only that it is not dumpable keeps it from being traced.
TEST_F(EnteringTest, EXE_2_WhatEntersAUserNamespaceCannotBeTraced) {
  const Ground ground =
      MakeGround("trace", cri::CONTAINER, {"ALL"}, /*users=*/true);
  const int looks = Execs() / 40;
  ExecUntilSeen(ground, Execs() / 4, looks);
  const std::string bag = Bag(ground);
  EXPECT_EQ(Number(bag, "hits"), 0);
  EXPECT_GE(Number(bag, "seen"), looks) << bag;
}

// 0, 1 and 2 of the first process and of an exec session.
TEST_F(EnteringTest, EXE_3_OnlyTheStandardStreamsAreOpen) {
  for (const char kind : {'d', 't', 'u', 'n'}) {
    cri::PodSandboxConfig pod = Pod(std::string("pod-") + kind);
    cri::ContainerConfig config = IdleConfig("main");
    config.set_tty(kind == 't');
    config.set_stdin(kind == 't');
    if (kind == 'u') {
      UseUserNamespace(NamespaceOptions(&pod), kEnteringIds);
      UseUserNamespace(NamespaceOptions(&config), kEnteringIds);
    } else if (kind == 'n') {
      NamespaceOptions(&pod)->set_network(cri::NODE);
      NamespaceOptions(&config)->set_network(cri::NODE);
      pod.clear_hostname();
    }
    const std::string id = Run(RunPod(pod), pod, config);
    EXPECT_EQ(ShellOutput(id, "ls /proc/1/fd | tr '\\n' ' '"), "0 1 2 ")
        << kind;
    EXPECT_EQ(ShellOutput(id, "ls /proc/$$/fd; true"), "0\n1\n2\n") << kind;
  }
}

TEST_F(EnteringTest, EXE_4_AWorkingFolderBehindADescriptorIsRefused) {
  OciImage image;
  std::vector<TarMember> links;
  for (int n = 0; n <= 64; ++n) {
    links.push_back({.name = absl::StrCat("wd", n),
                     .type = '2',
                     .link = absl::StrCat("/proc/self/fd/", n)});
  }
  image.layers = {BusyboxLayer({"sh", "ls", "sleep"}, links)};
  ASSERT_TRUE(client().ImportImage("warren.test/wd:1", OciArchive(image)).ok());
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  for (int n = 0; n <= 64; ++n) {
    for (const std::string& directory :
         {absl::StrCat("/proc/self/fd/", n), absl::StrCat("/wd", n)}) {
      cri::ContainerConfig config = ShellConfig(
          absl::StrCat("c", n, directory.substr(1, 1)), "pwd; ls -a");
      config.mutable_image()->set_image("warren.test/wd:1");
      config.set_working_dir(directory);
      const auto id = client().CreateContainer(pod_id, config, pod);
      if (!id.ok()) continue;
      EXPECT_FALSE(client().StartContainer(*id).ok()) << directory;
      EXPECT_EQ(ReadHostFile(
                    absl::StrCat(pod.log_directory(), "/", config.log_path())),
                "")
          << directory;
    }
  }
  RemoveAllPods();
  cri::RemoveImageRequest remove;
  remove.mutable_image()->set_image("warren.test/wd:1");
  EXPECT_TRUE(client().Call<cri::RemoveImageResponse>(remove).ok());
}

TEST_F(EnteringTest, EXE_9_KeyringsAreFreshAndNobodyElses) {
  std::vector<std::string> ids;
  for (const char* name : {"a", "b"}) {
    cri::ContainerConfig config = IdleConfig(name);
    // The default filter lets no key call through.
    config.mutable_linux()
        ->mutable_security_context()
        ->mutable_seccomp()
        ->set_profile_type(cri::SecurityProfile::Unconfined);
    AddMount(&config, EscapeProbePath(), "/escape", true);
    ids.push_back(RunAlone(config));
  }
  const long key = syscall(SYS_add_key, "user", "warren-node", "x", 1,
                           KEY_SPEC_SESSION_KEYRING);
  ASSERT_GT(key, 0);
  EXPECT_EQ(ShellOutput(ids[0],
                        "/escape key-add warren-mine; "
                        "/escape key-find warren-mine"),
            "added\nfound\n");
  EXPECT_EQ(Output(ids[0], {"/escape", "key-find", "warren-mine"}), "ENOKEY\n")
      << "an exec session has its own";
  EXPECT_EQ(Output(ids[1], {"/escape", "key-find", "warren-mine"}), "ENOKEY\n");
  EXPECT_EQ(Output(ids[1], {"/escape", "key-find", "warren-node"}), "ENOKEY\n");
  EXPECT_LT(syscall(SYS_request_key, "user", "warren-mine", nullptr, 0), 0);
  syscall(SYS_keyctl, KEYCTL_REVOKE, key);
}

TEST_F(EnteringTest, EXE_9_NamespacesAreItsOwnAndPinnedOutOfSight) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const std::string a = Run(pod_id, pod, IdleConfig("a"));
  const std::string b = Run(pod_id, pod, IdleConfig("b"));
  const pid_t pid_a = HostPid(pod_id, a);
  const pid_t pid_b = HostPid(pod_id, b);
  for (const char* kind : {"mnt", "pid", "cgroup"}) {
    EXPECT_NE(NamespaceInode(pid_a, kind), NamespaceInode(pid_b, kind)) << kind;
  }
  for (const char* kind : {"net", "ipc", "uts", "time"}) {
    EXPECT_EQ(NamespaceInode(pid_a, kind), NamespaceInode(pid_b, kind)) << kind;
    EXPECT_NE(NamespaceInode(pid_a, kind), NamespaceInode(getpid(), kind))
        << kind;
  }
  EXPECT_EQ(ShellOutput(a, "grep -c nsfs /proc/1/mountinfo || true"), "0\n");
  // On the node, whose table has nothing of the machine's own pins: the one
  // pin, in a directory that is root's alone.
  const std::string pins =
      RunCommand({"grep", "nsfs", "/proc/self/mountinfo"}).out;
  EXPECT_EQ(std::count(pins.begin(), pins.end(), '\n'), 1) << pins;
  EXPECT_TRUE(absl::StrContains(pins, daemon().run_dir() + "/pins.mnt"));
}

}  // namespace
}  // namespace warren::test
