#ifndef WARREN_AGENT_API_RPC_H_
#define WARREN_AGENT_API_RPC_H_

#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <absl/strings/string_view.h>
#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/api/call_pool.h"
#include "agent/caller/call_context.h"
#include "agent/caller/steps.h"

// The one place where the daemon's error model meets gRPC, and where every
// call is timed and logged.
namespace warren::agent {

// Longest message of a status (API-6).
inline constexpr size_t kMaxStatusText = 1024;

// The code by number (both use the canonical ones), the message as one line of
// valid UTF-8. The errno payload goes to the log only.
grpc::Status ToGrpcStatus(const absl::Status& status);

// One call, for its log line. The body may complete `object` and `detail`
// while it runs, e.g. with the id that was made.
struct RpcCall {
  // Together the call's row in the table of rights (caller/access.h).
  absl::string_view service;  // "runtime.v1.RuntimeService"; a literal
  absl::string_view name;     // "RunPodSandbox"; a literal
  // A call that changes something is logged at info for the audit trail
  // (API-9), others at debug unless they fail.
  bool mutating = false;
  std::string object = {};  // id, or name of what is made
  std::string detail = {};  // of mutating calls: what exactly, never secrets
  // Of calls that keep anything of it; checked before the body runs (API-6).
  const google::protobuf::Message* request = nullptr;
};

// Runs `body` if the caller may make the call (MayCall) and the request is
// within its bounds, with the deadline and the cancellation of the call. Logs
// one line
//   rpc=StopContainer id=4f… code=OK ms=12.3 caller=uid:0 [detail=…] [error=…]
// and maps the result. Unless `reply` is null, all its strings are made valid
// UTF-8; pass null for lists, whose strings came in requests and so were
// checked when those were parsed.
//
// Runs on the thread of the call and blocks as long as the body does. The
// deadline of a request is of the wall clock; it becomes one of the monotonic
// clock here, once.
grpc::Status RunRpc(grpc::ServerContext* context, RpcCall* call,
                    google::protobuf::Message* reply,
                    absl::FunctionRef<absl::Status(const CallContext&)> body);
// The same for a caller whom the transport did not name.
grpc::Status RunRpcAs(const Caller& caller, grpc::ServerContext* context,
                      RpcCall* call, google::protobuf::Message* reply,
                      absl::FunctionRef<absl::Status(const CallContext&)> body);

// The same for a call that may wait: it runs on `pool`, on the threads of its
// class, and RunRpc's thread of gRPC is free. `begin` makes its steps there,
// once its turn has come; steps whose caller has gone by then are never made.
// Until the call has ended, what `begin` refers to must live; it may complete
// the RpcCall, which the steps may do as well.
using BeginSteps = std::function<std::unique_ptr<Steps>(
    const CallContext& context, RpcCall* call)>;
grpc::ServerUnaryReactor* StartRpc(CallPool* pool,
                                   grpc::CallbackServerContext* context,
                                   RpcCall call,
                                   google::protobuf::Message* reply,
                                   BeginSteps begin);
// The same for a body of one step, which holds a thread until it has ended.
using RpcBody =
    std::function<absl::Status(const CallContext& context, RpcCall* call)>;
grpc::ServerUnaryReactor* StartRpc(CallPool* pool,
                                   grpc::CallbackServerContext* context,
                                   RpcCall call,
                                   google::protobuf::Message* reply,
                                   RpcBody body);
// The first for a caller whom the transport did not name.
grpc::ServerUnaryReactor* StartRpcAs(const Caller& caller, CallPool* pool,
                                     grpc::CallbackServerContext* context,
                                     RpcCall call,
                                     google::protobuf::Message* reply,
                                     BeginSteps begin);

// Calls that are admitted now, at work or waiting, in the whole process.
int CallsUnderWay();

// Bounds of one message of a Stream… list: far below the 16 MiB that a client
// takes.
inline constexpr int kMaxItemsPerMessage = 1000;
inline constexpr size_t kMaxBytesPerMessage = 2 * 1024 * 1024;

// Sends a snapshot item by item in as few messages as the bounds allow; an
// empty one is an empty stream. `add` is Reply's add_…(), `Write` returns
// false once the client has gone.
template <class Item, class Reply>
absl::Status StreamItems(std::vector<Item> items, Item* (Reply::*add)(),
                         grpc::ServerWriter<Reply>* writer) {
  Reply reply;
  int count = 0;
  size_t bytes = 0;
  for (Item& item : items) {
    const size_t size = item.ByteSizeLong();
    if (count > 0 &&
        (count == kMaxItemsPerMessage || bytes + size > kMaxBytesPerMessage)) {
      if (!writer->Write(reply)) return absl::CancelledError("client has gone");
      reply.Clear();
      count = 0;
      bytes = 0;
    }
    *(reply.*add)() = std::move(item);
    ++count;
    bytes += size;
  }
  if (count > 0 && !writer->Write(reply)) {
    return absl::CancelledError("client has gone");
  }
  return absl::OkStatus();
}

}  // namespace warren::agent

#endif  // WARREN_AGENT_API_RPC_H_
