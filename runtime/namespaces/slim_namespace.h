#ifndef WARREN_RUNTIME_NAMESPACES_SLIM_NAMESPACE_H_
#define WARREN_RUNTIME_NAMESPACES_SLIM_NAMESPACE_H_

#include <absl/status/statusor.h>

#include <string>

#include "runtime/base/unique_fd.h"

// Mount namespaces with next to nothing in them; for MountNamespaces alone.
// Each is made on a thread of its own, because the caller's mount namespace and
// working directory stay what they are. Calls block for a few system calls;
// errors are errno's. Thread-safe.
namespace warren::runtime {

// The template (mount_namespaces.h). `null` becomes its null device, O_PATH.
// Lives as long as the descriptor that is returned.
absl::StatusOr<base::UniqueFd> MakeTemplateNamespace(base::UniqueFd* null);

// One with an empty tmpfs, pinned at the file `path`, which is made.
absl::StatusOr<base::UniqueFd> MakePinsNamespace(const std::string& path);

// Takes the pin and the file away; what is not there is no error.
void Unpin(const std::string& path);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_NAMESPACES_SLIM_NAMESPACE_H_
