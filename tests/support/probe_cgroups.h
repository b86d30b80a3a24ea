#ifndef WARREN_TESTS_SUPPORT_PROBE_CGROUPS_H_
#define WARREN_TESTS_SUPPORT_PROBE_CGROUPS_H_

// What a container without a filter can make of its cgroups.
namespace warren::test {

// In new user, cgroup and mount namespaces, as root there: mounts every cgroup
// hierarchy that the kernel gives it at /cg/<controller> (v2: /cg/unified), so
// that the root of each is the root of the cgroup namespace, and executes
// `command`. Returns only on failure, with an exit code: 1.
int EnterCgroupNamespace(char** command);

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_PROBE_CGROUPS_H_
