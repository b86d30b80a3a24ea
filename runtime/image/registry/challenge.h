#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_CHALLENGE_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_CHALLENGE_H_

#include <absl/strings/string_view.h>

#include <map>
#include <string>
#include <vector>

// WWW-Authenticate (RFC 9110, 11.6.1) as registries really send it.
namespace warren::registry {

struct Challenge {
  std::string scheme;  // lower case: "bearer", "basic", …
  // Names in lower case. Of a name given twice the values are joined by a
  // blank when it is "scope" (a list by its nature), else the first counts.
  std::map<std::string, std::string> parameters;

  // "" when it is missing.
  const std::string& Get(const std::string& name) const;
};

// Bounds on a stranger's text (IMG-3); what is beyond is passed over.
inline constexpr size_t kMaxChallengeBytes = 8 << 10;  // one header
inline constexpr size_t kMaxChallenges = 16;           // of all headers
inline constexpr size_t kMaxParameters = 32;           // of one challenge

// All challenges of all `headers` (the values), in order. Understands any case,
// any order, blanks around "=" and ",", quoted values with escapes and commas,
// values without quotes (also "Basic realm=/"), several challenges in one
// header, and schemes with a token68 or nothing behind them. Never fails: what
// makes no sense is left out.
std::vector<Challenge> ParseChallenges(const std::vector<std::string>& headers);

// The first challenge of that scheme (lower case); nullptr when there is none.
const Challenge* FindChallenge(const std::vector<Challenge>& challenges,
                               absl::string_view scheme);

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_CHALLENGE_H_
