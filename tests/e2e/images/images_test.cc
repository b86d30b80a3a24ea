// ListImages, StreamImages, ImageStatus, RemoveImage.
#include <thread>

#include "tests/support/cri_test.h"
#include "tests/support/oci_image.h"

namespace warren::test {
namespace {

class ImagesTest : public CriTest {
 protected:
  absl::StatusOr<cri::ImageStatusResponse> Status(const std::string& name,
                                                  bool verbose = false) {
    cri::ImageStatusRequest request;
    request.mutable_image()->set_image(name);
    request.set_verbose(verbose);
    return client().Call<cri::ImageStatusResponse>(request);
  }
  absl::Status Remove(const std::string& name) {
    cri::RemoveImageRequest request;
    request.mutable_image()->set_image(name);
    return client().Call<cri::RemoveImageResponse>(request).status();
  }
  std::vector<cri::Image> List() {
    auto reply =
        client().Call<cri::ListImagesResponse>(cri::ListImagesRequest());
    EXPECT_TRUE(reply.ok()) << reply.status();
    return {reply->images().begin(), reply->images().end()};
  }
  // A small image that nothing else uses; its id.
  std::string Import(const std::string& reference, const std::string& marker) {
    OciImage image;
    image.config_json = "{\"Cmd\":[\"" + marker + "\"]}";
    image.layers = {Tar({{.name = marker, .content = marker}})};
    auto reply = client().ImportImage(reference, OciArchive(image));
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.ok() ? reply->image_id() : "";
  }
};

TEST_F(ImagesTest, TheDefaultImageIsThereFromTheStart) {
  const auto reply = Status(kBusybox);
  ASSERT_TRUE(reply.ok()) << reply.status();
  const cri::Image& image = reply->image();
  EXPECT_THAT(image.id(), testing::MatchesRegex("sha256:[0-9a-f]+"));
  EXPECT_EQ(image.id().size(), 7u + 64);
  EXPECT_GT(image.size(), 0u);
  EXPECT_THAT(image.repo_tags(), testing::Contains(std::string(kBusybox)));
  EXPECT_TRUE(image.pinned());
  EXPECT_FALSE(image.has_uid() && !image.username().empty());
}

TEST_F(ImagesTest, EveryWayToNameItFindsTheSameImage) {
  const auto busybox = Status(kBusybox);
  ASSERT_TRUE(busybox.ok()) << busybox.status();
  const std::string id = busybox->image().id();
  const std::string hex = id.substr(7);
  for (const std::string& name :
       {id, hex, hex.substr(0, 12), std::string("warren.local/busybox")}) {
    const auto reply = Status(name);
    ASSERT_TRUE(reply.ok()) << name << ": " << reply.status();
    EXPECT_EQ(reply->image().id(), id) << name;
  }
  for (const std::string& digest : busybox->image().repo_digests()) {
    EXPECT_EQ(Status(digest)->image().id(), id) << digest;
  }
}

TEST_F(ImagesTest, AMissingImageIsAnEmptyAnswerNotAnError) {
  for (const char* name : {"no.such/image:1", "nothing", "sha256:0123456789"}) {
    const auto reply = Status(name);
    ASSERT_TRUE(reply.ok()) << name << ": " << reply.status();
    EXPECT_FALSE(reply->has_image()) << name;
  }
}

TEST_F(ImagesTest, BadReferencesAreInvalid) {
  EXPECT_CODE(Status("").status(), kInvalidArgument);
  EXPECT_CODE(Remove(""), kInvalidArgument);
  for (const char* name :
       {"UPPER/case", "a b", "x:", "x@sha256:zz", "/x", "../../etc/passwd"}) {
    const absl::Status status = Status(name).status();
    EXPECT_TRUE(status.ok() ||
                status.code() == absl::StatusCode::kInvalidArgument)
        << name << ": " << status;
  }
}

TEST_F(ImagesTest, VerboseStatusShowsTheImageSpec) {
  const auto reply = Status(kBusybox, true);
  ASSERT_TRUE(reply.ok()) << reply.status();
  ASSERT_TRUE(reply->info().contains("info"));
  EXPECT_THAT(reply->info().at("info"), testing::HasSubstr("imageSpec"));
}

TEST_F(ImagesTest, StreamShowsWhatListShows) {
  Import("example.test/one:1", "one");
  const auto messages =
      client().Stream<cri::StreamImagesResponse>(cri::StreamImagesRequest());
  ASSERT_TRUE(messages.ok()) << messages.status();
  std::vector<std::string> streamed;
  for (const auto& message : *messages) {
    EXPECT_GE(message.images_size(), 1) << "never an empty message";
    for (const auto& image : message.images()) streamed.push_back(image.id());
  }
  std::vector<std::string> listed;
  for (const auto& image : List()) {
    listed.push_back(image.id());
    EXPECT_GT(image.size(), 0u);
  }
  EXPECT_THAT(streamed, testing::UnorderedElementsAreArray(listed));
  EXPECT_TRUE(Remove("example.test/one:1").ok());
}

TEST_F(ImagesTest, RemovingByOneNameRemovesAllNamesAndIsIdempotent) {
  const std::string id = Import("example.test/two:1", "two");
  EXPECT_EQ(Import("example.test/two:2", "two"), id) << "same content, same id";
  EXPECT_EQ(Status(id)->image().repo_tags_size(), 2);
  EXPECT_TRUE(Remove("example.test/two:1").ok());
  EXPECT_FALSE(Status("example.test/two:2")->has_image());
  EXPECT_FALSE(Status(id)->has_image());
  EXPECT_TRUE(Remove("example.test/two:1").ok());
  EXPECT_TRUE(Remove(id).ok());
}

TEST_F(ImagesTest, FiveRemovalsAtOnceAllSucceed) {
  const std::string id = Import("example.test/three:1", "three");
  std::vector<std::thread> threads;
  for (int i = 0; i < 5; ++i) {
    threads.emplace_back([&] {
      const absl::Status status = Remove(id);
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_FALSE(Status(id)->has_image()) << "gone when one has returned";
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ImagesTest, AnImageInUseCanBeRemovedAndItsContainerRunsOn) {
  OciImage image;
  image.layers = {BusyboxLayer({"sh", "sleep", "cat", "ls"}, {})};
  const auto imported =
      client().ImportImage("example.test/used:1", OciArchive(image));
  ASSERT_TRUE(imported.ok()) << imported.status();
  cri::ContainerConfig config = IdleConfig("user");
  config.mutable_image()->set_image(imported->image_id());
  const std::string id = RunAlone(config);
  EXPECT_TRUE(Remove("example.test/used:1").ok());
  EXPECT_FALSE(Status("example.test/used:1")->has_image());
  EXPECT_THAT(ShellOutput(id, "ls /bin"), testing::HasSubstr("busybox"));
  EXPECT_EQ(StatusOf(id).image_id(), imported->image_id());
}

}  // namespace
}  // namespace warren::test
