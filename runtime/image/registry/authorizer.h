#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_AUTHORIZER_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_AUTHORIZER_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/deadline.h"
#include "runtime/base/mutex.h"
#include "runtime/image/registry/challenge.h"
#include "runtime/image/registry/credentials.h"
#include "runtime/image/registry/token_client.h"
#include "runtime/image/registry/transport.h"

// The Authorization of one host for one repository during one pull.
namespace warren::registry {

// Times that one request may be refused with 401 before it has failed.
inline constexpr int kMaxAuthRounds = 3;

// What one request has tried so far. A value of that request.
struct AuthRounds {
  int refused = 0;
  bool fetched_token = false;
  bool tried_basic = false;
};

// Thread-safe. Several requests of a pull share one token: the first one
// fetches it, the others wait.
class Authorizer {
 public:
  // `scope` stands in where a challenge names none. `credentials` count as
  // token_client.h says. `transport` is borrowed.
  Authorizer(std::string scope, Credentials credentials, HttpLimits limits,
             Transport* transport);

  // The value of the header to send; empty: none. A token whose time is over
  // is left out, so that the answer says how to get another one.
  std::string Header() const;

  // The host `asker` answered 401 with `challenges` to a request that was sent
  // with `used` (of Header()). OK: send it again with the new Header(). Else
  // why not: kUnauthenticated, or the error of the token server.
  //   - Another request has renewed the header meanwhile: that one counts.
  //   - Bearer with a realm goes before Basic. A request fetches one token and
  //     tries Basic once, in either order (a registry may change its mind).
  //   - Basic needs a username and the registry itself.
  absl::Status Answer(const TokenAsker& asker,
                      const std::vector<Challenge>& challenges,
                      const std::string& used, AuthRounds* rounds,
                      const base::Deadline& deadline);

 private:
  absl::Status Renew(const TokenAsker& asker, const Challenge& bearer,
                     const std::string& used, const base::Deadline& deadline);
  absl::Status AwaitTurn(const std::string& used, bool* renewed,
                         const base::Deadline& deadline);
  absl::StatusOr<Token> Fetch(const TokenAsker& asker, const Challenge& bearer,
                              const base::Deadline& deadline) const;
  void Set(std::string header, int64_t until);

  const std::string scope_;
  const Credentials credentials_;
  const HttpLimits limits_;
  Transport* const transport_;

  mutable base::Mutex mutex_;
  base::Condition fetched_;
  bool fetching_ ABSL_GUARDED_BY(mutex_) = false;
  std::string header_ ABSL_GUARDED_BY(mutex_);
  // Monotonic nanoseconds.
  int64_t until_ ABSL_GUARDED_BY(mutex_) = INT64_MAX;
};

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_AUTHORIZER_H_
