#include "runtime/seccomp/filter_machine.h"

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

namespace warren::seccomp {
namespace {

class Machine {
 public:
  Machine(absl::string_view instructions, const seccomp_data& data)
      : code_(instructions.size() / sizeof(sock_filter)), data_(data) {
    std::memcpy(code_.data(), instructions.data(),
                code_.size() * sizeof(sock_filter));
  }

  uint32_t Run() {
    for (size_t at = 0; at < code_.size(); ++at) {
      ++steps_;
      const sock_filter& i = code_[at];
      const uint32_t operand = BPF_SRC(i.code) == BPF_X ? x_ : i.k;
      switch (BPF_CLASS(i.code)) {
        case BPF_RET:
          return BPF_RVAL(i.code) == BPF_A ? a_ : i.k;
        case BPF_JMP:
          if (BPF_OP(i.code) == BPF_JA) {
            at += i.k;
          } else {
            at += Holds(BPF_OP(i.code), operand) ? i.jt : i.jf;
          }
          break;
        case BPF_LD:
          a_ = Load(i);
          break;
        case BPF_LDX:
          x_ = Load(i);
          break;
        case BPF_ST:
          memory_[i.k % BPF_MEMWORDS] = a_;
          break;
        case BPF_ALU:
          if (BPF_OP(i.code) == BPF_AND) {
            a_ &= operand;
          } else {
            ADD_FAILURE() << "ALU operation " << i.code;
          }
          break;
        case BPF_MISC:
          (BPF_MISCOP(i.code) == BPF_TAX ? x_ : a_) =
              BPF_MISCOP(i.code) == BPF_TAX ? a_ : x_;
          break;
        default:
          ADD_FAILURE() << "instruction " << i.code;
      }
    }
    ADD_FAILURE() << "ran off the end";
    return SECCOMP_RET_KILL_PROCESS;
  }

  size_t steps() const { return steps_; }

 private:
  bool Holds(int operation, uint32_t operand) const {
    switch (operation) {
      case BPF_JEQ:
        return a_ == operand;
      case BPF_JGT:
        return a_ > operand;
      case BPF_JGE:
        return a_ >= operand;
      case BPF_JSET:
        return (a_ & operand) != 0;
      default:
        ADD_FAILURE() << "jump " << operation;
        return false;
    }
  }

  uint32_t Load(const sock_filter& i) const {
    if (BPF_MODE(i.code) == BPF_IMM) return i.k;
    if (BPF_MODE(i.code) == BPF_MEM) return memory_[i.k % BPF_MEMWORDS];
    uint32_t value = 0;
    if (BPF_MODE(i.code) == BPF_ABS && i.k + sizeof(value) <= sizeof(data_)) {
      std::memcpy(&value, reinterpret_cast<const char*>(&data_) + i.k,
                  sizeof(value));
    } else {
      ADD_FAILURE() << "load " << i.code << " " << i.k;
    }
    return value;
  }

  std::vector<sock_filter> code_;
  const seccomp_data data_;
  uint32_t a_ = 0;
  uint32_t x_ = 0;
  uint32_t memory_[BPF_MEMWORDS] = {};
  size_t steps_ = 0;
};

seccomp_data Call(uint32_t audit_arch, uint32_t call,
                  std::initializer_list<uint64_t> arguments) {
  seccomp_data data = {};
  data.nr = static_cast<int>(call);
  data.arch = audit_arch;
  std::copy(arguments.begin(), arguments.end(), data.args);
  return data;
}

}  // namespace

uint32_t Evaluate(absl::string_view instructions, uint32_t audit_arch,
                  uint32_t call, std::initializer_list<uint64_t> arguments) {
  return Machine(instructions, Call(audit_arch, call, arguments)).Run();
}

std::string Describe(uint32_t value) {
  const uint32_t data = value & SECCOMP_RET_DATA;
  switch (value & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW:
      return "allow";
    case SECCOMP_RET_LOG:
      return "log";
    case SECCOMP_RET_ERRNO:
      return absl::StrCat("errno ", data);
    case SECCOMP_RET_TRACE:
      return absl::StrCat("trace ", data);
    case SECCOMP_RET_TRAP:
      return "trap";
    case SECCOMP_RET_KILL_THREAD:
      return "kill thread";
    case SECCOMP_RET_KILL_PROCESS:
      return "kill process";
    default:
      return absl::StrCat("value ", value);
  }
}

size_t Steps(absl::string_view instructions, uint32_t audit_arch,
             uint32_t call) {
  Machine machine(instructions, Call(audit_arch, call, {}));
  machine.Run();
  return machine.steps();
}

}  // namespace warren::seccomp
