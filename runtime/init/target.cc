#include "runtime/init/target.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace warren::init {
namespace {

constexpr int kMaxLinks = 40;  // as the kernel's MAXSYMLINKS

// A link of procfs that leads to an open file or a namespace. Its text means
// something else in here and must not be followed as a path (EXE-4). The plain
// links of procfs ("self", "mounts") are relative.
bool IsMagic(int link, const char* text, size_t size) {
  struct statfs fs;
  if (fstatfs(link, &fs) != 0 || fs.f_type != PROC_SUPER_MAGIC) return false;
  return text[0] == '/' || memchr(text, ':', size) != nullptr;
}

// Walks one component at a time. `rest` is what is still to be walked, `done`
// the link-free path of `dir` inside the root: ".." goes back to the root and
// down again, so that no step ever leaves it.
class Walk {
 public:
  Walk(int root, const TargetOptions& options)
      : root_(root), options_(options) {}
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;
  ~Walk() {
    if (dir_ >= 0) close(dir_);
  }

  int Run(const char* path, int* fd) {
    if (strlen(path) >= sizeof(rest_)) return ENAMETOOLONG;
    memcpy(rest_, path, strlen(path) + 1);
    int error = Reopen();
    while (error == 0) {
      char name[NAME_MAX + 1];
      error = NextName(name);
      if (error != 0 || name[0] == '\0') break;
      error = strcmp(name, "..") == 0 ? Up() : Down(name);
    }
    if (error != 0) return error;
    *fd = dir_;
    dir_ = -1;
    return 0;
  }

 private:
  // Takes the next component off `rest_`; "" when there is none.
  int NextName(char (&name)[NAME_MAX + 1]) {
    const char* at = rest_;
    size_t length;
    do {
      while (*at == '/') ++at;
      length = strcspn(at, "/");
      if (length > NAME_MAX) return ENAMETOOLONG;
      memcpy(name, at, length);
      name[length] = '\0';
      at += length;
    } while (strcmp(name, ".") == 0);
    memmove(rest_, at, strlen(at) + 1);
    return 0;
  }

  bool IsLast() const { return rest_[strspn(rest_, "/")] == '\0'; }

  int Reopen() {
    const int fd = OpenInside(root_, done_[0] == '\0' ? "/" : done_,
                              O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    if (fd < 0) return errno;
    Replace(fd);
    return 0;
  }

  void Replace(int fd) {
    if (dir_ >= 0) close(dir_);
    dir_ = fd;
  }

  int Up() {
    char* slash = strrchr(done_, '/');
    if (slash != nullptr) *slash = '\0';
    return Reopen();
  }

  int Make(const char* name) {
    if (!IsLast() || !options_.is_file) {
      if (mkdirat(dir_, name, 0755) == 0 || errno == EEXIST) return 0;
      return errno;
    }
    const int fd = openat(
        dir_, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) return errno == EEXIST ? 0 : errno;
    close(fd);
    return 0;
  }

  int Down(const char* name) {
    int fd = openat(dir_, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && options_.create) {
      const int error = Make(name);
      if (error != 0) return error;
      fd = openat(dir_, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0) return errno;
    struct stat st;
    if (fstat(fd, &st) != 0) {
      const int error = errno;
      close(fd);
      return error;
    }
    if (S_ISLNK(st.st_mode)) return Follow(fd);
    if (!IsLast() && !S_ISDIR(st.st_mode)) {
      close(fd);
      return ENOTDIR;
    }
    Replace(fd);
    const size_t used = strlen(done_);
    const size_t length = strlen(name);
    if (used + 1 + length >= sizeof(done_)) return ENAMETOOLONG;
    done_[used] = '/';
    memcpy(done_ + used + 1, name, length + 1);
    return 0;
  }

  // Puts the text of the link in front of what is left. Owns `fd`.
  int Follow(int fd) {
    char text[PATH_MAX];
    const ssize_t n = readlinkat(fd, "", text, sizeof(text));
    const int error = errno;
    const bool magic = n > 0 && IsMagic(fd, text, static_cast<size_t>(n));
    close(fd);
    if (n < 0) return error;
    if (magic) return ELOOP;
    if (options_.no_links || ++links_ > kMaxLinks) return ELOOP;
    const size_t length = static_cast<size_t>(n);
    const size_t left = strlen(rest_);
    if (length + 1 + left >= sizeof(rest_)) return ENAMETOOLONG;
    memmove(rest_ + length + 1, rest_, left + 1);
    memcpy(rest_, text, length);
    rest_[length] = '/';
    if (text[0] != '/') return 0;
    done_[0] = '\0';
    return Reopen();
  }

  int root_;
  TargetOptions options_;
  int dir_ = -1;
  int links_ = 0;
  char rest_[PATH_MAX];
  char done_[PATH_MAX] = "";
};

}  // namespace

int OpenInside(int root, const char* path, int flags, unsigned long resolve) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve;
  for (;;) {
    const long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
    if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) {
      return static_cast<int>(fd);
    }
  }
}

int OpenTarget(int root, const char* path, const TargetOptions& options,
               int* fd) {
  *fd = OpenInside(root, path, O_PATH,
                   options.no_links ? RESOLVE_NO_SYMLINKS : 0);
  if (*fd >= 0) return 0;
  if (errno != ENOENT || !options.create) return errno;
  Walk walk(root, options);
  return walk.Run(path, fd);
}

int OpenParent(int root, const char* path, bool no_links, int* fd,
               const char** name) {
  const char* slash = strrchr(path, '/');
  if (slash == nullptr || slash[1] == '\0' || strcmp(slash, "/.") == 0 ||
      strcmp(slash, "/..") == 0) {
    return EINVAL;
  }
  *name = slash + 1;
  char directory[PATH_MAX];
  const size_t length = static_cast<size_t>(slash - path);
  if (length + 1 >= sizeof(directory)) return ENAMETOOLONG;
  memcpy(directory, path, length);
  memcpy(directory + length, "/", 2);
  return OpenTarget(root, directory, {.create = true, .no_links = no_links},
                    fd);
}

}  // namespace warren::init
