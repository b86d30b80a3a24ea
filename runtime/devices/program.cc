#include "runtime/devices/program.h"

#include <sys/stat.h>

#include <cstddef>

namespace warren::runtime {
namespace {

static_assert(kDeviceMknod == BPF_DEVCG_ACC_MKNOD);
static_assert(kDeviceRead == BPF_DEVCG_ACC_READ);
static_assert(kDeviceWrite == BPF_DEVCG_ACC_WRITE);

// Where the program keeps what it was asked.
constexpr uint8_t kContext = BPF_REG_1;
constexpr uint8_t kType = BPF_REG_2;
constexpr uint8_t kAccess = BPF_REG_3;
constexpr uint8_t kMajor = BPF_REG_4;
constexpr uint8_t kMinor = BPF_REG_5;
constexpr uint8_t kScratch = BPF_REG_6;

bpf_insn Instruction(int code, uint8_t to, uint8_t from, size_t offset,
                     uint32_t value) {
  bpf_insn insn = {};
  insn.code = static_cast<uint8_t>(code);
  insn.dst_reg = to & 0xf;
  insn.src_reg = from & 0xf;
  insn.off = static_cast<int16_t>(offset);
  insn.imm = static_cast<int32_t>(value);
  return insn;
}

bpf_insn Load(uint8_t to, size_t offset) {
  return Instruction(BPF_LDX | BPF_MEM | BPF_W, to, kContext, offset, 0);
}

bpf_insn Copy(uint8_t to, uint8_t from) {
  return Instruction(BPF_ALU | BPF_MOV | BPF_X, to, from, 0, 0);
}

bpf_insn Compute(int operation, uint8_t to, uint32_t value) {
  return Instruction(BPF_ALU | operation | BPF_K, to, 0, 0, value);
}

// Jumps over the next `distance` instructions unless `reg` is `value`. The
// 32-bit form (Linux 5.1): no sign extension of the value.
bpf_insn SkipUnless(uint8_t reg, uint32_t value, size_t distance) {
  return Instruction(BPF_JMP32 | BPF_JNE | BPF_K, reg, 0, distance, value);
}

void Answer(uint32_t verdict, std::vector<bpf_insn>* program) {
  program->push_back(
      Instruction(BPF_ALU | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, verdict));
  program->push_back(Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

void AddRule(const DeviceRule& rule, std::vector<bpf_insn>* program) {
  const bool all = (rule.access & kDeviceAll) == kDeviceAll;
  // How much of the rule is still to come, with the two of the answer.
  size_t left = 2 + (rule.minor.has_value() ? 1U : 0U) +
                (rule.major.has_value() ? 1U : 0U) + (all ? 0U : 3U);
  program->push_back(SkipUnless(
      kType, rule.type == S_IFBLK ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR,
      left));
  if (!all) {
    left -= 3;
    program->push_back(Copy(kScratch, kAccess));
    program->push_back(
        Compute(BPF_AND, kScratch, kDeviceAll & ~uint32_t{rule.access}));
    program->push_back(SkipUnless(kScratch, 0, left));
  }
  if (rule.major.has_value()) {
    program->push_back(SkipUnless(kMajor, *rule.major, --left));
  }
  if (rule.minor.has_value()) {
    program->push_back(SkipUnless(kMinor, *rule.minor, --left));
  }
  Answer(1, program);
}

}  // namespace

std::vector<bpf_insn> DeviceProgram(const DeviceRules& rules) {
  // access_type is (access << 16) | type.
  std::vector<bpf_insn> program = {
      Load(kType, offsetof(bpf_cgroup_dev_ctx, access_type)),
      Copy(kAccess, kType),
      Compute(BPF_RSH, kAccess, 16),
      Compute(BPF_AND, kType, 0xffff),
      Load(kMajor, offsetof(bpf_cgroup_dev_ctx, major)),
      Load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor)),
  };
  for (const DeviceRule& rule : rules) AddRule(rule, &program);
  Answer(0, &program);
  return program;
}

}  // namespace warren::runtime
