#include "runtime/devices/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>

#include "runtime/devices/program.h"

namespace warren::runtime {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

DeviceNode Node(uint32_t type, uint32_t major, uint32_t minor, uint8_t access) {
  return {"/dev/x", "", {type, major, minor}, 0600, 0, 0, access};
}

std::vector<std::string> Texts(const DeviceRules& rules) {
  std::vector<std::string> texts;
  for (const DeviceRule& rule : rules) texts.push_back(ToV1Text(rule));
  return texts;
}

TEST(DeviceRules, StandardOnes) {
  EXPECT_THAT(Texts(StandardDeviceRules()),
              ElementsAre("c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm",
                          "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm",
                          "c 5:2 rwm", "c 136:* rwm"));
}

TEST(DeviceRules, OneRuleForEachDevice) {
  const DeviceRules rules = RulesFor(
      {Node(S_IFBLK, 7, 0, kDeviceRead), Node(S_IFCHR, 7, 0, kDeviceMknod),
       Node(S_IFBLK, 7, 0, kDeviceWrite), Node(S_IFCHR, 1, 3, kDeviceRead)});
  const std::vector<std::string> texts = Texts(rules);
  EXPECT_EQ(texts.size(), StandardDeviceRules().size() + 2);
  EXPECT_THAT(texts, Contains("b 7:0 rw"));
  EXPECT_THAT(texts, Contains("c 7:0 m"));
  // A standard device stays what it is.
  EXPECT_THAT(texts, Contains("c 1:3 rwm"));
  EXPECT_THAT(texts, Not(Contains("c 1:3 r")));
}

// The few instructions that DeviceProgram uses, as the kernel's document
// bpf/standardization/instruction-set has them. Anything else, a jump out of
// the program or a read of what nobody wrote ends with -1.
class Machine {
 public:
  explicit Machine(std::vector<bpf_insn> program)
      : program_(std::move(program)) {}

  int Run(const bpf_cgroup_dev_ctx& context) {
    context_ = context;
    registers_.fill(0);
    for (size_t at = 0; at < program_.size(); ++at) {
      const bpf_insn& insn = program_[at];
      if (insn.code == (BPF_JMP | BPF_EXIT)) {
        return static_cast<int>(registers_[BPF_REG_0]);
      }
      if (insn.code == (BPF_JMP32 | BPF_JNE | BPF_K)) {
        if (registers_[insn.dst_reg] != static_cast<uint32_t>(insn.imm)) {
          at += static_cast<size_t>(insn.off);
        }
      } else if (!Compute(insn)) {
        return -1;
      }
    }
    return -1;
  }

 private:
  bool Compute(const bpf_insn& insn) {
    uint32_t& to = registers_[insn.dst_reg];
    const auto value = static_cast<uint32_t>(insn.imm);
    switch (insn.code) {
      case BPF_LDX | BPF_MEM | BPF_W:
        if (insn.src_reg != BPF_REG_1) return false;
        if (insn.off == 0) to = context_.access_type;
        if (insn.off == 4) to = context_.major;
        if (insn.off == 8) to = context_.minor;
        return insn.off == 0 || insn.off == 4 || insn.off == 8;
      case BPF_ALU | BPF_MOV | BPF_X:
        to = registers_[insn.src_reg];
        return true;
      case BPF_ALU | BPF_MOV | BPF_K:
        to = value;
        return true;
      case BPF_ALU | BPF_RSH | BPF_K:
        to >>= value;
        return true;
      case BPF_ALU | BPF_AND | BPF_K:
        to &= value;
        return true;
      default:
        return false;
    }
  }

  const std::vector<bpf_insn> program_;
  bpf_cgroup_dev_ctx context_ = {};
  std::array<uint32_t, 11> registers_ = {};
};

int Ask(const DeviceRules& rules, uint32_t type, uint32_t major, uint32_t minor,
        uint32_t access) {
  const uint32_t kind =
      type == S_IFBLK ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
  return Machine(DeviceProgram(rules))
      .Run({(access << 16) | kind, major, minor});
}

TEST(DeviceProgram, NothingIsAllowedByNoRule) {
  EXPECT_EQ(Ask({}, S_IFCHR, 1, 3, kDeviceRead), 0);
}

TEST(DeviceProgram, SaysWhatTheRulesSay) {
  const DeviceRules rules = RulesFor({Node(S_IFBLK, 7, 3, kDeviceRead),
                                      Node(S_IFCHR, 4095, 1048575, kDeviceAll),
                                      Node(S_IFCHR, 10, 229, kDeviceWrite)});
  const auto allowed = [&](uint32_t type, uint32_t major, uint32_t minor,
                           uint32_t access) {
    for (const DeviceRule& rule : rules) {
      if (rule.type == type && rule.major.value_or(major) == major &&
          rule.minor.value_or(minor) == minor &&
          (access & ~uint32_t{rule.access}) == 0) {
        return 1;
      }
    }
    return 0;
  };
  int yes = 0;
  int all = 0;
  for (const uint32_t type : {S_IFCHR, S_IFBLK}) {
    for (const uint32_t major : {0u, 1u, 5u, 7u, 10u, 136u, 4095u}) {
      for (const uint32_t minor : {0u, 2u, 3u, 229u, 1048575u}) {
        for (uint32_t access = 1; access <= kDeviceAll; ++access) {
          const int verdict = Ask(rules, type, major, minor, access);
          ASSERT_EQ(verdict, allowed(type, major, minor, access))
              << type << " " << major << ":" << minor << " " << access;
          yes += verdict;
          ++all;
        }
      }
    }
  }
  EXPECT_EQ(all, 490);
  // mknod of each (70), r, w, rw … of 1:3, 5:0, 5:2, 136:*, 4095:1048575
  // (9 times 6), read of b 7:3, write of c 10:229.
  EXPECT_EQ(yes, 70 + 9 * 6 - 0 + 2);
}

TEST(DeviceProgram, StaysSmall) {
  std::vector<DeviceNode> nodes;
  for (uint32_t i = 0; i < 1024; ++i) {
    nodes.push_back(Node(S_IFBLK, 8, i, kDeviceRead));
  }
  EXPECT_LE(DeviceProgram(RulesFor(nodes)).size(), 8 * 1034 + 8);
}

}  // namespace
}  // namespace warren::runtime
