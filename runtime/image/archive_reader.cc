#include "runtime/image/archive_reader.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/strip.h>
#include <fcntl.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/image/json.h"

namespace warren::image {
namespace {

constexpr size_t kMagicBytes = 6;

absl::Status BadArchive(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("image archive: ", why));
}

// A file that is compressed as a whole is an easy mistake: say so.
absl::Status CheckMagic(absl::string_view magic) {
  struct Format {
    absl::string_view magic;
    absl::string_view name;
  };
  static constexpr Format kFormats[] = {{"\x1f\x8b", "gzip"},
                                        {"\x28\xb5\x2f\xfd", "zstd"},
                                        {"BZh", "bzip2"},
                                        {"\xfd"
                                         "7zXZ",
                                         "xz"}};
  for (const Format& format : kFormats) {
    if (absl::StartsWith(magic, format.magic)) {
      return BadArchive(
          absl::StrCat("is compressed with ", format.name,
                       "; only a plain tar of an OCI layout is taken "
                       "(its layers may be compressed)"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckLayout(absl::string_view text) {
  ASSIGN_OR_RETURN_IN(const Json document, ParseJsonObject(text), "oci-layout");
  ASSIGN_OR_RETURN_IN(const std::string version,
                      RequiredString(document, "imageLayoutVersion"),
                      "oci-layout");
  if (!absl::StartsWith(version, "1.")) {
    return BadArchive("layout version is not 1.x");
  }
  return absl::OkStatus();
}

}  // namespace

ArchiveReader::ArchiveReader(int directory, uint64_t archive_budget)
    : directory_(directory),
      budget_(archive_budget),
      tar_(this, kMaxArchiveEntries) {}

absl::Status ArchiveReader::Write(absl::string_view chunk) {
  if (status_.ok()) status_ = Accept(chunk);
  return status_;
}

absl::Status ArchiveReader::Accept(absl::string_view chunk) {
  received_ += chunk.size();
  if (received_ > budget_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("image archive: larger than the ", budget_,
                     " bytes that the limit and the free space allow"));
  }
  if (magic_.size() < kMagicBytes) {
    const size_t n = std::min(kMagicBytes - magic_.size(), chunk.size());
    magic_.append(chunk.data(), n);
    RETURN_IF_ERROR(CheckMagic(magic_));
  }
  return base::Annotate(tar_.Feed(chunk), "image archive");
}

absl::Status ArchiveReader::Finish() {
  RETURN_IF_ERROR(status_);
  status_ = base::Annotate(tar_.Finish(), "image archive");
  RETURN_IF_ERROR(status_);
  if (!layout_.has_value()) status_ = BadArchive("oci-layout is missing");
  if (!index_json_.has_value()) status_ = BadArchive("index.json is missing");
  RETURN_IF_ERROR(status_);
  status_ = CheckLayout(*layout_);
  return status_;
}

absl::Status ArchiveReader::BeginEntry(const TarEntry& entry) {
  // Nobody spells the few names of a layout so.
  if (absl::StartsWith(entry.path, "/")) {
    return BadArchive(
        absl::StrCat("\"", Printable(entry.path), "\" is absolute"));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> parts, CleanPath(entry.path));
  const std::string path = absl::StrJoin(parts, "/");
  member_ = Member::kNone;
  if (entry.type == TarEntry::Type::kDirectory) {
    if (path.empty() || path == "blobs" || path == "blobs/sha256") {
      return absl::OkStatus();
    }
    return BadArchive(
        absl::StrCat("unexpected directory \"", Printable(path), "\""));
  }
  if (entry.type != TarEntry::Type::kFile || entry.sparse) {
    return BadArchive(
        absl::StrCat("\"", Printable(path), "\" is no plain file"));
  }
  if (path == "oci-layout") {
    return BeginDocument(Member::kLayout, entry, &layout_, kMaxLayoutFileBytes);
  }
  if (path == "index.json") {
    return BeginDocument(Member::kIndex, entry, &index_json_,
                         kMaxDocumentBytes);
  }
  if (path == "manifest.json" || path == "repositories") {
    member_ = Member::kSkipped;
    return absl::OkStatus();
  }
  absl::string_view hex = path;
  if (absl::ConsumePrefix(&hex, "blobs/sha256/")) return BeginBlob(hex, entry);
  return BadArchive(absl::StrCat("unexpected file \"", Printable(path), "\""));
}

absl::Status ArchiveReader::BeginDocument(Member member, const TarEntry& entry,
                                          std::optional<std::string>* document,
                                          size_t limit) {
  if (document->has_value()) {
    return BadArchive(
        absl::StrCat("\"", Printable(entry.path), "\" comes twice"));
  }
  if (entry.size > limit) {
    return absl::ResourceExhaustedError(
        absl::StrCat("image archive: \"", Printable(entry.path),
                     "\" is larger than ", limit, " bytes"));
  }
  document->emplace();
  member_ = member;
  return absl::OkStatus();
}

absl::Status ArchiveReader::BeginBlob(absl::string_view hex,
                                      const TarEntry& entry) {
  ASSIGN_OR_RETURN_IN(Digest digest, Digest::FromHex(hex),
                      "image archive: name of a blob");
  if (blobs_.count(digest) > 0) {
    return BadArchive(absl::StrCat(digest.ToString(), " comes twice"));
  }
  if (entry.size > budget_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("image archive: ", digest.ToString(), " is larger than ",
                     budget_, " bytes"));
  }
  ASSIGN_OR_RETURN(
      file_, base::OpenAt(directory_, digest.hex(),
                          O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  digest_ = std::move(digest);
  size_ = 0;
  hash_ = Sha256();
  member_ = Member::kBlob;
  return absl::OkStatus();
}

absl::Status ArchiveReader::Data(uint64_t /*offset*/, absl::string_view bytes) {
  switch (member_) {
    case Member::kLayout:
      layout_->append(bytes.data(), bytes.size());
      break;
    case Member::kIndex:
      index_json_->append(bytes.data(), bytes.size());
      break;
    case Member::kBlob:
      size_ += bytes.size();
      hash_.Update(bytes);
      return base::WriteFd(file_.get(), bytes);
    case Member::kNone:
    case Member::kSkipped:
      break;
  }
  return absl::OkStatus();
}

absl::Status ArchiveReader::EndEntry() {
  return member_ == Member::kBlob ? EndBlob() : absl::OkStatus();
}

absl::Status ArchiveReader::EndBlob() {
  file_.reset();
  const Digest actual = hash_.Finish();
  if (actual != *digest_) {
    return BadArchive(absl::StrCat("blob ", digest_->ToString(),
                                   " has another content (", actual.ToString(),
                                   ")"));
  }
  blobs_.emplace(*digest_, size_);
  digest_.reset();
  return absl::OkStatus();
}

}  // namespace warren::image
