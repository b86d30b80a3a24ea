#include "agent/store/lifecycle.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace warren::agent {
namespace {

namespace record = ::warren::record::v1;

constexpr record::Phase kPhases[] = {
    record::PHASE_UNSPECIFIED, record::CREATING, record::CREATED,
    record::STARTING,          record::RUNNING,  record::EXITED,
    record::REMOVING};

template <typename Record>
void ExpectArrows(
    const std::map<record::Phase, std::set<record::Phase>>& arrows) {
  for (record::Phase from : kPhases) {
    for (record::Phase to : kPhases) {
      Record record;
      record.set_phase(from);
      const auto found = arrows.find(from);
      const bool allowed =
          found != arrows.end() && found->second.count(to) != 0;
      const absl::Status status = Advance(&record, to);
      EXPECT_EQ(status.ok(), allowed)
          << record::Phase_Name(from) << " -> " << record::Phase_Name(to);
      EXPECT_EQ(record.phase(), allowed ? to : from);
      EXPECT_EQ(absl::IsFailedPrecondition(status), !allowed);
    }
  }
}

TEST(Lifecycle, REL_8_SandboxArrows) {
  ExpectArrows<record::PodSandboxRecord>(
      {{record::CREATING, {record::RUNNING, record::EXITED, record::REMOVING}},
       {record::RUNNING, {record::EXITED}},
       {record::EXITED, {record::REMOVING}},
       {record::REMOVING, {record::REMOVING}}});
}

TEST(Lifecycle, REL_8_ContainerArrows) {
  ExpectArrows<record::ContainerRecord>(
      {{record::CREATING, {record::CREATED, record::EXITED, record::REMOVING}},
       {record::CREATED, {record::STARTING, record::EXITED, record::REMOVING}},
       {record::STARTING, {record::RUNNING, record::EXITED}},
       {record::RUNNING, {record::EXITED}},
       {record::EXITED, {record::REMOVING}},
       {record::REMOVING, {record::REMOVING}}});
}

TEST(Lifecycle, SandboxIsReadyOnlyWhileRunning) {
  for (record::Phase phase : kPhases) {
    record::PodSandboxRecord record;
    record.set_phase(phase);
    EXPECT_EQ(PublicState(record), phase == record::RUNNING
                                       ? cri::SANDBOX_READY
                                       : cri::SANDBOX_NOTREADY);
  }
}

TEST(Lifecycle, ContainerStateFollowsFacts) {
  record::ContainerRecord record;
  EXPECT_EQ(PublicState(record), cri::CONTAINER_CREATED);
  record.set_phase(record::STARTING);
  EXPECT_EQ(PublicState(record), cri::CONTAINER_CREATED);
  record.set_started_at_ns(5);
  EXPECT_EQ(PublicState(record), cri::CONTAINER_RUNNING);
  record.set_finished_at_ns(6);
  record.set_phase(record::REMOVING);
  EXPECT_EQ(PublicState(record), cri::CONTAINER_EXITED);
}

record::ContainerRecord Running() {
  record::ContainerRecord record;
  record.set_phase(record::RUNNING);
  record.set_created_at_ns(10);
  record.set_started_at_ns(20);
  record.mutable_process()->set_pid(7);
  return record;
}

TEST(Lifecycle, ReasonsOfExit) {
  const struct {
    runtime::ExitRecord exit;
    const char* reason;
  } cases[] = {
      {{0, 0, false, 30}, "Completed"},  {{0, 0, true, 30}, "Completed"},
      {{1, 0, false, 30}, "Error"},      {{137, 9, false, 30}, "Error"},
      {{137, 9, true, 30}, "OOMKilled"}, {{137, 0, true, 30}, "OOMKilled"},
      {{1, 0, true, 30}, "Error"},       {{143, 15, true, 30}, "Error"},
  };
  for (const auto& c : cases) {
    record::ContainerRecord record = Running();
    ASSERT_TRUE(SetExited(c.exit, 99, &record).ok());
    EXPECT_EQ(record.reason(), c.reason);
    EXPECT_EQ(record.message().empty(),
              !c.exit.oom_killed || record.reason() != "Error");
    EXPECT_EQ(record.exit_code(), c.exit.exit_code);
    EXPECT_EQ(record.finished_at_ns(), 30);
    EXPECT_EQ(record.process().pid(), 0);
  }
}

TEST(Lifecycle, AnEndThatNobodySawIsUnknown) {
  record::ContainerRecord record = Running();
  runtime::ExitRecord lost;
  lost.lost = true;
  ASSERT_TRUE(SetExited(lost, 99, &record).ok());
  EXPECT_EQ(record.exit_code(), 255);
  EXPECT_EQ(record.reason(), "Unknown");
  EXPECT_EQ(record.finished_at_ns(), 99);
}

TEST(Lifecycle, REL_8_AnEndIsSetOnce) {
  record::ContainerRecord record = Running();
  ASSERT_TRUE(SetExited({5, 0, false, 30}, 99, &record).ok());
  EXPECT_FALSE(SetExited({6, 0, false, 40}, 99, &record).ok());
  EXPECT_FALSE(SetLost("lost", 50, &record).ok());
  EXPECT_EQ(record.exit_code(), 5);
  EXPECT_EQ(record.finished_at_ns(), 30);
}

TEST(Lifecycle, AnEndIsNeverBeforeItsStartNorInvisible) {
  record::ContainerRecord record = Running();
  ASSERT_TRUE(SetExited({0, 0, false, 15}, 99, &record).ok());
  EXPECT_EQ(record.finished_at_ns(), 20);
  record = Running();
  ASSERT_TRUE(SetExited({0, 0, false, 0}, 99, &record).ok());
  EXPECT_EQ(record.finished_at_ns(), 99);
}

TEST(Lifecycle, StartErrorAndLost) {
  record::ContainerRecord record = Running();
  record.set_phase(record::STARTING);
  ASSERT_TRUE(SetStartFailed("no such file", 99, &record).ok());
  EXPECT_EQ(record.exit_code(), 128);
  EXPECT_EQ(record.reason(), "StartError");
  EXPECT_EQ(record.message(), "no such file");
  EXPECT_EQ(record.started_at_ns(), 0);
  EXPECT_EQ(record.finished_at_ns(), 99);
  record = Running();
  ASSERT_TRUE(SetLost("gone", 99, &record).ok());
  EXPECT_EQ(record.exit_code(), 255);
  EXPECT_EQ(record.reason(), "Unknown");
}

}  // namespace
}  // namespace warren::agent
