// The log file of a container, and ReopenContainerLog.
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/time/time.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

struct Entry {
  absl::Time time;
  std::string stream;
  std::string tag;
  std::string text;
};

class LogTest : public CriTest {
 protected:
  // Every entry of a log; fails the test on a line that is not one.
  static std::vector<Entry> Parse(const std::string& log) {
    std::vector<Entry> entries;
    EXPECT_TRUE(log.empty() || log.back() == '\n');
    for (const auto& line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
      const std::vector<std::string> words =
          absl::StrSplit(line, absl::MaxSplits(' ', 3));
      Entry entry;
      std::string error;
      EXPECT_EQ(words.size(), 4u) << line;
      if (words.size() != 4) continue;
      EXPECT_TRUE(
          absl::ParseTime(absl::RFC3339_full, words[0], &entry.time, &error))
          << error;
      EXPECT_THAT(words[0], testing::MatchesRegex(
                                ".*[.][0-9]{9}(Z|[+-][0-9][0-9]:[0-9][0-9])"));
      EXPECT_TRUE(words[1] == "stdout" || words[1] == "stderr") << line;
      EXPECT_TRUE(words[2] == "F" || words[2] == "P") << line;
      entry.stream = words[1];
      entry.tag = words[2];
      entry.text = words[3];
      entries.push_back(std::move(entry));
    }
    return entries;
  }
  std::vector<Entry> RunAndRead(const std::string& script) {
    const std::string id =
        RunAlone(ShellConfig(absl::StrCat("c", ++serial_), script));
    WaitExited(id);
    return Parse(ReadHostFile(StatusOf(id).log_path()));
  }
  // A container that counts until it is stopped.
  std::string RunCounter() {
    return RunAlone(
        ShellConfig("counter",
                    "trap 'exit 0' TERM; i=0; while :; do echo $i; i=$((i+1)); "
                    "usleep 1000; done"));
  }
  absl::Status Reopen(const std::string& id) {
    cri::ReopenContainerLogRequest request;
    request.set_container_id(id);
    return client().Call<cri::ReopenContainerLogResponse>(request).status();
  }
  static bool HasLines(const std::string& path, size_t lines) {
    return Eventually([&] {
      const std::string text = ReadHostFile(path);
      return static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) >=
             lines;
    });
  }

  int serial_ = 0;
};

TEST_F(LogTest, LinesOfBothStreams) {
  const auto entries =
      RunAndRead("echo one; echo two >&2; echo; printf 'three'");
  ASSERT_EQ(entries.size(), 4u);
  std::vector<std::string> out;
  std::vector<std::string> err;
  for (const Entry& entry : entries) {
    (entry.stream == "stdout" ? out : err)
        .push_back(absl::StrCat(entry.tag, ":", entry.text));
  }
  EXPECT_THAT(out, testing::ElementsAre(
                       "F:one", "F:", testing::AnyOf("P:three", "F:three")));
  EXPECT_THAT(err, testing::ElementsAre("F:two"));
}

TEST_F(LogTest, LongLinesAreCutIntoPartialsAndNothingIsLost) {
  const auto entries =
      RunAndRead("head -c 100000 /dev/zero | tr '\\0' x; echo; echo end");
  ASSERT_GT(entries.size(), 2u);
  std::string joined;
  for (size_t i = 0; i + 1 < entries.size(); ++i) {
    EXPECT_LE(entries[i].text.size(), 16384u);
    EXPECT_EQ(entries[i].tag, i + 2 < entries.size() ? "P" : "F");
    joined += entries[i].text;
  }
  EXPECT_EQ(joined, std::string(100000, 'x'));
  EXPECT_EQ(entries.back().text, "end");
}

TEST_F(LogTest, TimesDoNotGoBack) {
  const auto entries = RunAndRead("for i in 1 2 3 4 5 6 7 8; do echo $i; done");
  ASSERT_EQ(entries.size(), 8u);
  for (size_t i = 1; i < entries.size(); ++i) {
    EXPECT_GE(entries[i].time, entries[i - 1].time);
  }
}

TEST_F(LogTest, TheFileIsPrivateAndItsFoldersAreMade) {
  const std::string id = RunAlone(ShellConfig("main", "echo x"));
  WaitExited(id);
  struct stat st;
  ASSERT_EQ(stat(StatusOf(id).log_path().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0640u);
  ASSERT_EQ(stat(Pod("pod-main").log_directory().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0755u);
}

TEST_F(LogTest, ATerminalHasOneStream) {
  cri::ContainerConfig config =
      ShellConfig("main", "test -t 1 && echo tty; echo err >&2; echo $TERM");
  config.set_tty(true);
  const std::string id = RunAlone(config);
  WaitExited(id);
  const auto entries = Parse(ReadHostFile(StatusOf(id).log_path()));
  ASSERT_EQ(entries.size(), 3u);
  for (const Entry& entry : entries) EXPECT_EQ(entry.stream, "stdout");
  EXPECT_EQ(entries[0].text, "tty");
  EXPECT_EQ(entries[1].text, "err");
  EXPECT_EQ(entries[2].text, "xterm");
}

TEST_F(LogTest, REL_13_ReopenLosesAndDoublesNothing) {
  const std::string id = RunCounter();
  const std::string path = StatusOf(id).log_path();
  constexpr int kRotations = 20;
  for (int i = 0; i < kRotations; ++i) {
    ASSERT_TRUE(HasLines(path, 5));
    ASSERT_EQ(std::rename(path.c_str(), absl::StrCat(path, ".", i).c_str()), 0);
    ASSERT_TRUE(Reopen(id).ok());
    ASSERT_TRUE(HostFileExists(path)) << "there when the call has returned";
  }
  const std::string last =
      ReadHostFile(absl::StrCat(path, ".", kRotations - 1));
  ASSERT_TRUE(HasLines(path, 5));
  EXPECT_EQ(ReadHostFile(absl::StrCat(path, ".", kRotations - 1)), last)
      << "nothing more goes to the old file";
  EXPECT_TRUE(client().StopContainer(id, 5).ok());
  std::string all;
  for (int i = 0; i < kRotations; ++i) {
    all += ReadHostFile(absl::StrCat(path, ".", i));
  }
  all += ReadHostFile(path);
  int next = 0;
  for (const Entry& entry : Parse(all)) {
    EXPECT_EQ(entry.text, std::to_string(next++));
    if (HasFailure()) break;
  }
  EXPECT_GT(next, 5 * kRotations);
}

TEST_F(LogTest, ReopenMakesALostFileAgain) {
  const std::string id = RunCounter();
  const std::string path = StatusOf(id).log_path();
  ASSERT_TRUE(HasLines(path, 2));
  ASSERT_EQ(std::remove(path.c_str()), 0);
  EXPECT_TRUE(Reopen(id).ok());
  EXPECT_TRUE(HasLines(path, 2));
}

TEST_F(LogTest, ReopenOfWhatDoesNotRunFailsAndMakesNoFile) {
  const std::string id = RunAlone(ShellConfig("main", "echo x"));
  WaitExited(id);
  const std::string path = StatusOf(id).log_path();
  ASSERT_EQ(std::remove(path.c_str()), 0);
  EXPECT_CODE(Reopen(id), kFailedPrecondition);
  EXPECT_FALSE(HostFileExists(path));
  EXPECT_CODE(Reopen(std::string(64, 'f')), kNotFound);
  EXPECT_CODE(Reopen(""), kInvalidArgument);
}

TEST_F(LogTest, WithoutALogPathOutputIsDropped) {
  cri::ContainerConfig config =
      ShellConfig("main", "head -c 1000000 /dev/zero; exit 4");
  config.clear_log_path();
  const std::string id = RunAlone(config);
  EXPECT_EQ(WaitExited(id).exit_code(), 4);
}

}  // namespace
}  // namespace warren::test
