#include "runtime/shim/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace warren::shim {
namespace {

constexpr size_t kTagAt = kEntryHeaderSize - 2;
// Where the fraction of a second is in a stamp.
constexpr size_t kFractionAt = 20;
constexpr int64_t kSecond = 1'000'000'000;

void PutDigits(char* at, int count, int64_t value) {
  for (int i = count - 1; i >= 0; --i) {
    at[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

// The directory of `name` below `dir`, made as needed; `*leaf` is the last
// part.
Failure OpenParents(int dir, const std::string& name, base::UniqueFd* directory,
                    std::string* leaf) {
  directory->reset(fcntl(dir, F_DUPFD_CLOEXEC, 3));
  if (!directory->valid()) return Fail("log", errno);
  size_t start = 0;
  for (;;) {
    const size_t slash = name.find('/', start);
    const std::string part = name.substr(start, slash - start);
    if (part.empty() || part == "." || part == "..") {
      return Fail("log", EINVAL, name);
    }
    if (slash == std::string::npos) {
      *leaf = part;
      return {};
    }
    if (mkdirat(directory->get(), part.c_str(), 0755) != 0 && errno != EEXIST) {
      return Fail("log", errno, name);
    }
    base::UniqueFd next(openat(directory->get(), part.c_str(),
                               O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next.valid()) return Fail("log", errno, name);
    *directory = std::move(next);
    start = slash + 1;
  }
}

Failure OpenLog(int dir, const std::string& name, base::UniqueFd* file) {
  base::UniqueFd directory;
  std::string leaf;
  Failure failure = OpenParents(dir, name, &directory, &leaf);
  if (failure.failed()) return failure;
  // O_NONBLOCK: a planted fifo must not hold us up (ENXIO, or refused below).
  base::UniqueFd fd(openat(directory.get(), leaf.c_str(),
                           O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW |
                               O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                           0640));
  if (!fd.valid()) return Fail("log", errno, name);
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return Fail("log", errno, name);
  if (!S_ISREG(st.st_mode)) return Fail("log", EINVAL, name);
  if (st.st_uid != geteuid()) return Fail("log", EPERM, name);
  // Another name of a file of ours, planted.
  if (st.st_nlink > 1) return Fail("log", EMLINK, name);
  *file = std::move(fd);
  return {};
}

}  // namespace

void FormatStamp(int64_t real_ns, char (&stamp)[kStampSize]) {
  memcpy(stamp, "0000-00-00T00:00:00.000000000Z", kStampSize);
  const int64_t seconds = real_ns / kSecond;
  const int64_t of_day = seconds % 86400;
  // Days since 1970-01-01 to a civil date, counted in 400-year eras that
  // start on March 1st, so that the leap day is the last of its year.
  const int64_t days = seconds / 86400 + 719468;
  const int64_t era = days / 146097;
  const int64_t day_of_era = days % 146097;
  const int64_t year_of_era = (day_of_era - day_of_era / 1460 +
                               day_of_era / 36524 - day_of_era / 146096) /
                              365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t shifted_month = (5 * day_of_year + 2) / 153;
  const int64_t month =
      shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  PutDigits(stamp, 4, year_of_era + era * 400 + (month <= 2 ? 1 : 0));
  PutDigits(stamp + 5, 2, month);
  PutDigits(stamp + 8, 2, day_of_year - (153 * shifted_month + 2) / 5 + 1);
  PutDigits(stamp + 11, 2, of_day / 3600);
  PutDigits(stamp + 14, 2, of_day / 60 % 60);
  PutDigits(stamp + 17, 2, of_day % 60);
  PutDigits(stamp + kFractionAt, 9, real_ns % kSecond);
}

EntryHeaders::EntryHeaders() {
  memcpy(bytes_[0] + kStampSize, " stdout F ", kEntryHeaderSize - kStampSize);
  memcpy(bytes_[1] + kStampSize, " stderr F ", kEntryHeaderSize - kStampSize);
  char stamp[kStampSize];
  FormatStamp(0, stamp);
  for (char* header : bytes_) memcpy(header, stamp, kStampSize);
}

void EntryHeaders::SetTime(int64_t real_ns) {
  if (real_ns <= time_) return;
  time_ = real_ns;
  if (const int64_t second = real_ns / kSecond; second != second_) {
    second_ = second;
    char stamp[kStampSize];
    FormatStamp(real_ns, stamp);
    for (char* header : bytes_) memcpy(header, stamp, kStampSize);
    return;
  }
  PutDigits(bytes_[0] + kFractionAt, 9, real_ns % kSecond);
  memcpy(bytes_[1] + kFractionAt, bytes_[0] + kFractionAt, 9);
}

Failure LogFile::Open(base::UniqueFd dir_fd, const std::string& name) {
  base::UniqueFd file;
  Failure failure = OpenLog(dir_fd.get(), name, &file);
  if (failure.failed()) return failure;
  dir_ = std::move(dir_fd);
  name_ = name;
  file_ = std::move(file);
  return {};
}

Failure LogFile::Reopen(base::UniqueFd dir_fd) {
  if (!dir_.valid()) return {};
  Flush();
  base::UniqueFd file;
  Failure failure =
      OpenLog(dir_fd.valid() ? dir_fd.get() : dir_.get(), name_, &file);
  if (failure.failed()) return failure;
  if (dir_fd.valid()) dir_ = std::move(dir_fd);
  file_ = std::move(file);
  return {};
}

void LogFile::Append(LogStream stream, bool partial, std::string_view text) {
  if (!file_.valid()) return;
  const size_t size = kEntryHeaderSize + text.size() + 1;
  if (used_ + size > sizeof(Buffer)) Flush();
  char* at = out_ + used_;
  memcpy(at, headers_.Of(stream), kEntryHeaderSize);
  if (partial) at[kTagAt] = 'P';
  memcpy(at + kEntryHeaderSize, text.data(), text.size());
  at[size - 1] = '\n';
  used_ += size;
}

void LogFile::Flush() {
  size_t done = 0;
  while (done < used_) {
    const ssize_t n = write(file_.get(), out_ + done, used_ - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;  // dropped: the container goes on
    const size_t written = static_cast<size_t>(n);
    if (done + written == used_) break;
    // Cut short by a full disk: back to the end of the last whole entry.
    const void* newline = memrchr(out_ + done, '\n', written);
    const size_t whole =
        newline == nullptr
            ? 0
            : static_cast<size_t>(static_cast<const char*>(newline) - out_) +
                  1 - done;
    const off_t end = lseek(file_.get(), 0, SEEK_CUR);
    const off_t keep = end - static_cast<off_t>(written - whole);
    if (end >= 0 && ftruncate(file_.get(), keep) != 0) break;
    if (whole == 0) break;
    done += whole;
  }
  used_ = 0;
}

}  // namespace warren::shim
