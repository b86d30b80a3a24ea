#ifndef WARREN_AGENT_PODS_INFO_JSON_H_
#define WARREN_AGENT_PODS_INFO_JSON_H_

#include <string>

#include "agent/store/store.h"
#include "agent/store/timings.h"

// The JSON of verbose status replies (info["info"]). `pid`, `config` and
// `runtimeSpec` are the keys that people script against. Values of the
// environment are part of it, as with every other runtime. Pure.
namespace warren::agent {

std::string SandboxInfo(const PodSandboxState& state, const Timings& timings);
std::string ContainerInfo(const ContainerState& state, const Timings& timings);

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_INFO_JSON_H_
