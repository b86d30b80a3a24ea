// Devices by their names in the Container Device Interface.
#include "tests/e2e/devices/device_test_base.h"

namespace warren::test {
namespace {

class CdiTest : public DeviceTest {
 protected:
  void Write(const std::string& name, const std::string& text) {
    WriteHostFile(CdiDirectory() + "/" + name, text, 0644);
  }
  // One device v.test/c=<device> with these edits.
  void WriteDevice(const std::string& file, const std::string& device,
                   const std::string& edits) {
    Write(file, absl::StrCat(R"({"cdiVersion": "0.7.0", "kind": "v.test/c",
        "devices": [{"name": ")",
                             device, R"(", "containerEdits": )", edits, "}]}"));
  }
  // Every edit there is.
  void WriteFullDevice() {
    const std::string library = daemon().directory() + "/library";
    std::filesystem::create_directories(library);
    WriteHostFile(library + "/text", "from the host\n", 0644);
    WriteDevice("full.json", "full",
                absl::StrCat(R"({
        "env": ["FROM=cdi", "MORE=1"], "additionalGids": [4321],
        "deviceNodes": [
          {"path": "/dev/mine", "hostPath": ")",
                             Nodes(), R"(/loop",
           "permissions": "r"},
          {"path": "/dev/made", "type": "b", "major": 7, "minor": 6,
           "fileMode": 416, "uid": 12, "gid": 34}],
        "mounts": [{"hostPath": ")",
                             library, R"(",
          "containerPath": "/lib/vendor",
          "options": ["ro", "nosuid", "nodev", "noexec", "rbind"]}]})"));
  }
  static cri::ContainerConfig Asking(const std::string& name) {
    cri::ContainerConfig config = IdleConfig("main");
    config.add_cdi_devices()->set_name(name);
    auto* env = config.add_envs();
    env->set_key("FROM");
    env->set_value("request");
    return config;
  }
  void ExpectFullDevice(const std::string& id) {
    EXPECT_EQ(ShellOutput(id,
                          "echo $FROM $MORE; cat /lib/vendor/text; "
                          "id -G | tr ' ' '\\n' | grep -x 4321"),
              "cdi 1\nfrom the host\n4321\n");
    EXPECT_EQ(Access(id, "/dev/mine"), "r");
    EXPECT_EQ(ShellOutput(id, "stat -c '%a %u:%g %t:%T' /dev/made"),
              "640 12:34 7:6\n");
    EXPECT_EQ(Access(id, "/dev/made"), "rw");
    EXPECT_EQ(ShellOutput(id,
                          "grep ' /lib/vendor ' /proc/mounts | cut -d' ' -f4 | "
                          "cut -d, -f1-4"),
              "ro,nosuid,nodev,noexec\n");
  }
};

TEST_F(CdiTest, EveryEdit) {
  WriteFullDevice();
  ExpectFullDevice(RunAlone(Asking("v.test/c=full")));
}

TEST_F(CdiTest, RestartNeedsNoFile) {
  WriteFullDevice();
  const cri::ContainerConfig config = Asking("v.test/c=full");
  const cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const std::string running = Run(pod_id, pod, config);
  cri::ContainerConfig later = config;
  later.mutable_metadata()->set_name("created");
  const auto created = client().CreateContainer(pod_id, later, pod);
  ASSERT_TRUE(created.ok()) << created.status();
  KillDaemon();
  std::filesystem::remove(CdiDirectory() + "/full.json");
  StartDaemon();
  ASSERT_TRUE(client().StartContainer(*created).ok());
  ExpectFullDevice(running);
  ExpectFullDevice(*created);
}

TEST_F(CdiTest, YamlAndAnnotationsMergedOnce) {
  Write("v.yaml",
        "cdiVersion: 0.6.0\nkind: v.test/c\n"
        "containerEdits: {env: [SPEC=1]}\ndevices:\n"
        "- name: a\n  containerEdits: {env: [A=1]}\n"
        "- name: b\n  containerEdits: {env: [B=1]}\n");
  cri::ContainerConfig config = Asking("v.test/c=a");
  (*config.mutable_annotations())["cdi.k8s.io/plugin"] =
      "v.test/c=a,v.test/c=b";
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id, "env | grep -E '^(SPEC|A|B)=' | sort"),
            "A=1\nB=1\nSPEC=1\n");
}

TEST_F(CdiTest, TheLaterFolderWinsAndChangesAreSeen) {
  WriteDevice("a.json", "a", R"({"env": ["FROM=lower"]})");
  EXPECT_EQ(ShellOutput(RunAlone(Asking("v.test/c=a")), "echo $FROM"),
            "lower\n");
  RemoveAllPods();
  WriteHostFile(UpperCdiDirectory() + "/a.yaml",
                "cdiVersion: 0.6.0\nkind: v.test/c\ndevices:\n"
                "- {name: a, containerEdits: {env: [FROM=upper]}}\n",
                0644);
  EXPECT_EQ(ShellOutput(RunAlone(Asking("v.test/c=a")), "echo $FROM"),
            "upper\n");
}

TEST_F(CdiTest, UserNamespacePods) {
  WriteFullDevice();
  cri::PodSandboxConfig pod = Pod("mapped");
  UseUserNamespace(NamespaceOptions(&pod), 3 * 65536);
  cri::ContainerConfig config = Asking("v.test/c=full");
  UseUserNamespace(NamespaceOptions(&config), 3 * 65536);
  const std::string id = Run(RunPod(pod), pod, config);
  EXPECT_EQ(Access(id, "/dev/mine"), "r");
  EXPECT_EQ(ShellOutput(id, "stat -c '%a %u:%g' /dev/made"), "640 12:34\n");
}

TEST_F(CdiTest, BadNamesNameTheField) {
  for (const char* bad : {"", "c=d", "v.test/c", "v.test/c=", "v.test/c=a/b",
                          "1/c=a", "v/c=a=b"}) {
    ExpectRefused(Asking(bad), absl::StatusCode::kInvalidArgument,
                  "config.CDI_devices[0].name: ");
  }
  cri::ContainerConfig config = IdleConfig("bad");
  (*config.mutable_annotations())["cdi.k8s.io/x"] = "v.test/c=a,,";
  ExpectRefused(config, absl::StatusCode::kInvalidArgument,
                "config.annotations[\"cdi.k8s.io/x\"]: ");
}

TEST_F(CdiTest, WhatCannotBeHadIsRefused) {
  constexpr auto kCode = absl::StatusCode::kFailedPrecondition;
  ExpectRefused(Asking("v.test/c=a"), kCode, "config.CDI_devices[0].name: ");
  // Broken files break what they would define, and the message says so.
  Write("broken.json", "{");
  WriteDevice("good.json", "good", R"({"env": ["FROM=good"]})");
  ExpectRefused(Asking("v.test/c=a"), kCode, "broken.json");
  EXPECT_EQ(ShellOutput(RunAlone(Asking("v.test/c=good")), "echo $FROM"),
            "good\n");
  WriteDevice("twice.json", "good", "{}");
  ExpectRefused(Asking("v.test/c=good"), kCode, "twice.json");
  const std::string missing = daemon().directory() + "/none-such";
  const std::pair<std::string, std::string> edits[] = {
      {R"({"hooks": [{"hookName": "createContainer", "path": "/x"}]})",
       "hooks"},
      {R"({"intelRdt": {"closID": "x"}})", "intelRdt"},
      {R"({"netDevices": [{"hostInterfaceName": "x", "name": "y"}]})",
       "netDevices"},
      {R"({"deviceNodes": [{"path": "/dev/f", "type": "p"}]})", "deviceNodes"},
      {absl::StrCat(R"({"mounts": [{"containerPath": "/x", "hostPath": ")",
                    missing, "\"}]}"),
       missing},
      {R"({"deviceNodes": [{"path": "/dev/none-such"}]})",
       "deviceNodes[0].host_path"},
      {R"({"deviceNodes": [{"path": "/dev/null", "type": "b"}]})",
       "another type"}};
  for (const auto& [text, what] : edits) {
    WriteDevice("edit.json", "edit", text);
    ExpectRefused(
        Asking("v.test/c=edit"),
        what == "another type" ? absl::StatusCode::kInvalidArgument : kCode,
        what);
  }
}

}  // namespace
}  // namespace warren::test
