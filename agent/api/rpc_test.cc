#include "agent/api/rpc.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "agent/cri/text.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

TEST(RpcTest, CodesKeepTheirNumbers) {
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status =
        ToGrpcStatus(absl::Status(static_cast<absl::StatusCode>(code), "why"));
    EXPECT_EQ(static_cast<int>(status.error_code()), code);
    EXPECT_EQ(status.error_message(), "why");
  }
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
}

// To a kubelet NOT_FOUND means that the pod is gone.
TEST(RpcTest, NoErrnoBecomesNotFound) {
  for (const int error : {ENOENT, ESRCH, ENODEV}) {
    EXPECT_EQ(ToGrpcStatus(base::ErrnoError(error, "open")).error_code(),
              grpc::StatusCode::INTERNAL);
  }
}

TEST(RpcTest, API_6_StatusTextIsShortOneLineUtf8) {
  const std::string huge = "field\n" + std::string(1 << 20, '\xFF');
  const grpc::Status status = ToGrpcStatus(absl::InvalidArgumentError(huge));
  EXPECT_LE(status.error_message().size(), kMaxStatusText);
  EXPECT_TRUE(IsUtf8(status.error_message()));
  EXPECT_EQ(status.error_message().find('\n'), std::string::npos);
}

TEST(RpcTest, BodySeesADeadlineInTheFutureAndReplyIsCleaned) {
  grpc::ServerContext context;
  google::protobuf::Message* no_reply = nullptr;
  RpcCall call{.name = "Test", .object = "x"};
  const grpc::Status status =
      RunRpc(&context, &call, no_reply, [&](const CallContext& caller) {
        EXPECT_GT(caller.Remaining(), absl::ZeroDuration());
        return absl::NotFoundError("gone");
      });
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace warren::agent
