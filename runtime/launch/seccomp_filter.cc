#include "runtime/launch/seccomp_filter.h"

#include <absl/strings/str_cat.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"
#include "runtime/seccomp/profile_file.h"
#include "warren/shim/v1/shim.pb.h"

namespace warren::runtime {
namespace {

constexpr char kFilterFile[] = "filter.pb";
constexpr uint32_t kVersion = 1;
constexpr size_t kInstructionBytes = 8;     // sock_filter
constexpr size_t kMaxFileBytes = 64 << 10;  // BPF_MAXINSNS are 32 KiB

}  // namespace

absl::StatusOr<seccomp::ProgramPtr> MakeFilter(const SeccompChoice& choice,
                                               uint64_t capabilities,
                                               seccomp::ProgramCache* cache) {
  switch (choice.mode) {
    case SeccompMode::kUnconfined:
      return seccomp::ProgramPtr();
    case SeccompMode::kRuntimeDefault:
      return cache->RuntimeDefault(capabilities);
    case SeccompMode::kLocalhost: {
      const std::string where = absl::StrCat(
          "security_context.seccomp: profile \"", choice.localhost_path, "\"");
      ASSIGN_OR_RETURN_IN(const std::string text,
                          seccomp::ReadProfileFile(choice.localhost_path),
                          where);
      ASSIGN_OR_RETURN_IN(seccomp::ProgramPtr filter,
                          cache->FromJson(text, capabilities), where);
      return filter;
    }
  }
  return absl::InternalError("seccomp mode");
}

absl::Status SaveFilter(int run_dir_fd, const seccomp::ProgramPtr& filter) {
  if (filter == nullptr) return absl::OkStatus();
  shim::v1::FilterFile file;
  file.set_version(kVersion);
  file.set_program(filter->instructions);
  file.set_flags(filter->flags);
  return base::WriteFileAtomic(run_dir_fd, kFilterFile,
                               file.SerializeAsString(), 0600);
}

absl::StatusOr<seccomp::ProgramPtr> LoadFilter(int run_dir_fd,
                                               const SeccompChoice& choice,
                                               uint64_t capabilities,
                                               seccomp::ProgramCache* cache) {
  if (choice.mode == SeccompMode::kUnconfined) return seccomp::ProgramPtr();
  auto text = base::ReadRegularFileAt(run_dir_fd, kFilterFile, kMaxFileBytes);
  if (base::GetErrno(text.status()) == ENOENT &&
      choice.mode == SeccompMode::kRuntimeDefault) {
    return cache->RuntimeDefault(capabilities);
  }
  if (!text.ok() && base::GetErrno(text.status()) != ENOENT &&
      !base::IsDamage(text.status())) {
    return text.status();
  }
  shim::v1::FilterFile file;
  if (!text.ok() || !file.ParseFromString(*text) ||
      file.version() != kVersion || file.program().empty() ||
      file.program().size() % kInstructionBytes != 0) {
    return absl::DataLossError(
        "the container's seccomp filter cannot be read any more");
  }
  seccomp::Program program;
  program.instructions = std::move(*file.mutable_program());
  program.flags = file.flags();
  return std::make_shared<const seccomp::Program>(std::move(program));
}

}  // namespace warren::runtime
