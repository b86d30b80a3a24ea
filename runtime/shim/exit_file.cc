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
  int error = EIO;
  for (int i = 0; error != 0 && i < kTries; ++i) error = Fill(data);
  // A record cut short must not be found.
  if (error != 0) Discard(run_dir);
  fd_.reset();
  if (error != 0) return error;
  for (int i = 0; i < kTries; ++i) {
    if (renameat(run_dir, kTemporary, run_dir, kName) == 0) break;
  }
  return 0;
}

int ExitFile::Fill(const std::string& data) const {
  const auto size = static_cast<ssize_t>(data.size());
  ssize_t written;
  do {
    written = pwrite(fd_.get(), data.data(), data.size(), 0);
  } while (written < 0 && errno == EINTR);
  if (written < 0) return errno;
  if (written != size) return ENOSPC;
  return ftruncate(fd_.get(), size) == 0 ? 0 : errno;
}

void ExitFile::Discard(int run_dir) {
  if (!fd_.valid()) return;
  unlinkat(run_dir, kTemporary, 0);
  fd_.reset();
}

}  // namespace warren::shim
