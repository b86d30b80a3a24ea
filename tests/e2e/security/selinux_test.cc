// EXE-8 on a host with SELinux: programs and exec sessions have the label that
// was asked for and can use what is their container's, and nothing else where
// the policy is enforced; volumes get a label when the request says so, and
// only then (FS-10).
#include <absl/strings/str_cat.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/oci_image.h"
#include "tests/support/require.h"
#include "tests/support/temp_directory.h"

namespace warren::test {
namespace {

using testing::HasSubstr;

constexpr char kSelinuxImage[] = "example.test/labelled:1";
constexpr char kLabel[] = "system_u:system_r:container_t:s0:c1,c2";
constexpr char kFiles[] = "system_u:object_r:container_file_t:s0:c1,c2";
constexpr char kOther[] = "system_u:object_r:container_file_t:s0:c3";

// Does the loaded policy have it?
bool IsValid(const std::string& label) {
  return WriteHostFile("/sys/fs/selinux/context", label);
}

std::string MissingSelinux() {
  if (!HostFileExists("/sys/fs/selinux/enforce")) {
    return "the host has no SELinux";
  }
  return IsValid(kLabel) && IsValid(kFiles)
             ? ""
             : "the host's policy has no container_t and container_file_t";
}

std::string Text(const char* data, ssize_t size) {
  return size <= 0 ? "" : std::string(data, strnlen(data, size));
}

// Of the file itself, be it a link.
std::string LabelOf(const std::string& path) {
  char label[1024];
  return Text(
      label, lgetxattr(path.c_str(), "security.selinux", label, sizeof(label)));
}

class SelinuxTest : public CriTest {
 protected:
  void SetUp() override {
    WARREN_REQUIRE(MissingSelinux());
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    // As an operator does with the state directory: a program that is mapped is
    // also checked by the label of its layer, below the overlay.
    const std::string images = daemon().state_dir() + "/images";
    ASSERT_EQ(RunCommand({"chcon", "-R", "-t", "container_ro_file_t", images})
                  .exit_code,
              0);
    OciImage image;
    image.config_json = R"({"Env":["PATH=/bin"],"Volumes":{"/data":{}}})";
    image.layers = {BusyboxLayer({"sh", "sleep", "cat", "ls", "touch", "rm",
                                  "head", "tty", "chmod", "grep"},
                                 {{.name = "data", .type = '5'},
                                  {.name = "data/seed", .content = "seed"},
                                  {.name = "etc", .type = '5'}})};
    ASSERT_TRUE(client().ImportImage(kSelinuxImage, OciArchive(image)).ok());
  }
  void TearDown() override {
    if (IsSkipped()) return;
    RemoveAllPods();
    cri::RemoveImageRequest request;
    request.mutable_image()->set_image(kSelinuxImage);
    EXPECT_TRUE(client().Call<cri::RemoveImageResponse>(request).ok());
    CriTest::TearDown();
  }

  static cri::SELinuxOption* Options(cri::ContainerConfig* config) {
    return config->mutable_linux()
        ->mutable_security_context()
        ->mutable_selinux_options();
  }
  static cri::SELinuxOption* Options(cri::PodSandboxConfig* config) {
    return config->mutable_linux()
        ->mutable_security_context()
        ->mutable_selinux_options();
  }
  // Of kSelinuxImage, with a level.
  static cri::ContainerConfig Confined(const std::string& name,
                                       const std::string& level = "s0:c1,c2") {
    cri::ContainerConfig config = ContainerConfig(name, {"sleep", "1000"});
    config.mutable_image()->set_image(kSelinuxImage);
    if (!level.empty()) Options(&config)->set_level(level);
    return config;
  }
  static void AddVolume(cri::ContainerConfig* config, const std::string& from,
                        const std::string& to, bool relabel) {
    AddMount(config, from, to, false);
    config->mutable_mounts(config->mounts_size() - 1)
        ->set_selinux_relabel(relabel);
  }
  // Of the container's program, then of an exec session.
  void ExpectLabel(const std::string& id, const std::string& expected) {
    for (const char* process : {"1", "self"}) {
      const std::string text =
          ShellOutput(id, absl::StrCat("cat /proc/", process, "/attr/current"));
      EXPECT_EQ(Text(text.data(), text.size()), expected) << process;
    }
  }
  static bool Enforcing() {
    return ReadHostFile("/sys/fs/selinux/enforce") == "1";
  }
};

TEST_F(SelinuxTest, EXE_8_LabelsOfProgramsAndExecSessions) {
  struct Case {
    const char* name;
    bool no_new_privs, mapped;
    std::string user, role, type, level, expected;
  };
  const std::vector<Case> cases = {
      {"level", false, false, "", "", "", "s0:c1,c2", kLabel},
      {"nnp", true, false, "", "", "", "s0:c1,c2", kLabel},
      {"mapped", true, true, "", "", "", "s0:c1,c2", kLabel},
      {"type", false, false, "", "", "container_t", "",
       "system_u:system_r:container_t:s0"},
      {"range", false, false, "system_u", "system_r", "", "s0-s0:c1.c3",
       "system_u:system_r:container_t:s0-s0:c1.c3"},
      {"all", false, false, "test_u", "test_r", "test_t", "s0:c4",
       "test_u:test_r:test_t:s0:c4"}};
  for (const Case& test : cases) {
    SCOPED_TRACE(test.name);
    if (!IsValid(test.expected)) continue;  // a policy of somebody else
    cri::PodSandboxConfig pod = Pod(test.name);
    cri::ContainerConfig config = Confined("main", "");
    Options(&config)->set_user(test.user);
    Options(&config)->set_role(test.role);
    Options(&config)->set_type(test.type);
    Options(&config)->set_level(test.level);
    config.mutable_linux()->mutable_security_context()->set_no_new_privs(
        test.no_new_privs);
    if (test.mapped) {
      UseUserNamespace(NamespaceOptions(&pod), 3 * 65536);
      UseUserNamespace(NamespaceOptions(&config), 3 * 65536);
    }
    ExpectLabel(Run(RunPod(pod), pod, config), test.expected);
  }
}

TEST_F(SelinuxTest, EXE_8_ThePodsLabelAndWhoHasNone) {
  const std::string own =
      ReadHostFile(absl::StrCat("/proc/", daemon().pid(), "/attr/current"));
  cri::PodSandboxConfig pod = Pod("pod");
  pod.mutable_linux()->mutable_security_context()->set_privileged(true);
  Options(&pod)->set_level("s0:c1,c2");
  const std::string pod_id = RunPod(pod);
  ExpectLabel(Run(pod_id, pod, Confined("pods", "")), kLabel);
  ExpectLabel(Run(pod_id, pod, Confined("own", "s0:c3")),
              "system_u:system_r:container_t:s0:c3");
  cri::ContainerConfig privileged = Confined("privileged");
  privileged.mutable_linux()->mutable_security_context()->set_privileged(true);
  ExpectLabel(Run(pod_id, pod, privileged), Text(own.data(), own.size()));
}

TEST_F(SelinuxTest, EXE_8_LabelsThatThePolicyDoesNotHaveEndTheStart) {
  const cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const auto created = [&](auto change) {
    cri::ContainerConfig config = Confined("main", "");
    change(Options(&config));
    return client().CreateContainer(pod_id, config, pod);
  };
  for (const char* level : {"s0:c1-c2", "s0 ", "c1", "s0:", "s0:c1,,c2"}) {
    EXPECT_CODE(created([&](auto* o) { o->set_level(level); }).status(),
                kInvalidArgument)
        << level;
  }
  EXPECT_CODE(created([](auto* o) { o->set_type("a:b"); }).status(),
              kInvalidArgument);
  const auto id = created([](auto* o) { o->set_type("no_such_t"); });
  ASSERT_TRUE(id.ok()) << id.status();
  const absl::Status started = client().StartContainer(*id);
  EXPECT_FALSE(started.ok());
  EXPECT_THAT(started.message(), HasSubstr("no_such_t"));
}

// The root, mounts of ours, volumes of images: by every kind of process.
TEST_F(SelinuxTest, EXE_8_AConfinedContainerCanUseWhatIsItsOwn) {
  const std::string work =
      "set -e; echo x >/file; cat /file /etc/hosts /etc/hostname "
      "/etc/resolv.conf >/dev/null; echo x >/dev/shm/$1; cat /dev/shm/$1; "
      "rm /dev/shm/$1; cat /data/seed; echo x >/data/seed; ls /img/bin "
      ">/dev/null; ls /sys >/dev/null; head -c 1 /dev/urandom >/dev/null; "
      "ls /proc/irq; cat /bin/busybox >/busybox; chmod 755 /busybox; "
      "/busybox true; cat /proc/keys >/keys; ";
  const std::string queue = "touch /dev/mqueue/$1; rm /dev/mqueue/$1; ";
  // Of the keys that exist this shows those it may see: its session's keyring.
  const std::string keys = "grep -q _ses /keys; ";
  for (const bool mapped : {false, true}) {
    SCOPED_TRACE(mapped ? "mapped" : "plain");
    cri::PodSandboxConfig pod = Pod(mapped ? "mapped" : "plain");
    cri::ContainerConfig config = Confined("main");
    if (mapped) {
      UseUserNamespace(NamespaceOptions(&pod), 3 * 65536);
      UseUserNamespace(NamespaceOptions(&config), 3 * 65536);
    } else {
      Options(&pod)->set_level("s0:c2");
    }
    // A queue's file system in a user namespace takes no labels.
    const std::string script = absl::StrCat(work, mapped ? "" : queue + keys);
    config.clear_command();
    for (const char* word : {"/bin/sh", "-c"}) config.add_command(word);
    config.add_args(absl::StrCat("(set -- program; ", script,
                                 "echo ok >$(tty)) >/out 2>&1; echo $? >/code; "
                                 "exec sleep 1000"));
    config.set_tty(true);
    auto* security = config.mutable_linux()->mutable_security_context();
    security->add_masked_paths("/proc/irq");
    auto* image = config.add_mounts();
    image->set_container_path("/img");
    image->mutable_image()->set_image(kSelinuxImage);
    const std::string id = Run(RunPod(pod), pod, config);
    ASSERT_TRUE(Eventually([&] {
      return ExitCodeOf(id, {"sh", "-c", "[ -s /code ]"}) == 0;
    }));
    EXPECT_EQ(ShellOutput(id, "cat /code"), "0\n")
        << ShellOutput(id, "cat /out");
    EXPECT_EQ(ShellOutput(id, absl::StrCat("set -- session; ", script)),
              "x\nx\n");
  }
}

// Without the flag nothing of the host changes, and the container is kept out.
TEST_F(SelinuxTest, FS_10_VolumesAreLabelledWhenAskedAndOnlyThen) {
  const TempDirectory host;
  const std::string volume = host.path() + "/volume";
  const std::string plain = host.path() + "/plain";
  const std::string outside = host.path() + "/outside";
  for (const std::string& directory :
       {volume, volume + "/sub", volume + "/tmpfs", plain, plain + "/sub"}) {
    ASSERT_EQ(mkdir(directory.c_str(), 0777), 0);
  }
  for (const std::string& file :
       {volume + "/sub/file", plain + "/sub/file", outside}) {
    ASSERT_TRUE(WriteHostFile(file, "x"));
  }
  ASSERT_EQ(symlink(outside.c_str(), (volume + "/link").c_str()), 0);
  ASSERT_EQ(mkfifo((volume + "/fifo").c_str(), 0600), 0);
  const std::string below = volume + "/tmpfs";
  ASSERT_EQ(mount("tmpfs", below.c_str(), "tmpfs", 0, nullptr), 0);
  const std::string unlabelled = LabelOf(plain);
  const std::string of_tmpfs = LabelOf(below);
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = Confined("main");
  AddVolume(&config, volume, "/volume", true);
  AddVolume(&config, plain, "/plain", false);
  AddVolume(&config, volume + "/sub/file", "/file", true);
  const std::string id = Run(pod_id, pod, config);
  const auto expect = [&](const std::string& label) {
    for (const char* name : {"", "/sub", "/sub/file", "/link", "/fifo"}) {
      EXPECT_EQ(LabelOf(volume + name), label) << name;
    }
    for (const std::string& path :
         {plain, plain + "/sub", plain + "/sub/file", outside, host.path()}) {
      EXPECT_EQ(LabelOf(path), unlabelled) << path;
    }
    EXPECT_EQ(LabelOf(below), of_tmpfs) << "another mount";
  };
  expect(kFiles);
  EXPECT_EQ(ShellOutput(id, "cat /volume/sub/file /file; echo y >/volume/new"),
            "xx");
  EXPECT_EQ(LabelOf(volume + "/new"), kFiles);
  if (Enforcing()) {
    EXPECT_EQ(ExitCodeOf(id, {"cat", "/plain/sub/file"}), 1);
    EXPECT_EQ(ExitCodeOf(id, {"touch", "/plain/new"}), 1);
  }
  // Other categories: not theirs until it is labelled for them.
  cri::ContainerConfig other = Confined("other", "s0:c3");
  AddVolume(&other, volume, "/volume", false);
  const std::string other_id = Run(pod_id, pod, other);
  if (Enforcing()) {
    EXPECT_EQ(ExitCodeOf(other_id, {"cat", "/volume/sub/file"}), 1);
  }
  other.mutable_metadata()->set_name("mine");
  other.mutable_mounts(0)->set_selinux_relabel(true);
  const std::string mine = Run(pod_id, pod, other);
  expect(kOther);
  EXPECT_EQ(ShellOutput(mine, "cat /volume/sub/file"), "x");
  // Whoever has no label labels nothing.
  cri::ContainerConfig none = Confined("none", "");
  AddVolume(&none, plain, "/plain", true);
  Run(pod_id, pod, none);
  expect(kOther);
  RemoveAllPods();
  expect(kOther);
  ASSERT_EQ(umount(below.c_str()), 0);
}

TEST_F(SelinuxTest, FS_10_FoldersOfTheNodeAreNotLabelled) {
  const TempDirectory host;
  const std::string link = host.path() + "/link";
  ASSERT_EQ(symlink("/etc", link.c_str()), 0);
  const cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  for (const std::string& path :
       {std::string("/"), std::string("/etc"), std::string("/var/lib"),
        std::string("/usr/share"), std::string("/tmp"), link}) {
    SCOPED_TRACE(path);
    const std::string before = LabelOf(path + "/.");
    cri::ContainerConfig config = Confined("main");
    AddVolume(&config, path, "/volume", true);
    const auto id = client().CreateContainer(pod_id, config, pod);
    EXPECT_CODE(id.status(), kInvalidArgument);
    EXPECT_THAT(id.status().message(), HasSubstr("selinux_relabel"));
    EXPECT_EQ(LabelOf(path + "/."), before);
  }
}

// What has no labels of its own is mounted as it is.
TEST_F(SelinuxTest, EXE_8_AFileSystemWithoutLabelsIsMountedAsItIs) {
  const TempDirectory host;
  const std::string& at = host.path();
  ASSERT_EQ(mount("tmpfs", at.c_str(), "tmpfs", 0,
                  "context=system_u:object_r:container_file_t:s0"),
            0);
  ASSERT_TRUE(WriteHostFile(at + "/file", "x"));
  cri::ContainerConfig config = Confined("main");
  AddVolume(&config, at, "/volume", true);
  EXPECT_EQ(ShellOutput(RunAlone(config), "cat /volume/file"), "x");
  EXPECT_EQ(LabelOf(at + "/file"), "system_u:object_r:container_file_t:s0");
  RemoveAllPods();
  ASSERT_EQ(umount(at.c_str()), 0);
}

TEST_F(SelinuxTest, EXE_8_ItHoldsForAnAgentThatWasKilled) {
  const TempDirectory host;
  ASSERT_TRUE(WriteHostFile(host.path() + "/file", "x"));
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = Confined("main");
  AddVolume(&config, host.path(), "/volume", true);
  const std::string id = Run(pod_id, pod, config);
  config.mutable_metadata()->set_name("later");
  const auto later = client().CreateContainer(pod_id, config, pod);
  ASSERT_TRUE(later.ok()) << later.status();
  // Takes the volume for itself: FS-10, a restart labels nothing anew.
  config.mutable_metadata()->set_name("owner");
  Options(&config)->set_level("s0:c3");
  const std::string owner = Run(pod_id, pod, config);
  KillDaemon();
  StartDaemon();
  ExpectLabel(id, kLabel);
  ASSERT_TRUE(client().StartContainer(*later).ok());
  ExpectLabel(*later, kLabel);
  EXPECT_EQ(ShellOutput(*later, "echo y >/x; cat /x; echo z >/data/y"), "y\n");
  EXPECT_EQ(LabelOf(host.path() + "/file"), kOther);
  EXPECT_EQ(ShellOutput(owner, "cat /volume/file"), "x");
}

// FS-10: the label is the container's, the objects are the host's.
TEST_F(SelinuxTest, FS_10_WhatIsSharedWithTheHostKeepsItsLabel) {
  const std::string shm = LabelOf("/dev/shm");
  cri::PodSandboxConfig pod = Pod("pod");
  NamespaceOptions(&pod)->set_ipc(cri::NODE);
  NamespaceOptions(&pod)->set_pid(cri::NODE);
  cri::ContainerConfig config = Confined("main");
  *NamespaceOptions(&config) = *NamespaceOptions(&pod);
  const std::string pod_id = RunPod(pod);
  const std::string id = Run(pod_id, pod, config);
  const std::string root = absl::StrCat("/proc/", HostPid(pod_id, id), "/root");
  EXPECT_EQ(LabelOf(root + "/."), kFiles);
  EXPECT_EQ(LabelOf(root + "/dev"), kFiles);
  EXPECT_NE(LabelOf(root + "/dev/mqueue"), "");
  EXPECT_EQ(LabelOf(root + "/dev/mqueue").find("container_file_t"),
            std::string::npos);
  EXPECT_EQ(LabelOf(root + "/dev/shm"), shm);
  EXPECT_EQ(LabelOf("/dev/shm"), shm);
}

}  // namespace
}  // namespace warren::test
