#ifndef WARREN_AGENT_CTL_JSON_H_
#define WARREN_AGENT_CTL_JSON_H_

#include <google/protobuf/message.h>

#include <string>
#include <vector>

namespace warren::agent::ctl {

// The message in protobuf's JSON mapping, indented, default values included,
// so that scripts find every key. 64-bit numbers are strings there, bytes are
// base64. Ends with a newline.
std::string ToJson(const google::protobuf::Message& message);

// {"<key>": ["id", …]}, for commands whose replies say nothing.
std::string IdsToJson(const std::string& key,
                      const std::vector<std::string>& ids);

}  // namespace warren::agent::ctl

#endif  // WARREN_AGENT_CTL_JSON_H_
