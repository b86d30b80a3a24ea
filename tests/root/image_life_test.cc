// Holds, removal, garbage, restart, damage, and helpers that die.

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "tests/root/image_fixture.h"

namespace warren::image {
namespace {

using testing::LayoutSource;
using testing::TarBuilder;

class ImageLife : public ImageStoreTest {
 protected:
  size_t Count(const std::string& directory) {
    const auto names = base::ListDir(AT_FDCWD, root() + directory);
    return names.ok() ? names->size() : 0;
  }
  void WriteFile(const std::string& path, const std::string& data) {
    const auto file = base::OpenAt(AT_FDCWD, root() + path,
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE(base::WriteFd(file->get(), data).ok());
  }
};

TEST_F(ImageLife, RemoveTakesEverything) {
  const auto empty = Ledger();
  const auto image = Import(SmallImage("x"));
  ASSERT_TRUE(image.ok()) << image.status();
  ASSERT_TRUE(store().Remove((*image)->id).ok());
  auto after = Ledger();
  after.erase("refs.json");
  EXPECT_EQ(after, empty);
  // Again, and by names that never were.
  EXPECT_TRUE(store().Remove((*image)->id).ok());
  EXPECT_TRUE(store().Remove("never/was:here").ok());
  EXPECT_TRUE(absl::IsInvalidArgument(store().Remove("")));
}

TEST_F(ImageLife, HeldLayersOutliveTheImage) {
  const auto image = Import(SmallImage("x"));
  ASSERT_TRUE(image.ok());
  const std::string file = (*image)->layer_dirs[0] + "/file";
  auto hold = store().Hold("test/image:1");
  auto second = store().Hold((*image)->id);
  ASSERT_TRUE(hold.ok() && second.ok());
  ASSERT_TRUE(store().Remove("test/image:1").ok());
  EXPECT_TRUE(store().List().empty());
  EXPECT_TRUE(absl::IsNotFound(store().Hold("test/image:1").status()));
  hold->reset();
  ASSERT_TRUE(store().CollectGarbage().ok());
  EXPECT_EQ(access(file.c_str(), F_OK), 0);
  EXPECT_EQ((*second)->image().layer_dirs, (*image)->layer_dirs);
  second->reset();
  // Dropping a hold alone deletes nothing: an agent that shuts down drops
  // them all while its containers run.
  EXPECT_EQ(access(file.c_str(), F_OK), 0);
  ASSERT_TRUE(store().CollectGarbage().ok());
  EXPECT_NE(access(file.c_str(), F_OK), 0);
  EXPECT_EQ(Count("/layers"), 0u);
}

TEST_F(ImageLife, SharedLayerStaysForTheOther) {
  LayoutSource source = SmallImage("shared");
  ASSERT_TRUE(Import(source, "a:1").ok());
  source.layers.push_back({TarBuilder().File("own").Build()});
  const auto second = Import(source, "b:1");
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(Count("/layers"), 2u);
  ASSERT_TRUE(store().Remove("a:1").ok());
  EXPECT_EQ(Count("/layers"), 2u);
  EXPECT_EQ(access(((*second)->layer_dirs[0] + "/file").c_str(), F_OK), 0);
  ASSERT_TRUE(store().Remove("b:1").ok());
  EXPECT_EQ(Count("/layers"), 0u);
  EXPECT_EQ(Count("/blobs/sha256"), 0u);
}

TEST_F(ImageLife, RemovedWhileOthersLook) {
  ASSERT_TRUE(Import(SmallImage("x")).ok());
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        store().List();
        const auto hold = store().Hold("test/image:1");
        if (!hold.ok()) continue;
        for (const std::string& directory : (*hold)->image().layer_dirs) {
          EXPECT_EQ(access(directory.c_str(), F_OK), 0);
        }
      }
    });
  }
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(store().Remove("test/image:1").ok());
    EXPECT_TRUE(Import(SmallImage("x")).ok());
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ImageLife, RestartKeepsImages) {
  LayoutSource source = SmallImage("x");
  source.process = {{"User", "app"}};
  const auto before = Import(source, "app:1");
  ASSERT_TRUE(before.ok());
  ASSERT_TRUE(Import(source, "other/app:2").ok());
  Reopen();
  EXPECT_TRUE(store().Problems().empty());
  const auto after = store().Find("app:1");
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ((*after)->id, (*before)->id);
  EXPECT_EQ((*after)->repo_tags.size(), 2u);
  EXPECT_EQ((*after)->size_bytes, (*before)->size_bytes);
  EXPECT_EQ((*after)->chain_id, (*before)->chain_id);
  EXPECT_EQ((*after)->layer_dirs, (*before)->layer_dirs);
  EXPECT_EQ((*after)->config_json, (*before)->config_json);
  EXPECT_EQ((*after)->config.user, "app");
  ASSERT_TRUE(store().CollectGarbage().ok());
  EXPECT_EQ(Count("/layers"), 1u);
  EXPECT_EQ(Count("/tmp"), 1u);
}

TEST_F(ImageLife, RestartReholdsLayersOfRemovedImages) {
  const auto image = Import(SmallImage("x"));
  ASSERT_TRUE(image.ok());
  const std::string id = (*image)->id;
  const std::vector<std::string> directories = (*image)->layer_dirs;
  {
    const auto hold = store().Hold(id);
    ASSERT_TRUE(hold.ok());
    ASSERT_TRUE(store().Remove(id).ok());
  }
  Reopen();
  auto hold = store().Rehold(id, directories);
  ASSERT_TRUE(hold.ok()) << hold.status();
  EXPECT_EQ((*hold)->image().id, id);
  ASSERT_TRUE(store().CollectGarbage().ok());
  EXPECT_EQ(access(directories[0].c_str(), F_OK), 0);
  const auto usage = store().Usage();
  ASSERT_TRUE(usage.ok());
  EXPECT_GT(usage->inodes_used, 0u);
  hold->reset();
  ASSERT_TRUE(store().CollectGarbage().ok());
  EXPECT_NE(access(directories[0].c_str(), F_OK), 0);

  EXPECT_TRUE(absl::IsNotFound(store().Rehold(id, directories).status()));
  for (const std::string& bad :
       {std::string("/etc"), root() + "/layers/..", root() + "/layers/x",
        root() + "/blobs/sha256"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(store().Rehold(id, {bad}).status()));
  }
}

TEST_F(ImageLife, RestartDropsWhatACrashLeft) {
  const auto image = Import(SmallImage("x"));
  ASSERT_TRUE(image.ok());
  const auto clean = Ledger();
  const std::string hex(64, 'a');
  ASSERT_EQ(mkdir((root() + "/layers/" + hex).c_str(), 0755), 0);
  WriteFile("/layers/" + hex + "/half", "x");
  WriteFile("/blobs/sha256/" + hex, "x");
  ASSERT_EQ(mkdir((root() + "/tmp/old").c_str(), 0700), 0);
  WriteFile("/tmp/old/layer-0", "x");
  WriteFile("/.refs.json.1.2", "x");
  WriteFile("/layers/stray", "x");
  Reopen();
  ASSERT_TRUE(store().CollectGarbage().ok());
  auto after = Ledger();
  EXPECT_EQ(after.size(), clean.size());
  EXPECT_EQ(after.count("refs.json"), 1u);
  EXPECT_EQ(Count("/layers"), 1u);
  EXPECT_EQ(Count("/blobs/sha256"), 3u);
  EXPECT_EQ(Count("/tmp"), 1u);
}

// A directory of the right name that no list vouches for is not believed.
TEST_F(ImageLife, HalfWrittenLayerIsUnpackedAgain) {
  const LayoutSource source = SmallImage("whole");
  const std::string directory =
      root() + "/layers/" + Digest::Of(source.layers[0].tar).hex();
  ASSERT_EQ(mkdir(directory.c_str(), 0755), 0);
  const auto image = Import(source);
  ASSERT_TRUE(image.ok()) << image.status();
  const auto data = base::ReadFileAt(AT_FDCWD, directory + "/file");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(*data, "whole");
}

TEST_F(ImageLife, REL_16_DamagedListIsPutAside) {
  ASSERT_TRUE(Import(SmallImage("x")).ok());
  const auto text = base::ReadFileAt(AT_FDCWD, root() + "/refs.json");
  ASSERT_TRUE(text.ok());
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    std::string damaged = *text;
    if (i % 2 == 0) {
      damaged.resize(random() % damaged.size());
    } else {
      damaged[random() % damaged.size()] ^=
          static_cast<char>(1 << random() % 8);
    }
    WriteFile("/refs.json", damaged);
    auto opened = LocalImageStore::Open({root(), "/nonexistent", Limits()});
    // Only a flip of the version's digit may refuse to start.
    if (!opened.ok()) {
      EXPECT_TRUE(absl::IsFailedPrecondition(opened.status()));
      continue;
    }
    // That it is damaged, and that nothing is deleted while a copy is there
    // that may name it.
    EXPECT_EQ((*opened)->Problems().size(), 2u) << i;
    EXPECT_TRUE((*opened)->List().empty());
    EXPECT_FALSE((*opened)->CollectGarbage().ok()) << i;
  }
  WriteFile("/refs.json", *text);
  Reopen();
  EXPECT_EQ(store().List().size(), 1u);
  // However often it was damaged.
  const auto files = base::ListDir(AT_FDCWD, root());
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(std::count_if(files->begin(), files->end(),
                          [](const std::string& file) {
                            return file.rfind("refs.json.corrupt", 0) == 0;
                          }),
            4);
}

TEST_F(ImageLife, REL_16_DamagedImageIsLeftOut) {
  const auto bad = Import(SmallImage("bad"), "bad:1");
  ASSERT_TRUE(Import(SmallImage("good"), "good:1").ok());
  ASSERT_TRUE(bad.ok());
  WriteFile("/blobs/sha256/" + (*bad)->id.substr(7), "{}");
  Reopen();
  EXPECT_EQ(store().Problems().size(), 1u);
  EXPECT_TRUE(store().Find("good:1").ok());
  EXPECT_TRUE(absl::IsNotFound(store().Find("bad:1").status()));
  // It can be brought back.
  EXPECT_TRUE(Import(SmallImage("bad"), "bad:1").ok());
}

// Kills every child of this process as soon as it is seen, after a random
// pause, until told to stop.
class HelperKiller {
 public:
  HelperKiller() : thread_([this] { Run(); }) {}
  ~HelperKiller() {
    stop_ = true;
    thread_.join();
  }
  int kills() const { return kills_; }

 private:
  void Run() {
    std::mt19937 random(7);
    while (!stop_) {
      const auto tasks = base::ListDir(AT_FDCWD, "/proc/self/task");
      if (!tasks.ok()) continue;
      for (const std::string& task : *tasks) {
        const auto children = base::ReadFileAt(
            AT_FDCWD, absl::StrCat("/proc/self/task/", task, "/children"));
        if (!children.ok() || children->empty()) continue;
        const auto pidfd = base::OpenPidfd(atoi(children->c_str()));
        if (!pidfd.ok()) continue;
        const auto until = absl::Now() + absl::Microseconds(random() % 30000);
        while (absl::Now() < until) {
        }
        if (base::SendSignal(pidfd->get(), SIGKILL).ok()) ++kills_;
      }
    }
  }

  std::atomic<bool> stop_{false};
  std::atomic<int> kills_{0};
  std::thread thread_;
};

TEST_F(ImageLife, IMG_1_KilledHelpersLeaveNothing) {
  LayoutSource source;
  TarBuilder tar;
  for (int i = 0; i < 3000; ++i) {
    tar.File(absl::StrCat("d", i % 50, "/f", i), std::string(500, 'x'));
  }
  source.layers = {{tar.Build()}};
  const std::string archive = testing::BuildLayout(source);
  const auto before = Ledger();
  int failed = 0;
  {
    HelperKiller killer;
    for (int i = 0; i < 15; ++i) {
      const auto image = Import(archive);
      if (image.ok()) {
        ASSERT_TRUE(store().Remove("test/image:1").ok());
      } else {
        ++failed;
        EXPECT_EQ(image.status().code(), absl::StatusCode::kInternal)
            << image.status();
      }
      auto after = Ledger();
      after.erase("refs.json");
      EXPECT_EQ(after, before);
    }
    EXPECT_GE(killer.kills(), failed);
  }
  EXPECT_GT(failed, 0);
  EXPECT_TRUE(Import(archive).ok());
}

TEST_F(ImageLife, REL_15_FullDisk) {
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  ASSERT_EQ(mount("tmpfs", root().c_str(), "tmpfs", 0, "size=4m,mode=0700"), 0);
  Reopen();
  const auto image = Import(SmallImage("x"));
  ASSERT_TRUE(image.ok()) << image.status();

  std::string noise(3 << 20, '\0');
  std::mt19937 random(3);
  for (char& c : noise) c = static_cast<char>(random());
  const auto before = Ledger();
  const auto big = Import(SmallImage(noise, Compression::kNone), "big:1");
  EXPECT_TRUE(absl::IsResourceExhausted(big.status())) << big.status();
  EXPECT_EQ(Ledger(), before);

  const auto filler =
      base::OpenAt(AT_FDCWD, root() + "/tmp/filler", O_WRONLY | O_CREAT, 0600);
  ASSERT_TRUE(filler.ok());
  while (base::WriteFd(filler->get(), std::string(4096, 'x')).ok()) {
  }
  EXPECT_TRUE(store().Usage().ok());
  EXPECT_TRUE(store().Find("test/image:1").ok());
  EXPECT_TRUE(store().Remove("test/image:1").ok());
  EXPECT_TRUE(store().List().empty());
  EXPECT_EQ(Count("/layers"), 0u);
  Reopen();
  EXPECT_TRUE(store().Problems().empty());
  EXPECT_EQ(umount2(root().c_str(), MNT_DETACH), 0);
}

TEST_F(ImageLife, MissingHelperIsAnError) {
  const auto before = Ledger();
  auto opened = LocalImageStore::Open({root(), "/nonexistent", Limits()});
  ASSERT_TRUE(opened.ok());
  auto session = (*opened)->BeginImport("a:1", false);
  ASSERT_TRUE(session.ok());
  ASSERT_TRUE((*session)->Write(testing::BuildLayout(SmallImage("x"))).ok());
  EXPECT_FALSE((*session)->Commit().ok());
}

}  // namespace
}  // namespace warren::image
