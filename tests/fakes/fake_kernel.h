#ifndef WARREN_TESTS_FAKES_FAKE_KERNEL_H_
#define WARREN_TESTS_FAKES_FAKE_KERNEL_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "runtime/runtime.h"

namespace warren::test {

// What outlives the agent: a value, so that a test can keep the state of any
// moment and start another agent from it.
struct FakeKernel {
  struct Sandbox {
    bool pinned = true;  // namespaces; dropped by StopSandbox
  };
  enum class Process { kNone, kRunning, kGone };
  struct Container {
    std::string sandbox_id;
    runtime::NamespaceMode pid = runtime::NamespaceMode::kContainer;
    runtime::CgroupLeaf cgroup;
    Process process = Process::kNone;
    runtime::Resources resources;  // of its cgroup
    bool leftovers = false;        // processes beside the first
    bool exit_recorded = false;    // exit.pb
    runtime::ExitRecord exit;
  };

  std::map<std::string, Sandbox> sandboxes;
  std::map<std::string, Container> containers;
  std::set<std::string> links;  // by sandbox id
  std::set<std::string> layers;

  // Nothing of any pod or container is left.
  bool Empty() const {
    return sandboxes.empty() && containers.empty() && links.empty();
  }
};

}  // namespace warren::test

#endif  // WARREN_TESTS_FAKES_FAKE_KERNEL_H_
