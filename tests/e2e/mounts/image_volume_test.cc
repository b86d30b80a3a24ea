// Images as volumes, and the volumes that an image declares.
#include <sys/stat.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/ledger_probes.h"
#include "tests/support/oci_image.h"

namespace warren::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr char kModel[] = "example.test/model:1";
constexpr char kApp[] = "example.test/app:1";
constexpr uint32_t kVolumeIds = 7 * 65536;

class ImageVolumeTest : public CriTest {
 protected:
  void TearDown() override {
    RemoveAllPods();
    RemoveImage(kModel);
    RemoveImage(kApp);
    CriTest::TearDown();
  }
  void RemoveImage(const std::string& name) {
    cri::RemoveImageRequest request;
    request.mutable_image()->set_image(name);
    EXPECT_TRUE(client().Call<cri::RemoveImageResponse>(request).ok());
  }
  // Returns the id.
  std::string Import(const std::string& name, const OciImage& image) {
    const auto reply = client().ImportImage(name, OciArchive(image));
    EXPECT_TRUE(reply.ok()) << reply.status();
    cri::ImageStatusRequest request;
    request.mutable_image()->set_image(name);
    const auto status = client().Call<cri::ImageStatusResponse>(request);
    EXPECT_TRUE(status.ok()) << status.status();
    return status.ok() ? status->image().id() : "";
  }
  std::string ImportModel(int layers = 2) {
    OciImage image;
    image.layers = {
        Tar({{.name = "data", .type = '5'},
             {.name = "data/weights", .content = "low\n"},
             {.name = "data/gone", .content = "x"},
             {.name = "run.sh", .content = "#!/bin/sh\necho ran\n"},
             {.name = "in", .type = '2', .link = "/data"},
             {.name = "out", .type = '2', .link = "../../../../../../etc"},
             {.name = "up", .type = '2', .link = "../../.."}})};
    if (layers > 1) {
      image.layers.push_back(Tar({{.name = "data/weights", .content = "high\n"},
                                  {.name = "data/.wh.gone"}}));
    }
    return Import(kModel, image);
  }
  static cri::Mount* AddImage(cri::ContainerConfig* config,
                              const std::string& image,
                              const std::string& target,
                              const std::string& sub_path = "") {
    cri::Mount* mount = config->add_mounts();
    mount->set_container_path(target);
    mount->mutable_image()->set_image(image);
    mount->set_image_sub_path(sub_path);
    mount->set_readonly(true);
    return mount;
  }
  Ledger Layers() {
    return {{"layer", Files(daemon().state_dir() + "/images/layers", {})}};
  }
};

TEST_F(ImageVolumeTest, AnImageIsDataOnly) {
  const std::string image_id = ImportModel();
  cri::ContainerConfig config = IdleConfig("main");
  AddImage(&config, image_id, "/by-id");
  AddImage(&config, kModel, "/by-name")->set_readonly(false);
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id,
                        "cat /by-id/data/weights /by-name/data/weights; "
                        "ls /by-id/data; ls -a /by-id"),
            "high\nhigh\nweights\n.\n..\ndata\nin\nout\nrun.sh\nup\n");
  EXPECT_THAT(ShellOutput(id, "touch /by-name/x 2>&1 || true"),
              HasSubstr("Read-only"));
  EXPECT_THAT(ShellOutput(id, "/by-id/run.sh 2>&1 || true"),
              HasSubstr("Permission denied"));
  EXPECT_THAT(ShellOutput(id, "grep /by-name /proc/mounts"),
              AllOf(HasSubstr("ro,"), HasSubstr("nosuid"), HasSubstr("nodev"),
                    HasSubstr("noexec")));
}

TEST_F(ImageVolumeTest, OneLayerIsEnough) {
  ImportModel(1);
  cri::ContainerConfig config = IdleConfig("main");
  AddImage(&config, kModel, "/m");
  EXPECT_EQ(ShellOutput(RunAlone(config), "cat /m/data/weights"), "low\n");
}

TEST_F(ImageVolumeTest, FS_1_SubPathsStayInTheImage) {
  ImportModel();
  cri::ContainerConfig config = IdleConfig("main");
  AddImage(&config, kModel, "/directory", "data");
  AddImage(&config, kModel, "/file", "data/weights");
  AddImage(&config, kModel, "/link", "in");
  AddImage(&config, kModel, "/deep/in/a/link", "in/weights");
  AddImage(&config, kModel, "/climbed", "up");
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id,
                        "cat /directory/weights /file /link/weights "
                        "/deep/in/a/link"),
            "high\nhigh\nhigh\nhigh\n");
  EXPECT_EQ(ShellOutput(id, "ls /climbed"), "data\nin\nout\nrun.sh\nup\n")
      << "the root is the end of all climbing";
  EXPECT_THAT(ShellOutput(id, "echo x 2>&1 >/file || true"),
              HasSubstr("Read-only"));
  const cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  // "out" leads to the node's /etc, and the image has none.
  for (const char* bad : {"out", "out/passwd", "data/gone", "data/weights/x"}) {
    cri::ContainerConfig refused = IdleConfig("refused");
    AddImage(&refused, kModel, "/m", bad);
    const auto status = client().CreateContainer(pod_id, refused, pod).status();
    EXPECT_CODE(status, kInvalidArgument) << bad;
    EXPECT_THAT(std::string(status.message()),
                StartsWith("ImageVolumeMountFailed"))
        << bad;
  }
}

TEST_F(ImageVolumeTest, ItBelongsToThePodsUsers) {
  ImportModel();
  cri::PodSandboxConfig pod = Pod("pod");
  UseUserNamespace(NamespaceOptions(&pod), kVolumeIds);
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = IdleConfig("main");
  UseUserNamespace(NamespaceOptions(&config), kVolumeIds);
  AddImage(&config, kModel, "/plain");
  cri::Mount* mapped = AddImage(&config, kModel, "/mapped", "data");
  for (cri::IDMapping* m :
       {mapped->add_uidmappings(), mapped->add_gidmappings()}) {
    m->set_host_id(kVolumeIds);
    m->set_length(65536);
  }
  const std::string id = Run(pod_id, pod, config);
  EXPECT_EQ(ShellOutput(id,
                        "stat -c %u:%g /plain /plain/data/weights "
                        "/mapped/weights"),
            "0:0\n0:0\n0:0\n");
}

TEST_F(ImageVolumeTest, LayersStayAsLongAsTheContainer) {
  const Ledger before = Layers();
  ImportModel();
  cri::ContainerConfig config = IdleConfig("main");
  AddImage(&config, kModel, "/m");
  const cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const auto created = client().CreateContainer(pod_id, config, pod);
  ASSERT_TRUE(created.ok()) << created.status();
  const Ledger with = Layers();
  RemoveImage(kModel);
  KillDaemon();
  StartDaemon();
  EXPECT_EQ(LedgerDiff(with, Layers()), "");
  ASSERT_TRUE(client().StartContainer(*created).ok());
  EXPECT_EQ(ShellOutput(*created, "cat /m/data/weights"), "high\n");
  RemoveAllPods();
  RemoveImage(kModel);  // of none, but it sweeps
  ASSERT_TRUE(
      client().Call<cri::ImageFsInfoResponse>(cri::ImageFsInfoRequest()).ok());
  EXPECT_EQ(LedgerDiff(before, Layers()), "");
}

TEST_F(ImageVolumeTest, ErrorsSayWhatTheyAreAbout) {
  const cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = IdleConfig("main");
  AddImage(&config, "example.test/absent:1", "/m");
  const auto absent = client().CreateContainer(pod_id, config, pod).status();
  EXPECT_CODE(absent, kNotFound);
  EXPECT_THAT(
      std::string(absent.message()),
      StartsWith("ImageVolumeMountFailed: config.mounts[0].image.image: "));
}

// ---- VOLUMEs of the image the container runs from -------------------------

class DeclaredVolumeTest : public ImageVolumeTest {
 protected:
  // /data with odd things in it, and links that lead elsewhere.
  cri::ContainerConfig App(const std::string& volumes,
                           const std::vector<TarMember>& more = {}) {
    OciImage image;
    image.config_json = R"({"Env":["PATH=/bin"],"Volumes":{)" + volumes + "}}";
    std::vector<TarMember> members = {
        {.name = "data", .type = '5', .mode = 0750, .uid = 7, .gid = 8},
        {.name = "data/file",
         .content = "from the image",
         .mode = 04640,
         .uid = 1000,
         .gid = 1001},
        {.name = "data/sub", .type = '5', .mode = 01777},
        {.name = "data/sub/in", .content = "in", .uid = 0},
        {.name = "data/link", .type = '2', .link = "/etc/passwd"},
        {.name = "data/fifo", .type = '6'}};
    members.insert(members.end(), more.begin(), more.end());
    image.layers = {BusyboxLayer({"sh", "cat", "stat", "touch", "ls", "test",
                                  "readlink", "echo", "sleep", "true"},
                                 members)};
    Import(kApp, image);
    cri::ContainerConfig config = IdleConfig("main");
    config.mutable_image()->set_image(kApp);
    return config;
  }
};

TEST_F(DeclaredVolumeTest, AVolumeIsFilledWritableAndPrivate) {
  cri::ContainerConfig config = App(R"("/data":{},"new/empty":{})");
  config.mutable_linux()->mutable_security_context()->set_readonly_rootfs(true);
  const cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const std::string id = Run(pod_id, pod, config);
  EXPECT_EQ(ShellOutput(id,
                        "cd /data; stat -c '%n %u:%g %a' . file sub sub/in "
                        "/new/empty; readlink link; test -p fifo && echo fifo; "
                        "cat file sub/in"),
            ". 7:8 750\nfile 1000:1001 4640\nsub 0:0 1777\nsub/in 0:0 755\n"
            "/new/empty 0:0 755\n/etc/passwd\nfifo\nfrom the imagein");
  EXPECT_EQ(ShellOutput(id, "touch /data/x /new/empty/x; touch /x 2>&1 || :"),
            "touch: /x: Read-only file system\n");
  config.mutable_metadata()->set_name("other");
  const std::string other = Run(pod_id, pod, config);
  EXPECT_EQ(ShellOutput(other, "ls /new/empty"), "");
  const std::string directory = daemon().state_dir() + "/containers/" + id;
  EXPECT_TRUE(HostFileExists(directory));
  EXPECT_TRUE(client().RemoveContainer(id).ok());
  EXPECT_FALSE(HostFileExists(directory));
}

TEST_F(DeclaredVolumeTest, AMountTakesItsPlace) {
  const std::string host = daemon().directory() + "/mine";
  ASSERT_EQ(RunCommand({"mkdir", "-p", host}).exit_code, 0);
  ASSERT_TRUE(WriteHostFile(host + "/file", "mine"));
  cri::ContainerConfig config = App(R"("/data/":{},"/proc/x":{},"/sys":{})");
  AddMount(&config, host, "/data", false);
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id, "cat /data/file; ls -d /sys/kernel"),
            "mine/sys/kernel\n");
}

TEST_F(DeclaredVolumeTest, ItBelongsToThePodsUsers) {
  cri::ContainerConfig config = App(R"("/data":{},"/empty":{})");
  cri::PodSandboxConfig pod = Pod("pod");
  UseUserNamespace(NamespaceOptions(&pod), kVolumeIds);
  UseUserNamespace(NamespaceOptions(&config), kVolumeIds);
  const std::string id = Run(RunPod(pod), pod, config);
  EXPECT_EQ(ShellOutput(id,
                        "stat -c %u:%g /data /data/file /empty; "
                        "touch /data/x /empty/x"),
            "7:8\n1000:1001\n0:0\n");
}

// Owners that the pod does not have (C5): nobody's, closed, and no obstacle.
TEST_F(DeclaredVolumeTest, C5_FilesOfIdsThatThePodLacks) {
  cri::ContainerConfig config =
      App(R"("/data":{})", {{.name = "data/closed",
                             .content = "x",
                             .mode = 0600,
                             .uid = 2000000,
                             .gid = 2000000},
                            {.name = "data/dir",
                             .type = '5',
                             .mode = 0700,
                             .uid = 70000,
                             .gid = 1001},
                            {.name = "data/dir/in", .content = "y"},
                            {.name = "data/group",
                             .content = "of the group",
                             .mode = 0640,
                             .uid = 70000}});
  const std::string facts =
      "cd /data; stat -c '%n %u:%g %a' closed dir group; cat group; "
      "cat closed 2>/dev/null && echo read; touch closed 2>/dev/null && echo "
      "w; "
      "ls dir 2>/dev/null; true";
  EXPECT_EQ(ShellOutput(RunAlone(config), facts),
            "closed 2000000:2000000 600\ndir 70000:1001 700\n"
            "group 70000:0 640\nof the groupxread\nw\nin\n");
  cri::PodSandboxConfig pod = Pod("mapped");
  UseUserNamespace(NamespaceOptions(&pod), kVolumeIds);
  UseUserNamespace(NamespaceOptions(&config), kVolumeIds);
  EXPECT_EQ(ShellOutput(Run(RunPod(pod), pod, config), facts),
            "closed 65534:65534 600\ndir 65534:1001 700\n"
            "group 65534:0 640\nof the group");
}

TEST_F(DeclaredVolumeTest, ItIsThereAfterARestart) {
  cri::ContainerConfig config = App(R"("/data":{})");
  const cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const std::string running = Run(pod_id, pod, config);
  ShellOutput(running, "echo kept > /data/kept");
  config.mutable_metadata()->set_name("later");
  const auto created = client().CreateContainer(pod_id, config, pod);
  ASSERT_TRUE(created.ok()) << created.status();
  RemoveImage(kApp);
  KillDaemon();
  StartDaemon();
  EXPECT_EQ(ShellOutput(running, "cat /data/kept"), "kept\n");
  ASSERT_TRUE(client().StartContainer(*created).ok());
  EXPECT_EQ(ShellOutput(*created, "cat /data/sub/in; ls /data/kept 2>&1 || :"),
            "inls: /data/kept: No such file or directory\n");
}

TEST_F(DeclaredVolumeTest, FS_8_LinksOfTheImageLeadNowhere) {
  const std::string canary = daemon().directory() + "/canary";
  const std::string empty = daemon().directory() + "/empty";
  ASSERT_EQ(RunCommand({"mkdir", "-p", canary, empty}).exit_code, 0);
  ASSERT_TRUE(WriteHostFile(canary + "/secret", "secret"));
  const std::string climb = "../../../../../../../..";
  cri::ContainerConfig config =
      App(R"("/up":{},"/abs":{},"/in":{},"/parent/below":{})",
          {{.name = "up", .type = '2', .link = climb + canary},
           {.name = "abs", .type = '2', .link = canary},
           {.name = "in", .type = '2', .link = "/data/sub"},
           {.name = "parent", .type = '2', .link = climb + empty}});
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id,
                        "ls /up/ /abs/ /parent/below; cat /in/in; "
                        "touch /up/x /abs/x /parent/below/x /in/x"),
            "/abs/:\n\n/parent/below:\n\n/up/:\nin");
  EXPECT_FALSE(HostFileExists(empty + "/below"));
  EXPECT_EQ(RunCommand({"ls", canary}).out, "secret\n");
  EXPECT_EQ(ReadHostFile(canary + "/secret"), "secret");
}

TEST_F(DeclaredVolumeTest, FS_8_WhatIsNoFolderIsRefused) {
  const cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const std::vector<std::pair<const char*, TarMember>> cases = {
      {R"("/odd":{})", {.name = "odd", .content = "file"}},
      {R"("/odd":{})", {.name = "odd", .type = '6'}},
      {R"("/odd":{})", {.name = "odd", .type = '2', .link = "odd"}},
      {R"("/odd/below":{})", {.name = "odd", .content = "file"}},
      {R"("/":{})", {.name = "odd"}},
      {R"("/a/../b":{})", {.name = "odd"}},
  };
  for (const auto& [volumes, member] : cases) {
    const cri::ContainerConfig config = App(volumes, {member});
    const auto status = client().CreateContainer(pod_id, config, pod).status();
    EXPECT_CODE(status, kInvalidArgument) << volumes << member.type;
    EXPECT_THAT(std::string(status.message()), StartsWith("volume"))
        << volumes << member.type;
    RemoveImage(kApp);
  }
}

}  // namespace
}  // namespace warren::test
