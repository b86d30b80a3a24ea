// Every RPC of CRI v1 is registered; those of later issues say UNIMPLEMENTED.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>

#include <set>

#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

const std::set<std::string>& Later() {
  static const auto* names =
      new std::set<std::string>{"Exec",
                                "Attach",
                                "PortForward",
                                "ContainerStats",
                                "ListContainerStats",
                                "StreamContainerStats",
                                "PodSandboxStats",
                                "ListPodSandboxStats",
                                "StreamPodSandboxStats",
                                "GetContainerEvents",
                                "ListMetricDescriptors",
                                "ListPodSandboxMetrics",
                                "StreamPodSandboxMetrics",
                                "CheckpointContainer"};
  return *names;
}

class UnimplementedTest : public CriTest {
 protected:
  // The code of a call with an empty request.
  absl::StatusCode CodeOf(const google::protobuf::MethodDescriptor* method) {
    const std::string name =
        "/" + method->service()->full_name() + "/" + method->name();
    if (method->server_streaming()) {
      return client()
          .channel()
          .ServerStream(name, "", Patience(absl::Seconds(10)))
          .status()
          .code();
    }
    return client()
        .channel()
        .Unary(name, "", Patience(absl::Seconds(10)))
        .status()
        .code();
  }
};

TEST_F(UnimplementedTest, EveryRpcIsRegisteredAndSaysSoWhenItIsForLater) {
  const auto* file = cri::VersionRequest::descriptor()->file();
  int methods = 0;
  for (int s = 0; s < file->service_count(); ++s) {
    for (int m = 0; m < file->service(s)->method_count(); ++m) {
      const auto* method = file->service(s)->method(m);
      ++methods;
      EXPECT_EQ(CodeOf(method) == absl::StatusCode::kUnimplemented,
                Later().contains(method->name()))
          << method->full_name();
    }
  }
  EXPECT_EQ(methods, 41);
}

TEST_F(UnimplementedTest, UnknownMethodsAndServicesToo) {
  for (const char* name : {"/runtime.v1.RuntimeService/NoSuchThing",
                           "/runtime.v1alpha2.RuntimeService/Version",
                           "/no.such.Service/Version"}) {
    EXPECT_CODE(client()
                    .channel()
                    .Unary(name, "", Patience(absl::Seconds(10)))
                    .status(),
                kUnimplemented)
        << name;
  }
}

}  // namespace
}  // namespace warren::test
