#include "runtime/image/registry/authorizer.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/base/status.h"

namespace warren::registry {
namespace {

using Kind = Credentials::Kind;

// A token is not used in its last moments: the request takes time, too.
constexpr absl::Duration kTokenMargin = absl::Seconds(5);

int64_t MonotonicNow() { return base::SystemClock().MonotonicNow(); }

}  // namespace

Authorizer::Authorizer(std::string scope, Credentials credentials,
                       HttpLimits limits, Transport* transport)
    : scope_(std::move(scope)),
      credentials_(std::move(credentials)),
      limits_(limits),
      transport_(transport) {}

std::string Authorizer::Header() const {
  base::MutexLock lock(&mutex_);
  return MonotonicNow() < until_ ? header_ : std::string();
}

void Authorizer::Set(std::string header, int64_t until) {
  base::MutexLock lock(&mutex_);
  header_ = std::move(header);
  until_ = until;
}

absl::Status Authorizer::AwaitTurn(const std::string& used, bool* renewed,
                                   const base::Deadline& deadline) {
  base::MutexLock lock(&mutex_);
  while (fetching_) {
    RETURN_IF_ERROR(deadline.Check());
    fetched_.Wait(&mutex_, deadline);
  }
  *renewed = header_ != used && !header_.empty() && MonotonicNow() < until_;
  fetching_ = !*renewed;
  return absl::OkStatus();
}

absl::StatusOr<Token> Authorizer::Fetch(const TokenAsker& asker,
                                        const Challenge& bearer,
                                        const base::Deadline& deadline) const {
  if (asker.is_registry && credentials_.kind == Kind::kRegistryToken) {
    return Token{credentials_.secret, absl::InfiniteDuration()};
  }
  ASSIGN_OR_RETURN(const TokenRequest request,
                   PlanToken(asker, bearer, scope_, credentials_));
  return FetchToken(request, limits_, transport_, deadline);
}

absl::Status Authorizer::Renew(const TokenAsker& asker, const Challenge& bearer,
                               const std::string& used,
                               const base::Deadline& deadline) {
  bool renewed = false;
  RETURN_IF_ERROR(AwaitTurn(used, &renewed, deadline));
  if (renewed) return absl::OkStatus();
  const int64_t now = MonotonicNow();
  const auto token = Fetch(asker, bearer, deadline);
  base::MutexLock lock(&mutex_);
  fetching_ = false;
  fetched_.NotifyAll();
  if (!token.ok()) return token.status();
  header_ = absl::StrCat("Bearer ", token->value);
  until_ = token->lifetime == absl::InfiniteDuration()
               ? INT64_MAX
               : now + absl::ToInt64Nanoseconds(token->lifetime - kTokenMargin);
  return absl::OkStatus();
}

absl::Status Authorizer::Answer(const TokenAsker& asker,
                                const std::vector<Challenge>& challenges,
                                const std::string& used, AuthRounds* rounds,
                                const base::Deadline& deadline) {
  if (++rounds->refused >= kMaxAuthRounds) {
    return absl::UnauthenticatedError("refuses the credentials (HTTP 401)");
  }
  const Challenge* const bearer = FindChallenge(challenges, "bearer");
  const bool has_token =
      asker.is_registry && credentials_.kind == Kind::kRegistryToken;
  const bool may_bearer =
      bearer != nullptr && (has_token || !bearer->Get("realm").empty());
  if (may_bearer && !rounds->fetched_token) {
    rounds->fetched_token = true;
    return Renew(asker, *bearer, used, deadline);
  }
  const bool may_basic =
      asker.is_registry && credentials_.kind == Kind::kPassword;
  if (FindChallenge(challenges, "basic") != nullptr && may_basic &&
      !rounds->tried_basic) {
    rounds->tried_basic = true;
    const std::string basic =
        BasicAuthorization(credentials_.username, credentials_.secret);
    if (basic != used) {
      Set(basic, INT64_MAX);
      return absl::OkStatus();
    }
  }
  if (challenges.empty()) {
    return absl::UnauthenticatedError(
        "HTTP 401 without a word on how to prove oneself");
  }
  if (used.empty() && credentials_.anonymous()) {
    return absl::UnauthenticatedError("wants credentials (HTTP 401)");
  }
  return absl::UnauthenticatedError("refuses the credentials (HTTP 401)");
}

}  // namespace warren::registry
