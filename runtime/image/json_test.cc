#include "runtime/image/json.h"

#include <gtest/gtest.h>

#include <string>

#include "runtime/image/limits.h"

namespace warren::image {
namespace {

std::string Nested(int depth) {
  std::string text;
  for (int i = 0; i < depth; ++i) text += "{\"a\":";
  return text + "1" + std::string(static_cast<size_t>(depth), '}');
}

TEST(Json, IMG_3_DepthIsBounded) {
  EXPECT_TRUE(ParseJsonObject(Nested(kMaxJsonDepth)).ok());
  EXPECT_FALSE(ParseJsonObject(Nested(kMaxJsonDepth + 1)).ok());
  EXPECT_FALSE(ParseJsonObject("{\"a\":" + std::string(1 << 20, '[')).ok());
}

TEST(Json, IMG_3_SizeIsBounded) {
  const std::string text = "{\"a\":\"" + std::string(kMaxDocumentBytes, 'x');
  EXPECT_FALSE(ParseJsonObject(text + "\"}").ok());
}

TEST(Json, IMG_4_DuplicateKeys) {
  EXPECT_FALSE(ParseJsonObject(R"({"a":1,"a":1})").ok());
  EXPECT_FALSE(ParseJsonObject(R"({"b":{"a":1,"c":[{"x":1,"x":2}]}})").ok());
  EXPECT_FALSE(ParseJsonObject(R"({"a":1,"\u0061":1})").ok());
  EXPECT_TRUE(ParseJsonObject(R"({"a":{"a":1},"b":[{"a":1},{"a":2}]})").ok());
}

TEST(Json, NotAnObject) {
  for (const char* text :
       {"", "[]", "1", "\"x\"", "null", "{", "{}{}", "{} x", "{'a':1}",
        "{\"a\":\"\xff\"}", "{\"a\":NaN}", "{\"a\":01}", "// x\n{}"}) {
    EXPECT_EQ(ParseJsonObject(text).status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
  EXPECT_TRUE(ParseJsonObject(" {} \n").ok());
}

TEST(Json, Accessors) {
  const Json doc = *ParseJsonObject(
      R"({"s":"x","e":"","n":null,"i":7,"neg":-1,"f":1.5,"l":["a","b"],
          "m":["a",1],"nul":"a\u0000b","big":18446744073709551615})");
  EXPECT_EQ(*OptionalString(doc, "s"), "x");
  EXPECT_EQ(*OptionalString(doc, "n"), "");
  EXPECT_EQ(*OptionalString(doc, "missing"), "");
  EXPECT_FALSE(OptionalString(doc, "i").ok());
  EXPECT_FALSE(OptionalString(doc, "nul").ok());
  EXPECT_FALSE(RequiredString(doc, "e").ok());
  EXPECT_FALSE(RequiredString(doc, "missing").ok());
  EXPECT_EQ(*RequiredCount(doc, "i"), 7u);
  EXPECT_EQ(*RequiredCount(doc, "big"), ~uint64_t{0});
  for (const char* key : {"neg", "f", "s", "missing", "n"}) {
    EXPECT_FALSE(RequiredCount(doc, key).ok()) << key;
  }
  EXPECT_EQ(OptionalStrings(doc, "l")->size(), 2u);
  EXPECT_TRUE(OptionalStrings(doc, "n")->empty());
  EXPECT_FALSE(OptionalStrings(doc, "m").ok());
  EXPECT_FALSE(OptionalStrings(doc, "s").ok());
  EXPECT_EQ((*RequiredList(doc, "l", 2))->size(), 2u);
  EXPECT_FALSE(RequiredList(doc, "l", 1).ok());
  EXPECT_FALSE(RequiredList(doc, "n", 1).ok());
  EXPECT_FALSE(RequiredList(doc, "s", 1).ok());
  EXPECT_EQ(FindKey(doc["s"], "x"), nullptr);
}

}  // namespace
}  // namespace warren::image
