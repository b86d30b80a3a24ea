#include "agent/transport/peer_acceptors.h"

#include <absl/base/thread_annotations.h>
#include <absl/strings/str_cat.h>
#include <absl/synchronization/mutex.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/security/server_credentials.h>

#include <optional>
#include <vector>

namespace warren::agent {
namespace {

using grpc::experimental::ExternalConnectionAcceptor;

// In the authentication context.
constexpr char kUidProperty[] = "warren_peer_uid";

}  // namespace

// Runs with each call before its handler; the context is the connection's.
class PeerAcceptors::Namer : public grpc::AuthMetadataProcessor {
 public:
  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& /*metadata*/,
                       grpc::AuthContext* context, OutputMetadata* /*consumed*/,
                       OutputMetadata* /*reply*/) override {
    // The first call of the connection has done it for those that follow.
    // Contexts have no lock; with this one, nobody reads what is being added
    // to: handlers run after this.
    absl::MutexLock lock(&mutex_);
    if (context->FindPropertyValues(kUidProperty).empty()) {
      context->AddProperty(kUidProperty, absl::StrCat(*uid_));
    }
    return grpc::Status::OK;
  }

  // Whether connections of this user are for it; a free one takes him.
  bool Takes(uid_t uid) {
    absl::MutexLock lock(&mutex_);
    if (!uid_.has_value()) uid_ = uid;
    return *uid_ == uid;
  }

 private:
  absl::Mutex mutex_;
  std::optional<uid_t> uid_ ABSL_GUARDED_BY(mutex_);  // set once
};

PeerAcceptors::PeerAcceptors(grpc::ServerBuilder* builder) {
  for (Acceptor& a : acceptors_) {
    const auto credentials = grpc::experimental::LocalServerCredentials(UDS);
    if (&a != &acceptors_.back()) {
      a.namer = std::make_shared<Namer>();
      credentials->SetAuthMetadataProcessor(a.namer);
    }
    a.acceptor = builder->experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        credentials);
  }
  acceptors_.front().namer->Takes(0);
}

void PeerAcceptors::HandOver(base::UniqueFd connection, uid_t uid) {
  ExternalConnectionAcceptor::NewConnectionParameters parameters;
  parameters.fd = connection.release();
  for (const Acceptor& a : acceptors_) {
    if (a.namer != nullptr && !a.namer->Takes(uid)) continue;
    a.acceptor->HandleNewConnection(&parameters);
    return;
  }
}

std::string PeerOf(const grpc::ServerContext& context) {
  const auto identity = context.auth_context();
  if (identity != nullptr) {
    const std::vector<grpc::string_ref> uids =
        identity->FindPropertyValues(kUidProperty);
    if (!uids.empty()) {
      return absl::StrCat("uid:",
                          absl::string_view(uids[0].data(), uids[0].size()));
    }
  }
  return context.peer();
}

}  // namespace warren::agent
