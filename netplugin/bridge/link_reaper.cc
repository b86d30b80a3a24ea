#include "netplugin/bridge/link_reaper.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "netplugin/netlink/link.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

// How soon to look again at links that are parked.
constexpr absl::Duration kPoll = absl::Milliseconds(50);
constexpr absl::Duration kLastDrain = absl::Seconds(10);
// Keeps a batch of messages far below the socket's send buffer.
constexpr size_t kLinksPerBatch = 200;
// Upper byte of the groups of a deletion; the rest is random, so that nobody
// else's link is ever in one.
constexpr uint32_t kDyingGroups = 0x77000000;

absl::StatusOr<uint32_t> RandomGroup() {
  uint32_t random = 0;
  if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
    return base::ErrnoError(errno, "getrandom");
  }
  return kDyingGroups | (random & 0x00ffffff);
}

absl::Status UnlessGone(const absl::Status& status) {
  return IsNoSuchLink(status) ? absl::OkStatus() : status;
}

absl::Status DeleteBatch(NetlinkSocket& socket, const int* links,
                         size_t count) {
  if (count == 1) return UnlessGone(socket.Execute(DeleteLink(links[0])));
  ASSIGN_OR_RETURN(const uint32_t group, RandomGroup());
  std::vector<Request> moves;
  for (size_t i = 0; i < count; ++i) {
    moves.push_back(SetGroup(links[i], group));
  }
  RETURN_IF_ERROR(UnlessGone(socket.Execute(std::move(moves))));
  return UnlessGone(socket.Execute(DeleteGroup(group)));
}

}  // namespace

absl::Status DeleteLinks(NetlinkSocket& socket, const std::vector<int>& links,
                         const base::Deadline& deadline) {
  for (size_t i = 0; i < links.size(); i += kLinksPerBatch) {
    RETURN_IF_ERROR(deadline.Check());
    RETURN_IF_ERROR(DeleteBatch(socket, links.data() + i,
                                std::min(kLinksPerBatch, links.size() - i)));
  }
  return absl::OkStatus();
}

LinkReaper::LinkReaper(absl::Duration grace, Gone gone)
    : grace_(grace), gone_(std::move(gone)) {}

LinkReaper::~LinkReaper() {
  // What cannot be deleted now is an orphan for the next start.
  Drain(base::Deadline::After(kLastDrain)).IgnoreError();
}

void LinkReaper::Park(int index, const std::string& name, const Lease& lease) {
  const base::MutexLock lock(&mutex_);
  parked_.try_emplace(
      lease.sandbox_id,
      Parked{index, name, lease, base::SystemClock().MonotonicNow()});
}

bool LinkReaper::IsParked(const std::string& sandbox_id) const {
  const base::MutexLock lock(&mutex_);
  return parked_.contains(sandbox_id);
}

absl::Status LinkReaper::Drain(const base::Deadline& deadline) {
  return Sweep(absl::ZeroDuration(), deadline);
}

absl::StatusOr<absl::Duration> LinkReaper::Tend(
    const base::Deadline& deadline) {
  RETURN_IF_ERROR(Sweep(grace_, deadline));
  const base::MutexLock lock(&mutex_);
  return parked_.empty() ? absl::InfiniteDuration() : kPoll;
}

absl::Status LinkReaper::Sweep(absl::Duration grace,
                               const base::Deadline& deadline) {
  std::vector<Parked> parked;
  {
    const base::MutexLock lock(&mutex_);
    while (sweeping_) {
      RETURN_IF_ERROR(deadline.Check());
      changed_.Wait(&mutex_, deadline);
    }
    for (const auto& [id, one] : parked_) parked.push_back(one);
    if (parked.empty()) return absl::OkStatus();
    sweeping_ = true;
  }
  std::vector<Parked> gone;
  absl::Status status = DeleteOld(grace, deadline, parked, &gone);
  for (const Parked& one : gone) {
    const absl::Status given_back = gone_(one.lease);
    base::Update(&status, given_back);
    if (given_back.ok()) {
      // Only now: what is not parked may be prepared again at once.
      const base::MutexLock lock(&mutex_);
      parked_.erase(one.lease.sandbox_id);
    }
  }
  {
    const base::MutexLock lock(&mutex_);
    sweeping_ = false;
  }
  changed_.NotifyAll();
  return status;
}

absl::Status LinkReaper::DeleteOld(absl::Duration grace,
                                   const base::Deadline& deadline,
                                   const std::vector<Parked>& parked,
                                   std::vector<Parked>* gone) {
  ASSIGN_OR_RETURN(NetlinkSocket socket, NetlinkSocket::Open(NETLINK_ROUTE));
  const int64_t latest =
      base::SystemClock().MonotonicNow() - absl::ToInt64Nanoseconds(grace);
  std::vector<Parked> old;
  for (const Parked& one : parked) {
    ASSIGN_OR_RETURN(const std::optional<Link> link,
                     FindLink(socket, one.index));
    if (!link || link->name != one.name) {
      gone->push_back(one);
    } else if (one.since <= latest) {
      old.push_back(one);
    }
  }
  std::vector<int> links;
  links.reserve(old.size());
  for (const Parked& one : old) links.push_back(one.index);
  RETURN_IF_ERROR_IN(DeleteLinks(socket, links, deadline), "deleting veths");
  gone->insert(gone->end(), old.begin(), old.end());
  return absl::OkStatus();
}

}  // namespace warren::netplugin
