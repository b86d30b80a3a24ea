#ifndef WARREN_AGENT_CRI_CRI_H_
#define WARREN_AGENT_CRI_CRI_H_

#include "runtime/v1/api.pb.h"

// The one name for CRI's messages. Their package `runtime.v1` is the C++
// namespace ::runtime::v1, which the module warren::runtime hides inside
// namespace warren.
namespace warren::agent {

namespace cri = ::runtime::v1;

}  // namespace warren::agent

#endif  // WARREN_AGENT_CRI_CRI_H_
