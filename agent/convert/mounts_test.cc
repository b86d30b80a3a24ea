#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "agent/convert/convert.h"

namespace warren::agent {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const std::string kMountsId(64, 'c');

// One conversion; tests change what they are about. Mounts 0 and 1 find an
// image when they name one.
struct MountCase {
  cri::ContainerConfig config;
  cri::PodSandboxConfig pod;
  runtime::SandboxSpec sandbox;
  image::Image image;
  image::Image volume;

  explicit MountCase(const std::string& text = "") {
    config.mutable_metadata()->set_name("app");
    if (!google::protobuf::TextFormat::MergeFromString(text, &config)) {
      ADD_FAILURE() << "bad test text: " << text;
    }
    image.config.entrypoint = {"/bin/app"};
    image.layer_dirs = {"/l1"};
    volume.layer_dirs = {"/v1", "/v2"};
  }
  absl::StatusOr<ConvertedContainer> Convert() const {
    return ConvertContainer(
        {kMountsId, config, pod, sandbox, image, {{0, &volume}, {1, &volume}}});
  }
  std::string Error() const {
    return std::string(Convert().status().message());
  }
};

// Mount 0 at /a with these fields more.
MountCase Mount(const std::string& text) {
  return MountCase("mounts { container_path: '/a' " + text + " }");
}

auto At(const char* target, const char* source) {
  return AllOf(Field(&runtime::MountSpec::container_path, target),
               Field(&runtime::MountSpec::host_path, source));
}

TEST(ConvertMounts, ParentsComeFirst) {
  const auto out =
      MountCase(
          "mounts { container_path: '/a/b' host_path: '/h1' } "
          "mounts { container_path: '/a' host_path: '/h2/' readonly: true } "
          "mounts { container_path: '/c' host_path: '/h3' "
          "propagation: PROPAGATION_BIDIRECTIONAL }")
          .Convert();
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_THAT(out->spec.mounts,
              ElementsAre(At("/a", "/h2"), At("/c", "/h3"), At("/a/b", "/h1")));
  EXPECT_TRUE(out->spec.mounts[0].readonly);
  EXPECT_FALSE(out->spec.mounts[0].recursive_readonly);
  EXPECT_EQ(out->spec.mounts[1].propagation,
            runtime::MountPropagation::kBidirectional);
}

TEST(ConvertMounts, FS_6_Targets) {
  const auto mount = [](const std::string& target) {
    return MountCase("mounts { container_path: '" + target +
                     "' host_path: '/h' }")
        .Convert()
        .ok();
  };
  for (const char* good : {"/data", "/dev", "/dev/shm", "/sys/", "/sys/fs/bpf",
                           "/procfs", "/etc/hosts", "/data//x/",
                           "/proc/meminfo", "/proc/sys/kernel/ns_last_pid"}) {
    EXPECT_TRUE(mount(good)) << good;
  }
  for (const char* bad :
       {"", "/", "//", "/proc", "/proc/sys", "relative", "/a/../proc", "/a\\nb",
        "/proc/1/status", "/proc/self/attr/exec", "/proc/sysrq-trigger",
        "/proc/meminfo/x", "/proc/net/dev"}) {
    EXPECT_FALSE(mount(bad)) << bad;
  }
}

TEST(ConvertMounts, EveryRefusalNamesItsField) {
  const struct {
    const char* text;
    const char* start;
  } cases[] = {
      {"", "config.mounts[0].host_path: "},
      {"host_path: 'h'", "config.mounts[0].host_path: "},
      {"host_path: '/h/../x'", "config.mounts[0].host_path: "},
      {"host_path: '/h' recursive_read_only: true",
       "config.mounts[0].recursive_read_only: "},
      {"host_path: '/h' recursive_read_only: true readonly: true "
       "propagation: PROPAGATION_HOST_TO_CONTAINER",
       "config.mounts[0].recursive_read_only: "},
      {"host_path: '/h' image_sub_path: 'x'",
       "config.mounts[0].image_sub_path: "},
      {"host_path: '/h' uidMappings { length: 1 }",
       "config.mounts[0].gidMappings: is missing"},
      {"host_path: '/h' gidMappings { length: 1 }",
       "config.mounts[0].uidMappings: is missing"},
      {"host_path: '/h' uidMappings { length: 0 } gidMappings { length: 1 }",
       "config.mounts[0].uidMappings: length"},
      {"host_path: '/h' uidMappings { container_id: 5 length: 1 } "
       "gidMappings { length: 1 }",
       "config.mounts[0].uidMappings: container id 0"},
      {"host_path: '/h' uidMappings { length: 1 } gidMappings { length: 2 } "
       "gidMappings { container_id: 1 host_id: 9 length: 2 }",
       "config.mounts[0].gidMappings: ranges overlap"},
      {"image { image: 'x' } host_path: '/h'",
       "ImageVolumeMountFailed: config.mounts[0].host_path: "},
      {"image { image: 'x' } image_sub_path: '../x'",
       "ImageVolumeMountFailed: config.mounts[0].image_sub_path: "},
      {"image { image: 'x' } image_sub_path: '/x'",
       "ImageVolumeMountFailed: config.mounts[0].image_sub_path: "},
      {"image { image: 'x' } propagation: PROPAGATION_BIDIRECTIONAL",
       "ImageVolumeMountFailed: config.mounts[0].propagation: "},
      {"image { image: 'x' runtime_handler: 'odd' }",
       "ImageVolumeMountFailed: "},
  };
  for (const auto& c : cases) {
    const MountCase test = Mount(c.text);
    EXPECT_EQ(test.Convert().status().code(),
              absl::StatusCode::kInvalidArgument)
        << c.text;
    EXPECT_THAT(test.Error(), StartsWith(c.start)) << c.text;
  }
  MountCase odd = Mount("host_path: '/h'");
  odd.config.mutable_mounts(0)->set_propagation(
      static_cast<cri::MountPropagation>(9));
  EXPECT_THAT(odd.Error(), StartsWith("config.mounts[0].propagation: "));
}

TEST(ConvertMounts, NothingLeadsOutOfAUserNamespace) {
  MountCase test =
      Mount("host_path: '/h' propagation: PROPAGATION_BIDIRECTIONAL");
  EXPECT_TRUE(test.Convert().ok());
  test.sandbox.uid_mappings = test.sandbox.gid_mappings = {{0, 65536, 65536}};
  auto* options = test.config.mutable_linux()
                      ->mutable_security_context()
                      ->mutable_namespace_options();
  options->set_pid(cri::CONTAINER);
  auto* userns = options->mutable_userns_options();
  userns->set_mode(cri::POD);
  for (cri::IDMapping* m : {userns->add_uids(), userns->add_gids()}) {
    m->set_host_id(65536);
    m->set_length(65536);
  }
  EXPECT_THAT(test.Error(), StartsWith("config.mounts[0].propagation: "));
}

TEST(ConvertMounts, RecursiveReadonlyAndOwners) {
  const auto out =
      Mount(
          "host_path: '/h' readonly: true recursive_read_only: true "
          "uidMappings { host_id: 65536 length: 10 } "
          "gidMappings { host_id: 65537 length: 11 } selinux_relabel: true")
          .Convert();
  ASSERT_TRUE(out.ok()) << out.status();
  const runtime::MountSpec& mount = out->spec.mounts[0];
  EXPECT_TRUE(mount.recursive_readonly);
  EXPECT_TRUE(mount.selinux_relabel);
  EXPECT_THAT(mount.uid_mappings,
              ElementsAre(runtime::IdMapping{0, 65536, 10}));
  EXPECT_THAT(mount.gid_mappings,
              ElementsAre(runtime::IdMapping{0, 65537, 11}));
}

TEST(ConvertMounts, WhoWasGrantedIdsHasThemOnVolumesToo) {
  MountCase test = MountCase(
      "mounts { container_path: '/a' image { image: 'x' } } "
      "mounts { container_path: '/b' host_path: '/h' readonly: true } "
      "mounts { container_path: '/c' host_path: '/h' "
      "uidMappings { host_id: 7 length: 1 } "
      "gidMappings { host_id: 7 length: 1 } }");
  const std::vector<runtime::IdMapping> own = {{0, 7, 1}};
  const std::vector<runtime::IdMapping> granted = {{0, 65536, 65536}};
  const auto mounts = [&] {
    const auto out = test.Convert();
    EXPECT_TRUE(out.ok()) << out.status();
    return out.ok() ? out->spec.mounts : std::vector<runtime::MountSpec>(3);
  };
  // Without a user namespace nothing but what is asked for.
  EXPECT_THAT(mounts()[1].uid_mappings, IsEmpty());
  EXPECT_FALSE(mounts()[1].mapped_by_default);
  test.sandbox.uid_mappings = test.sandbox.gid_mappings = granted;
  const auto mapped = mounts();
  EXPECT_THAT(mapped[0].uid_mappings, IsEmpty()) << "the runtime sees to it";
  EXPECT_EQ(mapped[1].uid_mappings, granted);
  EXPECT_EQ(mapped[1].gid_mappings, granted);
  EXPECT_TRUE(mapped[1].mapped_by_default);
  EXPECT_TRUE(mapped[1].readonly);
  EXPECT_EQ(mapped[2].uid_mappings, own);
  EXPECT_FALSE(mapped[2].mapped_by_default);
  // Who asks for a user namespace says what its mounts are to look like.
  for (auto* options : {test.pod.mutable_linux()
                            ->mutable_security_context()
                            ->mutable_namespace_options(),
                        test.config.mutable_linux()
                            ->mutable_security_context()
                            ->mutable_namespace_options()}) {
    options->set_pid(cri::CONTAINER);
    cri::UserNamespace* users = options->mutable_userns_options();
    users->set_mode(cri::POD);
    for (cri::IDMapping* m : {users->add_uids(), users->add_gids()}) {
      m->set_host_id(65536);
      m->set_length(65536);
    }
  }
  EXPECT_THAT(mounts()[1].uid_mappings, IsEmpty());
  EXPECT_FALSE(mounts()[1].mapped_by_default);
}

TEST(ConvertMounts, ImagesAreReadOnlyByDefinition) {
  const auto out =
      Mount("image { image: 'x' } image_sub_path: 'a//b'").Convert();
  ASSERT_TRUE(out.ok()) << out.status();
  const runtime::MountSpec& mount = out->spec.mounts[0];
  EXPECT_THAT(mount.image_layers, ElementsAre("/v1", "/v2"));
  EXPECT_EQ(mount.image_sub_path, "a/b");
  EXPECT_TRUE(mount.readonly);
}

TEST(ConvertMounts, VolumesOfTheImageGiveWayToMounts) {
  MountCase test = Mount("host_path: '/h'");
  test.image.config.volumes = {"/a/",   "/a/b", "data",          "/data",
                               "/proc", "/dev", "/sys/fs/cgroup"};
  const auto out = test.Convert();
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_THAT(out->spec.volumes, ElementsAre("/a/b", "/data"));
  for (const char* bad : {"/", "", "/a/../b", "a\nb"}) {
    test.image.config.volumes = {bad};
    EXPECT_THAT(test.Error(), StartsWith("volume of the image: ")) << bad;
  }
  test.image.config.volumes = std::vector<std::string>(129, "/x");
  EXPECT_THAT(test.Error(), HasSubstr("more than 128 volumes"));
}

}  // namespace
}  // namespace warren::agent
