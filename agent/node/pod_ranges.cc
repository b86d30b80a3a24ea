#include "agent/node/pod_ranges.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "agent/node/status.h"
#include "runtime/base/file.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

constexpr char kFile[] = "pod_ranges";
constexpr char kNextFile[] = "pod_ranges.next";
constexpr size_t kMostBytes = 4096;

}  // namespace

PodRanges::PodRanges(std::string state_dir,
                     std::vector<netplugin::IpPrefix> configured,
                     netplugin::PodNetwork* network)
    : state_dir_(std::move(state_dir)),
      network_(network),
      in_force_(std::move(configured)) {}

absl::StatusOr<std::vector<netplugin::IpPrefix>> PodRanges::Read() const {
  const std::string path = absl::StrCat(state_dir_, "/", kFile);
  const absl::StatusOr<std::string> text =
      base::ReadRegularFileAt(AT_FDCWD, path, kMostBytes);
  if (base::GetErrno(text.status()) == ENOENT) {
    return std::vector<netplugin::IpPrefix>();
  }
  RETURN_IF_ERROR_IN(text.status(), path);
  auto ranges = ParsePodCidr(std::string(absl::StripAsciiWhitespace(*text)));
  RETURN_IF_ERROR_IN(ranges.status(), path);
  return ranges;
}

absl::Status PodRanges::Start(const std::vector<netplugin::IpPrefix>& saved) {
  if (!saved.empty()) RETURN_IF_ERROR(Set(saved));
  return network_->Init();
}

absl::Status PodRanges::Update(const std::string& pod_cidr,
                               const base::Deadline& deadline) {
  ASSIGN_OR_RETURN(const std::vector<netplugin::IpPrefix> ranges,
                   ParsePodCidr(pod_cidr));
  ASSIGN_OR_RETURN(const OperationLock::Guard turn, turn_.Acquire(deadline));
  const std::vector<netplugin::IpPrefix> before = InForce();
  ASSIGN_OR_RETURN(const base::UniqueFd directory,
                   base::OpenAt(AT_FDCWD, state_dir_, O_RDONLY | O_DIRECTORY));
  RETURN_IF_ERROR_IN(
      base::WriteFileAtomic(directory.get(), kNextFile, pod_cidr + "\n", 0600,
                            /*durable=*/true),
      "keep the pod ranges");
  absl::Status status = Apply(ranges);
  // A rename that a power cut takes back does no harm: the network has gone
  // with it, and the next start sets it up by the file.
  if (status.ok() &&
      renameat(directory.get(), kNextFile, directory.get(), kFile) != 0) {
    status = PutBack(before, base::ErrnoError(errno, "keep the pod ranges"));
  }
  if (!status.ok()) unlinkat(directory.get(), kNextFile, 0);
  return status;
}

absl::Status PodRanges::Apply(const std::vector<netplugin::IpPrefix>& ranges) {
  const std::vector<netplugin::IpPrefix> before = InForce();
  RETURN_IF_ERROR_IN(Set(ranges), "set pod ranges");
  const absl::Status made =
      base::Annotate(network_->Init(), "set up the pod network");
  return made.ok() ? made : PutBack(before, made);
}

absl::Status PodRanges::Set(const std::vector<netplugin::IpPrefix>& ranges) {
  RETURN_IF_ERROR(
      network_->SetPodRanges(ranges, base::Deadline::After(kPatience)));
  const base::MutexLock lock(&mutex_);
  in_force_ = ranges;
  return absl::OkStatus();
}

absl::Status PodRanges::PutBack(const std::vector<netplugin::IpPrefix>& before,
                                const absl::Status& why) {
  absl::Status back = Set(before);
  if (back.ok()) back = network_->Init();
  if (back.ok()) return why;
  return base::Annotate(
      why, absl::StrCat("the pod ranges before cannot be put back (",
                        back.message(), ")"));
}

std::vector<netplugin::IpPrefix> PodRanges::InForce() const {
  const base::MutexLock lock(&mutex_);
  return in_force_;
}

}  // namespace warren::agent
