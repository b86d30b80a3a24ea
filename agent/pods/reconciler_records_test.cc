#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <type_traits>

#include "agent/pods/reconciler.h"
#include "agent/store/record_file.h"
#include "tests/fakes/remains.h"

// What was resolved is recorded: a restart asks neither today's options nor
// today's rules.
namespace warren::agent {
namespace {

using ::testing::IsEmpty;

// Rewrites the record in `directory` without what version 1 did not know.
template <typename Record>
void AsVersion1(const std::string& directory) {
  const std::string path = directory + "/record.pb";
  std::ifstream in(path, std::ios::binary);
  const std::string file{std::istreambuf_iterator<char>(in), {}};
  Record record;
  ASSERT_TRUE(record.ParseFromString(*UnframeRecord(file)));
  if constexpr (std::is_same_v<Record, record::ContainerRecord>) {
    *record.mutable_args() = {record.resolved().args().begin(),
                              record.resolved().args().end()};
    *record.mutable_env() = record.resolved().env();
    record.set_cwd(record.resolved().cwd());
  }
  record.clear_resolved();
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      << FrameRecord(record.SerializeAsString());
}

class ReconcilerRecordsTest : public testing::Test {
 protected:
  test::StateDirectory state_;
  std::unique_ptr<CoreNode> node_ = std::make_unique<CoreNode>(state_.path());
};

// Where its cgroup is was decided once; the operator has changed his mind
// since.
TEST_F(ReconcilerRecordsTest, REL_3_AnotherCgroupParentMovesNothingThatExists) {
  const std::string pod = node_->MustRunPod("web");
  const std::string running = node_->MustStart(pod, "running");
  const Remains remains = Bury(std::move(node_), state_.path());
  const auto next = Revive(remains);
  next->runtime.SetCgroupParent("/other");
  const auto report = next->Reconcile();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->problems, IsEmpty());
  EXPECT_EQ(report->containers_adopted, 1);
  // A pod's new containers are where its old ones are.
  const std::string late = next->MustStart(pod, "late");
  EXPECT_EQ((*next->store->FindContainer(late))->Get()->spec->cgroup.path,
            "/fake/" + late);
  EXPECT_TRUE(next->containers->Stop(running, 0, {}).ok());
  RemoveAll(next.get());
  ExpectClean(next.get(), remains.state->path());
}

// An agent of before `resolved` has left them.
TEST_F(ReconcilerRecordsTest, REL_26_RecordsOfVersion1AreCompletedOnce) {
  const std::string pod = node_->MustRunPod("web");
  const std::string id = node_->MustStart(pod, "main");
  Remains remains = Bury(std::move(node_), state_.path());
  const std::string state = remains.state->path();
  AsVersion1<record::PodSandboxRecord>(state + "/sandboxes/" + pod);
  AsVersion1<record::ContainerRecord>(state + "/containers/" + id);
  std::string before;
  {
    const auto next = Revive(remains);
    const auto report = next->Reconcile();
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_THAT(report->problems, IsEmpty());
    EXPECT_EQ(report->containers_adopted, 1);
    EXPECT_EQ(report->sandboxes_adopted, 1);
    before = next->ContainerStatus(id).SerializeAsString();
  }
  // What was completed is on record: other options change nothing any more.
  const auto last = Revive(remains);
  last->runtime.SetCgroupParent("/other");
  const auto report = last->Reconcile();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->problems, IsEmpty());
  EXPECT_EQ(last->ContainerStatus(id).SerializeAsString(), before);
  EXPECT_EQ((*last->store->FindContainer(id))->Get()->spec->cgroup.path,
            "/fake/" + id);
  RemoveAll(last.get());
  ExpectClean(last.get(), state);
}

}  // namespace
}  // namespace warren::agent
