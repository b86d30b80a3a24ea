#include "agent/ctl/archive.h"

#include <absl/strings/str_cat.h>
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::agent::ctl {
namespace {

constexpr size_t kBufferBytes = 256 * 1024;

struct ArchiveFree {
  void operator()(archive* a) const { archive_write_free(a); }
};
struct EntryFree {
  void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

// One tar on its way to a sink. libarchive's callback can only say "failed",
// so that the sink's own error is kept here.
class TarWriter {
 public:
  explicit TarWriter(const ByteSink& sink)
      : sink_(sink), archive_(archive_write_new()) {
    archive_write_set_format_pax_restricted(archive_.get());
    archive_write_set_bytes_per_block(archive_.get(), kBufferBytes);
    archive_write_set_bytes_in_last_block(archive_.get(), 512);
  }

  absl::Status Open() {
    return Check(
        archive_write_open(archive_.get(), this, nullptr, &Write, nullptr));
  }

  // The regular file `path` below `root_fd`, under the same name.
  absl::Status AddFile(int root_fd, const std::string& path) {
    ASSIGN_OR_RETURN(const base::UniqueFd fd,
                     base::OpenBeneath(root_fd, path, O_RDONLY));
    struct stat facts = {};
    if (::fstat(fd.get(), &facts) != 0) return base::ErrnoError(errno, path);
    if (!S_ISREG(facts.st_mode)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, " is not a plain file"));
    }
    const std::unique_ptr<archive_entry, EntryFree> entry(archive_entry_new());
    archive_entry_set_pathname(entry.get(), path.c_str());
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_size(entry.get(), facts.st_size);
    RETURN_IF_ERROR(Check(archive_write_header(archive_.get(), entry.get())));
    return CopyFd(fd.get(), [this](absl::string_view data) {
      return archive_write_data(archive_.get(), data.data(), data.size()) < 0
                 ? Failed()
                 : absl::OkStatus();
    });
  }

  absl::Status Close() { return Check(archive_write_close(archive_.get())); }

 private:
  static la_ssize_t Write(archive* /*self*/, void* writer, const void* data,
                          size_t size) {
    auto* self = static_cast<TarWriter*>(writer);
    // Freeing the archive flushes it once more.
    if (!self->error_.ok()) return -1;
    self->error_ =
        self->sink_(absl::string_view(static_cast<const char*>(data), size));
    return self->error_.ok() ? static_cast<la_ssize_t>(size) : -1;
  }

  absl::Status Check(int code) {
    return code == ARCHIVE_OK ? absl::OkStatus() : Failed();
  }
  absl::Status Failed() {
    if (!error_.ok()) return error_;
    const char* text = archive_error_string(archive_.get());
    return absl::InternalError(
        absl::StrCat("write tar: ", text == nullptr ? "unknown" : text));
  }

  const ByteSink& sink_;
  absl::Status error_;  // outlives archive_, whose end calls Write
  std::unique_ptr<archive, ArchiveFree> archive_;
};

absl::Status AddBlobs(int layout_fd, TarWriter* tar) {
  ASSIGN_OR_RETURN(const std::vector<std::string> algorithms,
                   base::ListDir(layout_fd, "blobs"));
  for (const std::string& algorithm : algorithms) {
    const std::string directory = absl::StrCat("blobs/", algorithm);
    ASSIGN_OR_RETURN(std::vector<std::string> names,
                     base::ListDir(layout_fd, directory));
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      RETURN_IF_ERROR(
          tar->AddFile(layout_fd, absl::StrCat(directory, "/", name)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CopyFd(int fd, const ByteSink& sink) {
  std::string buffer(kBufferBytes, '\0');
  for (;;) {
    const ssize_t size = ::read(fd, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return base::ErrnoError(errno, "read");
    if (size == 0) return absl::OkStatus();
    RETURN_IF_ERROR(sink(absl::string_view(buffer.data(), size)));
  }
}

absl::Status WriteLayoutTar(int layout_fd, const ByteSink& sink) {
  for (const char* name : {"oci-layout", "index.json", "blobs"}) {
    if (::faccessat(layout_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("not an OCI image layout: it has no ", name));
    }
  }
  TarWriter tar(sink);
  RETURN_IF_ERROR(tar.Open());
  RETURN_IF_ERROR(tar.AddFile(layout_fd, "oci-layout"));
  RETURN_IF_ERROR(tar.AddFile(layout_fd, "index.json"));
  RETURN_IF_ERROR(AddBlobs(layout_fd, &tar));
  return tar.Close();
}

}  // namespace warren::agent::ctl
