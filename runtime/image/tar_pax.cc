#include "runtime/image/tar_pax.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>

#include <limits>
#include <set>

#include "runtime/base/status.h"
#include "runtime/image/limits.h"

namespace warren::image {
namespace {

absl::Status BadExtension(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("extended header: ", why));
}

// [-]digits[.digits]; digits below a nanosecond are cut.
absl::StatusOr<PaxTime> ParseTime(absl::string_view text) {
  const bool negative = absl::ConsumePrefix(&text, "-");
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '.');
  if (parts.size() > 2) return BadExtension("bad time");
  ASSIGN_OR_RETURN(const uint64_t seconds, ParseDecimal(parts[0]));
  if (seconds > std::numeric_limits<int64_t>::max() / 2) {
    return BadExtension("time is out of range");
  }
  uint32_t nanoseconds = 0;
  if (parts.size() == 2) {
    uint32_t unit = 100'000'000;
    for (const char c : parts[1]) {
      if (c < '0' || c > '9') return BadExtension("bad time");
      nanoseconds += static_cast<uint32_t>(c - '0') * unit;
      unit /= 10;
    }
  }
  PaxTime time{static_cast<int64_t>(seconds), nanoseconds};
  if (negative) {
    time.seconds = -time.seconds;
    if (nanoseconds > 0) {
      time.seconds -= 1;
      time.nanoseconds = 1'000'000'000 - nanoseconds;
    }
  }
  return time;
}

// GNU.sparse.map: "offset,length,offset,length".
absl::Status ParseMap(absl::string_view text, std::vector<SparseChunk>* map) {
  std::vector<uint64_t> numbers;
  for (const absl::string_view number : absl::StrSplit(text, ',')) {
    if (numbers.size() >= 2 * kMaxSparseChunks) {
      return BadExtension("sparse map is too long");
    }
    ASSIGN_OR_RETURN(const uint64_t value, ParseDecimal(number));
    numbers.push_back(value);
  }
  if (numbers.size() % 2 != 0) return BadExtension("sparse map is odd");
  for (size_t i = 0; i < numbers.size(); i += 2) {
    map->push_back({numbers[i], numbers[i + 1]});
  }
  return absl::OkStatus();
}

absl::Status SetString(absl::string_view value,
                       std::optional<std::string>* field) {
  if (value.empty()) return BadExtension("empty path");
  if (value.find('\0') != absl::string_view::npos) {
    return BadExtension("path holds a NUL byte");
  }
  if (value.size() > kMaxPathBytes) return BadExtension("path is too long");
  *field = std::string(value);
  return absl::OkStatus();
}

absl::Status SetNumber(absl::string_view value,
                       std::optional<uint64_t>* field) {
  ASSIGN_OR_RETURN(*field, ParseDecimal(value));
  return absl::OkStatus();
}

absl::Status AddXattr(absl::string_view name, absl::string_view value,
                      PaxRecords* records) {
  if (name.empty() || name.size() > kMaxNameBytes ||
      name.find('\0') != absl::string_view::npos) {
    return BadExtension("bad attribute name");
  }
  if (value.size() > kMaxXattrValueBytes) {
    return BadExtension("attribute value is too long");
  }
  if (records->xattrs.size() >= kMaxXattrs)
    return BadExtension("too many attributes");
  records->xattrs.emplace_back(std::string(name), std::string(value));
  return absl::OkStatus();
}

absl::Status ApplySparse(absl::string_view key, absl::string_view value,
                         PaxRecords* records) {
  if (key == "name") return SetString(value, &records->sparse_name);
  if (key == "size" || key == "realsize") {
    return SetNumber(value, &records->sparse_real_size);
  }
  if (key == "major") {
    records->sparse_map_in_data = value == "1";
    if (value != "1" && value != "0")
      return BadExtension("unknown sparse format");
    return absl::OkStatus();
  }
  if (key == "map") {
    records->sparse_map_in_header = true;
    return ParseMap(value, &records->sparse_map);
  }
  if (key == "offset") {
    records->sparse_map_in_header = true;
    if (records->sparse_map.size() >= kMaxSparseChunks) {
      return BadExtension("sparse map is too long");
    }
    ASSIGN_OR_RETURN(const uint64_t offset, ParseDecimal(value));
    records->sparse_map.push_back({offset, 0});
    return absl::OkStatus();
  }
  if (key == "numbytes") {
    if (records->sparse_map.empty()) return BadExtension("sparse length alone");
    ASSIGN_OR_RETURN(records->sparse_map.back().length, ParseDecimal(value));
    return absl::OkStatus();
  }
  // "minor" and "numblocks" say nothing that the rest does not.
  if (key == "minor" || key == "numblocks") return absl::OkStatus();
  return BadExtension("unknown sparse record");
}

absl::Status Apply(absl::string_view key, absl::string_view value,
                   PaxRecords* records) {
  if (key == "path") return SetString(value, &records->path);
  if (key == "linkpath") return SetString(value, &records->link_path);
  if (key == "size") return SetNumber(value, &records->size);
  if (key == "uid") return SetNumber(value, &records->uid);
  if (key == "gid") return SetNumber(value, &records->gid);
  if (key == "mtime") {
    ASSIGN_OR_RETURN(records->mtime, ParseTime(value));
    return absl::OkStatus();
  }
  absl::string_view rest = key;
  if (absl::ConsumePrefix(&rest, "SCHILY.xattr.")) {
    return AddXattr(rest, value, records);
  }
  if (absl::ConsumePrefix(&rest, "GNU.sparse.")) {
    return ApplySparse(rest, value, records);
  }
  return absl::OkStatus();
}

// Takes one record off the front of `data`.
absl::Status NextRecord(absl::string_view* data, absl::string_view* key,
                        absl::string_view* value) {
  const size_t blank = data->find(' ');
  constexpr size_t kMaxDigits = 8;
  if (blank == absl::string_view::npos || blank > kMaxDigits) {
    return BadExtension("record without a length");
  }
  ASSIGN_OR_RETURN(const uint64_t length, ParseDecimal(data->substr(0, blank)));
  if (length <= blank + 1 || length > data->size()) {
    return BadExtension("record length is wrong");
  }
  absl::string_view record = data->substr(blank + 1, length - blank - 1);
  if (!absl::ConsumeSuffix(&record, "\n")) {
    return BadExtension("record does not end with a line feed");
  }
  const size_t equals = record.find('=');
  if (equals == absl::string_view::npos || equals == 0) {
    return BadExtension("record without a key");
  }
  *key = record.substr(0, equals);
  *value = record.substr(equals + 1);
  data->remove_prefix(length);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<uint64_t> ParseDecimal(absl::string_view text) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  if (text.empty()) return BadExtension("number is empty");
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return BadExtension("number is not decimal");
    const auto digit = static_cast<uint64_t>(c - '0');
    if (value > (kMax - digit) / 10)
      return BadExtension("number is out of range");
    value = value * 10 + digit;
  }
  return value;
}

absl::StatusOr<PaxRecords> ParsePax(absl::string_view data) {
  PaxRecords records;
  std::set<absl::string_view> seen;
  while (!data.empty()) {
    absl::string_view key;
    absl::string_view value;
    RETURN_IF_ERROR(NextRecord(&data, &key, &value));
    // Version 0.0 of sparse files repeats these two, by its definition.
    const bool repeats =
        key == "GNU.sparse.offset" || key == "GNU.sparse.numbytes";
    if (!seen.insert(key).second && !repeats) {
      return BadExtension("a key twice");
    }
    RETURN_IF_ERROR(Apply(key, value, &records));
  }
  if (records.sparse_map_in_data && records.sparse_map_in_header) {
    return BadExtension("two sparse maps");
  }
  return records;
}

}  // namespace warren::image
