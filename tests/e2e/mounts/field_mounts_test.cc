// Mounts as people met them elsewhere: LXCFS, tokens below links, mounts in
// mounts, sources that are replaced before the start.
#include <absl/strings/str_cat.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/oci_image.h"

namespace warren::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kLinkImage[] = "example.test/links:1";
constexpr uint32_t kIds = 5 * 65536;

class FieldMountsTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    host_ = daemon().directory() + "/field";
    ASSERT_EQ(mkdir(host_.c_str(), 0755), 0);
  }
  void TearDown() override {
    RemoveAllPods();
    for (const std::string& target : mounted_) umount2(target.c_str(), 0);
    RunCommand({"rm", "-rf", host_});
    CriTest::TearDown();
  }

  std::string Directory(const std::string& name) {
    const std::string path = host_ + "/" + name;
    EXPECT_EQ(RunCommand({"mkdir", "-p", path}).exit_code, 0);
    return path;
  }
  std::string File(const std::string& name, const std::string& text) {
    EXPECT_TRUE(WriteHostFile(host_ + "/" + name, text, 0644));
    return host_ + "/" + name;
  }
  void Bind(const std::string& from, const std::string& to) {
    ASSERT_EQ(mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr), 0);
    mounted_.push_back(to);
  }
  absl::Status CreateAndStart(const cri::ContainerConfig& config) {
    const auto id = client().CreateContainer(pod_id_, config, pod_);
    if (!id.ok()) return id.status();
    const absl::Status started = client().StartContainer(*id);
    EXPECT_TRUE(client().RemoveContainer(*id).ok());
    return started;
  }
  void MakePod(const std::string& name, bool user_namespace = false) {
    pod_ = Pod(name);
    if (user_namespace) UseUserNamespace(NamespaceOptions(&pod_), kIds);
    pod_id_ = RunPod(pod_);
  }

  std::string host_;
  std::vector<std::string> mounted_;
  cri::PodSandboxConfig pod_;
  std::string pod_id_;
};

// The files that only tell may be covered, and nothing else of /proc.
TEST_F(FieldMountsTest, C24_LxcfsCoversFilesOfProc) {
  for (const bool user : {false, true}) {
    MakePod(user ? "lxcfs-user" : "lxcfs", user);
    cri::ContainerConfig config = IdleConfig("main");
    if (user) UseUserNamespace(NamespaceOptions(&config), kIds);
    AddMount(&config, File("meminfo", "MemTotal: 1 kB\n"), "/proc/meminfo",
             true);
    AddMount(&config, File("uptime", "7.00 7.00\n"), "/proc/uptime", true);
    AddMount(&config, File("pid", "42\n"), "/proc/sys/kernel/ns_last_pid",
             true);
    AddMount(&config, File("online", "0\n"), "/sys/devices/system/cpu/online",
             true);
    config.mutable_linux()->mutable_security_context()->add_masked_paths(
        "/proc/keys");
    const std::string id = Run(pod_id_, pod_, config);
    EXPECT_EQ(ShellOutput(id,
                          "cat /proc/meminfo /proc/uptime "
                          "/proc/sys/kernel/ns_last_pid "
                          "/sys/devices/system/cpu/online /proc/keys"),
              "MemTotal: 1 kB\n7.00 7.00\n42\n0\n");
  }
  const std::string directory = Directory("directory");
  for (const auto& [source, target] :
       {std::pair<std::string, const char*>{directory, "/proc/meminfo"},
        {host_ + "/missing", "/proc/meminfo"},
        {"/dev/zero", "/proc/uptime"},
        {host_ + "/meminfo", "/proc/self/attr/exec"},
        {host_ + "/meminfo", "/proc/sysrq-trigger"},
        {host_ + "/meminfo", "/proc/1/ns/net"}}) {
    cri::ContainerConfig config = IdleConfig("bad");
    UseUserNamespace(NamespaceOptions(&config), kIds);
    AddMount(&config, source, target, true);
    const auto id = client().CreateContainer(pod_id_, config, pod_);
    ASSERT_FALSE(id.ok()) << target;
    EXPECT_THAT(std::string(id.status().message()),
                testing::AnyOf(HasSubstr(target), HasSubstr(source)));
  }
  EXPECT_NE(access((host_ + "/missing").c_str(), F_OK), 0) << "was made";
}

// Reads the token at both spellings in every order of the request's mounts.
TEST_F(FieldMountsTest, C26_TheTokenBelowALinkIsThere) {
  const std::string token = Directory("token");
  File("token/token", "secret\n");
  const std::string run = Directory("run");
  const std::string x = Directory("x");
  File("x/x", "x\n");
  for (const char* link : {"/run", "../run"}) {
    OciImage image;
    image.layers = {
        BusyboxLayer({"sh", "sleep", "cat"},
                     {{.name = "run/", .type = '5'},
                      {.name = "var/", .type = '5'},
                      {.name = "var/run", .type = '2', .link = link}})};
    ASSERT_TRUE(client().ImportImage(kLinkImage, OciArchive(image)).ok());
    for (const bool user : {false, true}) {
      MakePod(absl::StrCat("links", user, link[0] == '/'), user);
      for (int order = 0; order < 4; ++order) {
        SCOPED_TRACE(absl::StrCat(link, " ", user, " ", order));
        cri::ContainerConfig config = IdleConfig(absl::StrCat("main", order));
        config.mutable_image()->set_image(kLinkImage);
        if (user) UseUserNamespace(NamespaceOptions(&config), kIds);
        config.mutable_linux()->mutable_security_context()->set_readonly_rootfs(
            order == 1);
        std::vector<std::pair<std::string, std::string>> mounts = {
            {token, "/var/run/secrets/kubernetes.io/serviceaccount"},
            {run, order < 2 ? "/run" : "/var/run"},
            {x, "/run/x"}};
        if (order % 2 == 1) std::reverse(mounts.begin(), mounts.end());
        for (const auto& [source, target] : mounts) {
          AddMount(&config, source, target, source == token);
        }
        const std::string id = Run(pod_id_, pod_, config);
        EXPECT_EQ(
            ShellOutput(id,
                        "cat /run/secrets/kubernetes.io/serviceaccount/token "
                        "/var/run/secrets/kubernetes.io/serviceaccount/token "
                        "/run/x/x /var/run/x/x"),
            "secret\nsecret\nx\nx\n");
      }
    }
  }
}

TEST_F(FieldMountsTest, C27_AMountInAMount) {
  MakePod("nested");
  const std::string v = Directory("v");
  const std::string w = Directory("w");
  File("w/mark", "w\n");
  const auto nested = [&](const std::string& target, bool readonly,
                          bool file = false) {
    cri::ContainerConfig config = IdleConfig("main");
    AddMount(&config, v, "/v", readonly);
    AddMount(&config, file ? w + "/mark" : w, target, false);
    return config;
  };
  // No mount point, and none can be made: V on the host is left alone.
  for (const bool file : {false, true}) {
    const char* target = file ? "/v/sub/f" : "/v/sub";
    const absl::Status refused = CreateAndStart(nested(target, true, file));
    EXPECT_THAT(std::string(refused.message()),
                AllOf(HasSubstr(target), HasSubstr("Read-only")));
  }
  EXPECT_EQ(RunCommand({"ls", "-A", v}).out, "");
  // It is made in a volume that may be written to, and stays.
  const std::string made = Run(pod_id_, pod_, nested("/v/made", false));
  EXPECT_EQ(ShellOutput(made, "cat /v/made/mark"), "w\n");
  EXPECT_EQ(RunCommand({"stat", "-c", "%a %u:%g", v + "/made"}).out,
            "755 0:0\n");
  EXPECT_TRUE(client().RemoveContainer(made).ok());
  // There is one, and V is read-only, all the way down; W is not.
  Directory("v/sub");
  cri::ContainerConfig config = nested("/v/sub", true);
  config.mutable_mounts(0)->set_recursive_read_only(true);
  const std::string id = Run(pod_id_, pod_, config);
  EXPECT_EQ(ShellOutput(id,
                        "cat /v/sub/mark; touch /v/sub/new && echo new; "
                        "touch /v/new 2>&1 || true"),
            "w\nnew\ntouch: /v/new: Read-only file system\n");
}

// V belongs to nobody in the pod.
TEST_F(FieldMountsTest, C27_InAVolumeOfAnOwnerThatIsNotMapped) {
  MakePod("mapped", true);
  const std::string v = Directory("v");
  ASSERT_EQ(chmod(v.c_str(), 0700), 0);
  ASSERT_EQ(chown(v.c_str(), 1234, 1234), 0);
  cri::ContainerConfig config = IdleConfig("main");
  UseUserNamespace(NamespaceOptions(&config), kIds);
  AddMount(&config, v, "/v", false);
  AddMount(&config, Directory("w"), "/v/sub", false);
  const absl::Status status = CreateAndStart(config);
  EXPECT_TRUE(status.ok() ||
              std::string(status.message()).find("/v/sub") != std::string::npos)
      << status;
}

// A kubelet's subPath: a bind mount of a file whose name has gone, or that has
// gone itself, or in whose place something else is, when the container starts.
TEST_F(FieldMountsTest, C32_ASourceIsReplacedBeforeTheStart) {
  MakePod("subpath");
  const auto create = [&](const std::string& source, const char* name) {
    cri::ContainerConfig config = IdleConfig(name);
    AddMount(&config, source, "/etc/app.ini", true);
    const auto id = client().CreateContainer(pod_id_, config, pod_);
    EXPECT_TRUE(id.ok()) << id.status();
    return id.ok() ? *id : "";
  };
  const auto content = [&](const std::string& id) {
    const absl::Status started = client().StartContainer(id);
    EXPECT_TRUE(started.ok()) << started;
    return ShellOutput(id, "cat /etc/app.ini");
  };
  // The atomic writer unlinks what is bound. The kernel attaches no such file
  // (ENOENT); a kubelet binds the new one and tries again.
  std::string a = File("a", "created\n");
  const std::string b = File("b", "");
  Bind(a, b);
  std::string id = create(b, "unlinked");
  ASSERT_EQ(unlink(a.c_str()), 0);
  const absl::Status unlinked = client().StartContainer(id);
  EXPECT_THAT(std::string(unlinked.message()),
              AllOf(HasSubstr("/etc/app.ini"), HasSubstr(b)));
  // Unmounted and deleted; then a directory in its place.
  a = File("a", "again\n");
  ASSERT_EQ(umount2(b.c_str(), 0), 0);
  Bind(a, b);
  id = create(b, "gone");
  const std::string other = create(b, "directory");
  ASSERT_EQ(umount2(b.c_str(), 0), 0);
  ASSERT_EQ(unlink(b.c_str()), 0);
  EXPECT_EQ(content(id), "again\n");
  Directory("b");
  EXPECT_EQ(content(other), "again\n");
  // A link that is switched: what it showed at one of the two times.
  File("one", "one\n");
  File("two", "two\n");
  const std::string link = host_ + "/..data";
  ASSERT_EQ(symlink("one", link.c_str()), 0);
  id = create(link, "switched");
  ASSERT_EQ(unlink(link.c_str()), 0);
  ASSERT_EQ(symlink("two", link.c_str()), 0);
  EXPECT_THAT(content(id), testing::AnyOf("one\n", "two\n"));
}

// The daemon opens sources again after a restart. What is missing by then was
// there, and may have been a file: it is not made, and the retry works.
TEST_F(FieldMountsTest, C32_ASourceIsGoneAfterARestart) {
  MakePod("restarted");
  const std::string file = File("file", "text\n");
  cri::ContainerConfig config = IdleConfig("main");
  AddMount(&config, file, "/etc/app.ini", true);
  const auto id = client().CreateContainer(pod_id_, config, pod_);
  ASSERT_TRUE(id.ok()) << id.status();
  KillDaemon();
  ASSERT_EQ(unlink(file.c_str()), 0);
  StartDaemon();
  const absl::Status started = client().StartContainer(*id);
  EXPECT_FALSE(started.ok());
  EXPECT_THAT(std::string(started.message()), HasSubstr(file));
  EXPECT_NE(access(file.c_str(), F_OK), 0) << "a directory was made";
  File("file", "new\n");
  config.mutable_metadata()->set_attempt(1);
  EXPECT_EQ(ShellOutput(Run(pod_id_, pod_, config), "cat /etc/app.ini"),
            "new\n");
}

// systemd and Docker make all mounts shared, whatever they were made to be.
TEST_F(FieldMountsTest, C25_AHostWhoseMountsAreMadeShared) {
  cri::PodSandboxConfig other = Pod("other");
  Run(RunPod(other), other, IdleConfig("main"));
  ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr), 0);
  MakePod("exporter");
  for (const auto propagation :
       {cri::PROPAGATION_PRIVATE, cri::PROPAGATION_HOST_TO_CONTAINER,
        cri::PROPAGATION_BIDIRECTIONAL}) {
    for (const std::string& source :
         {std::string("/"), daemon().directory(), daemon().run_dir()}) {
      SCOPED_TRACE(source + cri::MountPropagation_Name(propagation));
      cri::ContainerConfig config = IdleConfig("main");
      AddMount(&config, source, "/host", true);
      config.mutable_mounts(0)->set_propagation(propagation);
      const std::string id = Run(pod_id_, pod_, config);
      EXPECT_EQ(ShellOutput(id, "grep nsfs /proc/self/mountinfo || true"), "");
      EXPECT_TRUE(client().RemoveContainer(id).ok());
    }
  }
  EXPECT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
}

// The node's root in a pod, as exporters of metrics have it: it holds nothing
// of other pods, and shows none of their namespaces.
TEST_F(FieldMountsTest, C25_APodThatMountsTheHostHoldsNobody) {
  for (const bool restart : {false, true}) {
    SCOPED_TRACE(restart);
    cri::PodSandboxConfig other = Pod(absl::StrCat("other", restart));
    const std::string other_id = RunPod(other);
    Run(other_id, other, IdleConfig("main"));
    MakePod(absl::StrCat("exporter", restart));
    cri::ContainerConfig config = IdleConfig("main");
    AddMount(&config, "/", "/host", true);
    const std::string id = Run(pod_id_, pod_, config);
    if (restart) {
      KillDaemon();
      StartDaemon();
    }
    EXPECT_EQ(ShellOutput(id, "grep nsfs /proc/self/mountinfo || true"), "");
    EXPECT_TRUE(client().StopPodSandbox(other_id).ok());
    EXPECT_TRUE(client().RemovePodSandbox(other_id).ok());
    EXPECT_EQ(ShellOutput(id, absl::StrCat("ls -d /host", daemon().run_dir(),
                                           "/sandboxes/", other_id,
                                           " 2>/dev/null || true")),
              "");
    RemoveAllPods();
  }
}

}  // namespace
}  // namespace warren::test
