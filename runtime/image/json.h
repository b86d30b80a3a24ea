#ifndef WARREN_RUNTIME_IMAGE_JSON_H_
#define WARREN_RUNTIME_IMAGE_JSON_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

// JSON of strangers: bounded before it is built, read without exceptions.
// All errors are kInvalidArgument and name the key, never the value.
namespace warren::image {

using Json = nlohmann::json;

// One JSON object (not a list, not a scalar). Refuses more than
// kMaxDocumentBytes, nesting deeper than kMaxJsonDepth, a key twice in one
// object (two readers could each believe another one, IMG-4), invalid UTF-8
// and anything after the document.
absl::StatusOr<Json> ParseJsonObject(absl::string_view text);

// The value of `key`, or nullptr when it is missing or null. `object` may be
// any value; one that is no object has no keys.
const Json* FindKey(const Json& object, const char* key);

// "" and empty when missing; kInvalidArgument when it has another type or
// holds a NUL byte, which no string that ends in execve(2) or in a path may.
absl::StatusOr<std::string> OptionalString(const Json& object, const char* key);
absl::StatusOr<std::vector<std::string>> OptionalStrings(const Json& object,
                                                         const char* key);
// kInvalidArgument when missing or empty.
absl::StatusOr<std::string> RequiredString(const Json& object, const char* key);
// A non-negative integer that fits.
absl::StatusOr<uint64_t> RequiredCount(const Json& object, const char* key);
// A list, which may be empty; at most `limit` items.
absl::StatusOr<const Json*> RequiredList(const Json& object, const char* key,
                                         size_t limit);

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_JSON_H_
