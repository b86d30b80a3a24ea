#include "agent/caller/access.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <optional>
#include <set>
#include <string>

#include "agent/cri/cri.h"
#include "grpc/health/v1/health.pb.h"
#include "warren/node/v1/node.pb.h"

namespace warren::agent {
namespace {

// There is no generated code of reflection in Debian, so no descriptor either;
// ServerTest.HealthCanBeFoundByReflection shows that this is its name.
constexpr char kReflection[] =
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

// Every RPC that the daemon serves.
std::set<std::string> Rpcs() {
  std::set<std::string> rpcs = {kReflection};
  for (const google::protobuf::FileDescriptor* file :
       {cri::VersionRequest::descriptor()->file(),
        ::warren::node::v1::ImportImageRequest::descriptor()->file(),
        ::grpc::health::v1::HealthCheckRequest::descriptor()->file()}) {
    EXPECT_GT(file->service_count(), 0) << file->name();
    for (int s = 0; s < file->service_count(); ++s) {
      const google::protobuf::ServiceDescriptor* service = file->service(s);
      for (int m = 0; m < service->method_count(); ++m) {
        rpcs.insert(absl::StrCat(service->full_name(), "/",
                                 service->method(m)->name()));
      }
    }
  }
  return rpcs;
}

TEST(AccessTest, EveryRpcHasOneRowAndNothingElseHas) {
  std::map<std::string, int> rows;
  for (const RpcRight& row : AccessTable()) ++rows[std::string(row.rpc)];
  const std::set<std::string> rpcs = Rpcs();
  EXPECT_GT(rpcs.size(), 40u);
  for (const std::string& rpc : rpcs) EXPECT_EQ(rows[rpc], 1) << rpc;
  for (const auto& [rpc, count] : rows) EXPECT_EQ(rpcs.count(rpc), 1u) << rpc;
}

// A class says how long a call may take, so a wrong one starves others.
TEST(AccessTest, EveryCallHasTheClassOfWhatItWaitsFor) {
  for (const RpcRight& row : AccessTable()) {
    const bool streams = absl::StrContains(row.rpc, "/Stream") ||
                         absl::StrContains(row.rpc, "/Watch") ||
                         absl::StrContains(row.rpc, "Events") ||
                         absl::StrContains(row.rpc, "/ImportImage") ||
                         absl::StrContains(row.rpc, "NodeService/PullImage") ||
                         absl::StrContains(row.rpc, "Reflection");
    EXPECT_EQ(row.call_class == CallClass::kStream, streams) << row.rpc;
    if (row.right == Right::kExec) {
      EXPECT_EQ(row.call_class, CallClass::kExec) << row.rpc;
    }
    if (!streams) {
      EXPECT_EQ(row.call_class == CallClass::kRead, row.right == Right::kRead)
          << row.rpc;
    }
    EXPECT_EQ(ClassOf(row.rpc), row.call_class);
  }
  for (const char* ends : {"StopContainer", "StopPodSandbox", "RemoveContainer",
                           "RemovePodSandbox"}) {
    EXPECT_EQ(ClassOf(absl::StrCat("runtime.v1.RuntimeService/", ends)),
              CallClass::kEnd)
        << ends;
  }
  EXPECT_EQ(ClassOf("runtime.v1.RuntimeService/NoSuchCall"), std::nullopt);
}

TEST(AccessTest, API_1_RootTheDaemonsUserAndTheGroupMayEverything) {
  for (const RpcRight& row : AccessTable()) {
    EXPECT_TRUE(MayCall(Caller::UnixUser(0), row.rpc).ok()) << row.rpc;
    EXPECT_TRUE(MayCall(Caller::UnixUser(geteuid()), row.rpc).ok()) << row.rpc;
    for (const Caller& member : {Caller::UnixUser(4711, /*in_group=*/true),
                                 Caller::UnixUser(std::nullopt, true)}) {
      EXPECT_TRUE(MayCall(member, row.rpc).ok()) << row.rpc;
    }
  }
}

TEST(AccessTest, API_1_AnybodyElseMayNothing) {
  Caller claims;  // whatever else it says: the transport did not know it
  claims.uid = 0;
  claims.in_group = true;
  for (const RpcRight& row : AccessTable()) {
    for (const Caller& caller :
         {Caller(), claims, Caller::UnixUser(geteuid() + 1),
          Caller::UnixUser(std::nullopt)}) {
      const absl::Status status = MayCall(caller, row.rpc);
      EXPECT_TRUE(absl::IsPermissionDenied(status)) << row.rpc;
      EXPECT_EQ(status.message(),
                absl::StrCat(caller.Name(), " has no right to ",
                             RightName(row.right), ": ", row.rpc));
    }
  }
}

TEST(AccessTest, WhatHasNoRowIsRefusedToRootToo) {
  for (const char* rpc : {"", "/runtime.v1.RuntimeService/Version", "Version",
                          "runtime.v1.RuntimeService/version",
                          "runtime.v1.RuntimeService/VersionX"}) {
    EXPECT_TRUE(absl::IsPermissionDenied(MayCall(Caller::UnixUser(0), rpc)))
        << rpc;
  }
}

TEST(CallerTest, Names) {
  EXPECT_EQ(Caller().Name(), "unknown");
  EXPECT_EQ(Caller::UnixUser(0).Name(), "uid:0");
  EXPECT_EQ(Caller::UnixUser(1000, true).Name(), "uid:1000");
  EXPECT_EQ(Caller::UnixUser(std::nullopt, true).Name(), "unix:");
}

}  // namespace
}  // namespace warren::agent
