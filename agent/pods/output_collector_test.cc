#include "agent/pods/output_collector.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "runtime/base/file.h"

namespace warren::agent {
namespace {

// A collector with the write ends of its pipes.
struct Fed {
  std::unique_ptr<OutputCollector> collector;
  base::UniqueFd out;
  base::UniqueFd err;

  Fed(size_t limit, OutputBudget* budget) {
    auto out_pipe = base::MakePipe();
    auto err_pipe = base::MakePipe();
    collector = *OutputCollector::Make(
        std::move(out_pipe->read), std::move(err_pipe->read), limit, budget);
    out = std::move(out_pipe->write);
    err = std::move(err_pipe->write);
  }
  void Feed(size_t bytes) {
    const std::string block(4096, 'x');
    for (; bytes > 0; bytes -= block.size()) {
      ASSERT_TRUE(base::WriteFd(out.get(), block).ok());
      ASSERT_TRUE(collector->ReadAvailable().ok());
    }
  }
};

constexpr size_t kAlways = OutputBudget::kAlwaysBytes;

TEST(OutputCollector, STR_3_AllSessionsShareOneBudget) {
  OutputBudget budget(100 * 1024);
  {
    Fed first(1 << 20, &budget);
    first.Feed(kAlways);
    EXPECT_EQ(budget.left(), 100u * 1024) << "the first bytes are free";
    first.Feed(96 * 1024);
    EXPECT_EQ(budget.left(), 4u * 1024);
    Fed second(1 << 20, &budget);
    second.Feed(kAlways + 32 * 1024);
    EXPECT_EQ(second.collector->TakeStdout().size(), kAlways + 4 * 1024);
    EXPECT_EQ(budget.left(), 0u);
    Fed third(1 << 20, &budget);
    third.Feed(kAlways * 2);
    EXPECT_EQ(third.collector->TakeStdout().size(), kAlways);
    EXPECT_EQ(first.collector->TakeStdout().size(), kAlways + 96 * 1024);
  }
  EXPECT_EQ(budget.left(), 100u * 1024);
}

TEST(OutputCollector, STR_3_WhatIsDroppedLeavesNoHole) {
  OutputBudget budget(8 * 1024);
  Fed one(1 << 20, &budget);
  one.Feed(kAlways + 64 * 1024);
  budget.GiveBack(1 << 20);
  one.Feed(64 * 1024);
  EXPECT_EQ(one.collector->TakeStdout().size(), kAlways + 8 * 1024);
}

TEST(OutputCollector, STR_3_EachSessionHasItsLimit) {
  OutputBudget budget;
  Fed one(10000, &budget);
  one.Feed(64 * 1024);
  EXPECT_EQ(one.collector->TakeStdout().size(), 10000u);
  EXPECT_EQ(budget.left(), OutputBudget::kBytes);
}

}  // namespace
}  // namespace warren::agent
