#include "agent/cri/text.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace warren::agent {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr char kReplacement[] = "\xEF\xBF\xBD";  // U+FFFD
constexpr char kEllipsis[] = "\xE2\x80\xA6";

// Length of the valid sequence that `text` starts with, 0 if it is none.
// `text` is not empty.
size_t SequenceLength(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  // The second byte's range excludes overlong forms, surrogates and what is
  // beyond U+10FFFF (RFC 3629, section 4).
  size_t length = 0;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  }
  if (length == 0 || text.size() < length) return 0;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return length;
}

void CleanField(Message* message, const FieldDescriptor* field) {
  const Reflection* reflection = message->GetReflection();
  const int count =
      field->is_repeated() ? reflection->FieldSize(*message, field) : 1;
  for (int i = 0; i < count; ++i) {
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      CleanStrings(field->is_repeated()
                       ? reflection->MutableRepeatedMessage(message, field, i)
                       : reflection->MutableMessage(message, field));
      continue;
    }
    std::string scratch;
    const std::string& value =
        field->is_repeated()
            ? reflection->GetRepeatedStringReference(*message, field, i,
                                                     &scratch)
            : reflection->GetStringReference(*message, field, &scratch);
    if (IsUtf8(value)) continue;
    std::string clean = CleanUtf8(value);
    if (field->is_repeated()) {
      reflection->SetRepeatedString(message, field, i, std::move(clean));
    } else {
      reflection->SetString(message, field, std::move(clean));
    }
  }
}

}  // namespace

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string CleanUtf8(absl::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (length == 0) {
      clean += kReplacement;
      text.remove_prefix(1);
    } else {
      clean.append(text.data(), length);
      text.remove_prefix(length);
    }
  }
  return clean;
}

std::string OneLine(absl::string_view text, size_t limit) {
  // A raw byte grows to three at most: no need to look at megabytes.
  const bool cut = text.size() > limit;
  std::string line = CleanUtf8(text.substr(0, limit));
  for (char& c : line) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = ' ';
  }
  if (!cut && line.size() <= limit) return line;
  size_t end = limit < sizeof(kEllipsis) ? 0 : limit - (sizeof(kEllipsis) - 1);
  end = std::min(end, line.size());
  while (end > 0 && end < line.size() && (line[end] & 0xC0) == 0x80) --end;
  line.resize(end);
  return line + kEllipsis;
}

std::string LogValue(absl::string_view text, size_t limit) {
  std::string line = OneLine(text, limit);
  const bool plain =
      !line.empty() && line.find_first_of(" \"\\=") == std::string::npos;
  if (plain) return line;
  return absl::StrCat(
      "\"", absl::StrReplaceAll(line, {{"\\", "\\\\"}, {"\"", "\\\""}}), "\"");
}

void CleanStrings(Message* message) {
  std::vector<const FieldDescriptor*> fields;
  message->GetReflection()->ListFields(*message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->type() == FieldDescriptor::TYPE_STRING ||
        field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      CleanField(message, field);
    }
  }
}

}  // namespace warren::agent
