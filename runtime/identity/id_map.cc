#include "runtime/identity/id_map.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

namespace warren::runtime {
namespace {

bool Overlap(uint32_t a, uint32_t a_length, uint32_t b, uint32_t b_length) {
  return uint64_t{a} < uint64_t{b} + b_length &&
         uint64_t{b} < uint64_t{a} + a_length;
}

bool Overflows(uint32_t start, uint32_t length) {
  // (uid_t)-1 means "no id" to the kernel.
  return uint64_t{start} + length > UINT32_MAX;
}

}  // namespace

absl::Status ValidateIdMappings(const std::vector<IdMapping>& mappings,
                                absl::string_view field) {
  if (mappings.empty()) return absl::OkStatus();
  for (size_t i = 0; i < mappings.size(); ++i) {
    const IdMapping& m = mappings[i];
    if (m.length == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ": length must be at least 1"));
    }
    if (Overflows(m.container_id, m.length) || Overflows(m.host_id, m.length)) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ": range goes beyond 4294967294"));
    }
    for (size_t j = 0; j < i; ++j) {
      const IdMapping& n = mappings[j];
      if (Overlap(m.container_id, m.length, n.container_id, n.length) ||
          Overlap(m.host_id, m.length, n.host_id, n.length)) {
        return absl::InvalidArgumentError(
            absl::StrCat(field, ": ranges overlap"));
      }
    }
  }
  if (!ToHostId(mappings, 0).has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": container id 0 is not mapped"));
  }
  return absl::OkStatus();
}

std::optional<uint32_t> ToHostId(const std::vector<IdMapping>& mappings,
                                 uint32_t container_id) {
  if (mappings.empty()) return container_id;
  for (const IdMapping& m : mappings) {
    if (container_id >= m.container_id &&
        container_id - m.container_id < m.length) {
      return m.host_id + (container_id - m.container_id);
    }
  }
  return std::nullopt;
}

absl::StatusOr<std::vector<IdMapping>> ParseIdMap(absl::string_view text) {
  std::vector<IdMapping> mappings;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    IdMapping m;
    if (fields.size() != 3 || !absl::SimpleAtoi(fields[0], &m.container_id) ||
        !absl::SimpleAtoi(fields[1], &m.host_id) ||
        !absl::SimpleAtoi(fields[2], &m.length)) {
      return absl::InternalError(
          absl::StrCat("id map has a malformed line \"", line, "\""));
    }
    mappings.push_back(m);
  }
  return mappings;
}

}  // namespace warren::runtime
