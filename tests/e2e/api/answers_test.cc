// The API stays answerable while calls wait: what a kubelet needs to keep the
// node Ready is never refused (numbers of calls: caller/admission.h).
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/cri_test.h"
#include "tests/support/ledger_probes.h"

namespace warren::test {
namespace {

// Asks what a kubelet and its probes ask, every 100 ms, on a connection of its
// own, until it is destroyed.
class Prober {
 public:
  explicit Prober(const std::string& socket)
      : client_(socket), thread_([this] { Run(); }) {}
  ~Prober() { Stop(); }

  void Stop() {
    done_ = true;
    if (thread_.joinable()) thread_.join();
  }
  // After Stop().
  void ExpectNoRefusal(const char* during) {
    EXPECT_THAT(errors_, testing::IsEmpty()) << during;
    ASSERT_FALSE(took_.empty());
    std::sort(took_.begin(), took_.end());
    std::printf("%s: %zu reads, p50 %s, p99 %s, slowest %s\n", during,
                took_.size(), Text(took_[took_.size() / 2]).c_str(),
                Text(took_[took_.size() * 99 / 100]).c_str(),
                Text(took_.back()).c_str());
  }
  int rounds() const { return rounds_; }

 private:
  static std::string Text(absl::Duration duration) {
    return absl::FormatDuration(absl::Trunc(duration, absl::Microseconds(10)));
  }

  void Ask(const char* method) {
    const absl::Time begin = absl::Now();
    const absl::Status status =
        client_.channel().Unary(method, "", kCallTimeout).status();
    took_.push_back(absl::Now() - begin);
    if (!status.ok())
      errors_.push_back(absl::StrCat(method, ": ", status.ToString()));
  }

  void Run() {
    while (!done_) {
      Ask("/runtime.v1.RuntimeService/Status");
      Ask("/runtime.v1.RuntimeService/Version");
      Ask("/runtime.v1.RuntimeService/ListContainers");
      Ask("/grpc.health.v1.Health/Check");
      ++rounds_;
      absl::SleepFor(absl::Milliseconds(100));
    }
  }

  CriClient client_;
  std::vector<absl::Duration> took_;
  std::vector<std::string> errors_;
  std::atomic<int> rounds_ = 0;
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

class AnswersTest : public CriTest {
 protected:
  long Memory() { return daemon().StatusValue("VmRSS"); }
  long Threads() { return daemon().StatusValue("Threads"); }

  // Several rounds of the prober beside what goes on now.
  void AwaitRounds(const Prober& prober) {
    const int before = prober.rounds();
    EXPECT_TRUE(Eventually([&] { return prober.rounds() >= before + 10; },
                           absl::Seconds(60)));
  }
};

// Whose arguments have `text`.
int CountProcesses(const std::string& text) {
  const std::set<std::string> all = Processes(0);
  return static_cast<int>(
      std::count_if(all.begin(), all.end(), [&](const std::string& line) {
        return line.find(text) != std::string::npos;
      }));
}

// More than gRPC has threads for.
constexpr int kCommands = 540;

TEST_F(AnswersTest, REL_12_ReadsAreAnsweredWhile540CommandsSleep) {
  const std::string id = RunAlone(IdleConfig("main"));
  const long memory_before = Memory();
  Prober prober(daemon().socket());
  std::atomic<int> wrong = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < kCommands; ++i) {
    callers.emplace_back([&, i] {
      const auto reply = client().ExecSync(
          id, {"sleep", std::to_string(770000 + i)}, 0, absl::Minutes(20));
      // The container was stopped; nothing else ends them.
      const bool ended = reply.ok()
                             ? reply->exit_code() == 137
                             : absl::IsFailedPrecondition(reply.status());
      if (!ended) {
        if (wrong++ == 0)
          std::printf("%s\n", reply.status().ToString().c_str());
      }
    });
  }
  EXPECT_TRUE(
      Eventually([&] { return CountProcesses("sleep 77") == kCommands; },
                 absl::Minutes(2)))
      << CountProcesses("sleep 77");
  AwaitRounds(prober);
  // They sleep without a thread each, once those that began them have gone.
  EXPECT_TRUE(Eventually([&] { return Threads() < 100; }, absl::Seconds(30)))
      << Threads();
  const long memory_during = Memory();
  EXPECT_TRUE(client().StopContainer(id, 0).ok());
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0) << "of " << kCommands;
  AwaitRounds(prober);
  prober.Stop();
  prober.ExpectNoRefusal("540 commands");
  std::printf("VmRSS of the daemon: %ld KiB before, %ld during, %ld after\n",
              memory_before, memory_during, Memory());
}

// The suite drains a full node (tests/suites/drain.sh).
int PodsToDrain() {
  const char* pods = std::getenv("WARREN_DRAIN_PODS");
  return pods == nullptr ? 60 : std::atoi(pods);
}

TEST_F(AnswersTest, REL_12_ADrainOfStubbornContainersRefusesNothing) {
  const int pods = PodsToDrain();
  // As impatient clients do; in any case more than gRPC has threads for.
  const int stops_of_each = std::max(2, kCommands / pods + 1);
  std::vector<std::string> ids;
  for (int i = 0; i < pods; ++i) {
    ids.push_back(RunAlone(ShellConfig(
        absl::StrCat("p", i),
        "trap '' TERM; echo up; while :; do sleep 1000 & wait; done")));
  }
  EXPECT_TRUE(Eventually([&] {
    return std::all_of(ids.begin(), ids.end(), [&](const std::string& id) {
      return ReadHostFile(StatusOf(id).log_path()).find("up") !=
             std::string::npos;
    });
  }));
  const long memory_before = Memory();
  Prober prober(daemon().socket());
  std::atomic<int> failed = 0;
  std::vector<std::thread> callers;
  const absl::Time begin = absl::Now();
  for (int i = 0; i < pods * stops_of_each; ++i) {
    callers.emplace_back([&, i] {
      const cri::StopContainerRequest request = [&] {
        cri::StopContainerRequest stop;
        stop.set_container_id(ids[i % pods]);
        stop.set_timeout(15);
        return stop;
      }();
      const auto reply =
          client().Call<cri::StopContainerResponse>(request, absl::Minutes(20));
      if (!reply.ok() && failed++ == 0) {
        std::printf("%s\n", reply.status().ToString().c_str());
      }
    });
  }
  AwaitRounds(prober);
  const long memory_during = Memory();
  const long threads_during = Threads();
  for (std::thread& caller : callers) caller.join();
  const absl::Duration took = absl::Now() - begin;
  EXPECT_EQ(failed, 0) << "of " << callers.size();
  for (const std::string& id : ids) {
    const cri::ContainerStatus status = StatusOf(id);
    EXPECT_EQ(status.state(), cri::CONTAINER_EXITED) << id;
    EXPECT_EQ(status.exit_code(), 137) << id;
  }
  AwaitRounds(prober);
  prober.Stop();
  prober.ExpectNoRefusal(
      absl::StrCat("drain of ", pods, " pods by ", callers.size(), " calls")
          .c_str());
  std::printf(
      "drained in %s; %ld threads; VmRSS of the daemon: %ld KiB before, %ld "
      "during, %ld after\n",
      absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(1))).c_str(),
      threads_during, memory_before, memory_during, Memory());
}

}  // namespace
}  // namespace warren::test
