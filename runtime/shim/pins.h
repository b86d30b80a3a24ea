#ifndef WARREN_RUNTIME_SHIM_PINS_H_
#define WARREN_RUNTIME_SHIM_PINS_H_

#include <cstdint>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "runtime/shim/failure.h"
#include "warren/shim/v1/shim.pb.h"

namespace warren::shim {

// Keeps namespaces alive by binding their nsfs files into a directory of
// another mount namespace. Pins live until somebody unmounts them; Undo() takes
// off those of this object. Single-threaded; Enter changes process-wide state.
class Pins {
 public:
  explicit Pins(int dir_fd) : dir_(dir_fd) {}

  // setns(2) into the mount namespace that holds the directory, for good.
  Failure Enter(int mnt_ns_fd);
  // Binds the namespace behind `ns_fd` onto a new file `name`.
  Failure Pin(int ns_fd, const char* name);
  // Attaches `mount` (detached) to a new directory `name`.
  Failure Attach(int mount, const char* name);
  void Undo();

 private:
  int dir_;
  std::vector<const char*> files_;
  std::vector<const char*> directories_;
};

// A detached tmpfs for /dev/shm: nosuid,nodev,noexec, mode 1777, owned by
// `uid` and `gid` of the host. Invalid with errno.
base::UniqueFd MakeShm(uint64_t size_bytes, uint32_t uid, uint32_t gid);

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_PINS_H_
