#include "runtime/seccomp/compiler.h"

#include <absl/strings/str_cat.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/seccomp/names.h"
#include "runtime/seccomp/prologue.h"

namespace warren::seccomp {
namespace {

struct Release {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

// libseccomp's pseudo numbers: below this a call does not exist on an
// architecture; above, down from -100 and -200, it is an operation of
// socketcall(2) and ipc(2).
constexpr int kNoSuchCall = -10000;
constexpr int kSocketCalls = -100;
constexpr int kIpcCalls = -200;
constexpr uint32_t kSocketcall = 102;
constexpr uint32_t kIpc = 117;

bool Contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

// ---- Conditions -----------------------------------------------------------

bool AnyOf(const std::vector<std::string>& arches, const Host& host) {
  const std::vector<std::string> words = WordsFor(host.architecture);
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return Contains(arches, word);
  });
}

bool Counts(const Rule& rule, uint64_t capabilities, const Host& host) {
  const Condition& in = rule.includes;
  const Condition& out = rule.excludes;
  return (in.capabilities & ~capabilities) == 0 &&
         (out.capabilities & capabilities) == 0 &&
         (in.arches.empty() || AnyOf(in.arches, host)) &&
         !AnyOf(out.arches, host) &&
         (!in.min_kernel.has_value() || host.kernel >= *in.min_kernel) &&
         (!out.min_kernel.has_value() || host.kernel < *out.min_kernel);
}

// ---- Rules of libseccomp --------------------------------------------------

scmp_arg_cmp Convert(const ArgumentCheck& check) {
  scmp_arg_cmp out = {};
  out.arg = check.index;
  out.datum_a = check.value;
  out.datum_b = check.value_two;
  switch (check.comparison) {
    case Comparison::kNotEqual:
      out.op = SCMP_CMP_NE;
      break;
    case Comparison::kLess:
      out.op = SCMP_CMP_LT;
      break;
    case Comparison::kLessOrEqual:
      out.op = SCMP_CMP_LE;
      break;
    case Comparison::kEqual:
      out.op = SCMP_CMP_EQ;
      break;
    case Comparison::kGreaterOrEqual:
      out.op = SCMP_CMP_GE;
      break;
    case Comparison::kGreater:
      out.op = SCMP_CMP_GT;
      break;
    case Comparison::kMaskedEqual:
      out.op = SCMP_CMP_MASKED_EQ;
      break;
  }
  return out;
}

bool HasArgumentTwice(const Rule& rule) {
  std::set<uint32_t> seen;
  for (const ArgumentCheck& check : rule.arguments) {
    if (!seen.insert(check.index).second) return true;
  }
  return false;
}

absl::Status AddRule(scmp_filter_ctx filter, const Action& action, int call,
                     const std::string& name,
                     const std::vector<scmp_arg_cmp>& checks) {
  const int result = seccomp_rule_add_array(
      filter, ReturnValue(action), call, static_cast<unsigned>(checks.size()),
      checks.data());
  // The same again says nothing new.
  if (result == 0 || result == -EEXIST) return absl::OkStatus();
  if (result == -ENOMEM) return base::ErrnoError(ENOMEM, "seccomp rule");
  return absl::InvalidArgumentError(absl::StrCat(
      "the rule for \"", name, "\" contradicts another one or is malformed"));
}

absl::Status AddRules(scmp_filter_ctx filter, const Rule& rule, int call,
                      const std::string& name) {
  std::vector<scmp_arg_cmp> checks;
  for (const ArgumentCheck& check : rule.arguments) {
    checks.push_back(Convert(check));
  }
  if (!HasArgumentTwice(rule)) {
    return AddRule(filter, rule.action, call, name, checks);
  }
  for (const scmp_arg_cmp& check : checks) {
    RETURN_IF_ERROR(AddRule(filter, rule.action, call, name, {check}));
  }
  return absl::OkStatus();
}

// The part of the program for one architecture.
absl::StatusOr<Filter> MakeFilter(const Profile& profile,
                                  const std::vector<const Rule*>& rules,
                                  Architecture architecture) {
  Filter filter(seccomp_init(ReturnValue(profile.default_action)));
  if (filter == nullptr) return base::ErrnoError(ENOMEM, "seccomp_init");
  const uint32_t foreign = Permits(profile.default_action)
                               ? SCMP_ACT_KILL_PROCESS
                               : ReturnValue(profile.default_action);
  int result = seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, foreign);
  // 2: a binary tree instead of a list; fewer steps for each call.
  if (result == 0) {
    result = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  }
  if (result == 0 && architecture != seccomp_arch_native()) {
    result = seccomp_arch_add(filter.get(), architecture);
    if (result == 0) {
      result = seccomp_arch_remove(filter.get(), SCMP_ARCH_NATIVE);
    }
  }
  if (result != 0) return base::ErrnoError(-result, "seccomp filter");
  for (const Rule* rule : rules) {
    for (const std::string& name : rule->names) {
      const int there =
          seccomp_syscall_resolve_name_arch(architecture, name.c_str());
      if (there == __NR_SCMP_ERROR || there <= kNoSuchCall) continue;
      // libseccomp takes the numbers of the native architecture, whichever
      // one the filter is for.
      const int call = seccomp_syscall_resolve_name(name.c_str());
      RETURN_IF_ERROR(AddRules(filter.get(), *rule, call, name));
    }
  }
  return filter;
}

absl::StatusOr<std::string> Export(scmp_filter_ctx filter) {
  const base::UniqueFd file(memfd_create("seccomp", MFD_CLOEXEC));
  if (!file.valid()) return base::ErrnoError(errno, "memfd_create");
  const int result = seccomp_export_bpf(filter, file.get());
  if (result != 0) {
    return base::ErrnoError(-result, "make the seccomp program");
  }
  if (lseek(file.get(), 0, SEEK_SET) != 0) {
    return base::ErrnoError(errno, "lseek");
  }
  // lint: allow read: memory of ours
  return base::ReadFd(file.get(), 64 << 20);
}

// ---- What libseccomp cannot say -------------------------------------------

absl::StatusOr<Prologue> MakePrologue(const Profile& profile,
                                      const std::vector<const Rule*>& rules,
                                      bool with_x86) {
  Prologue prologue;
  prologue.newer_calls_are_missing = profile.newer_calls_are_missing;
  prologue.refusal = profile.default_action;
  // By libseccomp's numbers for 32-bit x86, pseudo numbers among them.
  std::set<int> whole;
  std::set<int> partly;
  for (const Rule* rule : rules) {
    for (const std::string& name : rule->names) {
      const int x86 =
          seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86, name.c_str());
      const auto newer = NewerCallByName(name);
      if (x86 == __NR_SCMP_ERROR && newer.has_value()) {
        if (!rule->arguments.empty()) {
          return absl::InvalidArgumentError(absl::StrCat(
              "arguments of \"", name, "\" cannot be compared on this node"));
        }
        prologue.calls.emplace_back(*newer, rule->action);
      }
      if (!Permits(rule->action)) continue;
      (rule->arguments.empty() ? whole : partly).insert(x86);
    }
  }
  if (!with_x86 || Permits(profile.default_action)) return prologue;
  for (const int call : partly) {
    if (call >= kSocketCalls || call <= kNoSuchCall) continue;
    const bool ipc = call < kIpcCalls;
    const uint32_t carrier = ipc ? kIpc : kSocketcall;
    if (whole.count(call) != 0 || whole.count(static_cast<int>(carrier)) != 0) {
      continue;
    }
    prologue.refused.push_back(
        {carrier,
         static_cast<uint32_t>((ipc ? kIpcCalls : kSocketCalls) - call)});
  }
  return prologue;
}

std::vector<Architecture> Chosen(const Profile& profile, const Host& host) {
  std::vector<Architecture> chosen = {host.architecture};
  for (const Architecture other : RunnableOn(host.architecture)) {
    if (other == SCMP_ARCH_X32 && !host.x32) continue;
    if (other != host.architecture &&
        std::find(profile.architectures.begin(), profile.architectures.end(),
                  other) != profile.architectures.end()) {
      chosen.push_back(other);
    }
  }
  return chosen;
}

}  // namespace

absl::StatusOr<Host> ThisHost() {
  utsname name;
  if (uname(&name) != 0) return base::ErrnoError(errno, "uname");
  Host host;
  host.architecture = seccomp_arch_native();
  if (sscanf(name.release, "%u.%u", &host.kernel.major, &host.kernel.minor) !=
      2) {
    return absl::InternalError("the kernel's release is no version");
  }
#ifdef __x86_64__
  constexpr long kX32Bit = 0x40000000;
  host.x32 = syscall(kX32Bit | SYS_getpid) >= 0 || errno != ENOSYS;
#endif
  return host;
}

absl::StatusOr<Program> Compile(const Profile& profile, uint64_t capabilities,
                                const Host& host) {
  std::vector<const Rule*> rules;
  for (const Rule& rule : profile.rules) {
    if (rule.action == profile.default_action) continue;  // says nothing
    if (Counts(rule, capabilities, host)) rules.push_back(&rule);
  }
  Filter whole;
  const std::vector<Architecture> architectures = Chosen(profile, host);
  for (const Architecture architecture : architectures) {
    ASSIGN_OR_RETURN(Filter part, MakeFilter(profile, rules, architecture));
    if (whole == nullptr) {
      whole = std::move(part);
      continue;
    }
    const int result = seccomp_merge(whole.get(), part.get());
    if (result != 0) return base::ErrnoError(-result, "seccomp_merge");
    part.release();  // now of `whole`
  }
  const bool with_x86 = std::find(architectures.begin(), architectures.end(),
                                  SCMP_ARCH_X86) != architectures.end();
  ASSIGN_OR_RETURN(const Prologue prologue,
                   MakePrologue(profile, rules, with_x86));
  ASSIGN_OR_RETURN(const std::string body, Export(whole.get()));
  const std::vector<sock_filter> head = Assemble(prologue);
  Program program;
  program.flags = profile.filter_flags;
  program.instructions.assign(reinterpret_cast<const char*>(head.data()),
                              head.size() * sizeof(sock_filter));
  program.instructions += body;
  const size_t count = program.instructions.size() / sizeof(sock_filter);
  if (count > BPF_MAXINSNS) {
    return absl::InvalidArgumentError(
        absl::StrCat("it makes a program of ", count,
                     " instructions, the kernel takes ", BPF_MAXINSNS));
  }
  return program;
}

}  // namespace warren::seccomp
