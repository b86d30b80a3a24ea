#include "agent/ctl/json.h"

#include <google/protobuf/util/json_util.h>

#include <nlohmann/json.hpp>

namespace warren::agent::ctl {

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  std::string text;
  // Fails only for messages with Any fields, which none of ours has.
  (void)google::protobuf::util::MessageToJsonString(message, &text, options);
  return text;
}

std::string IdsToJson(const std::string& key,
                      const std::vector<std::string>& ids) {
  return nlohmann::json{{key, ids}}.dump(2) + "\n";
}

}  // namespace warren::agent::ctl
