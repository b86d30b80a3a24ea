#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "runtime/image/registry/blob_fetch.h"
#include "runtime/image/registry/challenge.h"
#include "runtime/image/registry/document_type.h"
#include "runtime/image/registry/token_client.h"
#include "runtime/image/registry/url.h"

// What a registry writes: challenges, addresses, ranges, documents, tokens.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace warren::registry;  // NOLINT
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (ParseChallenges({text, text}).size() > kMaxChallenges) std::abort();
  if (const auto url = ParseUrl(text); url.ok()) {
    const auto again = ParseUrl(url->ToString());
    if (!again.ok() || !(*again == *url)) std::abort();
  }
  const Url base = *ParseUrl("https://host:5000/v2/a/b?c");
  if (const auto url = ResolveUrl(base, text); url.ok()) {
    if (url->target.empty() || url->target[0] != '/') std::abort();
    if (url->target.find_first_of("\r\n ") != std::string::npos) std::abort();
  }
  (void)ParseContentRange(text);
  (void)DocumentType(text, text);
  const auto token = ParseToken(text);
  if (token.ok() && !FitsHeader(token->value, kMaxTokenBytes)) std::abort();
  return 0;
}
