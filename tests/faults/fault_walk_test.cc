// Every call below the seams fails once, or stalls, while the agent works.
// What ran still runs, afterwards everything works, nothing is left.
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/faults/fault_case.h"
#include "tests/faults/fault_points.h"
#include "tests/support/cri_test.h"
#include "tests/support/host_file.h"
#include "tests/support/oci_image.h"

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
constexpr absl::Duration kBudget = absl::Seconds(40);

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

class FaultWalkTest : public CriTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(orders_.valid());
    ASSERT_TRUE(exceptions_.valid());
    daemon().wrapper = {"/bin/sh", "-c",
                        "exec " WARREN_FAULTY "/bin/warrend \"$@\""};
    CriTest::SetUp();
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

  // Everything before the operation, without faults.
  void Prepare(Operation operation) {
    pod_ = Pod("walk-" + std::to_string(++serial_));
    // As much as one pod can use of what the product does.
    NamespaceOptions(&pod_)->set_pid(cri::POD);
    (*pod_.mutable_linux()->mutable_sysctls())["net.ipv4.ip_default_ttl"] =
        "65";
    pod_id_.clear();
    id_.clear();
    if (operation == kImport) return;
    if (operation == kAgentStart) return KillDaemon();
    if (operation > kRunPod) pod_id_ = RunPod(pod_);
    if (operation > kCreate) {
      const auto id = client().CreateContainer(pod_id_, Main(), pod_);
      ASSERT_TRUE(id.ok()) << id.status();
      id_ = *id;
    }
    if (operation > kStart) {
      const absl::Status started = client().StartContainer(id_);
      ASSERT_TRUE(started.ok()) << started;
    }
  }

  cri::ContainerConfig Main() {
    cri::ContainerConfig config = IdleConfig("main");
    NamespaceOptions(&config)->set_pid(cri::POD);
    auto* security = config.mutable_linux()->mutable_security_context();
    security->mutable_seccomp()->set_profile_type(
        cri::SecurityProfile::RuntimeDefault);
    cri::Device* device = config.add_devices();
    device->set_host_path("/dev/zero");
    device->set_container_path("/dev/nothing");
    device->set_permissions("r");
    AddMount(&config, daemon().log_dir(), "/logs", /*readonly=*/true);
    return config;
  }

  absl::Status Do(Operation operation) {
    switch (operation) {
      case kRunPod: {
        const auto id = client().RunPodSandbox(pod_);
        return id.status();
      }
      case kCreate: {
        const auto id = client().CreateContainer(pod_id_, Main(), pod_);
        return id.status();
      }
      case kStart:
        return client().StartContainer(id_);
      case kExec: {
        const auto reply = client().ExecSync(id_, {"echo", "hello"});
        if (reply.ok() && reply->stdout() != "hello\n") {
          return absl::DataLossError(
              absl::StrCat("exit ", reply->exit_code(), ", output \"",
                           reply->stdout(), "\", ", reply->stderr()));
        }
        return reply.status();
      }
      case kStop:
        return client().StopContainer(id_, 1);
      case kRemove:
        return client().RemovePodSandbox(pod_id_);
      case kImport:
        return client().ImportImage("warren.test/fault:1", archive_).status();
      default:
        return daemon().Start();
    }
  }

  // What a caller does after an error. A container that failed to start is
  // EXITED: another one takes its place.
  absl::Status Again(Operation operation) {
    if (operation != kStart) return Do(operation);
    client().RemoveContainer(id_).IgnoreError();
    const auto id = client().CreateContainer(pod_id_, Main(), pod_);
    if (!id.ok()) return id.status();
    id_ = *id;
    return Do(operation);
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

  void Report(const Case& c, const char* kind, const std::string& why) {
    std::printf("%s: %s, %s, call %u %s: %s\n", kind, kNames[c.operation],
                c.what.c_str(), c.nth, ErrorName(c.error).c_str(),
                why.substr(0, 600).c_str());
    std::fflush(stdout);
    ++found_[kind];
  }

  void Walk(const Case& c) {
    std::printf("walk: %s, %s, call %u %s\n", kNames[c.operation],
                c.what.c_str(), c.nth, ErrorName(c.error).c_str());
    std::fflush(stdout);  // names the case that hangs
    Prepare(c.operation);
    if (HasFatalFailure()) return;
    const size_t log = daemon().LogSize();
    const absl::Status first = DoUnderFault(c);
    const auto counts = orders_.Counts();
    orders_.Disarm();
    if (!orders_.fired()) {
      ++found_["not reached"];
    } else {
      ++fired_;
      fired_points_.insert(c.key);
      const bool again = counts.count(c.key) != 0 && counts.at(c.key) > c.nth;
      if (first.ok() && !again && c.error != kStall && !Told(c, log) &&
          !exceptions_.Has("unseen", points_.at(c.key))) {
        Report(c, "unseen", "neither an error nor a retry nor a line");
      }
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
  // without faults, or a condition of Status is not good.
  bool Told(const Case& c, size_t from) {
    if (Lines(from) != lines_[c.operation]) return true;
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
        reached_.insert(key);
        for (const int error : point->second.errors) {
          cases.push_back({operation, key, 1, error, point->second.name});
          if (count > 1) {
            cases.push_back({operation, key, count, error, point->second.name});
          }
        }
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
  cri::PodSandboxConfig pod_;
  std::string pod_id_, id_;
  const std::string archive_ =
      OciArchive({.layers = {Tar({{.name = "file", .content = "x"}})}});
  int serial_ = 0;
  int fired_ = 0;
};

TEST_F(FaultWalkTest, REL_2_NoFaultDestroysOrLeaks) {
  const char* given = std::getenv("WARREN_TEST_SEED");
  const bool complete = std::getenv("WARREN_FAULTS_ALL") != nullptr;
  const unsigned seed =
      given != nullptr ? std::atoi(given) : std::random_device()();
  std::printf("faults: seed %u (WARREN_TEST_SEED)\n", seed);
  std::vector<Case> cases = Record();
  std::mt19937 random(seed);
  std::shuffle(cases.begin(), cases.end(), random);
  const char* seconds = std::getenv("WARREN_FAULTS_SECONDS");
  const absl::Time end =
      absl::Now() +
      (seconds != nullptr ? absl::Seconds(std::atoi(seconds)) : kBudget);
  size_t walked = 0;
  for (const Case& c : cases) {
    if (HasFatalFailure() || (!complete && absl::Now() > end)) break;
    Walk(c);
    ++walked;
  }
  for (const auto& [key, point] : points_) {
    const bool met = (complete ? fired_points_ : reached_).count(key) != 0;
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
  for (const char* kind :
       {"destroyed", "leaked", "broken after", "no answer", "agent died"}) {
    EXPECT_EQ(found_[kind], 0) << kind;
  }
  if (!complete) return;
  EXPECT_EQ(found_["unseen"], 0);
  EXPECT_EQ(found_["unreached"], 0);
}

}  // namespace
}  // namespace warren::test
