// What calls needed is given back once they have ended (agent/host/memory.h).
#include <absl/strings/str_cat.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

constexpr long kBackWithinKiB = 16 * 1024;
constexpr absl::Duration kBackAfter = absl::Seconds(10);

class MemoryTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    if (std::getenv("ASAN_OPTIONS") != nullptr) {
      GTEST_SKIP()
          << "AddressSanitizer has a heap of its own, which keeps what "
             "is freed";
    }
  }

  // KiB that no file backs.
  long Memory() { return daemon().StatusValue("RssAnon"); }

  // `calls` times at once, until all have ended; then it is as before.
  void ExpectGivenBack(const std::string& what, int calls,
                       const std::function<void(int)>& call) {
    const long before = Memory();
    std::vector<std::thread> callers;
    for (int i = 0; i < calls; ++i) callers.emplace_back(call, i);
    for (std::thread& caller : callers) caller.join();
    const long burst = Memory();
    EXPECT_TRUE(Eventually([&] { return Memory() < before + kBackWithinKiB; },
                           kBackAfter));
    std::printf(
        "%s: RssAnon of the daemon: %ld KiB before, %ld at the end, "
        "%ld later\n",
        what.c_str(), before, burst, Memory());
  }
};

TEST_F(MemoryTest, REL_20_MemoryOfRefusedRequestsIsGivenBack) {
  cri::PodSandboxConfig pod = Pod("refused");
  (*pod.mutable_annotations())["large"] = std::string(12 << 20, 'x');
  // Many short ones: the kind that a heap keeps.
  cri::PodSandboxConfig labels = Pod("refused");
  for (int i = 0; i < 20'000; ++i) {
    (*labels.mutable_labels())[absl::StrCat("key-", i)] = std::string(600, 'x');
  }
  ExpectGivenBack("30 refused requests of 12 MiB", 30, [&](int i) {
    EXPECT_CODE(CriClient(daemon().socket())
                    .RunPodSandbox(i % 2 == 0 ? pod : labels)
                    .status(),
                kInvalidArgument);
  });
}

TEST_F(MemoryTest, REL_20_MemoryOfAFloodOfExecSyncIsGivenBack) {
  const std::string id = RunAlone(IdleConfig("main"));
  ExpectGivenBack("32 ExecSync of 15 MB", 32, [&](int) {
    const auto reply =
        CriClient(daemon().socket())
            .ExecSync(id, {"head", "-c", "15000000", "/dev/zero"});
    EXPECT_TRUE(reply.ok()) << reply.status();
  });
}

}  // namespace
}  // namespace warren::test
