// Every call below the seams fails once, or stalls, while the agent works.
// What ran still runs, afterwards everything works, nothing is left.
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <fnmatch.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/faults/fault_case.h"
#include "tests/faults/fault_operations.h"
#include "tests/faults/fault_points.h"
#include "tests/support/host_file.h"

namespace warren::test {
namespace {

using faults::Case;
using faults::ErrorName;
using faults::kNames;
using faults::kStall;
using faults::Operation;
using enum faults::Operation;

constexpr int kBystanders = 5;
// What CI walks of the points; the suite walks all of them.
constexpr absl::Duration kBudget = absl::Seconds(35);
// How long the trace of a fault may take to show.
constexpr absl::Duration kTrace = absl::Seconds(2);

// Another one each day, the same for all runs of that day.
unsigned SeedOfToday() {
  return static_cast<unsigned>(absl::ToUnixSeconds(absl::Now()) / 86400);
}

// Field 22 of /proc/<pid>/stat: when it began; empty when it is gone.
std::string BeginOf(pid_t pid) {
  const std::string text = ReadHostFile(absl::StrCat("/proc/", pid, "/stat"));
  size_t at = text.rfind(')');
  for (int field = 2; at != std::string::npos && field < 22; ++field) {
    at = text.find(' ', at + 1);
  }
  return at == std::string::npos ? ""
                                 : text.substr(at, text.find(' ', at + 1) - at);
}

// WARREN_FAULTS_PART=2/3: every third case, from the second on.
struct Part {
  size_t number = 0, of = 1;
};
Part ThePart() {
  Part part;
  const char* text = std::getenv("WARREN_FAULTS_PART");
  if (text == nullptr) return part;
  const size_t n = std::strtoul(text, nullptr, 10);
  const char* slash = std::strchr(text, '/');
  const size_t of = slash == nullptr ? 0 : std::strtoul(slash + 1, nullptr, 10);
  if (n >= 1 && n <= of) part = {n - 1, of};
  return part;
}

class FaultWalkTest : public FaultOperations {
 protected:
  void SetUp() override {
    ASSERT_TRUE(orders_.valid());
    ASSERT_TRUE(exceptions_.valid());
    FaultOperations::SetUp();
    if (HasFatalFailure()) return;
    points_ = faults::AllPoints();
    ASSERT_GT(points_.size(), 200u);
    TakeBystanders();
  }

  void TakeBystanders() {
    bystanders_.clear();
    for (int i = 0; i < kBystanders; ++i) {
      cri::PodSandboxConfig pod = Pod("by-" + std::to_string(++serial_));
      const std::string pod_id = RunPod(pod);
      const std::string id = Run(pod_id, pod, IdleConfig("by"));
      const pid_t pid = HostPid(pod_id, id);
      bystanders_.push_back({pod_id, id, pid, BeginOf(pid)});
    }
    orders_.SpareRunningShims();
    // A restart first: the ledger names parents, and orphans stay orphans.
    Reconnect();
    before_ = TakeLedger(Scope());
  }
  LedgerScope Scope() {
    LedgerScope scope = daemon().Scope();
    scope.descriptors = false;
    return scope;
  }

  // With a fault that stalls, the rest of the agent answers meanwhile.
  absl::Status DoUnderFault(const Case& c) {
    orders_.Arm(c.key, c.nth, c.error);
    if (c.error != kStall) return Do(c.operation);
    absl::Status result;
    std::atomic<bool> done = false;
    std::thread worker([&] {
      result = Do(c.operation);
      done = true;
    });
    Eventually([&] { return done || orders_.fired(); }, absl::Seconds(5));
    if (!done && orders_.fired() && c.operation != kAgentStart) {
      cri::StatusResponse reply;
      const absl::Status answer = client().Call(
          "/runtime.v1.RuntimeService/Status", cri::StatusRequest(), &reply,
          Patience(absl::Seconds(2)));
      if (!answer.ok()) Report(c, "no answer", answer.ToString());
    }
    orders_.Release();
    worker.join();
    return result;
  }

  static std::string Describe(const Case& c) {
    return absl::StrCat(kNames[c.operation], ", ", c.what, ", call ", c.nth,
                        " ", ErrorName(c.error));
  }

  // What destroyed, leaked, hung or lost something once is walked first.
  static bool IsFound(const Case& c) {
    static constexpr const char* kFound[] = {
        "RunPodSandbox, shim openat *ReadStat#1, call 1 EMFILE",
        "RunPodSandbox, shim sendmsg *SendReport#1, call 3 ENOMEM",
        "RunPodSandbox, agent recvmsg *ReceiveMessage#1, call 1 ENOMEM",
        "RunPodSandbox, agent setns *InNetns#2, call 1 ENOMEM",
        "StopContainer, shim waitpid *Monitor::Reap#1, call 1 EINTR",
        "StopContainer, shim renameat *ExitFile::*, call 1 ENOSPC",
        "StopContainer, shim pwrite *ExitFile::*, call 1 EIO",
        "StopContainer, shim ftruncate *ExitFile::*, call 1 EIO",
        "RemovePodSandbox, agent statx *RemoveTree#1, call 1 ENOMEM",
        "start of the agent, agent connect *UnixListener::Open#1, call 1 *",
    };
    return std::any_of(std::begin(kFound), std::end(kFound),
                       [&](const char* glob) {
                         return fnmatch(glob, Describe(c).c_str(), 0) == 0;
                       });
  }

  void Report(const Case& c, const char* kind, const std::string& why) {
    std::printf("%s: %s: %s\n", kind, Describe(c).c_str(),
                why.substr(0, 1000).c_str());
    std::fflush(stdout);
    ++found_[kind];
  }

  void Walk(const Case& c) {
    std::printf("walk: %s\n", Describe(c).c_str());
    std::fflush(stdout);  // names the case that hangs
    Prepare(c.operation);
    if (HasFatalFailure()) return;
    const size_t log = daemon().LogSize();
    const absl::Status first = DoUnderFault(c);
    if (!orders_.fired()) {
      ++found_["not reached"];
    } else {
      ++fired_;
      fired_points_.insert(c.key);
      if (first.ok() && c.error != kStall &&
          !exceptions_.Has("unseen", points_.at(c.key), kNames[c.operation]) &&
          !Eventually([&] { return orders_.Count(c.key) > c.nth; }, kTrace) &&
          !Told(c, log)) {
        Report(c, "unseen", "neither an error nor a retry nor a line");
      }
    }
    orders_.Disarm();
    if (c.operation == kStop && first.ok() && ExitCode() < 0) {
      Report(c, "exit lost", "nobody knows how the container ended");
    }
    Revive(c);
    CheckBystanders(c);
    if (!first.ok() && c.operation != kAgentStart) {
      absl::Status last;
      for (int i = 0; i < 3; ++i) {
        last = Again(c.operation);
        if (last.ok()) break;
      }
      if (!last.ok()) Report(c, "broken after", last.ToString());
    }
    CleanUp(c);
  }

  // Whether the log since `from` has another number of lines than a life
  // without faults, a pod is not ready, or a condition of Status is not good.
  bool Told(const Case& c, size_t from) {
    if (Lines(from) != lines_[c.operation]) return true;
    const auto pods = client().ListPodSandbox();
    if (!pods.ok()) return true;
    for (const cri::PodSandbox& pod : *pods) {
      if (pod.state() != cri::SANDBOX_READY) return true;
    }
    const auto status =
        client().Call<cri::StatusResponse>(cri::StatusRequest());
    if (!status.ok()) return true;
    const auto& conditions = status->status().conditions();
    return std::any_of(conditions.begin(), conditions.end(),
                       [](const auto& one) { return !one.status(); });
  }
  long Lines(size_t from) {
    const std::string log =
        ReadHostFile(daemon().directory() + "/warrend.log").substr(from);
    return std::count(log.begin(), log.end(), '\n');
  }

  void Revive(const Case& c) {
    if (daemon().running() && kill(daemon().pid(), 0) == 0 &&
        ProcessStatus(daemon().pid(), "State").substr(0, 1) != "Z") {
      if (c.operation == kAgentStart) Reconnect();
      return;
    }
    if (c.operation != kAgentStart) {
      Report(c, "agent died", daemon().Log(daemon().LogSize() - 500));
      KillDaemon();
    }
    StartDaemon();
  }
  void Reconnect() {
    // A new connection comes with a start through the fixture only.
    KillDaemon();
    StartDaemon();
  }

  void CheckBystanders(const Case& c) {
    bool lost = false;
    for (const Bystander& one : bystanders_) {
      const auto status = client().ContainerStatus(one.id);
      const bool runs =
          status.ok() && status->state() == cri::CONTAINER_RUNNING;
      if (runs && BeginOf(one.pid) == one.begin) continue;
      Report(c, "destroyed",
             status.ok() ? status->reason() : status.status().ToString());
      lost = true;
    }
    if (!lost) return;
    orders_.Disarm();
    RemoveAllPods();
    TakeBystanders();
  }

  void CleanUp(const Case& c) {
    const auto pods = client().ListPodSandbox();
    if (!pods.ok()) return Report(c, "broken after", pods.status().ToString());
    for (const cri::PodSandbox& pod : *pods) {
      if (IsBystander(pod.id())) continue;
      absl::Status gone = client().RemovePodSandbox(pod.id());
      if (!gone.ok()) gone = client().RemovePodSandbox(pod.id());
      if (!gone.ok()) Report(c, "broken after", gone.ToString());
    }
    const std::string diff = SettledDiff(before_, Scope(), absl::Seconds(4));
    if (diff.empty()) return;
    Report(c, "leaked", diff);
    before_ = TakeLedger(Scope());
  }
  bool IsBystander(const std::string& pod_id) const {
    return std::any_of(bystanders_.begin(), bystanders_.end(),
                       [&](const auto& one) { return one.pod_id == pod_id; });
  }

  // The first and the last call of a point with each error that it can give;
  // those between them with one error, which a caller handles alike.
  void AddCases(Operation operation, uint64_t key, uint32_t count,
                std::vector<Case>* cases) {
    const faults::Point& point = points_.at(key);
    for (const int error : point.errors) {
      cases->push_back({operation, key, 1, error, point.name});
      if (count > 1) {
        cases->push_back({operation, key, count, error, point.name});
      }
    }
    for (uint32_t nth = 2; nth < count; ++nth) {
      cases->push_back({operation, key, nth, point.errors.front(), point.name});
    }
  }

  // One life of each operation without a fault: which points it reaches.
  std::vector<Case> Record() {
    std::vector<Case> cases;
    for (int i = 0; i < kOperations; ++i) {
      const auto operation = static_cast<Operation>(i);
      Prepare(operation);
      const size_t log = daemon().LogSize();
      orders_.Arm();
      const absl::Status status = Do(operation);
      lines_[i] = Lines(log);
      EXPECT_TRUE(status.ok()) << kNames[i] << ": " << status;
      const auto counts = orders_.Counts();
      orders_.Disarm();
      if (operation == kAgentStart) Reconnect();
      for (const auto& [key, count] : counts) {
        const auto point = points_.find(key);
        if (point == points_.end()) {
          continue;  // of a library (fault_points.cc)
        }
        if (!reached_.insert(key).second && operation > kAgentStart) continue;
        AddCases(operation, key, count, &cases);
      }
      std::printf("faults: %s reaches %zu points\n", kNames[i], counts.size());
      CleanUp({operation, 0, 0, EIO, "recording"});
    }
    return cases;
  }

  struct Bystander {
    std::string pod_id, id;
    pid_t pid = 0;
    std::string begin;
  };
  faults::OrdersFile orders_;
  std::map<uint64_t, faults::Point> points_;
  const faults::Exceptions exceptions_;
  long lines_[kOperations] = {};
  std::set<uint64_t> reached_, fired_points_;
  std::map<std::string, int> found_;
  std::vector<Bystander> bystanders_;
  Ledger before_;
  int serial_ = 0;
  int fired_ = 0;
};

TEST_F(FaultWalkTest, REL_2_NoFaultDestroysOrLeaks) {
  const char* given = std::getenv("WARREN_TEST_SEED");
  const bool complete = std::getenv("WARREN_FAULTS_ALL") != nullptr;
  const unsigned seed = given != nullptr ? std::atoi(given) : SeedOfToday();
  std::printf("faults: seed %u (WARREN_TEST_SEED)\n", seed);
  std::vector<Case> cases = Record();
  std::mt19937 random(seed);
  std::shuffle(cases.begin(), cases.end(), random);
  std::stable_partition(cases.begin(), cases.end(), IsFound);
  const char* seconds = std::getenv("WARREN_FAULTS_SECONDS");
  const absl::Time end =
      absl::Now() +
      (seconds != nullptr ? absl::Seconds(std::atoi(seconds)) : kBudget);
  size_t walked = 0;
  const char* only = std::getenv("WARREN_FAULTS_ONLY");
  const Part part = ThePart();
  size_t serial = 0;
  for (const Case& c : cases) {
    if (serial++ % part.of != part.number) continue;
    if (only != nullptr && fnmatch(only, Describe(c).c_str(), 0) != 0) continue;
    if (HasFatalFailure() || (!complete && absl::Now() > end)) break;
    Walk(c);
    ++walked;
  }
  for (const std::string& line : exceptions_.Stale(points_)) {
    std::printf("stale: %s\n", line.c_str());
    ++found_["stale"];
  }
  const bool whole = complete && only == nullptr && part.of == 1;
  for (const auto& [key, point] : points_) {
    const bool met = (whole ? fired_points_ : reached_).count(key) != 0;
    if (met || exceptions_.Has("unreached", point)) continue;
    std::printf("unreached: %s\n", point.name.c_str());
    ++found_["unreached"];
  }
  std::printf("faults: %zu of %zu cases, %zu of %zu points reached\n", walked,
              cases.size(), reached_.size(), points_.size());
  for (const auto& [kind, count] : found_) {
    std::printf("faults: %s: %d\n", kind.c_str(), count);
  }
  std::printf(
      "faults: points=%zu operations=%d fired=%d destroyed=%d "
      "leaked=%d\n",
      reached_.size(), kOperations, fired_, found_["destroyed"],
      found_["leaked"]);
  for (const char* kind : {"destroyed", "leaked", "exit lost", "broken after",
                           "no answer", "agent died"}) {
    EXPECT_EQ(found_[kind], 0) << kind;
  }
  EXPECT_EQ(found_["unreached"], 0);
  EXPECT_EQ(found_["stale"], 0) << "exceptions.txt";
  if (complete) {
    EXPECT_EQ(found_["unseen"], 0);
  }
}

}  // namespace
}  // namespace warren::test
