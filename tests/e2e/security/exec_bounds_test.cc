// ExecSync takes neither the daemon's memory nor its time (STR-3).
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/cri_test.h"
#include "tests/support/ledger_probes.h"

namespace warren::test {
namespace {

constexpr int kParallel = 64;
// Of the daemon, whose unit gives it 1 GiB: all output that it keeps is
// 128 MiB, of which there may be a copy on its way.
constexpr long kMaxGrowthKib = 400 * 1024;

class ExecBoundsTest : public CriTest {
 protected:
  // Runs the command in `kParallel` calls of as many clients at once.
  void Parallel(
      const std::string& id, const std::string& script, int64_t timeout,
      const std::function<void(const absl::StatusOr<cri::ExecSyncResponse>&)>&
          check) {
    std::vector<std::thread> threads;
    for (int i = 0; i < kParallel; ++i) {
      threads.emplace_back([&] {
        CriClient own(daemon().socket());
        check(own.ExecSync(id, {"sh", "-c", script}, timeout,
                           Patience(kCallTimeout)));
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  // The daemon's memory now; what it had at most counts from here on, whatever
  // test came before (clear_refs: proc(5)).
  void MarkMemory() {
    ASSERT_TRUE(WriteHostFile(
        absl::StrCat("/proc/", daemon().pid(), "/clear_refs"), "5"));
    before_kib_ = daemon().StatusValue("VmRSS");
  }
  void ExpectMemoryStayedWithinBounds() {
    const long peak = daemon().StatusValue("VmHWM") - before_kib_;
    RecordProperty("peak_kib", std::to_string(peak));
    // AddressSanitizer holds back what is freed: not the product's memory.
    if (std::getenv("ASAN_OPTIONS") != nullptr) return;
    EXPECT_LT(peak, kMaxGrowthKib);
  }

 private:
  long before_kib_ = 0;
};

TEST_F(ExecBoundsTest, STR_3_AFloodIsCutToWhatAReplyMayHold) {
  const std::string id = RunAlone(IdleConfig("main"));
  MarkMemory();
  for (const char* script :
       {"head -c 100000000 /dev/zero", "head -c 100000000 /dev/zero >&2",
        "head -c 40000000 /dev/zero; head -c 40000000 /dev/zero >&2",
        "yes | head -c 20000000; yes no | head -c 20000000 >&2"}) {
    const auto reply = client().ExecSync(id, {"sh", "-c", script});
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->exit_code(), 0);
    EXPECT_LT(reply->ByteSizeLong(), 16u << 20) << "a client takes no more";
    EXPECT_GT(reply->ByteSizeLong(), 15u << 20);
  }
  ExpectMemoryStayedWithinBounds();
}

TEST_F(ExecBoundsTest, STR_3_AFloodOfATerminalTakesNoReply) {
  cri::ContainerConfig config = IdleConfig("main");
  config.set_tty(true);
  const std::string id = RunAlone(config);
  const auto reply =
      client().ExecSync(id, {"sh", "-c", "yes | head -c 20000000; exit 3"});
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->exit_code(), 3);
  EXPECT_LT(reply->ByteSizeLong(), 16u << 20);
}

TEST_F(ExecBoundsTest, STR_3_SilenceEndsWithTheTimeOut) {
  const std::string id = RunAlone(IdleConfig("main"));
  const absl::Time begin = absl::Now();
  std::atomic<int> late = 0;
  Parallel(id, "exec sleep 4141", 2, [&](const auto& reply) {
    if (!absl::IsDeadlineExceeded(reply.status())) ++late;
  });
  EXPECT_EQ(late, 0);
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(1900));
  EXPECT_LT(absl::Now() - begin, Patience(absl::Seconds(20)));
  EXPECT_TRUE(Eventually([] {
    for (const std::string& line : Processes(0)) {
      if (absl::StrContains(line, "sleep 4141")) return false;
    }
    return true;
  }));
}

TEST_F(ExecBoundsTest, STR_3_OrphansThatHoldTheOutputDoNotHoldTheCall) {
  const std::string id = RunAlone(IdleConfig("main"));
  for (const char* script :
       {"sleep 3131 & echo done", "setsid sleep 3131 & echo done",
        "(setsid sleep 3131 &) ; echo done",
        "while :; do echo more; usleep 100000; done & echo done"}) {
    // A call that is held ends with the client's patience.
    const auto reply = client().ExecSync(id, {"sh", "-c", script});
    ASSERT_TRUE(reply.ok()) << script << ": " << reply.status();
    EXPECT_EQ(reply->exit_code(), 0);
    EXPECT_TRUE(absl::StrContains(reply->stdout(), "done\n"));
  }
}

TEST_F(ExecBoundsTest, STR_3_ManyFloodsAtOnceStayWithinBounds) {
  const std::string id = RunAlone(IdleConfig("main"));
  MarkMemory();
  std::atomic<int> bad = 0;
  // Long enough to be no part of the test.
  const int64_t timeout = absl::ToInt64Seconds(Patience(kCallTimeout));
  Parallel(id, "head -c 40000000 /dev/zero; exit 7", timeout,
           [&](const auto& reply) {
             if (!reply.ok() || reply->exit_code() != 7 ||
                 reply->stdout().size() < 1000) {
               ++bad;
             }
           });
  EXPECT_EQ(bad, 0);
  ExpectMemoryStayedWithinBounds();
  EXPECT_EQ(ShellOutput(id, "echo alive"), "alive\n");
}

}  // namespace
}  // namespace warren::test
