#ifndef WARREN_TESTS_SUPPORT_NODE_NAMESPACE_H_
#define WARREN_TESTS_SUPPORT_NODE_NAMESPACE_H_

#include <functional>
#include <string>
#include <vector>

// A throwaway node for tests that need root. The test program runs in pid,
// mount, network, IPC and UTS namespaces of its own, so that
//  - whatever happens to the program, the kernel ends every process it left,
//  - the tables a test looks at (processes, mounts, links, routes, nft rules,
//    SysV objects) hold nothing but its own things,
//  - nothing of the machine's own network is ever touched.
//
//   launching process = "outside" (a network namespace of its own)
//     up0  192.0.2.1/24  2001:db8::1/64
//      |
//   node: init (PID 1, reaps orphans) -> test program
//     eth0 192.0.2.2/24  2001:db8::2/64, default routes to .1 and ::1
//
// Cgroups and files are the machine's: below CgroupParent() and TempRoot(),
// both removed by the launching process after the node has died.
namespace warren::test {

// Runs `body` in a new node and returns its result; 1 when the node cannot be
// made, 77 (ctest: skipped) when the caller is not root. Call it from main(),
// before any thread exists; `body` runs in a child process.
int RunInNode(const std::function<int()>& body);

// True inside RunInNode.
bool InNode();

// Absolute directory on a disk file system, mode 0700, for everything a test
// writes.
const std::string& TempRoot();

// "/warren-test-<run>": the parent of every cgroup a test makes, relative to
// the mount of each controller.
const std::string& CgroupParent();

// The network namespace at the other end of the node's uplink (borrowed).
int OutsideNetns();

// The mount points of all cgroup hierarchies: "/sys/fs/cgroup/memory", ….
const std::vector<std::string>& CgroupMounts();

// Runs `work` on a thread of its own inside the network namespace `netns_fd`.
void RunInNetns(int netns_fd, const std::function<void()>& work);

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_NODE_NAMESPACE_H_
