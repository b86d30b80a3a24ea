#include "runtime/cgroup/levels.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace warren::runtime {
namespace {

using ::testing::ElementsAre;

ControlValue ValueOf(const std::string& file, const std::string& value) {
  return {file.substr(0, file.find('.')), file, value, "field", false};
}

int64_t LimitIn(const std::string& text) {
  int64_t number = 0;
  return absl::SimpleAtoi(text, &number) && number >= 0 ? number : INT64_MAX;
}

std::set<int> Processors(const std::string& list) {
  std::set<int> all;
  for (const auto range : absl::StrSplit(list, ',', absl::SkipEmpty())) {
    const std::vector<std::string> ends = absl::StrSplit(range, '-');
    for (int i = std::stoi(ends[0]); i <= std::stoi(ends.back()); ++i) {
      all.insert(i);
    }
  }
  return all;
}

using Files = std::map<std::string, std::string>;

// A leaf and its inner cgroup, with what the kernel checks.
class TwoLevels {
 public:
  TwoLevels(Files outer, Files inner)
      : files_{std::move(outer), std::move(inner)} {}

  Files& At(Level level) { return files_[level == Level::kInner]; }
  std::string Now(Level level, const std::string& file) {
    const auto found = At(level).find(file);
    return found == At(level).end() ? "" : found->second;
  }
  // False: the kernel would refuse it.
  bool Write(const LevelWrite& write) {
    const std::string before = Now(write.level, write.value.file);
    At(write.level)[write.value.file] = write.value.value;
    if (IsLegal()) return true;
    At(write.level)[write.value.file] = before;
    return false;
  }
  // What is refused of the plan; nothing is refused of a good one.
  std::vector<std::string> Apply(const std::vector<ControlValue>& changed) {
    std::vector<std::string> refused;
    const auto now = [&](Level level, const std::string& file) {
      return Now(level, file);
    };
    for (const LevelWrite& write : PlanBothLevels(changed, now)) {
      if (!Write(write)) {
        refused.push_back(
            absl::StrCat(write.value.file, "=", write.value.value));
      }
      seen_.push_back(At(Level::kOuter));
    }
    return refused;
  }
  // The leaf after each write.
  const std::vector<Files>& seen() const { return seen_; }

  static double Share(const Files& files) {
    const auto quota = files.find("cpu.cfs_quota_us");
    if (quota == files.end() || LimitIn(quota->second) == INT64_MAX) return 1e9;
    return static_cast<double>(LimitIn(quota->second)) /
           static_cast<double>(LimitIn(files.at("cpu.cfs_period_us")));
  }

 private:
  bool IsLegal() {
    for (const Files& f : files_) {
      const auto memory = f.find("memory.limit_in_bytes");
      const auto swap = f.find("memory.memsw.limit_in_bytes");
      if (memory != f.end() && swap != f.end() &&
          LimitIn(memory->second) > LimitIn(swap->second)) {
        return false;
      }
    }
    // No quota inside is the one outside.
    if (Share(files_[1]) != 1e9 && Share(files_[1]) > Share(files_[0])) {
      return false;
    }
    const auto outside = Processors(Now(Level::kOuter, "cpuset.cpus"));
    const auto inside = Processors(Now(Level::kInner, "cpuset.cpus"));
    return std::includes(outside.begin(), outside.end(), inside.begin(),
                         inside.end());
  }

  Files files_[2];
  std::vector<Files> seen_;
};

std::vector<std::string> Texts(const std::vector<LevelWrite>& plan) {
  std::vector<std::string> texts;
  for (const LevelWrite& w : plan) {
    texts.push_back(absl::StrCat(w.level == Level::kInner ? "in " : "out ",
                                 w.value.file, "=", w.value.value));
  }
  return texts;
}

TEST(PlanBothLevels, EXE_11_RaisedOutsideFirstLoweredInsideFirst) {
  const auto now = [](Level, const std::string& file) -> std::string {
    return absl::StartsWith(file, "memory.") ? "100" : "20";
  };
  EXPECT_THAT(Texts(PlanBothLevels({ValueOf("pids.max", "30")}, now)),
              ElementsAre("out pids.max=30", "in pids.max=30"));
  EXPECT_THAT(Texts(PlanBothLevels({ValueOf("pids.max", "max")}, now)),
              ElementsAre("out pids.max=max", "in pids.max=max"));
  EXPECT_THAT(Texts(PlanBothLevels({ValueOf("pids.max", "10")}, now)),
              ElementsAre("in pids.max=10", "out pids.max=10"));
  // One of a pair: the inner cgroup gets both.
  EXPECT_THAT(
      Texts(PlanBothLevels({ValueOf("memory.limit_in_bytes", "50")}, now)),
      ElementsAre("in memory.limit_in_bytes=50",
                  "in memory.memsw.limit_in_bytes=100",
                  "out memory.limit_in_bytes=50"));
  EXPECT_THAT(
      Texts(PlanBothLevels({ValueOf("memory.limit_in_bytes", "-1"),
                            ValueOf("memory.memsw.limit_in_bytes", "-1")},
                           now)),
      ElementsAre(
          "out memory.memsw.limit_in_bytes=-1", "out memory.limit_in_bytes=-1",
          "in memory.memsw.limit_in_bytes=-1", "in memory.limit_in_bytes=-1"));
  EXPECT_THAT(Texts(PlanOneLevel({ValueOf("pids.max", "10")}, now)),
              ElementsAre("out pids.max=10"));
}

// Whatever was written inside, nothing is refused on the way from any share to
// any other, and the leaf never has more than the larger one of both.
TEST(PlanBothLevels, EXE_11_EveryChangeOfTimeIsTaken) {
  const std::pair<const char*, const char*> states[] = {
      {"-1", "100000"},     {"5000", "10000"},  {"50000", "100000"},
      {"200000", "100000"}, {"10000", "10000"}, {"1000", "1000"}};
  for (const auto& from : states) {
    for (const auto& to : states) {
      for (const auto& inside : states) {
        const auto files = [](const auto& state) {
          return Files{{"cpu.cfs_quota_us", state.first},
                       {"cpu.cfs_period_us", state.second}};
        };
        if (std::string(inside.first) != "-1" &&
            TwoLevels::Share(files(inside)) > TwoLevels::Share(files(from))) {
          continue;  // the kernel had refused it
        }
        std::vector<ControlValue> changed;
        for (const auto& [file, text] : files(to)) {
          if (files(from)[file] != text) changed.push_back(ValueOf(file, text));
        }
        if (changed.empty()) continue;
        TwoLevels levels(files(from), files(inside));
        EXPECT_THAT(levels.Apply(changed), ElementsAre())
            << from.first << "/" << from.second << " -> " << to.first << "/"
            << to.second << " with " << inside.first << "/" << inside.second;
        EXPECT_EQ(levels.At(Level::kOuter), files(to));
        EXPECT_EQ(levels.At(Level::kInner), files(to));
        const double most = std::max(TwoLevels::Share(files(from)),
                                     TwoLevels::Share(files(to)));
        for (const Files& seen : levels.seen()) {
          EXPECT_LE(TwoLevels::Share(seen), most);
        }
      }
    }
  }
}

TEST(PlanBothLevels, EXE_11_EveryChangeOfMemoryIsTaken) {
  const std::pair<const char*, const char*> states[] = {
      {"-1", "-1"},   {"100", "100"}, {"100", "300"},
      {"200", "200"}, {"50", "-1"},   {"400", "500"}};
  for (const auto& from : states) {
    for (const auto& to : states) {
      for (const auto& inside : states) {
        const auto files = [](const auto& state) {
          return Files{{"memory.limit_in_bytes", state.first},
                       {"memory.memsw.limit_in_bytes", state.second}};
        };
        std::vector<ControlValue> changed;
        for (const auto& [file, text] : files(to)) {
          if (files(from)[file] != text) changed.push_back(ValueOf(file, text));
        }
        if (changed.empty()) continue;
        TwoLevels levels(files(from), files(inside));
        EXPECT_THAT(levels.Apply(changed), ElementsAre())
            << from.first << "," << from.second << " -> " << to.first << ","
            << to.second << " with " << inside.first << "," << inside.second;
        EXPECT_EQ(levels.At(Level::kOuter), files(to));
        EXPECT_EQ(levels.At(Level::kInner), files(to));
      }
    }
  }
}

TEST(PlanBothLevels, EXE_11_EveryChangeOfCpusetsIsTaken) {
  const char* lists[] = {"0", "0-1", "1-3", "2,3", "0-3", "3"};
  for (const std::string from : lists) {
    for (const std::string to : lists) {
      for (const std::string inside : lists) {
        Files outer = {{"cpuset.cpus", from}};
        const auto above = Processors(from);
        const auto below = Processors(inside);
        if (!std::includes(above.begin(), above.end(), below.begin(),
                           below.end())) {
          continue;
        }
        TwoLevels levels(outer, {{"cpuset.cpus", inside}});
        EXPECT_THAT(levels.Apply({ValueOf("cpuset.cpus", to)}), ElementsAre())
            << from << " -> " << to << " with " << inside;
        EXPECT_EQ(levels.At(Level::kOuter)["cpuset.cpus"], to);
        EXPECT_EQ(levels.At(Level::kInner)["cpuset.cpus"], to);
        const auto both = Processors(absl::StrCat(from, ",", to));
        for (const Files& seen : levels.seen()) {
          const auto had = Processors(seen.at("cpuset.cpus"));
          EXPECT_TRUE(
              std::includes(both.begin(), both.end(), had.begin(), had.end()));
        }
      }
    }
  }
}

}  // namespace
}  // namespace warren::runtime
