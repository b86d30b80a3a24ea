#include "agent/cdi/registry.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "runtime/base/file.h"

namespace warren::agent {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class CdiRegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(directory_), nullptr);
    low_ = absl::StrCat(directory_, "/low");
    high_ = absl::StrCat(directory_, "/high");
    ASSERT_EQ(mkdir(low_.c_str(), 0700), 0);
    ASSERT_EQ(mkdir(high_.c_str(), 0700), 0);
    registry_ = std::make_unique<CdiRegistry>(std::vector<std::string>{
        low_, high_, absl::StrCat(directory_, "/missing")});
  }
  void TearDown() override {
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, directory_).ok());
  }
  // The file defines v/c=<device>, which sets FROM to `from`.
  static void Write(const std::string& path, const std::string& device,
                    const std::string& from, const std::string& extra = "") {
    const std::string text = absl::StrCat(
        R"({"cdiVersion": "0.6.0", "kind": "v/c",
            "containerEdits": {"env": ["SPEC=)",
        from, R"("]}, "devices": [{"name": ")", device,
        R"(", "containerEdits": {"env": ["FROM=)", from, "\"]", extra, "}}]}");
    WriteText(path, text);
  }
  static void WriteText(const std::string& path, const std::string& text) {
    const auto file =
        base::OpenAt(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE(base::WriteFd(file->get(), text).ok());
  }
  static std::vector<CdiName> Names(const std::vector<std::string>& devices) {
    std::vector<CdiName> names;
    for (const std::string& device : devices) {
      names.push_back({"config.CDI_devices[0].name", "v/c", device});
    }
    return names;
  }
  std::vector<std::string> Env(const std::vector<std::string>& devices) {
    const auto edits = registry_->Resolve(Names(devices));
    EXPECT_TRUE(edits.ok()) << edits.status();
    return edits.ok() ? edits->env : std::vector<std::string>();
  }
  std::string Error(const std::string& device) {
    const absl::Status status = registry_->Resolve(Names({device})).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    return std::string(status.message());
  }

  char directory_[64] = "/tmp/cdi_test.XXXXXX";
  std::string low_;
  std::string high_;
  std::unique_ptr<CdiRegistry> registry_;
};

TEST_F(CdiRegistryTest, NothingAskedNothingRead) {
  ASSERT_EQ(mkfifo(absl::StrCat(low_, "/f.json").c_str(), 0600), 0);
  EXPECT_THAT(Env({}), IsEmpty());
}

TEST_F(CdiRegistryTest, SpecsEditsGoOnceAndFirst) {
  WriteText(low_ + "/a.yaml",
            "cdiVersion: 0.6.0\nkind: v/c\ncontainerEdits: {env: [S=1]}\n"
            "devices:\n- name: a\n  containerEdits: {env: [A=1]}\n"
            "- name: b\n  containerEdits: {env: [B=1]}\n");
  EXPECT_THAT(Env({"b", "a"}), ElementsAre("S=1", "B=1", "A=1"));
}

TEST_F(CdiRegistryTest, TheLaterFolderWins) {
  Write(low_ + "/a.json", "a", "low");
  Write(low_ + "/b.json", "b", "low");
  Write(high_ + "/x.json", "a", "high");
  EXPECT_THAT(Env({"a"}), ElementsAre("SPEC=high", "FROM=high"));
  EXPECT_THAT(Env({"b"}), ElementsAre("SPEC=low", "FROM=low"));
  Write(high_ + "/y.json", "a", "high");
  EXPECT_THAT(Error("a"), AllOf(HasSubstr("x.json"), HasSubstr("y.json")));
}

TEST_F(CdiRegistryTest, ChangesAreSeen) {
  EXPECT_THAT(Error("a"), StartsWith("config.CDI_devices[0].name: "));
  Write(low_ + "/a.json", "a", "one");
  EXPECT_THAT(Env({"a"}), ElementsAre("SPEC=one", "FROM=one"));
  EXPECT_THAT(Env({"a"}), ElementsAre("SPEC=one", "FROM=one"));
  Write(low_ + "/a.json", "a", "another");
  EXPECT_THAT(Env({"a"}), ElementsAre("SPEC=another", "FROM=another"));
  ASSERT_EQ(unlink((low_ + "/a.json").c_str()), 0);
  EXPECT_THAT(Error("a"), HasSubstr("\"v/c=a\""));
}

TEST_F(CdiRegistryTest, ABrokenFileBreaksItsOwnDevicesOnly) {
  Write(low_ + "/good.json", "good", "x");
  Write(low_ + "/hooked.json", "hooked", "x", R"(, "hooks": [{}])");
  WriteText(low_ + "/broken.json", "{");
  WriteText(low_ + "/notes.txt", "not one of ours");
  ASSERT_EQ(mkdir((high_ + "/directory.yaml").c_str(), 0700), 0);
  ASSERT_EQ(mkfifo((high_ + "/fifo.yaml").c_str(), 0600), 0);
  WriteText(high_ + "/huge.json", std::string((1 << 20) + 1, ' '));
  EXPECT_EQ(registry_->Unreadable(), "") << "nothing was read so far";
  EXPECT_THAT(Env({"good"}), ElementsAre("SPEC=x", "FROM=x"));
  EXPECT_THAT(registry_->Unreadable(),
              AllOf(HasSubstr(low_ + "/broken.json ("),
                    HasSubstr(high_ + "/fifo.yaml (")));
  EXPECT_THAT(Error("other"),
              AllOf(HasSubstr("broken.json"), HasSubstr("directory.yaml"),
                    HasSubstr("fifo.yaml"), HasSubstr("huge.json"),
                    ::testing::Not(HasSubstr("notes.txt"))));
  EXPECT_THAT(Error("hooked"),
              AllOf(HasSubstr("hooked.json"), HasSubstr("\"hooks\"")));
}

TEST_F(CdiRegistryTest, MountsNeedTheirSource) {
  const std::string source = absl::StrCat(directory_, "/lib");
  Write(low_ + "/a.json", "a", "x",
        absl::StrCat(R"(, "deviceNodes": [{"path": "/dev/a"}], "mounts": [
            {"containerPath": "/lib", "hostPath": ")",
                     source, "\"}]"));
  EXPECT_THAT(Error("a"), HasSubstr(source));
  ASSERT_EQ(mkdir(source.c_str(), 0700), 0);
  const auto edits = registry_->Resolve(Names({"a"}));
  ASSERT_TRUE(edits.ok()) << edits.status();
  ASSERT_EQ(edits->devices.size(), 1u);
  EXPECT_THAT(edits->devices[0].field,
              AllOf(HasSubstr("a.json"), HasSubstr("deviceNodes[0]")));
}

}  // namespace
}  // namespace warren::agent
