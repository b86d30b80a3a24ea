#include "runtime/seccomp/profile.h"

namespace warren::seccomp {

uint64_t Profile::Capabilities() const {
  uint64_t all = 0;
  for (const Rule& rule : rules) {
    all |= rule.includes.capabilities | rule.excludes.capabilities;
  }
  return all;
}

}  // namespace warren::seccomp
