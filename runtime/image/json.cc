#include "runtime/image/json.h"

#include <absl/strings/str_cat.h>

#include <set>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/image/limits.h"

namespace warren::image {
namespace {

absl::Status BadKey(absl::string_view key, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("\"", key, "\" ", why));
}

// First pass: builds nothing, stops at the first thing that is not allowed.
// nlohmann's parser keeps its nesting in a bit vector, so that depth costs no
// stack before this says no.
class Scanner : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return Enter(); }
  bool end_object() override { return Leave(); }
  bool start_array(std::size_t) override { return Enter(); }
  bool end_array() override { return Leave(); }
  bool key(string_t& name) override {
    if (keys_.back().insert(name).second) return true;
    error_ = "has a key twice in one object";
    return false;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    error_ = absl::StrCat("is not valid JSON (byte ", position, ")");
    return false;
  }

  const std::string& error() const { return error_; }

 private:
  bool Enter() {
    if (static_cast<int>(keys_.size()) >= kMaxJsonDepth) {
      error_ = absl::StrCat("is nested deeper than ", kMaxJsonDepth);
      return false;
    }
    keys_.emplace_back();
    return true;
  }
  bool Leave() {
    keys_.pop_back();
    return true;
  }

  std::vector<std::set<std::string>> keys_;
  std::string error_;
};

}  // namespace

absl::StatusOr<Json> ParseJsonObject(absl::string_view text) {
  if (text.size() > kMaxDocumentBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("document is larger than ", kMaxDocumentBytes, " bytes"));
  }
  Scanner scanner;
  if (!Json::sax_parse(text.begin(), text.end(), &scanner)) {
    return absl::InvalidArgumentError(
        absl::StrCat("document ", scanner.error()));
  }
  Json document = Json::parse(text.begin(), text.end(), nullptr,
                              /*allow_exceptions=*/false);
  if (!document.is_object()) {
    return absl::InvalidArgumentError("document is not a JSON object");
  }
  return document;
}

const Json* FindKey(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

namespace {

absl::StatusOr<std::string> AsString(const Json& value, const char* key) {
  if (!value.is_string()) return BadKey(key, "is not a string");
  const auto& text = value.get_ref<const std::string&>();
  if (text.find('\0') != std::string::npos) {
    return BadKey(key, "holds a NUL byte");
  }
  return text;
}

}  // namespace

absl::StatusOr<std::string> OptionalString(const Json& object,
                                           const char* key) {
  const Json* value = FindKey(object, key);
  if (value == nullptr) return std::string();
  return AsString(*value, key);
}

absl::StatusOr<std::vector<std::string>> OptionalStrings(const Json& object,
                                                         const char* key) {
  std::vector<std::string> result;
  const Json* value = FindKey(object, key);
  if (value == nullptr) return result;
  if (!value->is_array()) return BadKey(key, "is not a list");
  for (const Json& item : *value) {
    ASSIGN_OR_RETURN(std::string text, AsString(item, key));
    result.push_back(std::move(text));
  }
  return result;
}

absl::StatusOr<std::string> RequiredString(const Json& object,
                                           const char* key) {
  ASSIGN_OR_RETURN(std::string text, OptionalString(object, key));
  if (text.empty()) return BadKey(key, "is missing");
  return text;
}

absl::StatusOr<uint64_t> RequiredCount(const Json& object, const char* key) {
  const Json* value = FindKey(object, key);
  if (value == nullptr) return BadKey(key, "is missing");
  if (!value->is_number_unsigned()) {
    return BadKey(key, "is not a whole number of zero or more");
  }
  return value->get<uint64_t>();
}

absl::StatusOr<const Json*> RequiredList(const Json& object, const char* key,
                                         size_t limit) {
  const Json* value = FindKey(object, key);
  if (value == nullptr) return BadKey(key, "is missing");
  if (!value->is_array()) return BadKey(key, "is not a list");
  if (value->size() > limit) {
    return BadKey(key, absl::StrCat("has more than ", limit, " items"));
  }
  return value;
}

}  // namespace warren::image
