#include "runtime/image/registry/blob_fetch.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include <algorithm>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/image/registry/answer.h"

namespace warren::registry {
namespace {

bool ParseNumber(absl::string_view text, uint64_t* number) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c >= '0' && c <= '9';
  }) && absl::SimpleAtoi(text, number);
}

}  // namespace

std::optional<ContentRange> ParseContentRange(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  if (!absl::StartsWithIgnoreCase(text, "bytes")) return std::nullopt;
  text = absl::StripLeadingAsciiWhitespace(text.substr(5));
  absl::ConsumePrefix(&text, "=");  // seen in the field
  const size_t dash = text.find('-');
  const size_t slash = text.find('/');
  if (dash == absl::string_view::npos || slash == absl::string_view::npos ||
      dash > slash) {
    return std::nullopt;
  }
  ContentRange range;
  if (!ParseNumber(text.substr(0, dash), &range.first) ||
      !ParseNumber(text.substr(dash + 1, slash - dash - 1), &range.last) ||
      range.last < range.first) {
    return std::nullopt;
  }
  const absl::string_view total = text.substr(slash + 1);
  if (total == "*") return range;
  uint64_t number = 0;
  if (!ParseNumber(total, &number) || number <= range.last) {
    return std::nullopt;
  }
  range.total = number;
  return range;
}

// Takes one answer. What does not fit ends the transfer.
class BlobFetch::Receiver : public HostSink {
 public:
  Receiver(BlobFetch* fetch, bool asked_range)
      : fetch_(fetch), asked_range_(asked_range) {}

  absl::Status OnHead(const HttpHead& head) override {
    const std::string* const text = head.Find("Content-Range");
    const std::string* const length = head.Find("Content-Length");
    uint64_t bytes = 0;
    const bool has_length =
        length != nullptr && absl::SimpleAtoi(*length, &bytes);
    if (head.status == 200) {
      // With a range in it, it may be either.
      if (has_length && bytes != fetch_->size_) {
        return Misfit(absl::StrCat("announces ", bytes, " bytes instead of ",
                                   fetch_->size_));
      }
      skip_ = fetch_->got_;
    } else if (head.status == 206 && asked_range_) {
      const auto range =
          text == nullptr ? std::nullopt : ParseContentRange(*text);
      if (!range || range->first != fetch_->got_ ||
          (range->total && *range->total != fetch_->size_)) {
        return Misfit("answers a range that was not asked for");
      }
    } else {
      return Misfit(absl::StrCat("answers a blob with HTTP ", head.status));
    }
    ++fetch_->answers_;
    return absl::OkStatus();
  }

  absl::Status OnBody(absl::string_view bytes) override {
    const size_t dropped =
        static_cast<size_t>(std::min<uint64_t>(skip_, bytes.size()));
    skip_ -= dropped;
    bytes.remove_prefix(dropped);
    return bytes.empty() ? absl::OkStatus() : fetch_->Write(bytes);
  }

  // The answer was of no use because of its form.
  bool misfit() const { return misfit_; }

 private:
  absl::Status Misfit(absl::string_view what) {
    misfit_ = true;
    return absl::DataLossError(what);
  }

  BlobFetch* const fetch_;
  const bool asked_range_;
  uint64_t skip_ = 0;
  bool misfit_ = false;
};

BlobFetch::BlobFetch(const image::Digest& digest, uint64_t size, BlobSink* sink)
    : digest_(digest), size_(size), sink_(sink) {}

absl::Status BlobFetch::FromSink(absl::Status error) {
  if (!error.ok() && !absl::IsDataLoss(error)) sink_error_ = error;
  return error;
}

absl::Status BlobFetch::Write(absl::string_view bytes) {
  if (bytes.size() > size_ - got_) {
    return absl::DataLossError(
        absl::StrCat("sends more than the ", size_, " bytes of the blob"));
  }
  got_ += bytes.size();
  return FromSink(sink_->Write(bytes));
}

absl::Status BlobFetch::Finish() { return FromSink(sink_->Finish()); }

absl::Status BlobFetch::Restart() {
  got_ = 0;
  answers_ = 0;
  sink_error_ = sink_->Restart();
  return sink_error_;
}

HostRequest BlobFetch::NextRequest(RangeForm form) const {
  HostRequest request;
  request.path = absl::StrCat("/blobs/", digest_.ToString());
  request.headers.emplace_back("Accept", "application/octet-stream, */*");
  if (got_ == 0 || form == RangeForm::kNone) return request;
  std::string range = absl::StrCat("bytes=", got_, "-");
  if (form == RangeForm::kClosed) absl::StrAppend(&range, size_ - 1);
  request.headers.emplace_back("Range", std::move(range));
  return request;
}

absl::Status BlobFetch::From(HostSession* host, Retries retries,
                             const base::Deadline& deadline) {
  RangeForm form = RangeForm::kOpen;
  bool restarted = false;
  while (true) {
    absl::Status status;
    const uint64_t before = got_;
    bool misfit = false;
    if (got_ < size_) {
      const bool ranged = got_ > 0 && form != RangeForm::kNone;
      Receiver receiver(this, ranged);
      status = host->Send(NextRequest(form), &receiver, deadline);
      misfit = receiver.misfit() && ranged;
    }
    if (status.ok() && got_ == size_) status = Finish();
    if (status.ok() && got_ == size_) return status;
    if (!sink_error_.ok()) return sink_error_;
    RETURN_IF_ERROR(deadline.Check());
    if (misfit) {
      form = RangeForm::kNone;
      continue;
    }
    if (HttpStatusOf(status) == 416 && form != RangeForm::kNone) {
      form = form == RangeForm::kOpen ? RangeForm::kClosed : RangeForm::kNone;
      continue;
    }
    if (absl::IsDataLoss(status) && !IsTransient(status)) {
      // Bytes of several answers do not fit together: once more as a whole.
      const bool mixed = answers_ > 1;
      RETURN_IF_ERROR(Restart());
      if (!mixed || std::exchange(restarted, true)) return status;
      continue;
    }
    if (status.ok()) {
      status = TransportError(
          TransportFailure::kCut,
          absl::StrCat("ends after ", got_, " of ", size_, " bytes"));
    }
    retries.Progress(got_ - before);
    RETURN_IF_ERROR(retries.Wait(status, deadline));
  }
}

}  // namespace warren::registry
