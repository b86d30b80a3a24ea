// Stands in front of the calls of calls.txt in a program that was linked with
// --wrap. No locks, no memory, no libc on the way: it also runs between clone
// and exec. Every wrapped call takes integers and pointers only, so that one
// form fits all; what a call does not take is passed on unread.
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/faults/fault_orders.h"

extern "C" const char __ehdr_start[] __attribute__((visibility("hidden")));

extern "C" long __real_syscall(long, long, long, long, long, long, long);

namespace {

using warren::faults::kSlots;
using warren::faults::Orders;
using warren::faults::Slot;

Orders* orders = nullptr;
uint32_t born = 0;  // generation at the start of the process

__attribute__((constructor)) void OpenOrders() {
  const long fd = __real_syscall(SYS_openat, AT_FDCWD,
                                 reinterpret_cast<long>(WARREN_FAULTS_FILE),
                                 O_RDWR | O_CLOEXEC, 0, 0, 0);
  if (fd < 0) return;
  const long place = __real_syscall(SYS_mmap, 0, sizeof(Orders),
                                    PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  __real_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
  if (place == -1) return;
  orders = reinterpret_cast<Orders*>(place);
  born = orders->generation;
}

uint32_t Count(uint64_t key) {
  for (unsigned i = (key ^ key >> 12) % kSlots;; i = (i + 1) % kSlots) {
    Slot& slot = orders->slots[i];
    uint64_t found = 0;
    if (slot.key.compare_exchange_strong(found, key) || found == key) {
      return ++slot.count;
    }
  }
}

// The error to give, or 0: make the call.
int Fault(uint64_t call, const void* caller) {
  if (orders == nullptr || orders->armed == 0) return 0;
  if (WARREN_FAULTS_SHIM && born <= orders->immune) return 0;
  const uint64_t key =
      warren::faults::Key(WARREN_FAULTS_SHIM, call,
                          static_cast<const char*>(caller) - __ehdr_start);
  const uint32_t count = Count(key);
  if (orders->key != key || orders->nth != count) return 0;
  orders->fired = 1;
  if (orders->error != warren::faults::kStall) return orders->error;
  const timespec pause = {0, 5000000};
  while (orders->release == 0) {
    __real_syscall(SYS_nanosleep, reinterpret_cast<long>(&pause), 0, 0, 0, 0,
                   0);
  }
  return 0;
}

}  // namespace

// FAULT: what the call returns when it fails.
#define WRAP(index, name, FAULT)                                           \
  extern "C" long __real_##name(long, long, long, long, long, long, long); \
  extern "C" long __wrap_##name(long a, long b, long c, long d, long e,    \
                                long f, long g) {                          \
    if (const int error = Fault(index, __builtin_return_address(0))) {     \
      errno = error;                                                       \
      return FAULT;                                                        \
    }                                                                      \
    return __real_##name(a, b, c, d, e, f, g);                             \
  }
#include "fault_calls.inc"
