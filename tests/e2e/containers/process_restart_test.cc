// After the agent was killed, exec sessions of what runs and starts of what
// was only created are exactly what they would have been.
#include <absl/strings/str_cat.h>

#include <string>

#include "tests/support/cri_test.h"
#include "tests/support/oci_image.h"

namespace warren::test {
namespace {

constexpr char kRestartImage[] = "example.test/adopted:1";
constexpr uint32_t kRestartIds = 8 * 65536;

// All that a session can tell of itself and of the first process.
constexpr char kPortrait[] =
    "id; pwd; env | grep -v '^SHLVL=' | sort; "
    "for p in 1 self; do grep -E "
    "'^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp):' /proc/$p/status; "
    "cat /proc/$p/oom_score_adj; done; "
    "awk '{print $2, $3, substr($4, 1, 2)}' /proc/mounts; "
    "cat /proc/version; ls -l /dev | awk '{print $1, $3, $4, $5, $6, $NF}'";

class ProcessRestartTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    OciImage image;
    image.config_json =
        R"({"User":"app","StopSignal":"SIGUSR1","WorkingDir":"/srv/work",)"
        R"("Env":["OF_IMAGE=1"],"Volumes":{"/data":{}}})";
    image.layers = {BusyboxLayer(
        {"sh", "sleep", "grep", "id", "pwd", "env", "sort", "cat", "awk", "ls"},
        {{.name = "etc", .type = '5'},
         {.name = "etc/passwd", .content = "app:x:1000:1001::/home/app:/\n"},
         {.name = "etc/group", .content = "audio:x:29:app\n"}})};
    ASSERT_TRUE(client().ImportImage(kRestartImage, OciArchive(image)).ok());
  }
  static cri::ContainerConfig Config(const std::string& name, bool mapped) {
    cri::ContainerConfig config =
        ShellConfig(name, "trap 'exit 42' USR1; while :; do sleep 0.05; done");
    config.mutable_image()->set_image(kRestartImage);
    auto* env = config.add_envs();
    env->set_key("OF_REQUEST");
    env->set_value("2");
    auto* security = config.mutable_linux()->mutable_security_context();
    security->add_supplemental_groups(4321);
    security->set_no_new_privs(true);
    security->set_readonly_rootfs(true);
    security->mutable_capabilities()->add_drop_capabilities("MKNOD");
    security->mutable_seccomp();  // the default profile
    security->add_masked_paths("/proc/version");
    security->add_readonly_paths("/proc/sys");
    config.mutable_linux()->mutable_resources()->set_oom_score_adj(432);
    if (mapped) UseUserNamespace(NamespaceOptions(&config), kRestartIds);
    return config;
  }
  void RemoveImage() {
    cri::RemoveImageRequest request;
    request.mutable_image()->set_image(kRestartImage);
    EXPECT_TRUE(client().Call<cri::RemoveImageResponse>(request).ok());
  }
};

TEST_F(ProcessRestartTest, REL_1_WhoItIsAndWhatItSeesOutlivesTheAgent) {
  for (const bool mapped : {false, true}) {
    cri::PodSandboxConfig pod = Pod(mapped ? "mapped" : "plain");
    if (mapped) UseUserNamespace(NamespaceOptions(&pod), kRestartIds);
    const std::string pod_id = RunPod(pod);
    const std::string running = Run(pod_id, pod, Config("running", mapped));
    const auto created =
        client().CreateContainer(pod_id, Config("created", mapped), pod);
    ASSERT_TRUE(created.ok()) << created.status();
    const std::string before = ShellOutput(running, kPortrait);
    for (const char* fact :
         {"uid=1000(app) gid=1001 groups=29(audio),1001,4321\n", "/srv/work\n",
          "HOME=/home/app\n", "OF_IMAGE=1\n", "OF_REQUEST=2\n",
          "NoNewPrivs:\t1\n", "Seccomp:\t2\n", "CapBnd:\t00000000a00425fb\n",
          "\n432\n", "/ overlay ro\n", "/proc/sys proc ro\n", "/data "}) {
      EXPECT_THAT(before, testing::HasSubstr(fact));
    }
    KillDaemon();
    StartDaemon();
    EXPECT_EQ(ShellOutput(running, kPortrait), before);
    ASSERT_TRUE(client().StartContainer(*created).ok());
    EXPECT_EQ(ShellOutput(*created, kPortrait), before);
    for (const std::string& id : {running, *created}) {
      EXPECT_TRUE(client().StopContainer(id, 20).ok());
      EXPECT_EQ(StatusOf(id).exit_code(), 42) << "the image's stop signal";
    }
  }
  RemoveAllPods();
  RemoveImage();
}

}  // namespace
}  // namespace warren::test
