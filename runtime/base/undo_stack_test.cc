#include "runtime/base/undo_stack.h"

#include <gtest/gtest.h>

#include <string>

namespace warren::base {
namespace {

TEST(UndoStack, RunsNewestFirstWhenItDiesArmed) {
  std::string order;
  {
    UndoStack undo;
    for (const char c : {'a', 'b', 'c'}) {
      undo.Push("step", [&order, c] {
        order += c;
        return absl::OkStatus();
      });
    }
  }
  EXPECT_EQ(order, "cba");
}

TEST(UndoStack, ReleaseForgets) {
  bool ran = false;
  {
    UndoStack undo;
    undo.Push("step", [&ran] {
      ran = true;
      return absl::OkStatus();
    });
    undo.Release();
  }
  EXPECT_FALSE(ran);
}

TEST(UndoStack, UnwindGoesOnAfterAnErrorAndReturnsTheFirst) {
  int runs = 0;
  UndoStack undo;
  for (const char* name : {"one", "two", "three"}) {
    undo.Push(name, [&runs, name] {
      ++runs;
      return std::string(name) == "one" ? absl::OkStatus()
                                        : absl::InternalError("broken");
    });
  }
  const absl::Status status = undo.Unwind();
  EXPECT_EQ(runs, 3);
  EXPECT_EQ(status.message(), "three: broken");
  EXPECT_TRUE(undo.Unwind().ok());
  EXPECT_EQ(runs, 3);
}

}  // namespace
}  // namespace warren::base
