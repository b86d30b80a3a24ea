#include "runtime/image/registry/challenge.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

namespace warren::registry {
namespace {

// A character of a token (RFC 9110, 5.6.2).
bool IsTokenChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         absl::string_view("!#$%&'*+-.^_`|~").find(c) !=
             absl::string_view::npos;
}

// Reads one header value from left to right.
class ChallengeReader {
 public:
  explicit ChallengeReader(absl::string_view text) : text_(text) {}

  void Read(std::vector<Challenge>* challenges) {
    while (true) {
      SkipBlanksAndCommas();
      if (text_.empty()) return;
      const std::string word = absl::AsciiStrToLower(TakeToken());
      if (word.empty()) {  // no token can begin here
        text_.remove_prefix(1);
        continue;
      }
      // "name = value" goes with the challenge before it; anything else is
      // the scheme of a new one.
      if (current_ != nullptr && TakeEquals()) {
        AddParameter(word, TakeValue());
        continue;
      }
      if (challenges->size() == kMaxChallenges) return;
      challenges->push_back({word, {}});
      current_ = &challenges->back();
      SkipToken68();
    }
  }

 private:
  void SkipBlanks() {
    while (!text_.empty() && absl::ascii_isspace(text_[0])) {
      text_.remove_prefix(1);
    }
  }

  void SkipBlanksAndCommas() {
    while (!text_.empty() && (absl::ascii_isspace(text_[0]) ||
                              text_[0] == ',' || text_[0] == ';')) {
      text_.remove_prefix(1);
    }
  }

  absl::string_view TakeToken() {
    const auto* const end =
        std::find_if_not(text_.begin(), text_.end(), IsTokenChar);
    const absl::string_view token = text_.substr(0, end - text_.begin());
    text_.remove_prefix(token.size());
    return token;
  }

  // "=", with blanks around it. Leaves the text alone when there is none.
  bool TakeEquals() {
    const absl::string_view before = text_;
    SkipBlanks();
    if (text_.empty() || text_[0] != '=') {
      text_ = before;
      return false;
    }
    text_.remove_prefix(1);
    SkipBlanks();
    return true;
  }

  std::string TakeValue() {
    if (!text_.empty() && text_[0] == '"') return TakeQuoted();
    // No token but what people write: up to the next comma or blank.
    const size_t end = std::min(text_.find_first_of(", \t"), text_.size());
    const std::string value(text_.substr(0, end));
    text_.remove_prefix(end);
    return value;
  }

  std::string TakeQuoted() {
    std::string value;
    text_.remove_prefix(1);
    while (!text_.empty() && text_[0] != '"') {
      if (text_[0] == '\\' && text_.size() > 1) text_.remove_prefix(1);
      value += text_[0];
      text_.remove_prefix(1);
    }
    if (!text_.empty()) text_.remove_prefix(1);
    return value;
  }

  // "Negotiate YII==": one word that is no parameter.
  void SkipToken68() {
    absl::string_view rest = text_;
    while (!rest.empty() && absl::ascii_isspace(rest[0])) rest.remove_prefix(1);
    const size_t blanks = text_.size() - rest.size();
    while (!rest.empty() && (IsTokenChar(rest[0]) || rest[0] == '/')) {
      rest.remove_prefix(1);
    }
    if (text_.size() - rest.size() == blanks) return;
    while (!rest.empty() && rest[0] == '=') rest.remove_prefix(1);
    if (rest.empty() || rest[0] == ',') text_ = rest;
  }

  void AddParameter(const std::string& name, std::string value) {
    if (current_->parameters.size() == kMaxParameters) return;
    const auto added = current_->parameters.emplace(name, value);
    if (!added.second && name == "scope") {
      absl::StrAppend(&added.first->second, " ", value);
    }
  }

  absl::string_view text_;
  Challenge* current_ = nullptr;
};

}  // namespace

const std::string& Challenge::Get(const std::string& name) const {
  static const std::string* const kNone = new std::string();
  const auto found = parameters.find(name);
  return found == parameters.end() ? *kNone : found->second;
}

std::vector<Challenge> ParseChallenges(
    const std::vector<std::string>& headers) {
  std::vector<Challenge> challenges;
  // The reader keeps a pointer to the last one.
  challenges.reserve(kMaxChallenges);
  for (const std::string& header : headers) {
    if (header.size() > kMaxChallengeBytes) continue;
    ChallengeReader(header).Read(&challenges);
  }
  return challenges;
}

const Challenge* FindChallenge(const std::vector<Challenge>& challenges,
                               absl::string_view scheme) {
  const auto found = std::find_if(
      challenges.begin(), challenges.end(),
      [scheme](const Challenge& one) { return one.scheme == scheme; });
  return found == challenges.end() ? nullptr : &*found;
}

}  // namespace warren::registry
