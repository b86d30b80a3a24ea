#include "runtime/image/digest.h"

#include <gtest/gtest.h>

#include <string>

namespace warren::image {
namespace {

constexpr char kEmpty[] =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr char kAbc[] =
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Digest, KnownValues) {
  EXPECT_EQ(Digest::Of("").ToString(), kEmpty);
  EXPECT_EQ(Digest::Of("abc").ToString(), kAbc);
}

TEST(Digest, StreamingEqualsWhole) {
  Sha256 hash;
  hash.Update("a");
  hash.Update("");
  hash.Update("bc");
  EXPECT_EQ(hash.Finish().ToString(), kAbc);
}

TEST(Digest, IMG_4_SyntaxIsCheckedBeforeItIsAPath) {
  EXPECT_TRUE(Digest::Parse(kAbc).ok());
  const std::string hex(kAbc + 7);
  for (const std::string& bad :
       {std::string(), std::string("sha256:"), hex, "sha512:" + hex + hex,
        "SHA256:" + hex, "sha256:" + hex.substr(1), "sha256:" + hex + "0",
        "sha256:" + hex.substr(1) + "G", "sha256:" + hex.substr(1) + "A",
        "sha256:../" + hex.substr(3), "sha256:" + hex.substr(1) + "/",
        "sha256:" + hex.substr(1) + std::string(1, '\0'), "sha256 :" + hex,
        " sha256:" + hex, "sha256:" + hex + "\n", "sha256+b64:" + hex}) {
    EXPECT_EQ(Digest::Parse(bad).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

TEST(Digest, ChainOfTwo) {
  const Digest a = Digest::Of("a");
  const Digest b = Digest::Of("b");
  EXPECT_EQ(ChainId(a, b), Digest::Of(a.ToString() + " " + b.ToString()));
  EXPECT_NE(ChainId(a, b), ChainId(b, a));
}

}  // namespace
}  // namespace warren::image
