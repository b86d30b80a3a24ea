#ifndef WARREN_RUNTIME_BASE_UNIQUE_FD_H_
#define WARREN_RUNTIME_BASE_UNIQUE_FD_H_

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace warren::base {

// Owns one file descriptor and closes it. Functions take `int fd` to borrow a
// descriptor and `UniqueFd` to own it. close(2) keeps errno as it was, so that
// an early return may read it. Every descriptor in Warren is O_CLOEXEC from
// birth (EXE-3). Thread-compatible.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    const int old = std::exchange(fd_, fd);
    if (old >= 0 && old != fd) {
      const int saved = errno;
      ::close(old);
      errno = saved;
    }
  }

 private:
  int fd_ = -1;
};

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_UNIQUE_FD_H_
