#include "agent/pods/image_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/base/status.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/fake_image_puller.h"
#include "tests/fakes/fake_image_store.h"

namespace warren::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ImageManagerTest : public testing::Test {
 protected:
  ImageManagerTest() { store_.Add(test::TestImage()); }

  test::Faults faults_;
  test::FakeClock clock_;
  test::FakeImageStore store_{&faults_};
  test::FakeImagePuller puller_;
  ImageManager images_{&store_, &puller_, &clock_};
};

TEST_F(ImageManagerTest, UsersOfAnImage) {
  const struct {
    const char* user;
    int64_t uid;  // -1 = absent
    const char* name;
  } cases[] = {{"", -1, ""},       {"1000", 1000, ""},     {"0:5", 0, ""},
               {"app", -1, "app"}, {"app:grp", -1, "app"}, {"1a", -1, "1a"},
               {":5", -1, ""}};
  for (const auto& c : cases) {
    image::Image image = test::TestImage();
    image.config.user = c.user;
    const cri::Image out = ToCri(image);
    EXPECT_EQ(out.has_uid() ? out.uid().value() : -1, c.uid) << c.user;
    EXPECT_EQ(out.username(), c.name) << c.user;
    EXPECT_GT(out.size(), 0u);
  }
}

TEST_F(ImageManagerTest, ListAndFilter) {
  ASSERT_THAT(images_.List({}), SizeIs(1));
  const cri::Image image = images_.List({})[0];
  EXPECT_EQ(image.id(), test::TestImage().id);
  EXPECT_THAT(image.repo_tags(), ElementsAre("docker.io/library/app:1"));
  cri::ImageFilter filter;
  filter.mutable_image()->set_image("docker.io/library/app:1");
  EXPECT_THAT(images_.List(filter), SizeIs(1));
  filter.mutable_image()->set_image("other");
  EXPECT_THAT(images_.List(filter), SizeIs(0));
}

TEST_F(ImageManagerTest, StatusOfAMissingImageIsOkAndEmpty) {
  cri::ImageStatusRequest request;
  request.mutable_image()->set_image("other");
  const auto missing = images_.Status(request);
  ASSERT_TRUE(missing.ok());
  EXPECT_FALSE(missing->has_image());
  request.mutable_image()->set_image("");
  EXPECT_TRUE(absl::IsInvalidArgument(images_.Status(request).status()));
  request.mutable_image()->set_image(test::TestImage().id);
  request.set_verbose(true);
  const auto found = images_.Status(request);
  EXPECT_EQ(found->image().id(), test::TestImage().id);
  EXPECT_THAT(found->info().at("info"), HasSubstr("\"architecture\""));
}

TEST_F(ImageManagerTest, RemoveIsIdempotent) {
  cri::ImageSpec spec;
  spec.set_image("docker.io/library/app:1");
  EXPECT_TRUE(images_.Remove(spec).ok());
  EXPECT_TRUE(images_.Remove(spec).ok());
  EXPECT_THAT(images_.List({}), SizeIs(0));
  spec.clear_image();
  EXPECT_TRUE(absl::IsInvalidArgument(images_.Remove(spec)));
}

TEST_F(ImageManagerTest, FsInfo) {
  const auto info = images_.FsInfo();
  ASSERT_EQ(info->image_filesystems_size(), 1);
  EXPECT_GT(info->image_filesystems(0).timestamp(), 0);
  EXPECT_EQ(info->image_filesystems(0).fs_id().mountpoint(), "/");
  EXPECT_EQ(info->image_filesystems(0).used_bytes().value(), 4096u);
  EXPECT_EQ(info->image_filesystems(0).inodes_used().value(), 7u);
}

class PullImageTest : public ImageManagerTest {
 protected:
  PullImageTest() {
    request_.mutable_image()->set_image("app:1");
    request_.mutable_auth()->set_username("kim");
    request_.mutable_auth()->set_password("secret");
  }
  std::unique_ptr<Steps> Pull(std::stop_token stop = {}) {
    return images_.Pull(
        request_, &response_,
        {.deadline = base::Deadline::Never().CancelledBy(std::move(stop))});
  }

  cri::PullImageRequest request_;
  cri::PullImageResponse response_;
};

TEST_F(PullImageTest, WaitsWithoutAThreadAndAnswersTheId) {
  const std::unique_ptr<Steps> call = Pull();
  const auto pause = call->Next();
  ASSERT_TRUE(pause.ok() && pause->has_value()) << pause.status();
  int woken = 0;
  const auto unwatch = (*pause)->watch([&woken] { ++woken; });
  EXPECT_EQ(woken, 0);
  puller_.Finish(std::make_shared<image::Image>(test::TestImage()));
  EXPECT_EQ(woken, 1);
  unwatch();
  const auto end = call->Next();
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_FALSE(end->has_value());
  EXPECT_EQ(response_.image_ref(), test::TestImage().id);
  ASSERT_THAT(puller_.requests(), SizeIs(1));
  EXPECT_EQ(puller_.requests()[0].reference, "app:1");
  EXPECT_EQ(puller_.requests()[0].auth.username, "kim");
  EXPECT_EQ(puller_.requests()[0].auth.password, "secret");
}

TEST_F(PullImageTest, ACallerWhoLeavesGivesUpItsPart) {
  std::stop_source stop;
  std::unique_ptr<Steps> call = Pull(stop.get_token());
  ASSERT_TRUE(call->Next().ok());
  EXPECT_EQ(puller_.tickets(), 1);
  stop.request_stop();
  EXPECT_TRUE(absl::IsCancelled(call->Next().status()));
  call = nullptr;
  EXPECT_EQ(puller_.tickets(), 0);
}

// A kubelet looks for these words at the start of the message of kUnknown.
TEST_F(PullImageTest, ErrorsAsAKubeletReadsThem) {
  puller_.Finish(absl::UnavailableError("pull app: no route"));
  absl::Status status = Pull()->Next().status();
  EXPECT_TRUE(absl::IsUnknown(status)) << status;
  EXPECT_EQ(status.message(), "RegistryUnavailable: pull app: no route");
  puller_.Finish(absl::UnauthenticatedError("pull app: no"));
  EXPECT_TRUE(absl::IsUnauthenticated(Pull()->Next().status()));
  puller_.Refuse(absl::InvalidArgumentError("bad reference"));
  EXPECT_TRUE(absl::IsInvalidArgument(Pull()->Next().status()));
  request_.mutable_image()->clear_image();
  EXPECT_THAT(std::string(Pull()->Next().status().message()),
              HasSubstr("image.image"));
}

}  // namespace
}  // namespace warren::agent
