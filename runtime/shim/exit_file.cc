#include "runtime/shim/exit_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace warren::shim {
namespace {

constexpr char kName[] = "exit.pb";
constexpr char kTemporary[] = ".exit.pb.new";

}  // namespace

Failure ExitFile::Reserve(int run_dir) {
  unlinkat(run_dir, kTemporary, 0);
  fd_.reset(openat(run_dir, kTemporary,
                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd_.valid()) return Fail("exit file", errno);
  int error;
  do {
    // Returns the errno; EOPNOTSUPP is a file system that cannot.
    error = fallocate(fd_.get(), 0, 0, kBytes) == 0 ? 0 : errno;
  } while (error == EINTR);
  if (error == 0 || error == EOPNOTSUPP) return {};
  Discard(run_dir);
  return Fail("exit file", error);
}

int ExitFile::Write(int run_dir, const v1::Exited& exited) {
  v1::ExitFile file;
  file.set_version(1);
  *file.mutable_exit() = exited;
  std::string data;
  file.SerializeToString(&data);
  const auto size = static_cast<ssize_t>(data.size());
  ssize_t written;
  do {
    written = pwrite(fd_.get(), data.data(), data.size(), 0);
  } while (written < 0 && errno == EINTR);
  int error = 0;
  if (written < 0) error = errno;
  if (written >= 0 && written != size) error = ENOSPC;
  if (error == 0 && ftruncate(fd_.get(), size) != 0) error = errno;
  if (error == 0 && renameat(run_dir, kTemporary, run_dir, kName) != 0) {
    error = errno;
  }
  // A record cut short must not be found.
  if (error != 0) Discard(run_dir);
  fd_.reset();
  return error;
}

void ExitFile::Discard(int run_dir) {
  if (!fd_.valid()) return;
  unlinkat(run_dir, kTemporary, 0);
  fd_.reset();
}

}  // namespace warren::shim
