#include "agent/store/lifecycle.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "runtime/base/status.h"

namespace warren::agent {
namespace {

namespace record = ::warren::record::v1;

bool SandboxMayGo(record::Phase from, record::Phase to) {
  switch (to) {
    case record::RUNNING:
      return from == record::CREATING;
    case record::EXITED:
      return from == record::CREATING || from == record::RUNNING;
    case record::REMOVING:
      return from == record::CREATING || from == record::EXITED ||
             from == record::REMOVING;
    default:
      return false;
  }
}

bool ContainerMayGo(record::Phase from, record::Phase to) {
  switch (to) {
    case record::CREATED:
      return from == record::CREATING;
    case record::STARTING:
      return from == record::CREATED;
    case record::RUNNING:
      return from == record::STARTING;
    case record::EXITED:
      return from == record::CREATING || from == record::CREATED ||
             from == record::STARTING || from == record::RUNNING;
    case record::REMOVING:
      return from == record::CREATING || from == record::CREATED ||
             from == record::EXITED || from == record::REMOVING;
    default:
      return false;
  }
}

absl::Status Refuse(absl::string_view what, record::Phase from,
                    record::Phase to) {
  return absl::FailedPreconditionError(
      absl::StrCat(what, " is ", record::Phase_Name(from), " and cannot be ",
                   record::Phase_Name(to)));
}

absl::Status SetEnd(int exit_code, const char* reason,
                    absl::string_view message, int64_t finished_at_ns,
                    record::ContainerRecord* record) {
  RETURN_IF_ERROR(Advance(record, record::EXITED));
  record->set_exit_code(exit_code);
  record->set_reason(reason);
  record->set_message(std::string(message));
  // Not before its start, whatever the wall clock did meanwhile.
  record->set_finished_at_ns(std::max(
      {finished_at_ns, record->started_at_ns(), record->created_at_ns()}));
  record->clear_process();
  record->clear_shim();
  return absl::OkStatus();
}

}  // namespace

absl::Status Advance(record::PodSandboxRecord* record, record::Phase next) {
  if (!SandboxMayGo(record->phase(), next)) {
    return Refuse("the pod sandbox", record->phase(), next);
  }
  record->set_phase(next);
  return absl::OkStatus();
}

absl::Status Advance(record::ContainerRecord* record, record::Phase next) {
  if (!ContainerMayGo(record->phase(), next)) {
    return Refuse("the container", record->phase(), next);
  }
  record->set_phase(next);
  return absl::OkStatus();
}

bool IsOnItsWayOut(record::Phase phase) {
  return phase == record::CREATING || phase == record::REMOVING;
}

cri::PodSandboxState PublicState(const record::PodSandboxRecord& record) {
  return record.phase() == record::RUNNING ? cri::SANDBOX_READY
                                           : cri::SANDBOX_NOTREADY;
}

cri::ContainerState PublicState(const record::ContainerRecord& record) {
  if (record.finished_at_ns() != 0) return cri::CONTAINER_EXITED;
  if (record.started_at_ns() != 0) return cri::CONTAINER_RUNNING;
  return cri::CONTAINER_CREATED;
}

const char* ExitReason(const runtime::ExitRecord& exit) {
  if (exit.exit_code == 0) return kReasonCompleted;
  return exit.oom_killed && exit.exit_code == kOomExitCode ? kReasonOomKilled
                                                           : kReasonError;
}

absl::Status SetExited(const runtime::ExitRecord& exit, int64_t now_ns,
                       record::ContainerRecord* record) {
  if (exit.lost) return SetLost("its end was not seen", now_ns, record);
  const bool some_killed = exit.oom_killed && ExitReason(exit) == kReasonError;
  return SetEnd(exit.exit_code, ExitReason(exit),
                some_killed ? "a process of the container ran out of memory "
                              "and was killed"
                            : "",
                exit.finished_at_ns != 0 ? exit.finished_at_ns : now_ns,
                record);
}

absl::Status SetStartFailed(absl::string_view message, int64_t now_ns,
                            record::ContainerRecord* record) {
  record->clear_started_at_ns();
  return SetEnd(kStartErrorExitCode, kReasonStartError, message, now_ns,
                record);
}

absl::Status SetLost(absl::string_view message, int64_t now_ns,
                     record::ContainerRecord* record) {
  return SetEnd(kUnknownExitCode, kReasonUnknown, message, now_ns, record);
}

}  // namespace warren::agent
