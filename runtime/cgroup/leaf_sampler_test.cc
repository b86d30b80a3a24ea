#include "runtime/cgroup/leaf_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <optional>

#include "runtime/base/status.h"
#include "runtime/cgroup/fake_tree.h"
#include "runtime/cgroup/v1.h"

namespace warren::runtime {
namespace {

using ::testing::HasSubstr;

class LeafSamplerTest : public FakeTree {
 protected:
  void MakeV2() {
    MakeFile("/leaf/cgroup.procs", "7\n");
    MakeFile("/leaf/cpu.stat",
             "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n");
    MakeFile("/leaf/memory.current", "9000\n");
    MakeFile("/leaf/memory.stat",
             "anon 1\nfile 8000\nactive_file 1\ninactive_file 2000\n");
    MakeFile("/leaf/memory.events", "low 0\noom 5\noom_kill 4\n");
    MakeFile("/leaf/pids.current", "3\n");
    MakeFile("/leaf/io.stat",
             "254:0 rbytes=4096 wbytes=10 rios=2 wios=1 dbytes=9 dios=9\n"
             "7:1 \n8:0 rbytes=4 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n");
  }
  void MakeV1() {
    for (const char* name : {"cpuacct", "memory", "pids", "blkio"}) {
      MakeFile(std::string("/") + name + "/leaf/cgroup.procs", "7\n");
    }
    MakeFile("/cpuacct/leaf/cpuacct.usage", "1500999\n");
    MakeFile("/memory/leaf/memory.usage_in_bytes", "9000\n");
    MakeFile("/memory/leaf/memory.stat",
             "inactive_file 1\ntotal_cache 8000\ntotal_inactive_file 2000\n");
    MakeFile("/memory/leaf/memory.oom_control",
             "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n");
    MakeFile("/pids/leaf/pids.current", "3\n");
    MakeFile("/blkio/leaf/blkio.throttle.io_service_bytes",
             "8:0 Read 4096\n8:0 Write 10\n8:0 Sync 1\n8:0 Async 1\n"
             "8:0 Total 4106\n8:1 Read 4\n8:1 Write 0\nTotal 4110\n");
    MakeFile("/blkio/leaf/blkio.throttle.io_serviced",
             "8:0 Read 2\n8:0 Write 1\n8:1 Read 1\nTotal 4\n");
  }
  CgroupV1 V1() {
    std::vector<V1Hierarchy> hierarchies;
    for (const char* name : {"cpuacct", "memory", "pids", "blkio"}) {
      const std::string directory = std::string("/") + name;
      if (Exists(directory)) {
        hierarchies.push_back({name, {name}, false, Open(directory)});
      }
    }
    return CgroupV1(std::move(hierarchies), "/warren");
  }
  bool Exists(const std::string& path) {
    return access((root() + path).c_str(), F_OK) == 0;
  }
  static absl::StatusOr<LeafSampler> OpenSampler(CgroupDriver&& driver) {
    auto directories = driver.OpenDirectories("/leaf");
    if (!directories.ok()) return directories.status();
    return LeafSampler::Open(*directories);
  }
  // Of the tree that is there; the test fails when there are no figures.
  static LeafSample Sample(CgroupDriver&& driver) {
    const auto sampler = OpenSampler(std::move(driver));
    EXPECT_TRUE(sampler.ok()) << sampler.status();
    if (!sampler.ok()) return {};
    const auto sample = sampler->Sample();
    EXPECT_TRUE(sample.ok()) << sample.status();
    return sample.value_or(LeafSample());
  }
  static void ExpectFigures(const LeafSample& sample) {
    EXPECT_GT(sample.monotonic_ns, 0);
    EXPECT_EQ(sample.cpu_usage_us, 1500u);
    ASSERT_TRUE(sample.memory.has_value());
    EXPECT_EQ(sample.memory->usage_bytes, 9000u);
    EXPECT_EQ(sample.memory->working_set_bytes, 7000u);
    EXPECT_EQ(sample.oom_kills, 4u);
    EXPECT_EQ(sample.pids, 3u);
    ASSERT_TRUE(sample.io.has_value());
    EXPECT_EQ(sample.io->read_bytes, 4100u);
    EXPECT_EQ(sample.io->written_bytes, 10u);
    EXPECT_EQ(sample.io->reads, 3u);
    EXPECT_EQ(sample.io->writes, 1u);
  }
  static int OpenFiles() {
    return static_cast<int>(base::ListDir(AT_FDCWD, "/proc/self/fd")->size());
  }
};

TEST_F(LeafSamplerTest, V2Figures) {
  MakeV2();
  ExpectFigures(Sample(V2()));
}

TEST_F(LeafSamplerTest, V1Figures) {
  MakeV1();
  ExpectFigures(Sample(V1()));
  // With those of cgroups below it, where the kernel counts them.
  MakeFile("/blkio/leaf/blkio.throttle.io_service_bytes_recursive",
           "8:0 Read 70\n8:0 Write 80\n");
  EXPECT_EQ(Sample(V1()).io->read_bytes, 70u);
  EXPECT_EQ(Sample(V1()).io->written_bytes, 80u);
}

TEST_F(LeafSamplerTest, EachSampleIsReadAnewFromTheSameFiles) {
  MakeV2();
  MakeV1();
  const auto v2 = OpenSampler(V2());
  const auto v1 = OpenSampler(V1());
  ASSERT_TRUE(v2.ok() && v1.ok());
  const int open_files = OpenFiles();
  MakeFile("/leaf/cpu.stat", "usage_usec 1600\n");
  MakeFile("/cpuacct/leaf/cpuacct.usage", "1600000\n");
  EXPECT_EQ(v2->Sample()->cpu_usage_us, 1600u);
  EXPECT_EQ(v1->Sample()->cpu_usage_us, 1600u);
  EXPECT_EQ(v2->Sample()->cpu_usage_us, 1600u);
  EXPECT_EQ(OpenFiles(), open_files);
  // No path is looked up any more.
  ASSERT_TRUE(base::RemoveTree(AT_FDCWD, root() + "/leaf").ok());
  EXPECT_EQ(v2->Sample()->cpu_usage_us, 1600u);
}

TEST_F(LeafSamplerTest, TheWorkingSetIsNeverBelowNothing) {
  MakeV2();
  MakeFile("/leaf/memory.current", "1999\n");
  const LeafSample sample = Sample(V2());
  EXPECT_EQ(sample.memory->usage_bytes, 1999u);
  EXPECT_EQ(sample.memory->working_set_bytes, 0u);
}

TEST_F(LeafSamplerTest, WhatTheMachineDoesNotHaveIsNotNought) {
  MakeFile("/leaf/cgroup.procs", "");
  MakeFile("/leaf/cpu.stat", "usage_usec 0\n");
  LeafSample sample = Sample(V2());
  EXPECT_EQ(sample.cpu_usage_us, 0u);
  EXPECT_EQ(sample.memory, std::nullopt);
  EXPECT_EQ(sample.oom_kills, std::nullopt);
  EXPECT_EQ(sample.pids, std::nullopt);
  EXPECT_EQ(sample.io, std::nullopt);
  // A controller that is not mounted, and a kernel that counts no kills.
  MakeV1();
  ASSERT_TRUE(base::RemoveTree(AT_FDCWD, root() + "/pids").ok());
  MakeFile("/memory/leaf/memory.oom_control", "under_oom 0\n");
  sample = Sample(V1());
  EXPECT_EQ(sample.pids, std::nullopt);
  EXPECT_EQ(sample.oom_kills, std::nullopt);
  EXPECT_TRUE(sample.memory.has_value());
}

TEST_F(LeafSamplerTest, ALeafThatIsGoneIsSaidToBe) {
  EXPECT_TRUE(LeafSampler::IsGone(OpenSampler(V2()).status()));
  // Gone between the two calls: a directory that no name leads to is empty.
  ASSERT_TRUE(base::MakeDirs(AT_FDCWD, root() + "/leaf", 0755).ok());
  EXPECT_TRUE(LeafSampler::IsGone(OpenSampler(V2()).status()));
  EXPECT_TRUE(LeafSampler::IsGone(base::ErrnoError(ENODEV, "pread")));
  EXPECT_FALSE(LeafSampler::IsGone(absl::OkStatus()));
  EXPECT_FALSE(LeafSampler::IsGone(absl::InternalError("no number")));
  MakeV1();
  ASSERT_TRUE(base::RemoveTree(AT_FDCWD, root() + "/memory/leaf").ok());
  EXPECT_TRUE(LeafSampler::IsGone(OpenSampler(V1()).status()));
}

TEST_F(LeafSamplerTest, WhatCannotBeReadIsAnErrorAndNotNought) {
  for (const auto& [file, text] : {std::pair{"cpu.stat", "user_usec 1\n"},
                                   {"cpu.stat", "usage_usec -1\n"},
                                   {"cpu.stat", ""},
                                   {"memory.current", ""},
                                   {"memory.current", "many\n"},
                                   {"memory.stat", "anon 1\n"},
                                   {"memory.events", "oom_kill x\n"},
                                   {"pids.current", "max\n"},
                                   {"io.stat", "8:0 rbytes=x\n"}}) {
    MakeV2();
    MakeFile(std::string("/leaf/") + file, text);
    const auto sample = OpenSampler(V2())->Sample();
    EXPECT_FALSE(sample.ok()) << file << " " << text;
    EXPECT_FALSE(LeafSampler::IsGone(sample.status()));
    EXPECT_THAT(sample.status().message(), HasSubstr(file));
  }
  // One that the kernel refuses to read.
  MakeV2();
  ASSERT_TRUE(base::RemoveTree(AT_FDCWD, root() + "/leaf/pids.current").ok());
  ASSERT_TRUE(
      base::MakeDirs(AT_FDCWD, root() + "/leaf/pids.current", 0755).ok());
  EXPECT_EQ(base::GetErrno(OpenSampler(V2())->Sample().status()), EISDIR);
}

TEST_F(LeafSamplerTest, ManyDevicesAreAllCounted) {
  MakeV2();
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    text += "8:" + std::to_string(i) + " rbytes=1 wbytes=2 rios=3 wios=4\n";
  }
  MakeFile("/leaf/io.stat", text);
  const LeafSample sample = Sample(V2());
  EXPECT_EQ(sample.io->read_bytes, 1000u);
  EXPECT_EQ(sample.io->writes, 4000u);
}

TEST_F(LeafSamplerTest, DescriptorsAreFewAndMissingOnesAreAnError) {
  MakeV2();
  MakeV1();
  const int before = OpenFiles();
  {
    const auto v2 = OpenSampler(V2());
    EXPECT_EQ(OpenFiles(), before + 6);
    const auto v1 = OpenSampler(V1());
    EXPECT_EQ(OpenFiles(), before + 6 + LeafSampler::kMaxDescriptors);
  }
  EXPECT_EQ(OpenFiles(), before);
  CgroupV2 driver = V2();
  const auto directories = driver.OpenDirectories("/leaf");
  ASSERT_TRUE(directories.ok());
  rlimit all;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &all), 0);
  rlimit few = all;
  few.rlim_cur = directories->unified.get() + 3;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  const auto refused = LeafSampler::Open(*directories);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &all), 0);
  EXPECT_EQ(base::GetErrno(refused.status()), EMFILE);
  EXPECT_FALSE(LeafSampler::IsGone(refused.status()));
}

}  // namespace
}  // namespace warren::runtime
