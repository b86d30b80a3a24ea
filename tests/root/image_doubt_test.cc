// What nobody can tell: nothing is deleted or forgotten for it.

#include <gmock/gmock.h>
#include <stdio.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/root/image_fixture.h"

namespace warren::image {
namespace {

class ImageDoubt : public ImageStoreTest {};

// EIO of the list says nothing about the images.
TEST_F(ImageDoubt, REL_16_AListThatCannotBeReadIsReadAgain) {
  const auto image = Import(SmallImage("x"));
  ASSERT_TRUE(image.ok()) << image.status();
  // A regular file whose read gives EIO: the first page of a process.
  const std::string list = root() + "/refs.json";
  ASSERT_EQ(rename(list.c_str(), (root() + "/list").c_str()), 0);
  ASSERT_EQ(symlink("/proc/self/mem", list.c_str()), 0);
  Reopen();
  EXPECT_TRUE(store().List().empty());
  EXPECT_TRUE(absl::IsUnavailable(store().Find("test/image:1").status()))
      << "not: there is none";
  EXPECT_TRUE(absl::IsUnavailable(store().Remove("test/image:1")));
  EXPECT_TRUE(absl::IsUnavailable(Import(SmallImage("y"), "y:1").status()));
  EXPECT_TRUE(absl::IsUnavailable(store().CollectGarbage()));
  EXPECT_TRUE(store().Usage().ok());
  ASSERT_EQ(store().Problems().size(), 1u);
  EXPECT_THAT(store().Problems().front(), ::testing::HasSubstr(list));
  ASSERT_EQ(unlink(list.c_str()), 0);
  ASSERT_EQ(rename((root() + "/list").c_str(), list.c_str()), 0);
  EXPECT_TRUE(store().Find("test/image:1").ok());
  EXPECT_TRUE(store().CollectGarbage().ok());
  EXPECT_TRUE(store().Problems().empty());
  EXPECT_EQ(access((*image)->layer_dirs[0].c_str(), F_OK), 0);
}

TEST_F(ImageDoubt, REL_16_WhileARecordIsUnreadableNothingGoes) {
  const auto image = Import(SmallImage("x"));
  ASSERT_TRUE(image.ok()) << image.status();
  const std::vector<std::string> layers = (*image)->layer_dirs;
  ASSERT_TRUE(store().Remove((*image)->id).ok());
  EXPECT_NE(access(layers[0].c_str(), F_OK), 0);
  ASSERT_TRUE(Import(SmallImage("x")).ok());
  store().HoldBack(true);
  const std::string id = (*image)->id;
  ASSERT_TRUE(store().Remove(id).ok());
  EXPECT_TRUE(store().List().empty());
  EXPECT_TRUE(store().Usage().ok());
  EXPECT_TRUE(absl::IsUnavailable(store().CollectGarbage()));
  ASSERT_TRUE(Import(SmallImage("other"), "other:1").ok());
  EXPECT_EQ(access(layers[0].c_str(), F_OK), 0);
  EXPECT_EQ(store().Problems().size(), 1u);
  // The record was read.
  auto hold = store().Rehold(id, layers);
  ASSERT_TRUE(hold.ok()) << hold.status();
  store().HoldBack(false);
  EXPECT_TRUE(store().CollectGarbage().ok());
  EXPECT_EQ(access(layers[0].c_str(), F_OK), 0);
  hold->reset();
  EXPECT_TRUE(store().CollectGarbage().ok());
  EXPECT_NE(access(layers[0].c_str(), F_OK), 0);
}

}  // namespace
}  // namespace warren::image
