// A client in another language that has nothing of ours but the socket.
#include "tests/support/command.h"
#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

class ThirdPartyTest : public CriTest {};

TEST_F(ThirdPartyTest, PythonThroughReflectionRunsAPod) {
  if (RunCommand({"/usr/bin/python3", "-c", "import grpc"}).exit_code != 0) {
    GTEST_SKIP() << "needs python3-grpcio";
  }
  const CommandResult result =
      RunCommand({"/usr/bin/python3", WARREN_THIRD_PARTY_CLIENT,
                  daemon().socket(), daemon().log_dir()});
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
}

}  // namespace
}  // namespace warren::test
