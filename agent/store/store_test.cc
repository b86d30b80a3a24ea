#include "agent/store/store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <stop_token>
#include <thread>

#include "runtime/base/unique_fd.h"
#include "tests/fakes/core_node.h"

namespace warren::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

PodSandboxState State(const std::string& id, const std::string& name) {
  PodSandboxState state;
  state.record.set_id(id);
  state.record.set_phase(record::CREATING);
  state.record.mutable_config()->mutable_metadata()->set_name(name);
  return state;
}

class StoreTest : public testing::Test {
 protected:
  std::unique_ptr<Store> Open() {
    auto store = Store::Open(directory_.path(), "boot");
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  PodSandboxPtr Add(Store* store, const std::string& id) {
    auto reserved =
        store->Reserve(PodSandboxName{id, "", "", 0}, State(id, id));
    EXPECT_TRUE(reserved.guard.held());
    EXPECT_TRUE(reserved.object
                    ->Update(PodSandbox::Write::kRecordedOrNothing,
                             [](PodSandboxState*) { return absl::OkStatus(); })
                    .ok());
    store->Publish(reserved.object);
    return reserved.object;
  }
  std::string RecordOf(const std::string& id) {
    return directory_.path() + "/sandboxes/" + id + "/record.pb";
  }

  test::StateDirectory directory_;
  const std::string a_ = "aa" + std::string(62, '0');
  const std::string ab_ = "ab" + std::string(62, '0');
};

TEST_F(StoreTest, API_7_UniquePrefixes) {
  const auto store = Open();
  Add(store.get(), a_);
  Add(store.get(), ab_);
  EXPECT_EQ((*store->FindSandbox("aa"))->id(), a_);
  EXPECT_EQ((*store->FindSandbox(ab_))->id(), ab_);
  EXPECT_TRUE(absl::IsInvalidArgument(store->FindSandbox("a").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(store->FindSandbox("").status()));
  for (const std::string& none :
       {std::string("b"), std::string("AA"), a_ + "0", std::string("a*")}) {
    EXPECT_TRUE(absl::IsNotFound(store->FindSandbox(none).status())) << none;
  }
}

TEST_F(StoreTest, UnpublishedHoldsTheNameOnly) {
  const auto store = Open();
  const PodSandboxName name{"n", "", "", 0};
  auto first = store->Reserve(name, State(a_, "n"));
  EXPECT_TRUE(first.guard.held());
  const auto second = store->Reserve(name, State(ab_, "n"));
  EXPECT_FALSE(second.guard.held());
  EXPECT_EQ(second.object, first.object);
  EXPECT_TRUE(absl::IsNotFound(store->FindSandbox(a_).status()));
  EXPECT_THAT(store->Sandboxes(), IsEmpty());
  ASSERT_TRUE(store->Erase(first.object).ok());
  EXPECT_TRUE(store->Reserve(name, State(ab_, "n")).guard.held());
}

TEST_F(StoreTest, AFailedTransactionChangesNothing) {
  const auto store = Open();
  const PodSandboxPtr sandbox = Add(store.get(), a_);
  EXPECT_FALSE(sandbox
                   ->Update(PodSandbox::Write::kFactEvenUnrecorded,
                            [](PodSandboxState* state) {
                              state->record.set_phase(record::RUNNING);
                              return absl::InternalError("no");
                            })
                   .ok());
  EXPECT_EQ(sandbox->Get()->record.phase(), record::CREATING);
}

TEST_F(StoreTest, REL_15_ADiskThatFailsStopsSetUpsButNotFacts) {
  const auto store = Open();
  const PodSandboxPtr sandbox = Add(store.get(), a_);
  // No write can succeed any more: a file stands where the directory was.
  std::filesystem::remove_all(directory_.path() + "/sandboxes/" + a_);
  std::ofstream(directory_.path() + "/sandboxes/" + a_) << "x";
  const auto set = [](PodSandboxState* state) {
    state->record.set_phase(record::EXITED);
    return absl::OkStatus();
  };
  EXPECT_FALSE(
      sandbox->Update(PodSandbox::Write::kRecordedOrNothing, set).ok());
  EXPECT_EQ(sandbox->Get()->record.phase(), record::CREATING);
  EXPECT_FALSE(
      sandbox->Update(PodSandbox::Write::kFactEvenUnrecorded, set).ok());
  EXPECT_EQ(sandbox->Get()->record.phase(), record::EXITED);
}

TEST_F(StoreTest, AWaitEndsWithAChangeATimeOrItsCaller) {
  const auto store = Open();
  const PodSandboxPtr sandbox = Add(store.get(), a_);
  const uint64_t seen = sandbox->version();
  sandbox->WaitForChange(seen, base::Deadline::After(absl::Milliseconds(1)));
  EXPECT_EQ(sandbox->version(), seen);
  std::atomic<bool> gone{false};
  std::thread caller([&] {
    sandbox->WaitForChange(
        seen, base::Deadline::Never().CancelledBy([&] { return gone.load(); }));
  });
  gone = true;
  caller.join();
  EXPECT_EQ(sandbox->version(), seen);
  // Nothing but the change ends this one.
  std::thread waiter(
      [&] { sandbox->WaitForChange(seen, base::Deadline::Never()); });
  sandbox->Wake();
  waiter.join();
  EXPECT_GT(sandbox->version(), seen);
}

TEST_F(StoreTest, AWatchIsToldOnceOfTheNextChange) {
  const auto store = Open();
  const PodSandboxPtr sandbox = Add(store.get(), a_);
  int told = 0;
  const uint64_t seen = sandbox->version();
  sandbox->Watch(seen, [&] { ++told; });
  const uint64_t taken_back = sandbox->Watch(seen, [&] { told += 100; });
  sandbox->Unwatch(taken_back);
  EXPECT_EQ(told, 0);
  sandbox->Wake();
  sandbox->Wake();
  EXPECT_EQ(told, 1);
  sandbox->Watch(seen, [&] { ++told; });
  EXPECT_EQ(told, 2) << "that change has been already";
}

TEST_F(StoreTest, REL_12_AStopEndsAWaitAtOnce) {
  const auto store = Open();
  const PodSandboxPtr sandbox = Add(store.get(), a_);
  std::stop_source source;
  const base::Deadline deadline =
      base::Deadline::Never().CancelledBy(source.get_token());
  const auto turn = sandbox->TryLock();
  std::thread waiter([&] {
    sandbox->WaitForChange(sandbox->version(), deadline);
    EXPECT_TRUE(
        absl::IsCancelled(sandbox->Lock({.deadline = deadline}).status()));
  });
  source.request_stop();
  waiter.join();
}

TEST_F(StoreTest, AnErasedObjectWritesNoMore) {
  const auto store = Open();
  const PodSandboxPtr sandbox = Add(store.get(), a_);
  ASSERT_TRUE(store->Erase(sandbox).ok());
  EXPECT_TRUE(sandbox->gone());
  EXPECT_TRUE(sandbox
                  ->Update(PodSandbox::Write::kRecordedOrNothing,
                           [](PodSandboxState*) { return absl::OkStatus(); })
                  .ok());
  EXPECT_FALSE(std::filesystem::exists(RecordOf(a_)));
}

TEST_F(StoreTest, REL_16_TornRecordsAreQuarantinedAloneAtEveryOffset) {
  const auto writer = Open();
  Add(writer.get(), a_);
  Add(writer.get(), ab_);
  const auto size = std::filesystem::file_size(RecordOf(a_));
  for (size_t cut = 0; cut < size; ++cut) {
    const auto copy = test::StateDirectory::CopyOf(directory_.path());
    std::filesystem::resize_file(
        copy->path() + "/sandboxes/" + a_ + "/record.pb", cut);
    auto store = Store::Open(copy->path(), "boot");
    const auto quarantined = (*store)->Load();
    ASSERT_TRUE(quarantined.ok()) << cut << quarantined.status();
    EXPECT_THAT(*quarantined, ElementsAre("sandboxes-" + a_ + ".0"));
    ASSERT_THAT((*store)->Sandboxes(), SizeIs(1));
    EXPECT_EQ((*store)->Sandboxes()[0]->id(), ab_);
  }
}

TEST_F(StoreTest, REL_16_ARecordOfAnotherObjectIsNotItsOwn) {
  const auto writer = Open();
  Add(writer.get(), a_);
  std::filesystem::create_directories(directory_.path() + "/sandboxes/" + ab_);
  std::filesystem::copy_file(RecordOf(a_), RecordOf(ab_));
  EXPECT_THAT(*Open()->Load(), ElementsAre("sandboxes-" + ab_ + ".0"));
}

TEST_F(StoreTest, EmptyFoldersOfACrashVanish) {
  const std::string directory = directory_.path() + "/sandboxes/" + a_;
  std::filesystem::create_directories(directory);
  std::ofstream(directory + "/.record.pb.9.1") << "half";
  const auto store = Open();
  EXPECT_THAT(*store->Load(), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(directory));
}

// The lowest free descriptor is out of bounds while this lives.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const base::UniqueFd lowest(open("/dev/null", O_RDONLY | O_CLOEXEC));
    rlimit none = before_;
    none.rlim_cur = static_cast<rlim_t>(lowest.get());
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_ = {};
};

TEST_F(StoreTest, REL_16_ARecordThatCannotBeLookedAtIsUnknownUntilItCan) {
  Add(Open().get(), a_);
  const auto store = Open();
  const std::string real = directory_.path() + "/real";
  std::filesystem::rename(RecordOf(a_), real);
  // Damaged, and what it would be put into is a file.
  std::ofstream(RecordOf(a_)) << "torn";
  std::ofstream(directory_.path() + "/quarantine") << "x";
  EXPECT_THAT(*store->Load(), IsEmpty());
  ASSERT_THAT(store->Unknown(), SizeIs(1));
  EXPECT_EQ(store->Unknown()[0].id, a_);
  EXPECT_EQ(store->Unknown()[0].kind, UnknownRecord::Kind::kSandbox);
  EXPECT_EQ(store->Unknown()[0].file, "sandboxes/" + a_ + "/record.pb");
  EXPECT_TRUE(store->IsUnknown(a_));
  EXPECT_THAT(store->Sandboxes(), IsEmpty());

  std::filesystem::rename(real, RecordOf(a_));
  {
    const NoDescriptors none;
    EXPECT_THAT(store->RetryUnknown().sandboxes, IsEmpty());
  }
  ASSERT_THAT(store->Unknown(), SizeIs(1));
  EXPECT_THAT(store->Unknown()[0].reason, HasSubstr("Too many open files"));

  const Store::Retried retried = store->RetryUnknown();
  ASSERT_THAT(retried.sandboxes, SizeIs(1));
  EXPECT_TRUE(retried.sandboxes[0].guard.held());
  EXPECT_THAT(store->Sandboxes(), IsEmpty()) << "the caller publishes";
  EXPECT_TRUE(store->IsUnknown(a_)) << "nobody can find it yet";
  store->Publish(retried.sandboxes[0].object);
  EXPECT_THAT(store->Unknown(), IsEmpty());
  EXPECT_TRUE(store->FindSandbox(a_).ok());
}

}  // namespace
}  // namespace warren::agent
