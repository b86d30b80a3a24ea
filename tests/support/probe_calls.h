#ifndef WARREN_TESTS_SUPPORT_PROBE_CALLS_H_
#define WARREN_TESTS_SUPPORT_PROBE_CALLS_H_

// System calls that warren_test_probe makes by number.
namespace warren::test {

// Makes every call that the default seccomp profile is there to block, with
// arguments that have no effect and that the kernel itself answers with
// anything but EPERM when all capabilities are there. Prints a line for each:
// its name and the errno, 0 for success. Returns 0.
int TryBlockedCalls();

// One call: its number and up to six arguments, any base. Prints the errno.
int TryCall(int count, char** numbers);

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_PROBE_CALLS_H_
