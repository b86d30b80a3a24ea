#ifndef WARREN_TESTS_SUPPORT_PARENT_CGROUP_H_
#define WARREN_TESTS_SUPPORT_PARENT_CGROUP_H_

#include <string>

// The cgroup that an orchestrator makes for a pod and names in cgroup_parent.
// Not thread-safe.
namespace warren::test {

// Makes the directory `path` ("/a/b", below the root of each hierarchy) and
// what is missing above it, such that it can be limited and processes can run
// below it: on v2 every level passes all its controllers on
// (cgroup.subtree_control), on v1 a new cpuset gets the processors and memory
// nodes of its parent. A directory that is there already is brought to the same
// state. Fails the test when it cannot.
void MakeParentCgroup(const std::string& path);

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_PARENT_CGROUP_H_
