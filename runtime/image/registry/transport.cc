#include "runtime/image/registry/transport.h"

#include <absl/strings/cord.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

namespace warren::registry {
namespace {

constexpr char kFailurePayload[] = "warren/transport-failure";

}  // namespace

const std::string* HttpHead::Find(absl::string_view name) const {
  for (const auto& header : headers) {
    if (absl::EqualsIgnoreCase(header.first, name)) return &header.second;
  }
  return nullptr;
}

std::vector<std::string> HttpHead::FindAll(absl::string_view name) const {
  std::vector<std::string> values;
  for (const auto& header : headers) {
    if (absl::EqualsIgnoreCase(header.first, name)) {
      values.push_back(header.second);
    }
  }
  return values;
}

absl::Status TransportError(TransportFailure failure, absl::string_view text) {
  absl::Status status = absl::UnavailableError(text);
  status.SetPayload(kFailurePayload,
                    absl::Cord(absl::StrCat(static_cast<int>(failure))));
  return status;
}

TransportFailure FailureOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kFailurePayload);
  int number = 0;
  if (!payload || !absl::SimpleAtoi(std::string(*payload), &number)) {
    return TransportFailure::kNone;
  }
  return static_cast<TransportFailure>(number);
}

}  // namespace warren::registry
