#include "runtime/cgroup/update.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/cgroup/v1.h"
#include "runtime/cgroup/v2.h"

namespace warren::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

ControlValue Value(const std::string& file, const std::string& value) {
  return {file.substr(0, file.find('.')), file, value, "field", false};
}

std::vector<std::string> Texts(const std::vector<ControlValue>& values) {
  std::vector<std::string> texts;
  for (const ControlValue& v : values) texts.push_back(v.file + "=" + v.value);
  return texts;
}

TEST(ChangedValues, OnlyWhatDiffersAndDefaultsForWhatIsGone) {
  const std::vector<ControlValue> from = {
      Value("cpu.shares", "5"), Value("cpuset.cpus", "0"),
      Value("memory.limit_in_bytes", "100"), Value("hugetlb.2MB.max", "7"),
      Value("hugetlb.2MB.limit_in_bytes", "7")};
  const std::vector<ControlValue> to = {Value("cpu.shares", "6"),
                                        Value("memory.limit_in_bytes", "100"),
                                        Value("pids.max", "9")};
  EXPECT_THAT(Texts(*ChangedValues(from, to)),
              ElementsAre("cpu.shares=6", "pids.max=9",
                          "cpuset.cpus=", "hugetlb.2MB.max=max",
                          "hugetlb.2MB.limit_in_bytes=-1"));
  EXPECT_THAT(*ChangedValues(from, from), IsEmpty());
  const auto lost = ChangedValues({Value("io.max", "8:0 rbps=1")}, {});
  EXPECT_EQ(lost.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(lost.status().message(), HasSubstr("io.max"));
}

TEST(MemoryBytes, AsTheKernelReadsThem) {
  const std::map<std::string, std::optional<int64_t>> cases = {
      {"4096", 4096},
      {"4k", 4096},
      {" 1g\n", 1 << 30},
      {"0x10", 16},
      {"010", 8},
      {"1T", int64_t{1} << 40},
      {"16E", INT64_MAX},
      {"18446744073709551616", INT64_MAX},
      {"max", std::nullopt},
      {"", std::nullopt},
      {"-1", std::nullopt},
      {"4kB", std::nullopt},
      {"4x", std::nullopt}};
  for (const auto& [text, bytes] : cases) {
    EXPECT_EQ(MemoryBytes(text), bytes) << text;
  }
}

TEST(OrderV1, MemoryNeverPassesMemoryPlusSwap) {
  const char* limit = "memory.limit_in_bytes";
  const char* memsw = "memory.memsw.limit_in_bytes";
  struct Case {
    int64_t memsw_now;
    const char* memory;
    const char* memory_and_swap;
    const char* first;
  };
  for (const Case& c : std::vector<Case>{{100, "200", "200", memsw},
                                         {100, "50", "50", limit},
                                         {100, "100", "300", limit},
                                         {100, "-1", "-1", memsw},
                                         {INT64_MAX, "50", "50", limit},
                                         {INT64_MAX, "-1", "-1", limit}}) {
    for (const bool swapped : {false, true}) {
      std::vector<ControlValue> values = {Value("cpu.shares", "2"),
                                          Value(limit, c.memory),
                                          Value(memsw, c.memory_and_swap)};
      if (swapped) std::swap(values[1], values[2]);
      OrderV1(c.memsw_now, INT64_MAX, &values);
      EXPECT_EQ(values[1].file, c.first) << c.memsw_now << " " << c.memory;
    }
  }
}

// No state in between has a larger share than both ends.
TEST(OrderV1, NoLargerShareOfTimeInBetween) {
  const auto share = [](int64_t quota, int64_t period) {
    return quota < 0 ? 1e9 : static_cast<double>(quota) / period;
  };
  const std::pair<int64_t, int64_t> states[] = {
      {-1, 100000},   {5000, 10000},  {50000, 100000}, {200000, 100000},
      {10000, 10000}, {1000, 100000}, {1000, 1000}};
  for (const auto& [q1, p1] : states) {
    for (const auto& [q2, p2] : states) {
      std::vector<ControlValue> values = {
          Value("cpu.cfs_period_us", std::to_string(p2)),
          Value("cpu.cfs_quota_us", std::to_string(q2))};
      OrderV1(INT64_MAX, p1, &values);
      const bool period_first = values[0].file == "cpu.cfs_period_us";
      const double between = period_first ? share(q1, p2) : share(q2, p1);
      EXPECT_LE(between, std::max(share(q1, p1), share(q2, p2)))
          << q1 << "/" << p1 << " -> " << q2 << "/" << p2;
    }
  }
}

// A directory that looks like a leaf, and a kernel that refuses on order.
class UpdateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(directory_), nullptr);
    auto fd = base::OpenAt(AT_FDCWD, directory_, O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(fd.ok());
    dir_ = *std::move(fd);
  }
  void TearDown() override {
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, directory_).ok());
  }
  std::string root() const { return directory_; }
  void Make(const std::string& file, const std::string& text) {
    const std::string full = root() + "/" + file;
    ASSERT_TRUE(
        base::MakeDirs(AT_FDCWD, full.substr(0, full.rfind('/')), 0755).ok());
    auto fd = base::OpenAt(AT_FDCWD, full, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ASSERT_TRUE(fd.ok());
    ASSERT_TRUE(base::WriteFd(fd->get(), text).ok());
  }
  std::string Read(const std::string& file) {
    return base::ReadFileAt(AT_FDCWD, root() + "/" + file).value_or("missing");
  }
  absl::Status Write(const std::vector<ControlValue>& values) {
    std::vector<ControlWrite> writes;
    for (const ControlValue& v : values) writes.push_back({dir_.get(), v});
    return WriteAllOrNone(
        writes,
        [&](int directory, const std::string& file,
            absl::string_view value) -> absl::Status {
          log_.push_back(file + "=" + std::string(value));
          const auto refused = refused_.find({file, std::string(value)});
          if (refused != refused_.end()) {
            return base::ErrnoError(refused->second, "write " + file);
          }
          // Whole, as the kernel replaces a value.
          if (faccessat(directory, file.c_str(), F_OK, 0) != 0) {
            return base::ErrnoError(ENOENT, "open " + file);
          }
          Make(file, std::string(value));
          return absl::OkStatus();
        });
  }

  char directory_[64] = "/tmp/cgroup_update_test.XXXXXX";
  base::UniqueFd dir_;
  std::map<std::pair<std::string, std::string>, int> refused_;
  std::vector<std::string> log_;
};

TEST_F(UpdateTest, AFailureAtEachStepPutsAllBack) {
  const std::vector<ControlValue> values = {
      Value("cpu.weight", "7"), Value("memory.max", "100"),
      Value("cpuset.cpus", "0"), Value("pids.max", "3")};
  const auto fill = [&] {
    Make("cpu.weight", "100\n");
    Make("memory.max", "max\n");
    Make("cpuset.cpus", "\n");
    Make("pids.max", "max\n");
  };
  fill();
  EXPECT_TRUE(Write(values).ok());
  EXPECT_EQ(Read("pids.max"), "3");
  for (const ControlValue& bad : values) {
    fill();
    refused_ = {{{bad.file, bad.value}, EINVAL}};
    const absl::Status status = Write(values);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()),
                StartsWith("field: the kernel refuses"));
    EXPECT_EQ(Read("cpu.weight").substr(0, 3), "100");
    EXPECT_EQ(Read("memory.max").substr(0, 3), "max");
    EXPECT_EQ(Read("cpuset.cpus"), "\n");
    EXPECT_EQ(Read("pids.max").substr(0, 3), "max");
  }
}

TEST_F(UpdateTest, ValuesGoBackInReverseOrder) {
  Make("memory.memsw.limit_in_bytes", "100\n");
  Make("memory.limit_in_bytes", "100\n");
  Make("pids.max", "max\n");
  refused_ = {{{"pids.max", "x"}, EINVAL}};
  EXPECT_FALSE(
      Write({Value("memory.memsw.limit_in_bytes", "200"),
             Value("memory.limit_in_bytes", "200"), Value("pids.max", "x")})
          .ok());
  EXPECT_THAT(log_, ElementsAre("memory.memsw.limit_in_bytes=200",
                                "memory.limit_in_bytes=200", "pids.max=x",
                                "pids.max=max", "memory.limit_in_bytes=100",
                                "memory.memsw.limit_in_bytes=100"));
}

TEST_F(UpdateTest, FilesWithALineForEachDeviceGoBackLineByLine) {
  Make("io.max", "8:0 rbps=1\n8:16 rbps=2\n");
  refused_ = {{{"pids.max", "x"}, EINVAL}};
  EXPECT_FALSE(
      Write({Value("io.max", "8:0 rbps=9"), Value("pids.max", "x")}).ok());
  EXPECT_THAT(log_, ElementsAre("io.max=8:0 rbps=9", "pids.max=x",
                                "io.max=8:0 rbps=1", "io.max=8:16 rbps=2"));
}

TEST_F(UpdateTest, ACpusetThatCannotBeEmptyAgainGetsTheParents) {
  Make("cpuset.cpus.effective", "0-3\n");
  Make("leaf/cpuset.cpus", "\n");
  const auto leaf = base::OpenAt(AT_FDCWD, root() + "/leaf", O_RDONLY);
  const absl::Status refused = WriteAllOrNone(
      {{leaf->get(), Value("cpuset.cpus", "0")},
       {leaf->get(), Value("pids.max", "x")}},
      [&](int, const std::string& file, absl::string_view value) {
        log_.push_back(file + "=" + std::string(value));
        const int error = value == "\n" ? ENOSPC : value == "x" ? EINVAL : 0;
        return error == 0 ? absl::OkStatus() : base::ErrnoError(error, file);
      });
  EXPECT_THAT(std::string(refused.message()), Not(HasSubstr("put back")));
  EXPECT_THAT(log_, ElementsAre("cpuset.cpus=0", "pids.max=x", "cpuset.cpus=\n",
                                "cpuset.cpus=0-3"));
}

TEST_F(UpdateTest, SaysWhatCouldNotBePutBack) {
  Make("memory.max", "50");
  Make("pids.max", "max");
  refused_ = {{{"pids.max", "x"}, EINVAL}, {{"memory.max", "50"}, EBUSY}};
  const absl::Status status =
      Write({Value("memory.max", "100"), Value("pids.max", "x")});
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("earlier values could not be put back"));
}

TEST_F(UpdateTest, ErrorsOfTheKernelNameTheField) {
  Make("cpuset.cpus", "0");
  struct Case {
    int error;
    absl::StatusCode code;
  };
  for (const Case& c :
       std::vector<Case>{{EINVAL, absl::StatusCode::kInvalidArgument},
                         {EACCES, absl::StatusCode::kInvalidArgument},
                         {ERANGE, absl::StatusCode::kInvalidArgument},
                         {EBUSY, absl::StatusCode::kFailedPrecondition},
                         {ENOENT, absl::StatusCode::kFailedPrecondition},
                         {ENOMEM, absl::StatusCode::kResourceExhausted},
                         {EIO, absl::StatusCode::kInternal}}) {
    refused_ = {{{"cpuset.cpus", "9"}, c.error}};
    const absl::Status status = Write({Value("cpuset.cpus", "9")});
    EXPECT_EQ(status.code(), c.code) << status;
    EXPECT_THAT(std::string(status.message()), StartsWith("field: "));
  }
}

TEST_F(UpdateTest, BestEffortForgivesAMissingFileAndNothingElse) {
  ControlValue swap = Value("memory.swap.max", "0");
  swap.best_effort = true;
  EXPECT_TRUE(Write({swap}).ok());
  refused_ = {{{"memory.swap.max", "0"}, EBUSY}};
  EXPECT_FALSE(Write({swap}).ok());
}

class UpdateV2Test : public UpdateTest {
 protected:
  CgroupV2 Driver() {
    return CgroupV2(*base::OpenAt(AT_FDCWD, root(), O_PATH | O_DIRECTORY));
  }
};

TEST_F(UpdateV2Test, EveryFieldLive) {
  for (const char* file :
       {"cpu.weight", "cpu.max", "cpuset.cpus", "cpuset.mems", "memory.max",
        "memory.swap.max", "hugetlb.2MB.max", "memory.high", "pids.max"}) {
    Make(std::string("leaf/") + file, "");
  }
  Resources from;
  Resources to;
  to.cpu_shares = 512;
  to.cpu_quota_us = 20000;
  to.cpu_period_us = 50000;
  to.cpuset_cpus = "0";
  to.cpuset_mems = "0";
  to.memory_limit_bytes = 4096;
  to.memory_swap_limit_bytes = 8192;
  to.hugepage_limits = {{"2MB", 2097152}, {"1GB", 0}};
  to.unified = {{"memory.high", "2048"}, {"pids.max", "10"}};
  const absl::Status updated = Driver().Update("/leaf", from, to);
  ASSERT_TRUE(updated.ok()) << updated;
  EXPECT_EQ(Read("leaf/cpu.weight"), "59");
  EXPECT_EQ(Read("leaf/cpu.max"), "20000 50000");
  EXPECT_EQ(Read("leaf/cpuset.cpus"), "0");
  EXPECT_EQ(Read("leaf/cpuset.mems"), "0");
  EXPECT_EQ(Read("leaf/memory.max"), "4096");
  EXPECT_EQ(Read("leaf/memory.swap.max"), "4096");
  EXPECT_EQ(Read("leaf/hugetlb.2MB.max"), "2097152");
  EXPECT_EQ(Read("leaf/memory.high"), "2048");
  EXPECT_EQ(Read("leaf/pids.max"), "10");
}

// A directory where a file should be cannot be written: EISDIR.
TEST_F(UpdateV2Test, AFailedWriteLeavesWhatWas) {
  Make("leaf/cpu.weight", "100");
  Make("leaf/memory.max", "max");
  Make("leaf/memory.swap.max", "max");
  Make("leaf/memory.high/x", "");
  Resources from;
  Resources to;
  to.cpu_shares = 512;
  to.memory_limit_bytes = 4096;
  to.unified = {{"memory.high", "2048"}};
  EXPECT_FALSE(Driver().Update("/leaf", from, to).ok());
  EXPECT_EQ(Read("leaf/cpu.weight"), "100");
  // Plain files keep the tail of a longer value that was written before.
  EXPECT_EQ(Read("leaf/memory.max").substr(0, 3), "max");
  EXPECT_EQ(Read("leaf/memory.swap.max").substr(0, 3), "max");
}

TEST_F(UpdateV2Test, NeverBelowWhatIsInUse) {
  Make("leaf/memory.max", "max");
  Make("leaf/memory.swap.max", "max");
  Make("leaf/cpu.weight", "100");
  Make("leaf/memory.current", "9000\n");
  Make("leaf/memory.reclaim", "");
  Resources from;
  Resources to;
  to.cpu_shares = 2;
  to.memory_limit_bytes = 4096;
  const absl::Status refused = Driver().Update("/leaf", from, to);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()),
              StartsWith("memory_limit_in_bytes: 9000 bytes"));
  EXPECT_EQ(Read("leaf/memory.reclaim"), "4904") << "it was tried";
  EXPECT_EQ(Read("leaf/memory.max"), "max");
  EXPECT_EQ(Read("leaf/cpu.weight"), "100") << "nothing was written";
  // By the name of the file and in a spelling of the kernel's, too.
  Resources named;
  named.unified["memory.max"] = "4k";
  EXPECT_EQ(Driver().Update("/leaf", from, named).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Read("leaf/memory.max"), "max");
  to.memory_limit_bytes = 9000;
  EXPECT_TRUE(Driver().Update("/leaf", from, to).ok());
}

TEST_F(UpdateTest, V1TouchesOnlyTheControllersConcerned) {
  Make("memory/pod/leaf/memory.limit_in_bytes", "9223372036854771712\n");
  Make("memory/pod/leaf/memory.memsw.limit_in_bytes", "9223372036854771712\n");
  Make("cpuset/pod/cpuset.cpus", "0-1\n");
  Make("cpuset/pod/leaf/cpuset.cpus", "0\n");
  const auto tree = [&](const char* name) {
    return CgroupTree(
        *base::OpenAt(AT_FDCWD, root() + "/" + name, O_PATH | O_DIRECTORY));
  };
  std::vector<V1Hierarchy> hierarchies;
  hierarchies.push_back({"memory", {"memory"}, false, tree("memory")});
  hierarchies.push_back({"cpuset", {"cpuset"}, false, tree("cpuset")});
  CgroupV1 v1(std::move(hierarchies), "/warren");
  Resources from;
  from.cpuset_cpus = "0";
  Resources to;
  to.memory_limit_bytes = 4096;
  const absl::Status updated = v1.Update("/pod/leaf", from, to);
  ASSERT_TRUE(updated.ok()) << updated;
  EXPECT_EQ(Read("memory/pod/leaf/memory.limit_in_bytes").substr(0, 4), "4096");
  EXPECT_EQ(Read("memory/pod/leaf/memory.memsw.limit_in_bytes").substr(0, 4),
            "4096");
  EXPECT_EQ(Read("cpuset/pod/leaf/cpuset.cpus"), "0-1") << "the parent's";
  to.cpu_shares = 2;
  const absl::Status missing = v1.Update("/pod/leaf", from, to);
  EXPECT_EQ(missing.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(missing.message()), StartsWith("cpu_shares: "));
}

}  // namespace
}  // namespace warren::runtime
