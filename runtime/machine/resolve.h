#ifndef WARREN_RUNTIME_MACHINE_RESOLVE_H_
#define WARREN_RUNTIME_MACHINE_RESOLVE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <optional>
#include <string>

#include "runtime/base/deadline.h"
#include "runtime/base/process.h"
#include "runtime/machine/identity_file.h"
#include "runtime/machine/parts.h"
#include "runtime/specs.h"

// What the options decide once for each object, and where an object is that
// nobody resolved. Thread-safe.
namespace warren::runtime {

// As Runtime::ResolveSandbox and ResolveContainer.
absl::Status ResolveSandboxSpec(const Parts& parts,
                                const base::ProcessId& process,
                                SandboxSpec* spec);
absl::Status ResolveContainerSpec(const Parts& parts,
                                  const base::ProcessId& process,
                                  ContainerSpec* spec);

// Where the cgroup of an object is, for its end: what the spec says; for one
// without a record, what its run directory says. An object of an older agent
// has no such file: then the program below a shim that answers until `deadline`
// shows it, else today's options are all there is. An error: nobody knows, and
// nothing of the object may be touched.
absl::StatusOr<Identity> FindIdentity(const Parts& parts,
                                      const SandboxSpec& spec);
absl::StatusOr<Identity> FindIdentity(const Parts& parts,
                                      const ContainerSpec& spec,
                                      const base::Deadline& deadline);

// Pure. The leaf of the object `id` in the text of a process's
// /proc/<pid>/cgroup (cgroups(7)), which may be deeper than the leaf; nullopt
// when it is not below one. `v2`: the one tree counts, else the hierarchies
// with controllers, and those without say own_parent.
std::optional<CgroupLeaf> LeafInProcText(absl::string_view text,
                                         absl::string_view id, bool v2);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MACHINE_RESOLVE_H_
