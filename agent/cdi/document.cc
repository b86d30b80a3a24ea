#include "agent/cdi/document.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "runtime/base/status.h"

namespace warren::agent {
namespace {

using image::Json;

constexpr int kMaxDepth = 32;
constexpr int kMaxValues = 65536;

absl::Status Bad(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("document ", why));
}

bool OnlyOf(absl::string_view text, absl::string_view allowed) {
  return !text.empty() &&
         text.find_first_not_of(allowed) == absl::string_view::npos;
}

// A scalar without quotes, as YAML 1.1 and 1.2 read it. One that is neither a
// number nor one of their words, such as "true", is text.
Json PlainScalar(const std::string& text) {
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  if (text.empty() || text == "~" || text == "null") return nullptr;
  absl::string_view digits = text;
  const bool negative = absl::ConsumePrefix(&digits, "-");
  int base = 10;
  if (absl::ConsumePrefix(&digits, "0x")) {
    base = 16;
  } else if (absl::ConsumePrefix(&digits, "0o") ||
             (digits.size() > 1 && absl::ConsumePrefix(&digits, "0"))) {
    base = 8;
  }
  const char* allowed = base == 16  ? "0123456789abcdefABCDEF"
                        : base == 8 ? "01234567"
                                    : "0123456789";
  if (!OnlyOf(digits, allowed) || digits.size() > 15) return text;
  const uint64_t value =
      std::strtoull(std::string(digits).c_str(), nullptr, base);
  if (negative) return -static_cast<int64_t>(value);
  return value;
}

class YamlReader {
 public:
  absl::StatusOr<Json> Read(const YAML::Node& node, int depth = 0) {
    if (depth >= kMaxDepth) {
      return Bad(absl::StrCat("is nested deeper than ", kMaxDepth));
    }
    if (++values_ > kMaxValues) {
      return Bad(absl::StrCat("has more than ", kMaxValues, " values"));
    }
    if (node.IsSequence()) return ReadList(node, depth);
    if (node.IsMap()) return ReadMap(node, depth);
    if (!node.IsScalar()) return Json(nullptr);
    // "?" is the tag of what has neither quotes nor a tag.
    if (node.Tag() == "?") return PlainScalar(node.Scalar());
    return Json(node.Scalar());
  }

 private:
  absl::StatusOr<Json> ReadList(const YAML::Node& node, int depth) {
    Json list = Json::array();
    for (const YAML::Node& item : node) {
      ASSIGN_OR_RETURN(Json value, Read(item, depth + 1));
      list.push_back(std::move(value));
    }
    return list;
  }

  absl::StatusOr<Json> ReadMap(const YAML::Node& node, int depth) {
    Json object = Json::object();
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) return Bad("has a key that is no text");
      const std::string& key = entry.first.Scalar();
      if (object.contains(key)) return Bad("has a key twice in one object");
      ASSIGN_OR_RETURN(object[key], Read(entry.second, depth + 1));
    }
    return object;
  }

  int values_ = 0;
};

// The library throws; that ends here. Its own limit keeps its parser from
// running out of stack.
absl::StatusOr<Json> FromYaml(const std::string& text) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() != 1) return Bad("is not one YAML document");
    return YamlReader().Read(documents[0]);
  } catch (const YAML::Exception& error) {
    return Bad(
        absl::StrCat("is not valid YAML (line ", error.mark.line + 1, ")"));
  }
}

}  // namespace

absl::StatusOr<Json> ParseCdiDocument(absl::string_view text,
                                      CdiFormat format) {
  if (format == CdiFormat::kJson) return image::ParseJsonObject(text);
  ASSIGN_OR_RETURN(Json document, FromYaml(std::string(text)));
  if (!document.is_object()) return Bad("is not an object");
  return document;
}

}  // namespace warren::agent
