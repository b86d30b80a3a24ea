#include "tests/support/cri_channel.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/sync_stream.h>

#include <chrono>

namespace warren::test {
namespace {

constexpr int kMaxMessage = 16 << 20;

grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string ToString(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  buffer.Dump(&slices).ok();
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

absl::Status ToStatus(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
}

void SetDeadline(grpc::ClientContext* context, absl::Duration timeout) {
  if (timeout == absl::InfiniteDuration()) return;
  context->set_deadline(std::chrono::system_clock::now() +
                        absl::ToChronoMilliseconds(timeout));
}

}  // namespace

struct CriChannel::State {
  std::shared_ptr<grpc::Channel> channel;
};

CriChannel::CriChannel(const std::string& socket)
    : state_(std::make_unique<State>()) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessage);
  // A connection of its own, not one shared with other channels.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  state_->channel = grpc::CreateCustomChannel(
      "unix:" + socket, grpc::InsecureChannelCredentials(), arguments);
}

CriChannel::~CriChannel() = default;

absl::Status CriChannel::WaitConnected(absl::Duration patience) {
  const auto deadline =
      std::chrono::system_clock::now() + absl::ToChronoMilliseconds(patience);
  if (state_->channel->WaitForConnected(deadline)) return absl::OkStatus();
  return absl::UnavailableError("nobody serves the socket");
}

absl::StatusOr<std::string> CriChannel::Unary(const std::string& method,
                                              const std::string& request,
                                              absl::Duration timeout) {
  grpc::ClientContext context;
  SetDeadline(&context, timeout);
  grpc::ByteBuffer reply;
  const grpc::internal::RpcMethod rpc(
      method.c_str(), grpc::internal::RpcMethod::NORMAL_RPC, state_->channel);
  const grpc::Status status =
      grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer,
                                        grpc::ByteBuffer, grpc::ByteBuffer>(
          state_->channel.get(), rpc, &context, ToBuffer(request), &reply);
  if (!status.ok()) return ToStatus(status);
  return ToString(reply);
}

absl::StatusOr<std::vector<std::string>> CriChannel::ServerStream(
    const std::string& method, const std::string& request,
    absl::Duration timeout) {
  grpc::ClientContext context;
  SetDeadline(&context, timeout);
  const grpc::internal::RpcMethod rpc(
      method.c_str(), grpc::internal::RpcMethod::SERVER_STREAMING,
      state_->channel);
  std::unique_ptr<grpc::ClientReader<grpc::ByteBuffer>> reader(
      grpc::internal::ClientReaderFactory<grpc::ByteBuffer>::Create(
          state_->channel.get(), rpc, &context, ToBuffer(request)));
  std::vector<std::string> messages;
  grpc::ByteBuffer message;
  while (reader->Read(&message)) messages.push_back(ToString(message));
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return ToStatus(status);
  return messages;
}

absl::StatusOr<std::string> CriChannel::ClientStream(
    const std::string& method, const std::vector<std::string>& requests,
    absl::Duration timeout) {
  grpc::ClientContext context;
  SetDeadline(&context, timeout);
  const grpc::internal::RpcMethod rpc(
      method.c_str(), grpc::internal::RpcMethod::CLIENT_STREAMING,
      state_->channel);
  grpc::ByteBuffer reply;
  std::unique_ptr<grpc::ClientWriter<grpc::ByteBuffer>> writer(
      grpc::internal::ClientWriterFactory<grpc::ByteBuffer>::Create(
          state_->channel.get(), rpc, &context, &reply));
  for (const std::string& request : requests) {
    if (!writer->Write(ToBuffer(request))) break;
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (!status.ok()) return ToStatus(status);
  return ToString(reply);
}

}  // namespace warren::test
