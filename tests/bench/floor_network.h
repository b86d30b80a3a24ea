#ifndef WARREN_TESTS_BENCH_FLOOR_NETWORK_H_
#define WARREN_TESTS_BENCH_FLOOR_NETWORK_H_

#include <cstdint>

// The rtnetlink messages that wire a pod, with nothing around them
// (rtnetlink(7)). Every failure ends the program. Single-threaded.
namespace warren::bench {

// Ends the program with errno's text when `ok` is false.
void MustHold(bool ok, const char* what);

// An rtnetlink socket of the calling thread's network namespace.
int OpenNetlink();

// A bridge that is up, in the namespace of the socket; its index.
int MakeBridge(int netlink, const char* name);

// veth pair: `name` in the socket's namespace, up and a port of the bridge;
// "eth0" made directly in the namespace `netns_fd`. One message.
void MakeVeth(int netlink, const char* name, int bridge_index, int netns_fd);

// Inside the pod: lo and eth0 up, an address, a default route. One sendmsg.
// Addresses in network byte order.
void ConfigurePod(int netlink, uint32_t address, uint32_t gateway);

// An address for the bridge.
void AddAddress(int netlink, int index, uint32_t address);

}  // namespace warren::bench

#endif  // WARREN_TESTS_BENCH_FLOOR_NETWORK_H_
