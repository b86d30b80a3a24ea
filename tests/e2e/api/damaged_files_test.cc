// A FIFO, a directory, a socket or garbage in place of each file that a start
// reads: the daemon starts, what ran runs on, Status names the file.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>

#include "runtime/base/unique_fd.h"
#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/oci_image.h"
#include "tests/support/temp_directory.h"

namespace warren::test {
namespace {

namespace fs = std::filesystem;

enum Thing { kFifo, kDirectory, kSocket, kGarbage };
constexpr Thing kThings[] = {kFifo, kDirectory, kSocket, kGarbage};
constexpr const char* kNames[] = {"FIFO", "directory", "socket", "garbage"};

void Put(Thing thing, const std::string& path) {
  switch (thing) {
    case kFifo:
      ASSERT_EQ(mkfifo(path.c_str(), 0600), 0) << path;
      return;
    case kDirectory:
      ASSERT_EQ(mkdir(path.c_str(), 0700), 0) << path;
      return;
    case kSocket: {
      // Through its directory: a path of a record is too long for a socket.
      const base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const base::UniqueFd directory(
          open(fs::path(path).parent_path().c_str(), O_PATH | O_CLOEXEC));
      sockaddr_un address = {};
      address.sun_family = AF_UNIX;
      snprintf(address.sun_path, sizeof(address.sun_path),
               "/proc/self/fd/%d/%s", directory.get(),
               fs::path(path).filename().c_str());
      ASSERT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                     sizeof(address)),
                0)
          << path;
      return;
    }
    case kGarbage:
      ASSERT_TRUE(WriteHostFile(path, "\x01garbage {[", 0600)) << path;
      return;
  }
}

class DamagedFilesTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    bystander_ = RunAlone(IdleConfig("by"), &bystander_pod_);
    pid_ = HostPid(bystander_pod_, bystander_);
  }
  void TearDown() override {
    daemon().extra_network.clear();
    CriTest::TearDown();
  }

  // Starts with each thing in place of `path`; `named` is what Status has to
  // say of it, "" if garbage there is as good as anything.
  void StartWithEach(const std::string& path, const std::string& named) {
    for (const Thing thing : kThings) StartWith(thing, path, named);
  }
  void StartWith(Thing thing, const std::string& path,
                 const std::string& named) {
    SCOPED_TRACE(absl::StrCat("a ", kNames[thing], " as ", path));
    KillDaemon();
    const std::string saved = daemon().directory() + "/saved";
    const bool there = rename(path.c_str(), saved.c_str()) == 0;
    Put(thing, path);
    StartDaemon();
    ASSERT_FALSE(HasFatalFailure());
    ExpectNamed(named);
    ExpectServes();
    KillDaemon();
    fs::remove_all(path);
    if (there) {
      ASSERT_EQ(rename(saved.c_str(), path.c_str()), 0);
    }
    StartDaemon();
  }

  void ExpectNamed(const std::string& named) {
    const auto status =
        client().Call<cri::StatusResponse>(cri::StatusRequest());
    ASSERT_TRUE(status.ok()) << status.status();
    for (const cri::RuntimeCondition& condition :
         status->status().conditions()) {
      if (condition.type() != "RecordsReadable") {
        EXPECT_TRUE(condition.status()) << condition.ShortDebugString();
        continue;
      }
      EXPECT_EQ(condition.status(), named.empty());
      EXPECT_THAT(condition.message(), testing::HasSubstr(named));
    }
  }

  void ExpectServes() {
    EXPECT_EQ(StatusOf(bystander_).state(), cri::CONTAINER_RUNNING);
    EXPECT_EQ(HostPid(bystander_pod_, bystander_), pid_);
    EXPECT_EQ(ShellOutput(bystander_, "echo alive"), "alive\n");
    const std::string pod = RunPod(Pod("more"));
    EXPECT_TRUE(client().RemovePodSandbox(pod).ok());
  }

  // The same over a file of the node, by a mount.
  void StartWithMounted(Thing thing, const std::string& path,
                        const std::string& named) {
    SCOPED_TRACE(absl::StrCat("a ", kNames[thing], " over ", path));
    const std::string place = daemon().directory() + "/over";
    Put(thing, place);
    KillDaemon();
    ASSERT_EQ(mount(place.c_str(), path.c_str(), nullptr, MS_BIND, nullptr), 0)
        << strerror(errno);
    StartDaemon();
    if (!HasFatalFailure()) {
      ExpectNamed(named);
      ExpectServes();
    }
    EXPECT_EQ(umount2(path.c_str(), MNT_DETACH), 0);
    fs::remove_all(place);
    ExpectNamed("");  // it is read anew each time
  }

  std::string bystander_, bystander_pod_;
  pid_t pid_ = 0;
};

TEST_F(DamagedFilesTest, REL_16_TheListOfImages) {
  const std::string images = daemon().state_dir() + "/images";
  for (const Thing thing : kThings) {
    StartWith(thing, images + "/refs.json", images + "/refs.json: ");
    for (const auto& entry : fs::directory_iterator(images)) {
      if (absl::StartsWith(entry.path().filename().string(),
                           "refs.json.corrupt")) {
        fs::remove_all(entry.path());
      }
    }
  }
  KillDaemon();
  StartDaemon();
  ExpectNamed("");
  EXPECT_FALSE(RunAlone(IdleConfig("image")).empty()) << "nothing lost";
}

TEST_F(DamagedFilesTest, REL_16_TheDocumentsOfAnImage) {
  for (const Thing thing : kThings) {
    const auto image = client().ImportImage(
        "example.test/damaged:1",
        OciArchive({.layers = {Tar({{.name = "file", .content = "x"}})}}));
    ASSERT_TRUE(image.ok()) << image.status();
    const std::string id = image->image_id();
    StartWith(thing,
              daemon().state_dir() + "/images/blobs/sha256/" +
                  id.substr(id.find(':') + 1),
              id);
  }
}

TEST_F(DamagedFilesTest, REL_16_ThePodRanges) {
  const std::string path = daemon().state_dir() + "/pod_ranges";
  StartWithEach(path, path + ": ");
}

TEST_F(DamagedFilesTest, REL_16_TheDefaultImage) {
  const std::string path = daemon().directory() + "/default.tar";
  // Pods need no image, and the bystander has its layers.
  cri::RemoveImageRequest remove;
  remove.mutable_image()->set_image("warren.local/busybox:latest");
  ASSERT_TRUE(client().Call<cri::RemoveImageResponse>(remove).ok());
  daemon().extra_network =
      absl::StrCat("[image]\ndefault_image = \"", path, "\"\n");
  for (const Thing thing : kThings) {
    KillDaemon();
    Put(thing, path);
    StartDaemon();
    ASSERT_FALSE(HasFatalFailure()) << kNames[thing];
    ExpectNamed(path + ": ");
    ExpectServes();
    fs::remove_all(path);
  }
  KillDaemon();
  StartDaemon();
  ExpectNamed("");  // there is none: nothing out of order
  daemon().extra_network.clear();
  KillDaemon();
  StartDaemon();
  EXPECT_FALSE(RunAlone(IdleConfig("image")).empty());
}

TEST_F(DamagedFilesTest, REL_16_TheRecords) {
  for (const Thing thing : kThings) {
    const std::string pod = RunPod(Pod("lost"));
    const std::string file =
        absl::StrCat(daemon().state_dir(), "/sandboxes/", pod, "/record.pb");
    SCOPED_TRACE(kNames[thing]);
    KillDaemon();
    ASSERT_EQ(unlink(file.c_str()), 0);
    Put(thing, file);
    StartDaemon();
    ASSERT_FALSE(HasFatalFailure());
    ExpectNamed(pod);
    ExpectServes();
    EXPECT_FALSE(fs::exists(fs::symlink_status(file)));
  }
}

TEST_F(DamagedFilesTest, REL_16_TheDirectoryOfDamagedRecords) {
  const std::string quarantine = daemon().state_dir() + "/quarantine";
  for (const Thing thing : {kFifo, kSocket, kGarbage}) {
    const std::string pod = RunPod(Pod("lost"));
    const std::string file =
        absl::StrCat(daemon().state_dir(), "/sandboxes/", pod, "/record.pb");
    SCOPED_TRACE(kNames[thing]);
    KillDaemon();
    const std::string record = ReadHostFile(file);
    ASSERT_TRUE(WriteHostFile(file, "torn", 0600));
    fs::remove_all(quarantine);
    Put(thing, quarantine);
    StartDaemon();
    ASSERT_FALSE(HasFatalFailure());
    ExpectServes();
    const auto status =
        client().Call<cri::StatusResponse>(cri::StatusRequest());
    EXPECT_THAT(status->status().ShortDebugString(),
                testing::HasSubstr("sandboxes/" + pod));
    // Nothing was ended for it; whole again, the pod is as it was.
    KillDaemon();
    fs::remove_all(quarantine);
    ASSERT_TRUE(WriteHostFile(file, record, 0600));
    StartDaemon();
    EXPECT_EQ(client().PodSandboxStatus(pod)->status().state(),
              cri::SANDBOX_READY);
    EXPECT_TRUE(client().RemovePodSandbox(pod).ok());
  }
}

TEST_F(DamagedFilesTest, REL_16_TheNodesOwnFiles) {
  for (const std::string path : {"/etc/resolv.conf", "/etc/hosts"}) {
    if (!fs::is_regular_file(path)) GTEST_SKIP() << "no " << path;
    for (const Thing thing : {kFifo, kSocket}) {
      StartWithMounted(thing, path, path + ": ");
    }
    StartWithMounted(kGarbage, path, "");
  }
}

TEST_F(DamagedFilesTest, REL_16_FilesOfDevices) {
  const std::string directory = daemon().directory() + "/cdi";
  fs::create_directory(directory);
  daemon().extra_network =
      absl::StrCat("[devices]\ncdi_spec_dirs = [\"", directory, "\"]\n");
  KillDaemon();
  StartDaemon();
  for (const Thing thing : kThings) {
    SCOPED_TRACE(kNames[thing]);
    const std::string file = directory + "/vendor.json";
    Put(thing, file);
    cri::ContainerConfig config = IdleConfig("device");
    config.add_cdi_devices()->set_name("vendor.test/class=device");
    const cri::PodSandboxConfig pod = Pod("device");
    const std::string pod_id = RunPod(pod);
    const auto made = client().CreateContainer(pod_id, config, pod);
    EXPECT_CODE(made.status(), kFailedPrecondition);
    EXPECT_THAT(made.status().message(), testing::HasSubstr(file));
    EXPECT_TRUE(client().RemovePodSandbox(pod_id).ok());
    ExpectNamed(file);
    ExpectServes();
    fs::remove_all(file);
  }
  fs::remove_all(directory);
}

// What was asked for in so many words is not passed over.
TEST_F(DamagedFilesTest, REL_16_AConfigurationIsRefused) {
  for (const Thing thing : kThings) {
    const TempDirectory directory;
    const std::string path = directory.path() + "/other.toml";
    Put(thing, path);
    const CommandResult result = RunCommand(
        {BinaryDirectory() + "/warrend", "--config", path, "--check-config"});
    EXPECT_NE(result.exit_code, 0) << kNames[thing];
    EXPECT_THAT(result.out + result.err, testing::HasSubstr(path));
  }
}

}  // namespace
}  // namespace warren::test
