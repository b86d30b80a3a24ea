#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "agent/convert/convert.h"

namespace warren::agent {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct ProcessCase {
  cri::ContainerConfig config;
  image::Image image;

  explicit ProcessCase(const std::string& text = "") {
    if (!google::protobuf::TextFormat::MergeFromString(text, &config)) {
      ADD_FAILURE() << "bad test text: " << text;
    }
    image.config.entrypoint = {"/bin/app"};
  }
  std::string ArgsError() const {
    return std::string(ProcessArgs(config, image.config).status().message());
  }
  std::string EnvError() const {
    return std::string(
        ProcessEnv(config, image.config, "h").status().message());
  }
};

TEST(ProcessArgs, EntrypointAndCmd) {
  const struct {
    const char* request;
    std::vector<std::string> expected;
  } cases[] = {
      {"", {"/entry", "-e", "cmd"}},
      {"args: 'x'", {"/entry", "-e", "x"}},
      {"command: '/c'", {"/c"}},
      {"command: '/c' args: 'x'", {"/c", "x"}},
  };
  for (const auto& c : cases) {
    ProcessCase test(c.request);
    test.image.config.entrypoint = {"/entry", "-e"};
    test.image.config.cmd = {"cmd"};
    EXPECT_EQ(*ProcessArgs(test.config, test.image.config), c.expected)
        << c.request;
  }
  ProcessCase cmd_only;
  cmd_only.image.config.entrypoint = {};
  cmd_only.image.config.cmd = {"sh", "-c"};
  EXPECT_THAT(*ProcessArgs(cmd_only.config, cmd_only.image.config),
              ElementsAre("sh", "-c"));
}

TEST(ProcessArgs, NothingToRun) {
  ProcessCase test;
  test.image.config.entrypoint = {};
  EXPECT_THAT(test.ArgsError(), HasSubstr("no command"));
  EXPECT_THAT(ProcessCase("command: ''").ArgsError(),
              StartsWith("config.command: "));
  EXPECT_THAT(ProcessCase("command: 'a' args: 'x\\000y'").ArgsError(),
              StartsWith("config.command: "));
}

TEST(ProcessEnv, LaterOnesWin) {
  ProcessCase test(
      "envs { key: 'A' value: 'request=1' } "
      "envs { key: 'B' value: '\\377' }");
  test.image.config.env = {"A=image", "C=image", "HOSTNAME=image",
                           "bad",     "=bad",    "PATH=/image"};
  EXPECT_THAT(*ProcessEnv(test.config, test.image.config, "web-0"),
              ElementsAre("A=request=1", "C=image", "HOSTNAME=web-0",
                          "PATH=/image", "B=\xff"));
}

TEST(ProcessEnv, Defaults) {
  ProcessCase test("tty: true");
  EXPECT_THAT(*ProcessEnv(test.config, test.image.config, "h"),
              ElementsAre("HOSTNAME=h", StartsWith("PATH=/usr/local/sbin:"),
                          "TERM=xterm"));
  ProcessCase own(
      "tty: true envs { key: 'TERM' value: 'dumb' } "
      "envs { key: 'HOSTNAME' value: 'mine' }");
  EXPECT_THAT(*ProcessEnv(own.config, own.image.config, "h"),
              AllOf(Contains("TERM=dumb"), Contains("HOSTNAME=mine"),
                    testing::SizeIs(3)));
}

TEST(ProcessEnv, STR_1_BadOnes) {
  EXPECT_THAT(ProcessCase("envs { key: '' }").EnvError(),
              StartsWith("config.envs[0].key: "));
  EXPECT_THAT(ProcessCase("envs { key: 'A=B' }").EnvError(),
              StartsWith("config.envs[0].key: "));
  EXPECT_THAT(ProcessCase("envs { key: 'A' value: 'x\\000' }").EnvError(),
              StartsWith("config.envs[0].value: "));
  EXPECT_TRUE(
      ProcessCase("envs { key: 'A' value: 'x\\ny' }").EnvError().empty());
}

}  // namespace
}  // namespace warren::agent
