#include "runtime/devices/filter.h"

#include <absl/status/statusor.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/devices/program.h"

namespace warren::runtime {
namespace {

// Programs that other managers may have left on a leaf; more is not ours.
constexpr uint32_t kMaxAttached = 64;

long Bpf(bpf_cmd command, bpf_attr* attr) {
  return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

// The kernel reads zeros in what a command does not use.
bpf_attr NewAttr() {
  bpf_attr attr;
  memset(&attr, 0, sizeof(attr));
  return attr;
}

uint64_t Address(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer);
}

// Descriptors of bpf(2) are close-on-exec from birth.
absl::StatusOr<base::UniqueFd> LoadProgram(const DeviceRules& rules) {
  const std::vector<bpf_insn> program = DeviceProgram(rules);
  // Decides which helpers may be called; there is no call.
  static constexpr char kLicense[] = "Apache-2.0";
  bpf_attr attr = NewAttr();
  attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attr.expected_attach_type = BPF_CGROUP_DEVICE;
  attr.insns = Address(program.data());
  attr.insn_cnt = static_cast<uint32_t>(program.size());
  attr.license = Address(kLicense);
  const long fd = Bpf(BPF_PROG_LOAD, &attr);
  if (fd < 0) return base::ErrnoError(errno, "load the program");
  return base::UniqueFd(static_cast<int>(fd));
}

absl::StatusOr<std::vector<uint32_t>> AttachedPrograms(int cgroup_fd) {
  std::array<uint32_t, kMaxAttached> ids = {};
  bpf_attr attr = NewAttr();
  attr.query.target_fd = static_cast<uint32_t>(cgroup_fd);
  attr.query.attach_type = BPF_CGROUP_DEVICE;
  attr.query.prog_ids = Address(ids.data());
  attr.query.prog_cnt = kMaxAttached;
  if (Bpf(BPF_PROG_QUERY, &attr) != 0) {
    return base::ErrnoError(errno, "list attached programs");
  }
  return std::vector<uint32_t>(ids.begin(), ids.begin() + attr.query.prog_cnt);
}

absl::Status Attach(int cgroup_fd, int program_fd) {
  bpf_attr attr = NewAttr();
  attr.target_fd = static_cast<uint32_t>(cgroup_fd);
  attr.attach_bpf_fd = static_cast<uint32_t>(program_fd);
  attr.attach_type = BPF_CGROUP_DEVICE;
  attr.attach_flags = BPF_F_ALLOW_MULTI;
  if (Bpf(BPF_PROG_ATTACH, &attr) != 0) {
    return base::ErrnoError(errno, "attach the program");
  }
  return absl::OkStatus();
}

absl::Status Detach(int cgroup_fd, uint32_t id) {
  bpf_attr attr = NewAttr();
  attr.prog_id = id;
  const long fd = Bpf(BPF_PROG_GET_FD_BY_ID, &attr);
  if (fd < 0) return base::ErrnoError(errno, "open an old program");
  const base::UniqueFd program(static_cast<int>(fd));
  attr = NewAttr();
  attr.target_fd = static_cast<uint32_t>(cgroup_fd);
  attr.attach_bpf_fd = static_cast<uint32_t>(program.get());
  attr.attach_type = BPF_CGROUP_DEVICE;
  if (Bpf(BPF_PROG_DETACH, &attr) != 0) {
    return base::ErrnoError(errno, "detach an old program");
  }
  return absl::OkStatus();
}

}  // namespace

bool CanFilterDevices() { return LoadProgram(StandardDeviceRules()).ok(); }

absl::Status AttachDeviceFilter(int cgroup_fd, const DeviceRules& rules) {
  ASSIGN_OR_RETURN(const base::UniqueFd program, LoadProgram(rules));
  ASSIGN_OR_RETURN(const std::vector<uint32_t> before,
                   AttachedPrograms(cgroup_fd));
  RETURN_IF_ERROR(Attach(cgroup_fd, program.get()));
  for (const uint32_t id : before) RETURN_IF_ERROR(Detach(cgroup_fd, id));
  return absl::OkStatus();
}

}  // namespace warren::runtime
