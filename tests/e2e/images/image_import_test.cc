// NodeService.ImportImage, and what containers take from an image.
#include <set>
#include <utility>
#include <vector>

#include "tests/support/cri_test.h"
#include "tests/support/ledger_probes.h"
#include "tests/support/oci_image.h"

namespace warren::test {
namespace {

class ImageImportTest : public CriTest {
 protected:
  absl::Status ImportCode(const std::string& reference,
                          const std::string& archive) {
    return client().ImportImage(reference, archive).status();
  }
  // Imports `image`, runs `config` from it and returns the container.
  std::string RunImage(const OciImage& image, cri::ContainerConfig config) {
    auto reply = client().ImportImage("example.test/run:1", OciArchive(image));
    EXPECT_TRUE(reply.ok()) << reply.status();
    config.mutable_image()->set_image("example.test/run:1");
    return RunAlone(config);
  }
  std::string LogOf(const std::string& container_id) {
    WaitExited(container_id);
    return ReadHostFile(StatusOf(container_id).log_path());
  }
  void TearDown() override {
    cri::RemoveImageRequest request;
    request.mutable_image()->set_image("example.test/run:1");
    EXPECT_TRUE(client().Call<cri::RemoveImageResponse>(request).ok());
    CriTest::TearDown();
  }
  Ledger ImageFiles() {
    return {{"file", Files(daemon().state_dir() + "/images", {})}};
  }
};

TEST_F(ImageImportTest, BadArchivesAreRefusedAndLeaveNothing) {
  const auto before = ImageFiles();
  OciImage good;
  good.layers = {Tar({{.name = "file", .content = "x"}})};
  OciImage digest = good;
  digest.forged_layer_digest = Sha256("something else");
  OciImage diff_id = good;
  diff_id.forged_diff_id = Sha256("something else");
  const std::string whole = OciArchive(good);
  const std::vector<std::pair<const char*, std::string>> cases = {
      {"a blob that its digest does not match", OciArchive(digest)},
      {"a layer that its diff id does not match", OciArchive(diff_id)},
      {"not a tar", std::string(5000, 'x')},
      {"nothing", ""},
      {"cut short", whole.substr(0, whole.size() / 2)},
      {"no index", Tar({{.name = "oci-layout",
                         .content = "{\"imageLayoutVersion\":\"1.0.0\"}"}})},
      {"an index that is not JSON",
       Tar({{.name = "oci-layout",
             .content = "{\"imageLayoutVersion\":\"1.0.0\"}"},
            {.name = "index.json", .content = "{{{{"}})}};
  for (const auto& [what, archive] : cases) {
    EXPECT_CODE(ImportCode("example.test/bad:1", archive), kInvalidArgument)
        << what;
    // Garbage of earlier images may go at any time.
    EXPECT_THAT(LedgerDiff(before, ImageFiles()),
                testing::Not(testing::HasSubstr("+ ")))
        << what;
  }
}

TEST_F(ImageImportTest, BadReferencesAreRefused) {
  OciImage image;
  image.layers = {Tar({{.name = "file", .content = "x"}})};
  for (const char* name : {"", "A B", "x@sha256:zz", "-", "UPPER"}) {
    EXPECT_CODE(ImportCode(name, OciArchive(image)), kInvalidArgument) << name;
  }
}

TEST_F(ImageImportTest, IMG_LayersCannotEscape) {
  OciImage image;
  image.layers = {BusyboxLayer(
      {"sh", "ls"}, {{.name = "../../escaped", .content = "x"},
                     {.name = "link", .type = '2', .link = "/"},
                     {.name = "link/etc/warren-escaped", .content = "x"}})};
  // Refused as a whole or kept inside; nothing appears outside either way.
  const auto reply =
      client().ImportImage("example.test/run:1", OciArchive(image));
  EXPECT_TRUE(reply.ok() ||
              reply.status().code() == absl::StatusCode::kInvalidArgument)
      << reply.status();
  EXPECT_FALSE(HostFileExists("/etc/warren-escaped"));
  EXPECT_FALSE(HostFileExists(daemon().state_dir() + "/escaped"));
  EXPECT_FALSE(HostFileExists(daemon().state_dir() + "/images/escaped"));
}

TEST_F(ImageImportTest, EntrypointCommandEnvironmentAndFolderComeFromTheImage) {
  OciImage image;
  image.config_json =
      R"({"Entrypoint":["sh","-c","echo $0 $1 $FROM_IMAGE $BOTH; pwd"],)"
      R"("Cmd":["one","two"],"Env":["PATH=/bin","FROM_IMAGE=i","BOTH=i"],)"
      R"("WorkingDir":"/work/deep"})";
  image.layers = {BusyboxLayer({"sh"}, {})};
  cri::ContainerConfig config = ContainerConfig("main", {});
  auto* env = config.add_envs();
  env->set_key("BOTH");
  env->set_value("request");
  const std::string log = LogOf(RunImage(image, config));
  EXPECT_THAT(log, testing::HasSubstr("one two i request"));
  EXPECT_THAT(log, testing::HasSubstr("/work/deep"));
}

TEST_F(ImageImportTest, ArgumentsReplaceTheImagesCommandOnly) {
  OciImage image;
  image.config_json = R"({"Entrypoint":["sh","-c","echo got $0"],)"
                      R"("Cmd":["image"],"Env":["PATH=/bin"]})";
  image.layers = {BusyboxLayer({"sh"}, {})};
  cri::ContainerConfig config = ContainerConfig("main", {});
  config.add_args("request");
  EXPECT_THAT(LogOf(RunImage(image, config)),
              testing::HasSubstr("got request"));
}

TEST_F(ImageImportTest, TheImagesUserIsLookedUpInsideItsRoot) {
  OciImage image;
  image.config_json = R"({"User":"app","Env":["PATH=/bin"]})";
  image.layers = {BusyboxLayer({"sh", "id", "sleep"},
                               {{.name = "etc", .type = '5'},
                                {.name = "etc/passwd",
                                 .content = "app:x:1234:4321::/home:/bin/sh\n",
                                 .mode = 0644},
                                {.name = "etc/group",
                                 .content = "app:x:4321:\nmore:x:777:app\n",
                                 .mode = 0644}})};
  const std::string id = RunImage(image, IdleConfig("main"));
  EXPECT_EQ(ShellOutput(id, "id -u; id -g; id -G"), "1234\n4321\n4321 777\n");
  const auto user = StatusOf(id).user().linux();
  EXPECT_EQ(user.uid(), 1234);
  EXPECT_EQ(user.gid(), 4321);
  EXPECT_THAT(user.supplemental_groups(), testing::Contains(777));
}

TEST_F(ImageImportTest, APasswdLinkToTheHostIsNotFollowedOutside) {
  OciImage image;
  image.config_json = R"({"User":"daemon","Env":["PATH=/bin"]})";
  image.layers = {
      BusyboxLayer({"sh"}, {{.name = "etc", .type = '5'},
                            {.name = "etc/passwd",
                             .type = '2',
                             .link = "../../../../../../../../etc/passwd"}})};
  auto reply = client().ImportImage("example.test/run:1", OciArchive(image));
  ASSERT_TRUE(reply.ok()) << reply.status();
  const cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = IdleConfig("main");
  config.mutable_image()->set_image("example.test/run:1");
  // The host has a user "daemon", the image's root has none.
  EXPECT_FALSE(client().CreateContainer(pod_id, config, pod).ok());
}

TEST_F(ImageImportTest, TheImagesStopSignalIsUsed) {
  OciImage image;
  image.config_json = R"({"StopSignal":"SIGUSR1","Env":["PATH=/bin"]})";
  image.layers = {BusyboxLayer({"sh", "sleep"}, {})};
  const std::string id = RunImage(
      image, ShellConfig("main",
                         "trap 'exit 42' USR1; while :; do sleep 100 & wait; "
                         "done"));
  EXPECT_EQ(StatusOf(id).stop_signal(), cri::SIGNAL_SIGUSR1);
  EXPECT_TRUE(client().StopContainer(id, 10).ok());
  EXPECT_EQ(StatusOf(id).exit_code(), 42);
}

TEST_F(ImageImportTest, UpperLayersHideLowerOnes) {
  OciImage image;
  image.config_json = R"({"Env":["PATH=/bin"]})";
  image.layers = {
      BusyboxLayer({"sh", "cat", "ls", "sleep"},
                   {{.name = "kept", .content = "low"},
                    {.name = "gone", .content = "low"},
                    {.name = "changed", .content = "low"}}),
      Tar({{.name = ".wh.gone"}, {.name = "changed", .content = "high"}})};
  const std::string id = RunImage(image, IdleConfig("main"));
  EXPECT_EQ(ShellOutput(id, "cat /kept /changed"), "lowhigh");
  EXPECT_EQ(ShellOutput(id, "ls /gone 2>/dev/null; true"), "");
}

}  // namespace
}  // namespace warren::test
