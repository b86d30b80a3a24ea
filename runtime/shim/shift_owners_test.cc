#include "runtime/shim/shift_owners.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "runtime/base/file.h"
#include "runtime/base/unique_fd.h"

namespace warren::shim {
namespace {

IdMappings Mappings(uint32_t inside, uint32_t outside, uint32_t length) {
  IdMappings mappings;
  v1::IdMapping* m = mappings.Add();
  m->set_container_id(inside);
  m->set_host_id(outside);
  m->set_length(length);
  return mappings;
}

TEST(ShiftId, MapsTheRangeAndLeavesTheRest) {
  const IdMappings mappings = Mappings(0, 65536, 1000);
  EXPECT_EQ(ShiftId(mappings, 0), 65536u);
  EXPECT_EQ(ShiftId(mappings, 999), 66535u);
  EXPECT_EQ(ShiftId(mappings, 1000), 1000u);
  EXPECT_EQ(ShiftId(mappings, 65536), 65536u);
  EXPECT_EQ(ShiftId(IdMappings(), 5), 5u);
  EXPECT_EQ(ShiftId(Mappings(10, 4294967290u, 5), 14), 4294967294u);
}

TEST(ShiftOwners, RefusesRangesThatOverlap) {
  EXPECT_EQ(ShiftOwners(-1, Mappings(0, 500, 1000), {}).error, EINVAL);
  EXPECT_EQ(ShiftOwners(-1, {}, Mappings(1000, 500, 1000)).error, EINVAL);
  EXPECT_FALSE(ShiftOwners(-1, {}, {}).failed());
}

class ShiftOwnersTree : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root gives files away";
    rlimit files = {};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
    ASSERT_NE(mkdtemp(path_), nullptr);
    top_ = base::UniqueFd(open(path_, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  void TearDown() override {
    if (top_.valid()) base::RemoveTree(AT_FDCWD, path_).IgnoreError();
  }
  // Directories "d" in each other, each with a file before and one behind it.
  void MakeLevels(size_t levels) {
    base::UniqueFd at(openat(top_.get(), ".", O_RDONLY | O_DIRECTORY));
    for (size_t i = 0; i < levels; ++i) {
      for (const char* name : {"a", "z"}) {
        base::UniqueFd(openat(at.get(), name, O_WRONLY | O_CREAT, 0644));
      }
      ASSERT_EQ(mkdirat(at.get(), "d", 0755), 0);
      at = base::UniqueFd(openat(at.get(), "d", O_RDONLY | O_DIRECTORY));
      ASSERT_TRUE(at.valid());
    }
  }
  // Entries whose owner is `uid`.
  size_t CountOwned(size_t levels, uid_t uid) {
    size_t count = 0;
    base::UniqueFd at(openat(top_.get(), ".", O_RDONLY | O_DIRECTORY));
    for (size_t i = 0; i < levels; ++i) {
      for (const char* name : {"a", "d", "z"}) {
        struct stat st = {};
        if (fstatat(at.get(), name, &st, 0) == 0 && st.st_uid == uid) ++count;
      }
      at = base::UniqueFd(openat(at.get(), "d", O_RDONLY | O_DIRECTORY));
    }
    return count;
  }

  char path_[32] = "/tmp/warren-shift-XXXXXX";
  base::UniqueFd top_;
};

TEST_F(ShiftOwnersTree, EverythingOfADeepTreeIsShiftedOnce) {
  constexpr size_t kLevels = kMaxShiftDepth - 1;
  MakeLevels(kLevels);
  const Failure failure = ShiftOwners(top_.get(), Mappings(0, 65536, 1000), {});
  EXPECT_FALSE(failure.failed()) << failure.error;
  EXPECT_EQ(CountOwned(kLevels, 65536), 3 * kLevels);
}

TEST_F(ShiftOwnersTree, ATreeThatIsTooDeepIsRefused) {
  MakeLevels(kMaxShiftDepth + 1);
  EXPECT_EQ(ShiftOwners(top_.get(), Mappings(0, 65536, 1000), {}).error, ELOOP);
}

}  // namespace
}  // namespace warren::shim
