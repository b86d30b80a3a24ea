// The daemon without one capability at a time: it works less well and says
// so, or refuses with a sentence; it never crashes, and what it started can
// be removed.
#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>

#include <string>
#include <vector>

#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

// In the order of their numbers, capability(7).
constexpr const char* kCapabilities[] = {"chown",
                                         "dac_override",
                                         "dac_read_search",
                                         "fowner",
                                         "fsetid",
                                         "kill",
                                         "setgid",
                                         "setuid",
                                         "setpcap",
                                         "linux_immutable",
                                         "net_bind_service",
                                         "net_broadcast",
                                         "net_admin",
                                         "net_raw",
                                         "ipc_lock",
                                         "ipc_owner",
                                         "sys_module",
                                         "sys_rawio",
                                         "sys_chroot",
                                         "sys_ptrace",
                                         "sys_pacct",
                                         "sys_admin",
                                         "sys_boot",
                                         "sys_nice",
                                         "sys_resource",
                                         "sys_time",
                                         "sys_tty_config",
                                         "mknod",
                                         "lease",
                                         "audit_write",
                                         "audit_control",
                                         "setfcap"};

// With a daemon of its own for each capability, all in the same directories.
class CapabilitiesTest : public testing::Test {
 protected:
  // One pod with a container and an exec session, as far as it gets; every
  // refusal by its text.
  std::vector<std::string> TryAPod(const std::string& name) {
    CriClient client(daemon_.socket());
    std::vector<std::string> refused;
    const auto note = [&](const char* call, const absl::Status& status) {
      if (!status.ok()) {
        refused.push_back(absl::StrCat(call, ": ", status.ToString()));
      }
      return status.ok();
    };
    cri::PodSandboxConfig pod =
        PodConfig(absl::StrReplaceAll(name, {{"_", "-"}}), daemon_.log_dir());
    for (const bool user : {false, true}) {
      pod.mutable_metadata()->set_attempt(user);
      cri::ContainerConfig config = IdleConfig("main");
      if (!user) {
        config.mutable_linux()
            ->mutable_security_context()
            ->mutable_run_as_user()
            ->set_value(1000);
      } else {
        UseUserNamespace(NamespaceOptions(&pod), 11 * 65536);
        UseUserNamespace(NamespaceOptions(&config), 11 * 65536);
      }
      const auto pod_id = client.RunPodSandbox(pod);
      if (!note("RunPodSandbox", pod_id.status())) continue;
      const auto id = client.CreateContainer(*pod_id, config, pod);
      if (note("CreateContainer", id.status()) &&
          note("StartContainer", client.StartContainer(*id))) {
        note("ExecSync", client.ExecSync(*id, {"true"}).status());
        note("StopContainer", client.StopContainer(*id, 0));
      }
      note("StopPodSandbox", client.StopPodSandbox(*pod_id));
      note("RemovePodSandbox", client.RemovePodSandbox(*pod_id));
    }
    return refused;
  }

  // The sentences of Status about what is missing.
  std::string Degraded() {
    CriClient client(daemon_.socket());
    cri::StatusRequest request;
    request.set_verbose(true);
    const auto reply = client.Call<cri::StatusResponse>(request);
    EXPECT_TRUE(reply.ok()) << reply.status();
    std::string all;
    if (reply.ok()) {
      for (const auto& [key, value] : reply->info()) all += value;
    }
    return all;
  }

  WarrendProcess daemon_;
};

TEST_F(CapabilitiesTest, CPP_4_WithoutAnyOneCapabilityItWorksLessOrRefuses) {
  for (const std::string name : kCapabilities) {
    SCOPED_TRACE("without " + name);
    daemon_.wrapper = {"/usr/bin/setpriv", "--bounding-set=-" + name,
                       "--inh-caps=-" + name};
    const size_t log = daemon_.LogSize();
    const absl::Status started = daemon_.Start();
    if (!started.ok()) {
      EXPECT_TRUE(absl::IsAborted(started)) << started;
      EXPECT_TRUE(absl::StrContains(daemon_.Log(log), "not permitted") ||
                  absl::StrContains(daemon_.Log(log), "CAP_"))
          << daemon_.Log(log);
      EXPECT_FALSE(absl::StrContains(daemon_.Log(log), "SIG"));
      continue;
    }
    const std::vector<std::string> refused = TryAPod(name);
    const std::string wanted = "CAP_" + absl::AsciiStrToUpper(name);
    if (!refused.empty()) {
      EXPECT_TRUE(absl::StrContains(Degraded(), wanted))
          << refused.front() << " and Status says nothing of " << wanted;
    }
    EXPECT_TRUE(daemon_.running());
    const auto code = daemon_.Terminate();
    EXPECT_TRUE(code.ok() && *code == 0) << code.status();
  }
  // All of it back: what those before could not remove is removed.
  daemon_.wrapper.clear();
  ASSERT_TRUE(daemon_.Start().ok());
  CriClient client(daemon_.socket());
  const auto pods = client.ListPodSandbox();
  ASSERT_TRUE(pods.ok()) << pods.status();
  for (const cri::PodSandbox& pod : *pods) {
    EXPECT_TRUE(client.StopPodSandbox(pod.id()).ok());
    EXPECT_TRUE(client.RemovePodSandbox(pod.id()).ok());
  }
  EXPECT_THAT(TryAPod("whole"), testing::IsEmpty());
  EXPECT_TRUE(daemon_.Terminate().ok());
}

}  // namespace
}  // namespace warren::test
