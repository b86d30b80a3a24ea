// What the node shows of itself: to a container through its mounts and files,
// to another user of the node, and to a request that names things of others.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/oci_image.h"

namespace warren::test {
namespace {

constexpr uint32_t kHostViewIds = 9 * 65536;

class HostViewTest : public CriTest {
 protected:
  std::string Directory(const std::string& name) {
    const std::string path = absl::StrCat(
        daemon().directory(), "/", name, "-",
        testing::UnitTest::GetInstance()->current_test_info()->name());
    EXPECT_EQ(RunCommand({"mkdir", "-p", path}).exit_code, 0);
    return path;
  }
  // Everything about the files of a directory that somebody could have changed.
  static std::string Picture(const std::string& directory) {
    return RunCommand({"find", directory, "-printf", "%p %y %m %U:%G %T@ %l\n"})
               .out +
           RunCommand({"grep", "-r", "", directory}).out;
  }
  static std::string Sysctls() {
    return RunCommand({"sh", "-c",
                       "grep -rs '' /proc/sys/kernel /proc/sys/vm "
                       "/proc/sys/fs/protected* /proc/sys/net/ipv4/conf | "
                       "grep -vE 'random/|ns_last_pid|pty/nr|stat_refresh|"
                       "spl/|usermodehelper'"})
        .out;
  }
};

// A container with every capability in its user namespace mounts over its own
// procfs while it is being entered: whatever Warren writes goes elsewhere.
TEST_F(HostViewTest, FS_3_MountsOverTheContainersProcMisleadNobody) {
  const std::string before = Sysctls();
  cri::PodSandboxConfig pod = Pod("pod");
  UseUserNamespace(NamespaceOptions(&pod), kHostViewIds);
  (*pod.mutable_linux()->mutable_sysctls())["kernel.shm_rmid_forced"] = "1";
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = ShellConfig(
      "racer",
      "mkdir -p /decoy/sys/kernel /decoy/self/attr /decoy/1/attr; "
      "for f in self/oom_score_adj self/attr/exec 1/attr/exec "
      "self/setgroups self/uid_map sys/kernel/shm_rmid_forced; do "
      "echo decoy > /decoy/$f; done; echo ready; "
      "while [ ! -e /stop ]; do "
      "mount --bind /decoy/sys /proc/sys; "
      "mount --bind /decoy/self /proc/1; mount -t tmpfs t /proc/self/attr; "
      "mount --bind /decoy /proc; umount -l /proc; umount -l /proc/self/attr; "
      "umount -l /proc/1; umount -l /proc/sys; done 2>/dev/null; cat "
      "/decoy/self/* /decoy/self/attr/* /decoy/1/attr/* /decoy/sys/kernel/* | "
      "sort | uniq -c");
  UseUserNamespace(NamespaceOptions(&config), kHostViewIds);
  auto* security = config.mutable_linux()->mutable_security_context();
  security->mutable_capabilities()->add_add_capabilities("ALL");
  config.mutable_linux()->mutable_resources()->set_oom_score_adj(321);
  const std::string id = Run(pod_id, pod, config);
  const std::string log = StatusOf(id).log_path();
  ASSERT_TRUE(Eventually(
      [&] { return absl::StrContains(ReadHostFile(log), "ready"); }));
  const pid_t first = HostPid(pod_id, id);
  for (int i = 0; i < 300; ++i) {
    const auto reply = client().ExecSync(id, {"true"});
    ASSERT_TRUE(reply.ok()) << reply.status();
  }
  // The value got to where it belongs, and an exec session has it, too.
  EXPECT_EQ(ReadHostFile(absl::StrCat("/proc/", first, "/oom_score_adj")),
            "321\n");
  std::thread session([&] {
    CriClient(daemon().socket()).ExecSync(id, {"sleep", "7.25"}).IgnoreError();
  });
  std::string sleeper;
  EXPECT_TRUE(Eventually([&] {
    sleeper = RunCommand({"pgrep", "-f", "^sleep 7.25"}).out;
    return !sleeper.empty();
  }));
  EXPECT_EQ(ReadHostFile(absl::StrCat("/proc/", std::atoi(sleeper.c_str()),
                                      "/oom_score_adj")),
            "321\n");
  // The container may end, and the session with it, before that says so.
  client().ExecSync(id, {"touch", "/stop"}).IgnoreError();
  WaitExited(id);
  session.join();
  EXPECT_TRUE(absl::StrContains(ReadHostFile(log), "6 decoy"))
      << ReadHostFile(log);
  RemoveAllPods();
  EXPECT_EQ(Sysctls(), before);
}

TEST_F(HostViewTest, FS_5_AConsoleOfTheImageIsNotFollowed) {
  const std::string canary = Directory("canary");
  ASSERT_TRUE(WriteHostFile(canary + "/file", "host"));
  const std::string before = Picture(canary);
  OciImage image;
  image.layers = {BusyboxLayer(
      {"sh", "echo", "sleep"},
      {{.name = "dev", .type = '5'},
       {.name = "dev/console", .type = '2', .link = canary + "/file"},
       {.name = "dev/ptmx", .type = '2', .link = canary + "/file"},
       {.name = "dev/tty", .type = '2', .link = canary + "/file"}})};
  ASSERT_TRUE(
      client().ImportImage("warren.test/console:1", OciArchive(image)).ok());
  cri::ContainerConfig config =
      ShellConfig("main", "echo in; echo console > /dev/console; echo $?");
  config.mutable_image()->set_image("warren.test/console:1");
  config.set_tty(true);
  const std::string id = RunAlone(config);
  WaitExited(id);
  EXPECT_TRUE(absl::StrContains(ReadHostFile(StatusOf(id).log_path()), "in"));
  EXPECT_EQ(Picture(canary), before);
  RemoveAllPods();
  cri::RemoveImageRequest remove;
  remove.mutable_image()->set_image("warren.test/console:1");
  EXPECT_TRUE(client().Call<cri::RemoveImageResponse>(remove).ok());
}

// Everything that is mounted in an ordinary container, and how.
TEST_F(HostViewTest, FS_7_OnlyTheKnownMountsAreThere) {
  const std::map<std::string, std::string> known = {
      {"/", "overlay rw"},
      {"/proc", "proc rw"},
      {"/dev", "tmpfs rw"},
      {"/dev/pts", "devpts rw"},
      {"/dev/shm", "tmpfs rw"},
      {"/dev/mqueue", "mqueue rw"},
      {"/sys", "sysfs ro"},
      {"/etc/hosts", "tmpfs rw"},
      {"/etc/hostname", "tmpfs rw"},
      {"/etc/resolv.conf", "tmpfs rw"},
      // Where no cgroup controls devices they are bound one by one.
      {"/dev/null", "devtmpfs rw"},
      {"/dev/zero", "devtmpfs rw"},
      {"/dev/full", "devtmpfs rw"},
      {"/dev/tty", "devtmpfs rw"},
      {"/dev/random", "devtmpfs rw"},
      {"/dev/urandom", "devtmpfs rw"}};
  for (const char kind : {'d', 'u'}) {
    cri::PodSandboxConfig pod = Pod(std::string("pod-") + kind);
    cri::ContainerConfig config = IdleConfig("main");
    if (kind == 'u') {
      UseUserNamespace(NamespaceOptions(&pod), kHostViewIds);
      UseUserNamespace(NamespaceOptions(&config), kHostViewIds);
    }
    const std::string id = Run(RunPod(pod), pod, config);
    int seen = 0;
    for (const auto& line :
         absl::StrSplit(ShellOutput(id, "cat /proc/1/mountinfo"), '\n',
                        absl::SkipEmpty())) {
      const std::vector<std::string> words = absl::StrSplit(line, ' ');
      ASSERT_GT(words.size(), 8u) << line;
      EXPECT_EQ(words[6], "-") << "propagates: " << line;
      const std::string what =
          absl::StrCat(words[7], " ", words[5].substr(0, 2));
      if (absl::StartsWith(words[4], "/sys/fs/cgroup")) {
        EXPECT_TRUE(absl::EndsWith(what, " ro")) << line;
        EXPECT_TRUE(absl::StartsWith(what, "cgroup") ||
                    absl::StartsWith(what, "tmpfs"))
            << line;
        continue;
      }
      ++seen;
      const auto found = known.find(words[4]);
      ASSERT_TRUE(found != known.end()) << line;
      EXPECT_EQ(what, found->second) << line;
      // Of the node's own trees only single files are there.
      EXPECT_FALSE(absl::StrContains(words[3], "..")) << line;
    }
    EXPECT_GE(seen, 10);
  }
}

TEST_F(HostViewTest, FS_10_WhatARequestNamesIsLeftAsItIs) {
  const std::string canary = Directory("canary");
  ASSERT_EQ(RunCommand({"mkdir", "-p", canary + "/mounted", canary + "/logs"})
                .exit_code,
            0);
  ASSERT_TRUE(WriteHostFile(canary + "/file", "host", 0751));
  ASSERT_EQ(chown((canary + "/file").c_str(), 33, 44), 0);
  ASSERT_EQ(mount("canary", (canary + "/mounted").c_str(), "tmpfs", 0, nullptr),
            0);
  ASSERT_TRUE(WriteHostFile(canary + "/mounted/file", "host too"));
  const std::string before = Picture(canary);
  const std::string mounts = ReadHostFile("/proc/self/mountinfo");
  cri::PodSandboxConfig pod = Pod("pod");
  UseUserNamespace(NamespaceOptions(&pod), kHostViewIds);
  const std::string pod_id = RunPod(pod);
  // Every request of a container brings the pod's configuration along: one
  // that has been forged since must have no say.
  cri::PodSandboxConfig forged = pod;
  forged.set_log_directory(canary + "/logs");
  forged.set_hostname("forged");
  cri::ContainerConfig config = IdleConfig("main");
  UseUserNamespace(NamespaceOptions(&config), kHostViewIds);
  AddMount(&config, canary, "/volume", true);
  AddMount(&config, canary + "/file", "/single", true);
  AddMount(&config, canary + "/mounted", "/mounted", true);
  const auto id = client().CreateContainer(pod_id, config, forged);
  if (id.ok()) {
    EXPECT_TRUE(client().StartContainer(*id).ok());
    EXPECT_TRUE(client().StopContainer(*id, 0).ok());
    EXPECT_TRUE(client().RemoveContainer(*id).ok());
  }
  RemoveAllPods();
  EXPECT_EQ(Picture(canary), before);
  EXPECT_EQ(ReadHostFile("/proc/self/mountinfo"), mounts);
  umount2((canary + "/mounted").c_str(), MNT_DETACH);
}

TEST_F(HostViewTest, LOG_1_PlantedLogsAreNotWrittenThrough) {
  const std::string canary = Directory("canary");
  ASSERT_TRUE(WriteHostFile(canary + "/file", "host"));
  const std::string before = Picture(canary);
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string logs = pod.log_directory();
  ASSERT_EQ(
      RunCommand({"mkdir", "-p", logs + "/fifo", logs + "/link"}).exit_code, 0);
  ASSERT_EQ(symlink((canary + "/file").c_str(), (logs + "/link/0.log").c_str()),
            0);
  ASSERT_EQ(symlink(canary.c_str(), (logs + "/directory").c_str()), 0);
  const std::string fifo = logs + "/fifo/0.log";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const base::UniqueFd reader(
      open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  ASSERT_TRUE(reader.valid());
  const std::string pod_id = RunPod(pod);
  for (const char* name : {"link", "directory", "fifo"}) {
    const auto id =
        client().CreateContainer(pod_id, ShellConfig(name, "echo out"), pod);
    EXPECT_FALSE(id.ok() && client().StartContainer(*id).ok()) << name;
  }
  EXPECT_EQ(Picture(canary), before);
}

TEST_F(HostViewTest, LOG_2_AContainerCannotFillTheNodeThroughItsPodsFiles) {
  for (const bool user : {false, true}) {
    cri::PodSandboxConfig pod = Pod(user ? "pod-user" : "pod");
    cri::ContainerConfig config = IdleConfig("main");
    if (user) {
      UseUserNamespace(NamespaceOptions(&pod), kHostViewIds);
      UseUserNamespace(NamespaceOptions(&config), kHostViewIds);
    }
    const std::string id = Run(RunPod(pod), pod, config);
    for (const char* file :
         {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}) {
      const auto reply = client().ExecSync(
          id, {"dd", "if=/dev/zero", absl::StrCat("of=", file), "bs=64k",
               "count=16384"});
      ASSERT_TRUE(reply.ok()) << reply.status();
      EXPECT_NE(reply->exit_code(), 0) << file;
      EXPECT_TRUE(absl::StrContains(reply->stderr(), "No space left"))
          << reply->stderr();
    }
    const std::string size = RunCommand({"du", "-sk", daemon().run_dir()}).out;
    EXPECT_LT(std::atoi(size.c_str()), 1024) << size;
  }
}

// Links of the image at the places where Warren's own things go.
TEST_F(HostViewTest, FS_8_LinksOfTheImageAreNotWrittenThrough) {
  const std::string canary = Directory("canary");
  std::vector<TarMember> links = {{.name = "etc", .type = '5'},
                                  {.name = "dev", .type = '5'}};
  for (const char* name :
       {"etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/passwd",
        "etc/group", "etc/mtab", "dev/null", "dev/shm", "dev/pts", "run"}) {
    links.push_back({.name = name, .type = '2', .link = canary + "/file"});
  }
  ASSERT_TRUE(WriteHostFile(canary + "/file", "host"));
  const std::string before = Picture(canary);
  OciImage image;
  image.layers = {BusyboxLayer({"sh", "cat", "sleep"}, links)};
  ASSERT_TRUE(
      client().ImportImage("warren.test/links:1", OciArchive(image)).ok());
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = ShellConfig(
      "main", "echo over > /etc/hosts; echo over > /dev/null; cat /etc/passwd");
  config.mutable_image()->set_image("warren.test/links:1");
  const auto id = client().CreateContainer(pod_id, config, pod);
  // Refused, or started with the links led inside the image.
  if (id.ok() && client().StartContainer(*id).ok()) {
    WaitExited(*id);
    EXPECT_FALSE(
        absl::StrContains(ReadHostFile(StatusOf(*id).log_path()), "host"));
  }
  EXPECT_EQ(Picture(canary), before);
  RemoveAllPods();
  cri::RemoveImageRequest remove;
  remove.mutable_image()->set_image("warren.test/links:1");
  EXPECT_TRUE(client().Call<cri::RemoveImageResponse>(remove).ok());
}

// As in images of NixOS: what a link leads to counts, within the image.
TEST_F(HostViewTest, FS_8_UsersAreFoundThroughLinksInsideTheImage) {
  OciImage image;
  image.layers = {BusyboxLayer(
      {"sh", "id"},
      {{.name = "etc", .type = '5'},
       {.name = "etc/passwd", .type = '2', .link = "/store/passwd"},
       {.name = "etc/group", .type = '2', .link = "../store/group"},
       {.name = "store", .type = '5'},
       {.name = "store/passwd", .content = "app:x:1000:1001::/:\n"},
       {.name = "store/group", .content = "more:x:1002:app\n"}})};
  ASSERT_TRUE(
      client().ImportImage("warren.test/store:1", OciArchive(image)).ok());
  cri::PodSandboxConfig pod = Pod("pod");
  cri::ContainerConfig config =
      ShellConfig("main", "echo $(id -u) $(id -g) $(id -G)");
  config.mutable_image()->set_image("warren.test/store:1");
  config.mutable_linux()->mutable_security_context()->set_run_as_username(
      "app");
  WaitExited(Run(RunPod(pod), pod, config));
  EXPECT_THAT(
      ReadHostFile(absl::StrCat(pod.log_directory(), "/", config.log_path())),
      testing::HasSubstr("1000 1001 1001 1002\n"));
  RemoveAllPods();
  cri::RemoveImageRequest remove;
  remove.mutable_image()->set_image("warren.test/store:1");
  EXPECT_TRUE(client().Call<cri::RemoveImageResponse>(remove).ok());
}

}  // namespace
}  // namespace warren::test
