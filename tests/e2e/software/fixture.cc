#include "tests/e2e/software/fixture.h"

#include <absl/time/clock.h>
#include <sys/stat.h>

#include "tests/support/command.h"

namespace warren::test {
namespace {

constexpr uint32_t kHostStart = 65536 * 7;
constexpr int64_t kGrace = 30;  // seconds, a kubelet's default

}  // namespace

std::string SoftwareTest::Missing(const std::vector<std::string>& images) {
  for (const std::string& image : images) {
    const std::string why = MissingSoftware(image);
    if (!why.empty()) return why;
    const absl::Status imported = ImportSoftware(client(), daemon(), image);
    EXPECT_TRUE(imported.ok()) << imported;
  }
  return "";
}

cri::PodSandboxConfig SoftwareTest::SoftwarePod(const std::string& name) {
  cri::PodSandboxConfig pod = Pod(name);
  pod.mutable_linux()
      ->mutable_security_context()
      ->mutable_seccomp()
      ->set_profile_type(cri::SecurityProfile::RuntimeDefault);
  if (GetParam()) UseUserNamespace(NamespaceOptions(&pod), kHostStart);
  return pod;
}

cri::ContainerConfig SoftwareTest::Software(
    const std::string& image, const std::vector<std::string>& command) {
  cri::ContainerConfig config = ContainerConfig(image, command);
  config.mutable_image()->set_image(SoftwareReference(image));
  config.mutable_linux()
      ->mutable_security_context()
      ->mutable_seccomp()
      ->set_profile_type(cri::SecurityProfile::RuntimeDefault);
  if (GetParam()) UseUserNamespace(NamespaceOptions(&config), kHostStart);
  return config;
}

std::string SoftwareTest::EmptyDir(const std::string& name) {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  std::string path = daemon().directory() + "/volumes/" + test->name();
  path += "/" + name;
  EXPECT_EQ(RunCommand({"mkdir", "-p", path}).exit_code, 0);
  EXPECT_EQ(chmod(path.c_str(), 0777), 0);
  return path;
}

std::string SoftwareTest::Bash(const std::string& container,
                               const std::string& script) {
  return Output(container, {"bash", "-ec", script});
}

void SoftwareTest::WaitFor(const std::string& container,
                           const std::string& script) {
  std::string last;
  const bool done = Eventually(
      [&] {
        auto result = client().ExecSync(container, {"bash", "-c", script});
        if (!result.ok()) {
          last = std::string(result.status().message());
          return false;
        }
        last = result->stdout() + result->stderr();
        return result->exit_code() == 0;
      },
      absl::Seconds(60));
  ASSERT_TRUE(done) << script << "\n" << last << LogOf(container);
}

std::string SoftwareTest::PodIp(const std::string& pod) {
  const auto status = client().PodSandboxStatus(pod);
  EXPECT_TRUE(status.ok()) << status.status();
  return status.ok() ? status->status().network().ip() : "";
}

std::string SoftwareTest::LogOf(const std::string& container) {
  return ReadHostFile(StatusOf(container).log_path());
}

void SoftwareTest::WaitForLog(const std::string& container,
                              const std::string& text) {
  const auto said = [&] {
    return LogOf(container).find(text) != std::string::npos;
  };
  Eventually(
      [&] {
        return said() || StatusOf(container).state() == cri::CONTAINER_EXITED;
      },
      absl::Seconds(60));
  ASSERT_TRUE(said()) << "no \"" << text << "\" in:\n" << LogOf(container);
}

void SoftwareTest::StopsCleanly(const std::string& container, int exit_code) {
  // One that does not end by itself is killed, and its exit code tells.
  const absl::Status stopped = client().StopContainer(container, kGrace);
  EXPECT_TRUE(stopped.ok()) << stopped;
  const cri::ContainerStatus status = StatusOf(container);
  EXPECT_EQ(status.state(), cri::CONTAINER_EXITED);
  EXPECT_EQ(status.exit_code(), exit_code) << LogOf(container);
  EXPECT_EQ(status.reason(), exit_code == 0 ? "Completed" : "Error");
}

}  // namespace warren::test
