#ifndef WARREN_RUNTIME_BASE_GIANT_TREE_TESTING_H_
#define WARREN_RUNTIME_BASE_GIANT_TREE_TESTING_H_

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

#include "runtime/base/unique_fd.h"

// For tests of walks through trees that a container made: big trees, and little
// to walk them with.
namespace warren::base::testing {

// Where a directory for a big tree is made in no time: in memory, if that may
// be had.
inline std::string FastDirectory() {
  return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

// `name`/`name`/… , `levels` of them, below `directory`, as mkdir and chdir
// make it: no path is that long. 0 or errno.
inline int MakeDeep(int directory, int levels, const std::string& name) {
  UniqueFd at(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < levels; ++i) {
    if (mkdirat(at.get(), name.c_str(), 0755) != 0) return errno;
    at = UniqueFd(
        openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!at.valid()) return errno;
  }
  return 0;
}

// `count` empty files whose names have `length` bytes. 0 or errno.
inline int MakeNames(int directory, int count, size_t length) {
  for (int i = 0; i < count; ++i) {
    std::string name = absl::StrCat(i, "-");
    name.resize(std::max(length, name.size()), 'x');
    const UniqueFd file(
        openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    if (!file.valid()) return errno;
  }
  return 0;
}

// While it lives this process can open `count` more descriptors.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t count) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const UniqueFd next(open("/", O_PATH | O_CLOEXEC));
    rlimit limit = before_;
    limit.rlim_cur = static_cast<rlim_t>(next.get()) + count;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit before_ = {};
};

// How much more memory this process had at its peak than when this was made.
class Growth {
 public:
  Growth() {
    // The peak from now on (proc(5), clear_refs).
    const UniqueFd reset(open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC));
    usable_ = reset.valid() && write(reset.get(), "5", 1) == 1;
    start_ = Peak();
  }
  // 0 where the kernel does not tell.
  long Bytes() const { return usable_ ? Peak() - start_ : 0; }

 private:
  static long Peak() {
    char text[8192] = {};
    const UniqueFd status(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
    if (read(status.get(), text, sizeof(text) - 1) <= 0) return 0;
    const char* line = strstr(text, "VmHWM:");
    long kib = 0;
    if (line == nullptr || sscanf(line, "VmHWM: %ld", &kib) != 1) return 0;
    return kib << 10;
  }

  bool usable_ = false;
  long start_ = 0;
};

// Runs `work` on a thread of its own with a stack of `bytes`. False when there
// is no such thread.
inline bool OnSmallStack(const std::function<void()>& work,
                         size_t bytes = 64 << 10) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, bytes);
  pthread_t thread;
  const auto run = [](void* argument) -> void* {
    (*static_cast<const std::function<void()>*>(argument))();
    return nullptr;
  };
  const int error = pthread_create(&thread, &attributes, run,
                                   const_cast<std::function<void()>*>(&work));
  pthread_attr_destroy(&attributes);
  return error == 0 && pthread_join(thread, nullptr) == 0;
}

}  // namespace warren::base::testing

#endif  // WARREN_RUNTIME_BASE_GIANT_TREE_TESTING_H_
