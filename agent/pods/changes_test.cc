#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "agent/store/change_feed.h"
#include "tests/fakes/core_node.h"

// What the change feed tells of the managers' work.
namespace warren::agent {
namespace {

using test::CoreNode;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// "pod new>READY", "container CREATED>RUNNING", "container EXITED>gone".
template <typename State>
std::string Told(const char* kind, const StateChange<State>& change) {
  const auto phase = [](const State* state, const char* none) -> std::string {
    return state == nullptr ? none : record::Phase_Name(state->record.phase());
  };
  return std::string(kind) + " " + phase(change.before.get(), "new") + ">" +
         phase(change.after.get(), "gone");
}

class ChangesTest : public testing::Test {
 protected:
  // What happened since the last call. What another thread does is told a
  // moment after it can be seen: its first line is awaited.
  std::vector<std::string> Changes(absl::Duration patience = {}) {
    std::vector<std::string> told;
    const auto batch = reader_->Read(1000, base::Deadline::After(patience));
    if (!batch.ok()) return told;
    EXPECT_EQ(batch->lost, 0u);
    for (const ObjectChange& c : batch->changes) {
      if (const auto* pod =
              std::get_if<StateChange<PodSandboxState>>(&c.what)) {
        told.push_back(Told("pod", *pod));
      } else {
        told.push_back(
            Told("container", std::get<StateChange<ContainerState>>(c.what)));
      }
    }
    return told;
  }

  test::StateDirectory state_;
  CoreNode node_{state_.path()};
  std::unique_ptr<ChangeFeed::Reader> reader_ =
      node_.store->changes()->Subscribe();
};

TEST_F(ChangesTest, ALifeFromBeginningToEnd) {
  const std::string pod = node_.MustRunPod("web");
  EXPECT_THAT(Changes(), ElementsAre("pod new>RUNNING"));
  const std::string id = node_.MustCreate(pod, "app");
  EXPECT_THAT(Changes(), ElementsAre("container new>CREATED"));
  ASSERT_TRUE(node_.containers->Start(id, {}).ok());
  EXPECT_THAT(Changes(), ElementsAre("container CREATED>STARTING",
                                     "container STARTING>RUNNING"));
  runtime::ExitRecord exit;
  exit.exit_code = 3;
  node_.runtime.Exit(id, exit);
  node_.AwaitExit(id);
  EXPECT_THAT(Changes(absl::Minutes(1)),
              ElementsAre("container RUNNING>EXITED"));
  ASSERT_TRUE(node_.containers->Remove(id, {}).ok());
  EXPECT_THAT(Changes(), ElementsAre("container EXITED>REMOVING",
                                     "container REMOVING>gone"));
  ASSERT_TRUE(node_.sandboxes->Remove(pod, {}).ok());
  const std::vector<std::string> ending = Changes();
  ASSERT_FALSE(ending.empty());
  EXPECT_EQ(ending.front().substr(0, 12), "pod RUNNING>");
  EXPECT_EQ(ending.back(), "pod REMOVING>gone");
}

TEST_F(ChangesTest, WhatFailsAndIsUndoneWasNeverThere) {
  node_.faults.Fail("Runtime.CreateSandbox");
  EXPECT_FALSE(node_.RunPod("web").ok());
  EXPECT_THAT(Changes(), IsEmpty());
  const std::string pod = node_.MustRunPod("web");
  Changes();
  node_.faults.Fail("Runtime.CreateContainer");
  EXPECT_FALSE(node_.Create(pod, "app").ok());
  EXPECT_THAT(Changes(), IsEmpty());
}

TEST_F(ChangesTest, TheStoreShowsWhatItTells) {
  const std::string pod = node_.MustRunPod("web");
  node_.MustStart(pod, "app");
  const auto batch = reader_->Read(1000, base::Deadline::Never());
  ASSERT_TRUE(batch.ok());
  const ObjectChange& last = batch->changes.back();
  const auto container = node_.store->FindContainer(last.id);
  ASSERT_TRUE(container.ok());
  // The same object, not a copy: the feed takes no memory for what the store
  // has anyway.
  EXPECT_EQ(std::get<StateChange<ContainerState>>(last.what).after,
            (*container)->Get());
}

TEST_F(ChangesTest, REL_15_WhatHappenedIsToldWhateverTheDiskSays) {
  const std::string pod = node_.MustRunPod("web");
  Changes();
  // No write can succeed any more: a file stands where the directory was.
  const std::string directory = state_.path() + "/sandboxes/" + pod;
  std::filesystem::remove_all(directory);
  std::ofstream(directory) << "x";
  const PodSandboxPtr sandbox = *node_.store->FindSandbox(pod);
  const auto set = [](PodSandboxState* state) {
    state->record.set_phase(record::EXITED);
    return absl::OkStatus();
  };
  EXPECT_FALSE(
      sandbox->Update(PodSandbox::Write::kRecordedOrNothing, set).ok());
  EXPECT_THAT(Changes(), IsEmpty());
  EXPECT_FALSE(
      sandbox->Update(PodSandbox::Write::kFactEvenUnrecorded, set).ok());
  EXPECT_THAT(Changes(), ElementsAre("pod RUNNING>EXITED"));
}

TEST_F(ChangesTest, AReaderWhoNeverReadsKeepsNoImage) {
  const std::string pod = node_.MustRunPod("web");
  const std::string id = node_.MustStart(pod, "app");
  EXPECT_EQ(node_.images.holds(), 1);
  ASSERT_TRUE(node_.containers->Remove(id, {}).ok());
  EXPECT_EQ(node_.images.holds(), 0);
  EXPECT_FALSE(Changes().empty());
}

TEST_F(ChangesTest, AnAgentsStartTellsWhatItFinds) {
  const std::string pod = node_.MustRunPod("web");
  node_.MustStart(pod, "app");
  const auto copy = test::StateDirectory::CopyOf(state_.path());
  auto next = Store::Open(copy->path(), "boot-1");
  ASSERT_TRUE(next.ok());
  reader_ = (*next)->changes()->Subscribe();
  ASSERT_TRUE((*next)->Load().ok());
  EXPECT_THAT(Changes(),
              ElementsAre("pod new>RUNNING", "container new>RUNNING"));
  reader_.reset();  // before its store
}

}  // namespace
}  // namespace warren::agent
