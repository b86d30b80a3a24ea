// main() of tests that need root: everything runs inside a throwaway node.
#include <gtest/gtest.h>

#include "tests/support/node_namespace.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (testing::GTEST_FLAG(list_tests)) return RUN_ALL_TESTS();
  return warren::test::RunInNode([] { return RUN_ALL_TESTS(); });
}
