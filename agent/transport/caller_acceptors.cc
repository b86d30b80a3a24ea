#include "agent/transport/caller_acceptors.h"

#include <absl/base/thread_annotations.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/string_view.h>
#include <absl/synchronization/mutex.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/security/server_credentials.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

#include "agent/caller/access.h"

namespace warren::agent {
namespace {

using grpc::experimental::ExternalConnectionAcceptor;

// In the authentication context. The first is there for every caller; the
// value of the second is of no meaning.
constexpr char kUidProperty[] = "warren_caller_uid";
constexpr char kNoNumber[] = "-";
constexpr char kGroupProperty[] = "warren_caller_in_group";

// The library's own service.
constexpr absl::string_view kReflection = "/grpc.reflection.";

absl::string_view View(grpc::string_ref text) {
  return absl::string_view(text.data(), text.size());
}

Caller CallerIn(const grpc::AuthContext& context) {
  const std::vector<grpc::string_ref> uids =
      context.FindPropertyValues(kUidProperty);
  if (uids.empty()) return Caller();
  const bool in_group = !context.FindPropertyValues(kGroupProperty).empty();
  uid_t uid = 0;
  if (!absl::SimpleAtoi(View(uids[0]), &uid)) {
    return Caller::UnixUser(std::nullopt, in_group);
  }
  return Caller::UnixUser(uid, in_group);
}

}  // namespace

// Runs with each call before its handler; the context is the connection's.
class CallerAcceptors::Namer : public grpc::AuthMetadataProcessor {
 public:
  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& metadata,
                       grpc::AuthContext* context, OutputMetadata* /*consumed*/,
                       OutputMetadata* /*reply*/) override {
    Name(context);
    const auto path = metadata.find(":path");
    if (path == metadata.end()) {
      return grpc::Status(grpc::StatusCode::PERMISSION_DENIED,
                          "a call without a name");
    }
    absl::string_view rpc = View(path->second);
    if (!absl::StartsWith(rpc, kReflection)) return grpc::Status::OK;
    rpc.remove_prefix(1);
    const absl::Status may = MayCall(CallerIn(*context), rpc);
    return grpc::Status(static_cast<grpc::StatusCode>(may.raw_code()),
                        std::string(may.message()));
  }

  // Whether connections of this caller are for it. A namer that has no caller
  // yet takes this one, for good.
  bool Takes(const Caller& caller) {
    absl::MutexLock lock(&mutex_);
    if (!caller_.has_value()) caller_ = caller;
    return *caller_ == caller;
  }

 private:
  // The first call of a connection does it for those that follow. Contexts
  // have no lock; with this one, nobody reads what is being added to: handlers
  // run after this.
  void Name(grpc::AuthContext* context) {
    absl::MutexLock lock(&mutex_);
    if (!context->FindPropertyValues(kUidProperty).empty()) return;
    context->AddProperty(kUidProperty, caller_->uid.has_value()
                                           ? absl::StrCat(*caller_->uid)
                                           : kNoNumber);
    if (caller_->in_group) context->AddProperty(kGroupProperty, "1");
  }

  absl::Mutex mutex_;
  std::optional<Caller> caller_ ABSL_GUARDED_BY(mutex_);  // set once
};

CallerAcceptors::CallerAcceptors(grpc::ServerBuilder* builder) {
  for (Acceptor& a : acceptors_) {
    const auto credentials = grpc::experimental::LocalServerCredentials(UDS);
    a.namer = std::make_shared<Namer>();
    credentials->SetAuthMetadataProcessor(a.namer);
    a.acceptor = builder->experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        credentials);
  }
  acceptors_.front().namer->Takes(Caller::UnixUser(0));
  if (geteuid() != 0) acceptors_[1].namer->Takes(Caller::UnixUser(geteuid()));
  // Nobody else is admitted without the group.
  acceptors_.back().namer->Takes(
      Caller::UnixUser(std::nullopt, /*in_group=*/true));
}

void CallerAcceptors::HandOver(base::UniqueFd connection,
                               const Caller& caller) {
  ExternalConnectionAcceptor::NewConnectionParameters parameters;
  parameters.fd = connection.release();
  for (const Acceptor& a : acceptors_) {
    if (&a != &acceptors_.back() && !a.namer->Takes(caller)) continue;
    a.acceptor->HandleNewConnection(&parameters);
    return;
  }
}

Caller CallerOf(const grpc::ServerContextBase& context) {
  const auto identity = context.auth_context();
  return identity == nullptr ? Caller() : CallerIn(*identity);
}

}  // namespace warren::agent
