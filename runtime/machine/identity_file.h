#ifndef WARREN_RUNTIME_MACHINE_IDENTITY_FILE_H_
#define WARREN_RUNTIME_MACHINE_IDENTITY_FILE_H_

#include <absl/status/status.h>

#include <string>

#include "runtime/base/look.h"
#include "runtime/specs.h"

// identity.pb in the run directory of a container or sandbox: what it takes to
// end the object whole when its record is lost. Written before any kernel
// object is made, never changed. Thread-safe.
namespace warren::runtime {

struct Identity {
  CgroupLeaf cgroup;
  bool pod_init = false;  // of a sandbox: there is one, in `cgroup`
  bool operator==(const Identity&) const = default;
};

// `dir`: path of the run directory, which exists.
absl::Status SaveIdentity(const std::string& dir, const Identity& identity);

// nullopt: no directory or no file (an older agent's). An error: nobody knows;
// kDataLoss for a file that is damaged or of a later version.
base::Look<Identity> LoadIdentity(const std::string& dir);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MACHINE_IDENTITY_FILE_H_
