#include "agent/api/request_bounds.h"

#include <absl/strings/str_cat.h>
#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

#include "runtime/base/status.h"

namespace warren::agent {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

absl::Status CheckMessage(const Message& message, const std::string& path);

const std::string& Text(const Message& message, const FieldDescriptor* field,
                        int place, std::string* scratch) {
  const Reflection* reflection = message.GetReflection();
  return field->is_repeated()
             ? reflection->GetRepeatedStringReference(message, field, place,
                                                      scratch)
             : reflection->GetStringReference(message, field, scratch);
}

// Of a map's entry as of any other message: its strings together.
size_t BytesOfStrings(const Message& message) {
  size_t bytes = 0;
  std::string scratch;
  const auto* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->is_repeated() ||
        field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) {
      continue;
    }
    bytes += Text(message, field, 0, &scratch).size();
  }
  return bytes;
}

absl::Status TooLong(const std::string& path, size_t limit) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": is longer than ", limit, " bytes"));
}

absl::Status CheckText(const Message& message, const FieldDescriptor* field,
                       const std::string& path, size_t size) {
  if (size <= kMaxStringBytes) return absl::OkStatus();
  const std::string& name = field->full_name();
  if (name == "runtime.v1.KeyValue.value") {  // "KEY=value"
    size = BytesOfStrings(message) + 1;
  } else if (name != "runtime.v1.ContainerConfig.command" &&
             name != "runtime.v1.ContainerConfig.args" &&
             name != "runtime.v1.ExecSyncRequest.cmd") {
    return TooLong(path, kMaxStringBytes);
  }
  return size <= kMaxArgumentBytes ? absl::OkStatus()
                                   : TooLong(path, kMaxArgumentBytes);
}

absl::Status CheckMap(const Message& message, const FieldDescriptor* field,
                      const std::string& path) {
  const Reflection* reflection = message.GetReflection();
  size_t bytes = 0;
  for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
    bytes += BytesOfStrings(reflection->GetRepeatedMessage(message, field, i));
  }
  if (bytes <= kMaxMapBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": has more than ", kMaxMapBytes, " bytes of keys and values"));
}

absl::Status CheckField(const Message& message, const FieldDescriptor* field,
                        const std::string& path) {
  if (field->is_map()) return CheckMap(message, field, path);
  const bool is_text = field->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
  if (!is_text && field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
    return absl::OkStatus();
  }
  const Reflection* reflection = message.GetReflection();
  const bool many = field->is_repeated();
  const int count = many ? reflection->FieldSize(message, field) : 1;
  std::string scratch;
  for (int i = 0; i < count; ++i) {
    const std::string place = many ? absl::StrCat(path, "[", i, "]") : path;
    if (is_text) {
      RETURN_IF_ERROR(CheckText(message, field, place,
                                Text(message, field, i, &scratch).size()));
    } else {
      RETURN_IF_ERROR(
          CheckMessage(many ? reflection->GetRepeatedMessage(message, field, i)
                            : reflection->GetMessage(message, field),
                       absl::StrCat(place, ".")));
    }
  }
  return absl::OkStatus();
}

// `path` is empty or ends with a dot.
absl::Status CheckMessage(const Message& message, const std::string& path) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    RETURN_IF_ERROR(
        CheckField(message, field, absl::StrCat(path, field->name())));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckBounds(const Message& request) {
  // No string is longer than the whole.
  if (request.ByteSizeLong() <= kMaxStringBytes) return absl::OkStatus();
  return CheckMessage(request, "");
}

}  // namespace warren::agent
