#include "agent/node/pod_ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/node/status.h"
#include "tests/fakes/core_node.h"
#include "tests/fakes/fake_pod_network.h"

namespace warren::agent {
namespace {

constexpr char kOne[] = "10.1.0.0/16";
constexpr char kTwo[] = "10.2.0.0/16,fd00:2::/64";

std::string Text(const std::vector<netplugin::IpPrefix>& ranges) {
  std::string text;
  for (const auto& range : ranges) {
    text += (text.empty() ? "" : ",") + range.ToString();
  }
  return text;
}

// Remembers its ranges, and that nobody changes them while somebody else does.
class RangesNetwork : public test::FakePodNetwork {
 public:
  using FakePodNetwork::FakePodNetwork;
  absl::Status Init() override {
    return std::exchange(init_fails_, false)
               ? absl::InternalError("the kernel refuses")
               : absl::OkStatus();
  }
  absl::Status SetPodRanges(const std::vector<netplugin::IpPrefix>& ranges,
                            const base::Deadline& deadline) override {
    if (++inside_ > 1) overlaps_ = true;
    ++calls_;
    absl::Status status = FakePodNetwork::SetPodRanges(ranges, deadline);
    std::this_thread::yield();
    if (status.ok() && pods_ > 0) {
      status = absl::FailedPreconditionError("pods hold addresses");
    }
    if (status.ok()) ranges_ = Text(ranges);
    --inside_;
    return status;
  }

  bool init_fails_ = false;  // the next one
  int calls_ = 0;
  std::string ranges_ = kOne;
  std::atomic<int> inside_ = 0;
  std::atomic<int> pods_ = 0;
  std::atomic<bool> overlaps_ = false;
};

class PodRangesTest : public ::testing::Test {
 protected:
  PodRangesTest()
      : network_(&faults_),
        ranges_(directory_.path(), *ParsePodCidr(kOne), &network_) {}

  std::string Path(const std::string& name) const {
    return directory_.path() + "/" + name;
  }
  std::string File() const {
    std::ifstream file(Path("pod_ranges"));
    std::string line;
    std::getline(file, line);
    return line;
  }
  absl::Status Update(const std::string& cidr) {
    return ranges_.Update(cidr, base::Deadline::Never());
  }
  void ExpectEverywhere(const std::string& ranges) {
    EXPECT_EQ(network_.ranges_, ranges);
    EXPECT_EQ(Text(ranges_.InForce()), ranges);
    struct stat status = {};
    EXPECT_NE(lstat(Path("pod_ranges.next").c_str(), &status), 0);
  }

  test::StateDirectory directory_;
  test::Faults faults_;
  RangesNetwork network_;
  PodRanges ranges_;
};

TEST_F(PodRangesTest, AChangeIsInTheFileAndInTheNetwork) {
  ASSERT_TRUE(Update(kTwo).ok());
  ExpectEverywhere(kTwo);
  EXPECT_EQ(File(), kTwo);
  EXPECT_EQ(Text(*ranges_.Read()), kTwo);
}

TEST_F(PodRangesTest, REL_7_ARefusedChangeLeavesEverythingAsItWas) {
  ASSERT_TRUE(Update(kOne).ok());
  network_.pods_ = 1;
  EXPECT_TRUE(absl::IsFailedPrecondition(Update(kTwo)));
  network_.pods_ = 0;
  ExpectEverywhere(kOne);
  EXPECT_EQ(File(), kOne);
  network_.init_fails_ = true;
  EXPECT_FALSE(Update(kTwo).ok());
  ExpectEverywhere(kOne);
  EXPECT_EQ(File(), kOne);
}

TEST_F(PodRangesTest, REL_7_AFileThatCannotBeWrittenLeavesTheOldRanges) {
  // Neither takes a file in its place.
  ASSERT_EQ(mkdir(Path("pod_ranges").c_str(), 0700), 0);
  ASSERT_EQ(mkdir(Path("pod_ranges/full").c_str(), 0700), 0);
  EXPECT_FALSE(Update(kTwo).ok());
  ExpectEverywhere(kOne);
  ASSERT_EQ(mkdir(Path("pod_ranges.next").c_str(), 0700), 0);
  const int calls = network_.calls_;
  EXPECT_FALSE(Update(kTwo).ok());
  EXPECT_EQ(network_.ranges_, kOne);
  EXPECT_EQ(network_.calls_, calls) << "the network was touched in vain";
}

TEST_F(PodRangesTest, REL_28_ManyChangesAtOnceEndInAgreement) {
  std::vector<std::thread> callers;
  for (const char* mine : {kOne, kTwo, kOne, kTwo}) {
    callers.emplace_back([&, mine] {
      for (int i = 0; i < 20; ++i) {
        const absl::Status status = Update(mine);
        EXPECT_TRUE(status.ok() || absl::IsFailedPrecondition(status))
            << status;
      }
    });
  }
  std::thread pods([&] {
    for (int i = 0; i < 400; ++i) {
      ++network_.pods_;
      std::this_thread::yield();
      --network_.pods_;
      std::this_thread::yield();
    }
  });
  for (std::thread& caller : callers) caller.join();
  pods.join();
  EXPECT_FALSE(network_.overlaps_);
  ExpectEverywhere(Text(ranges_.InForce()));
  ASSERT_TRUE(Update(kOne).ok());
  std::thread last([&] { EXPECT_TRUE(Update(kTwo).ok()); });
  last.join();
  ExpectEverywhere(kTwo);
  EXPECT_EQ(File(), kTwo);
}

}  // namespace
}  // namespace warren::agent
