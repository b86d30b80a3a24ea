#include "runtime/image/registry/challenge.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace warren::registry {
namespace {

const Challenge* Find(const std::vector<Challenge>& all, const char* scheme) {
  const Challenge* found = FindChallenge(all, scheme);
  EXPECT_NE(found, nullptr) << scheme;
  static const Challenge* const kNone = new Challenge();
  return found == nullptr ? kNone : found;
}

TEST(RegistryChallenge, AsTheSpecificationWritesIt) {
  const auto all = ParseChallenges(
      {R"(Bearer realm="https://auth.example/token",service="reg",)"
       R"(scope="repository:a/b:pull,push")"});
  ASSERT_EQ(all.size(), 1);
  EXPECT_EQ(all[0].scheme, "bearer");
  EXPECT_EQ(all[0].Get("realm"), "https://auth.example/token");
  EXPECT_EQ(all[0].Get("service"), "reg");
  EXPECT_EQ(all[0].Get("scope"), "repository:a/b:pull,push");
  EXPECT_EQ(all[0].Get("error"), "");
}

TEST(RegistryChallenge, AnySpelling) {
  for (const char* text :
       {R"(BASIC realm="x y")", R"(basic   REALM = "x y" )",
        R"(Basic , realm="x y")", R"(,Basic realm="x\ y",)",
        "Basic\trealm=\"x y\"", R"(Basic charset="UTF-8", realm="x y")"}) {
    EXPECT_EQ(Find(ParseChallenges({text}), "basic")->Get("realm"), "x y")
        << text;
  }
  EXPECT_EQ(Find(ParseChallenges({"Basic realm=/"}), "basic")->Get("realm"),
            "/");
  EXPECT_EQ(Find(ParseChallenges({"Bearer realm=https://a/t?x=y,service=s"}),
                 "bearer")
                ->Get("realm"),
            "https://a/t?x=y");
  EXPECT_EQ(
      Find(ParseChallenges({R"(Bearer realm="a\"b,c",service=d)"}), "bearer")
          ->Get("realm"),
      "a\"b,c");
}

TEST(RegistryChallenge, SeveralInOneHeaderOrInTwo) {
  const std::vector<std::vector<std::string>> forms = {
      {R"(Basic realm="b", Bearer realm="t", service="s")"},
      {R"(Bearer realm="t",service="s", Basic realm="b")"},
      {R"(Basic realm="b")", R"(Bearer realm="t",service="s")"},
      {R"(Negotiate, Basic realm="b", Bearer realm="t",service="s")"},
      {R"(Negotiate aBc/+== , Basic realm=b,Bearer realm=t , service=s)"},
  };
  for (const auto& headers : forms) {
    const auto all = ParseChallenges(headers);
    EXPECT_EQ(Find(all, "basic")->Get("realm"), "b") << headers[0];
    EXPECT_EQ(Find(all, "bearer")->Get("realm"), "t") << headers[0];
    EXPECT_EQ(Find(all, "bearer")->Get("service"), "s") << headers[0];
  }
}

TEST(RegistryChallenge, ScopesAddUpOthersDoNot) {
  const auto all =
      ParseChallenges({R"(Bearer realm="a",scope="x",realm="b",scope="y z")"});
  EXPECT_EQ(Find(all, "bearer")->Get("scope"), "x y z");
  EXPECT_EQ(Find(all, "bearer")->Get("realm"), "a");
}

TEST(RegistryChallenge, IMG_3_HostileTextIsBounded) {
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "S" + std::to_string(i) + " a=b,";
  EXPECT_LE(ParseChallenges({many}).size(), kMaxChallenges);
  std::string parameters = "Bearer ";
  for (int i = 0; i < 500; ++i) parameters += "p" + std::to_string(i) + "=v,";
  const auto all = ParseChallenges({parameters});
  ASSERT_EQ(all.size(), 1);
  EXPECT_LE(all[0].parameters.size(), kMaxParameters);
  EXPECT_TRUE(
      ParseChallenges({"Bearer realm=" + std::string(kMaxChallengeBytes, 'a')})
          .empty());
  for (const char* odd :
       {"", "=", ",,,", "\"", "Bearer realm=\"",
        "Bearer =", "Bearer realm=\"\\", "\x01\x02", "a=b=c=d", "= = ="}) {
    ParseChallenges({odd});  // returns
  }
}

}  // namespace
}  // namespace warren::registry
