// The sampler on the leaf of a real container.
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <gtest/gtest.h>

#include "runtime/base/file.h"
#include "runtime/cgroup/leaf_sampler.h"
#include "tests/kernel/runtime_host.h"

namespace warren::runtime {
namespace {

constexpr uint64_t kMiB = 1 << 20;

class LeafSamplerKernel : public RuntimeTest {
 protected:
  // Of the node's own cgroups, as the runtime finds them.
  void OpenDriver() {
    const auto mounts = base::ReadFileAt(AT_FDCWD, "/proc/self/mountinfo");
    ASSERT_TRUE(mounts.ok()) << mounts.status();
    auto driver = MakeCgroupDriver("/sys/fs/cgroup", *mounts, CgroupParent());
    ASSERT_TRUE(driver.ok()) << driver.status();
    driver_ = *std::move(driver);
  }
  absl::StatusOr<LeafSampler> OpenSampler(const ContainerSpec& spec) {
    CgroupLeaf leaf(absl::StrCat(CgroupParent(), "/", spec.id));
    leaf.inner = driver_->InnerName();
    auto directories = driver_->OpenDirectories(leaf);
    if (!directories.ok()) return directories.status();
    return LeafSampler::Open(*directories);
  }
  static LeafSample Sample(const absl::StatusOr<LeafSampler>& sampler) {
    EXPECT_TRUE(sampler.ok()) << sampler.status();
    if (!sampler.ok()) return {};
    const auto sample = sampler->Sample();
    EXPECT_TRUE(sample.ok()) << sample.status();
    return sample.value_or(LeafSample());
  }

  std::unique_ptr<CgroupDriver> driver_;
};

TEST_F(LeafSamplerKernel, FiguresOfARunningContainer) {
  ASSERT_NO_FATAL_FAILURE(OpenDriver());
  const SandboxSpec pod = Pod();
  Create(pod);
  // Eight MiB in shared memory, then a second process and work for ever.
  const ContainerSpec spec =
      Shell(pod,
            "head -c 8388608 /dev/zero > /dev/shm/x; sleep 600 & echo ready; "
            "while :; do :; done");
  Create(spec);
  Start(spec);
  WaitLog(spec, "ready");
  const auto sampler = OpenSampler(spec);
  const LeafSample first = Sample(sampler);
  ASSERT_TRUE(first.cpu_usage_us.has_value());
  // It does nothing but use the processor.
  LeafSample later = first;
  while (later.cpu_usage_us < *first.cpu_usage_us + 20'000 && !HasFailure()) {
    later = Sample(sampler);
  }
  EXPECT_GT(later.monotonic_ns, first.monotonic_ns);
  if (later.memory.has_value()) {
    EXPECT_GE(later.memory->usage_bytes, 8 * kMiB);
    EXPECT_LT(later.memory->usage_bytes, 512 * kMiB);
    EXPECT_GE(later.memory->working_set_bytes, 8 * kMiB);
    EXPECT_LE(later.memory->working_set_bytes, later.memory->usage_bytes);
    EXPECT_EQ(later.oom_kills.value_or(0), 0u);
  }
  EXPECT_EQ(later.pids.value_or(2), 2u);
}

TEST_F(LeafSamplerKernel, CountsWhatTheKernelKilledForWantOfMemory) {
  ASSERT_NO_FATAL_FAILURE(OpenDriver());
  const SandboxSpec pod = Pod();
  Create(pod);
  ContainerSpec spec =
      Shell(pod,
            "(tail /dev/zero); echo killed; while :; do sleep 1; "
            "done");
  spec.resources.memory_limit_bytes = 32 * kMiB;
  Create(spec);
  Start(spec);
  WaitLog(spec, "killed");
  const LeafSample sample = Sample(OpenSampler(spec));
  if (!sample.oom_kills.has_value()) {
    GTEST_SKIP() << "this kernel does not count them";
  }
  EXPECT_GE(*sample.oom_kills, 1u);
  EXPECT_LE(sample.memory->usage_bytes, 32 * kMiB);
}

TEST_F(LeafSamplerKernel, ALeafThatWasRemovedIsGone) {
  ASSERT_NO_FATAL_FAILURE(OpenDriver());
  const SandboxSpec pod = Pod();
  Create(pod);
  const ContainerSpec spec = Shell(pod, "while :; do sleep 1; done");
  Create(spec);
  Start(spec);
  const auto sampler = OpenSampler(spec);
  Sample(sampler);
  // Between the opening of the directories and of the files.
  const auto directories =
      driver_->OpenDirectories(absl::StrCat(CgroupParent(), "/", spec.id));
  ASSERT_TRUE(directories.ok()) << directories.status();
  Remove(spec);
  EXPECT_TRUE(LeafSampler::IsGone(sampler->Sample().status()))
      << sampler->Sample().status();
  const auto late = LeafSampler::Open(*directories);
  EXPECT_TRUE(LeafSampler::IsGone(late.status())) << late.status();
  EXPECT_TRUE(LeafSampler::IsGone(OpenSampler(spec).status()));
}

}  // namespace
}  // namespace warren::runtime
