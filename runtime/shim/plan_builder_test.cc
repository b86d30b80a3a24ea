#include "runtime/shim/plan_builder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <string>

namespace warren::shim {
namespace {

// A request with ten descriptors that builds.
class PlanBuilderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 10; ++i) {
      input_.fds.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
    }
    v1::ContainerLaunch* c = container();
    c->mutable_process()->add_args("prog");
    c->set_clone_flags(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWCGROUP);
    c->set_template_mnt_ns_fd(1);
    c->set_rootfs_fd(2);
    c->set_null_fd(3);
  }
  v1::ContainerLaunch* container() {
    return input_.request.mutable_container();
  }
  void Join(uint64_t flag, uint32_t fd) {
    v1::JoinNamespace* join = container()->add_join();
    join->set_flag(flag);
    join->set_fd(fd);
  }
  int BuildError() {
    PlanBuilder builder(input_);
    return builder.BuildContainer().error;
  }

  LaunchInput input_;
};

TEST_F(PlanBuilderTest, WithoutUserNamespaceTheShimClonesTheProgram) {
  Join(CLONE_NEWNET, 4);
  Join(CLONE_NEWIPC, 5);
  PlanBuilder builder(input_);
  ASSERT_FALSE(builder.BuildContainer().failed());
  const init::Plan& plan = builder.plan();
  EXPECT_TRUE(plan.container);
  EXPECT_EQ(builder.clone_flags(), static_cast<uint64_t>(CLONE_NEWPID));
  EXPECT_FALSE(plan.fork_first || plan.fork_last);
  EXPECT_EQ(plan.unshare_flags,
            static_cast<uint64_t>(CLONE_NEWNS | CLONE_NEWCGROUP));
  ASSERT_EQ(plan.join_count, 2u);
  EXPECT_EQ(plan.joins[0].flag, static_cast<uint64_t>(CLONE_NEWNET));
  EXPECT_EQ(plan.joins[0].fd, input_.Fd(4));
  EXPECT_EQ(plan.rootfs_fd, input_.Fd(2));
  EXPECT_EQ(plan.user_fd, -1);
}

TEST_F(PlanBuilderTest, WithUserNamespaceItsRootMakesThePidNamespace) {
  Join(CLONE_NEWUSER, 4);
  PlanBuilder builder(input_);
  ASSERT_FALSE(builder.BuildContainer().failed());
  EXPECT_EQ(builder.clone_flags(), 0u);
  EXPECT_TRUE(builder.plan().fork_first);
  EXPECT_FALSE(builder.plan().fork_last);
  EXPECT_EQ(builder.plan().fork_flags, static_cast<uint64_t>(CLONE_NEWPID));
  EXPECT_EQ(builder.plan().user_fd, input_.Fd(4));
}

TEST_F(PlanBuilderTest, JoinedPidNamespaceIsEnteredByWhoForks) {
  container()->set_clone_flags(CLONE_NEWNS);
  Join(CLONE_NEWPID, 5);
  for (const bool user : {false, true}) {
    if (user) Join(CLONE_NEWUSER, 4);
    PlanBuilder builder(input_);
    ASSERT_FALSE(builder.BuildContainer().failed());
    EXPECT_EQ(builder.clone_flags(), 0u);
    EXPECT_EQ(builder.plan().pid_fd, input_.Fd(5));
    EXPECT_TRUE(builder.plan().fork_last) << "EXE-2: when all else is done";
    EXPECT_FALSE(builder.plan().fork_first);
  }
}

// Nobody else is in sight of a program that stays among the host's.
TEST_F(PlanBuilderTest, InTheHostsPidNamespaceNothingForks) {
  container()->set_clone_flags(CLONE_NEWNS);
  Join(CLONE_NEWUSER, 4);
  PlanBuilder builder(input_);
  ASSERT_FALSE(builder.BuildContainer().failed());
  EXPECT_FALSE(builder.plan().fork_first || builder.plan().fork_last);
}

// Root, so that it can be mounted at all. Where the kernel cannot mount that of
// another pid namespace, somebody inside has to.
TEST_F(PlanBuilderTest, AProcfsThatWasNotKeptIsMountedBeforeTheForkOrAfter) {
  container()->set_clone_flags(CLONE_NEWNS);
  input_.fds[4].reset(open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
  Join(CLONE_NEWPID, 5);
  v1::MountOp* op = container()->add_mounts();
  op->set_kind(v1::MountOp::NEW_FS);
  op->set_target("/proc");
  op->set_fs_type("proc");
  PlanBuilder builder(input_);
  ASSERT_FALSE(builder.BuildContainer().failed());
  ASSERT_FALSE(builder.MountProcfs().failed());
  const init::Plan& plan = builder.plan();
  EXPECT_EQ(plan.mounts[0].fd >= 0, plan.fork_last);
  EXPECT_NE(plan.fork_first, plan.fork_last);
}

// FS-4, FS-11: the null device, and not with a right to change it.
TEST_F(PlanBuilderTest, FS_11_TheHostsOwnNullIsNotTaken) {
  PlanBuilder builder(input_);
  ASSERT_FALSE(builder.BuildContainer().failed());
  base::UniqueFd null;
  EXPECT_EQ(builder.OpenNull(&null).error, EROFS);
  EXPECT_FALSE(null.valid());
}

TEST_F(PlanBuilderTest, ProgramIsTakenOver) {
  v1::Process* process = container()->mutable_process();
  process->add_args("");
  process->add_env("A=1");
  process->add_env("PATH=/a:/b");
  process->set_cwd("/srv");
  process->set_uid(4000000000u);
  process->add_groups(7);
  process->set_oom_score_adj(0);
  PlanBuilder builder(input_);
  ASSERT_FALSE(builder.BuildContainer().failed());
  const init::ProgramPlan& program = builder.plan().program;
  EXPECT_STREQ(program.args[0], "prog");
  EXPECT_STREQ(program.args[1], "");
  EXPECT_EQ(program.args[2], nullptr);
  EXPECT_STREQ(program.search_path, "/a:/b");
  EXPECT_STREQ(program.cwd, "/srv");
  EXPECT_EQ(program.uid, 4000000000u);
  EXPECT_EQ(program.group_count, 1u);
  EXPECT_TRUE(program.set_oom_score_adj);
}

TEST_F(PlanBuilderTest, EXE_8_LabelsInTheKernelsWords) {
  v1::Process* process = container()->mutable_process();
  process->set_apparmor_profile("my profile");
  process->set_selinux_label("u:r:t:s0:c1,c2");
  {
    PlanBuilder builder(input_);
    ASSERT_FALSE(builder.BuildContainer().failed());
    EXPECT_STREQ(builder.plan().program.apparmor_exec, "exec my profile");
    EXPECT_STREQ(builder.plan().program.selinux_exec, "u:r:t:s0:c1,c2");
  }
  process->set_apparmor_profile(std::string("a\0b", 3));
  EXPECT_EQ(BuildError(), EINVAL);
  process->clear_apparmor_profile();
  process->set_selinux_label(std::string("a\0b", 3));
  EXPECT_EQ(BuildError(), EINVAL);
}

TEST_F(PlanBuilderTest, EXE_8_LabelsOfFileSystems) {
  v1::MountOp* op = container()->add_mounts();
  op->set_kind(v1::MountOp::NEW_FS);
  op->set_target("/dev/mqueue");
  op->set_fs_type("mqueue");
  op->set_root_label("u:r:t:s0");
  op = container()->add_mounts();
  op->set_kind(v1::MountOp::MASK);
  op->set_target("/proc/acpi");
  op->add_fs_options("context=u:r:t:s0:c1,c2");
  {
    PlanBuilder builder(input_);
    ASSERT_FALSE(builder.BuildContainer().failed());
    const init::MountStep* mounts = builder.plan().mounts;
    EXPECT_STREQ(mounts[0].root_label, "u:r:t:s0");
    EXPECT_EQ(mounts[1].root_label, nullptr);
    ASSERT_EQ(mounts[1].option_count, 1u);
    EXPECT_STREQ(mounts[1].options[0].key, "context");
    EXPECT_STREQ(mounts[1].options[0].value, "u:r:t:s0:c1,c2");
  }
  op->add_fs_options("size=1");
  EXPECT_EQ(BuildError(), EINVAL) << "there is room for one";
}

TEST_F(PlanBuilderTest, DefaultsOfAnEmptyProgram) {
  PlanBuilder builder(input_);
  ASSERT_FALSE(builder.BuildContainer().failed());
  const init::ProgramPlan& program = builder.plan().program;
  EXPECT_EQ(program.apparmor_exec, nullptr);
  EXPECT_EQ(program.selinux_exec, nullptr);
  EXPECT_STREQ(program.cwd, "/");
  EXPECT_NE(std::string(program.search_path).find("/usr/bin"),
            std::string::npos);
  EXPECT_FALSE(program.set_oom_score_adj);
}

TEST_F(PlanBuilderTest, MountsAreTakenOver) {
  v1::MountOp* op = container()->add_mounts();
  op->set_kind(v1::MountOp::NEW_FS);
  op->set_target("/dev");
  op->set_fs_type("tmpfs");
  op->add_fs_options("mode=0755");
  op->add_fs_options("noswap");
  op->add_fs_options("a=b=c");
  op = container()->add_mounts();
  op->set_kind(v1::MountOp::DEVICE);
  op->set_target("/dev/null");
  op->set_mode(S_IFCHR | 0666);
  op->set_device_major(1);
  op->set_device_minor(3);
  PlanBuilder builder(input_);
  ASSERT_FALSE(builder.BuildContainer().failed());
  ASSERT_EQ(builder.plan().mount_count, 2u);
  const init::MountStep& fs = builder.plan().mounts[0];
  EXPECT_EQ(fs.kind, init::MountStep::kNewFs);
  ASSERT_EQ(fs.option_count, 3u);
  EXPECT_STREQ(fs.options[0].key, "mode");
  EXPECT_STREQ(fs.options[0].value, "0755");
  EXPECT_STREQ(fs.options[1].key, "noswap");
  EXPECT_EQ(fs.options[1].value, nullptr);
  EXPECT_STREQ(fs.options[2].key, "a");
  EXPECT_STREQ(fs.options[2].value, "b=c");
  EXPECT_EQ(builder.plan().mounts[1].device, makedev(1, 3));
  EXPECT_EQ(builder.plan().mounts[1].fd, -1);
}

TEST_F(PlanBuilderTest, RefusesWhatInitCouldNotTrust) {
  EXPECT_EQ(BuildError(), 0);
  const v1::LaunchRequest good = input_.request;
  const auto with = [&](auto edit) {
    input_.request = good;
    edit(container());
    return BuildError();
  };
  using C = v1::ContainerLaunch;
  const std::string nul("a\0b", 3);
  EXPECT_EQ(with([](C* c) { c->clear_process(); }), EINVAL);
  EXPECT_EQ(with([](C* c) { c->mutable_process()->set_args(0, ""); }), EINVAL);
  EXPECT_EQ(with([&](C* c) { c->mutable_process()->add_env(nul); }), EINVAL);
  EXPECT_EQ(with([&](C* c) { c->mutable_process()->set_cwd("/" + nul); }),
            EINVAL);
  EXPECT_EQ(with([](C* c) { c->mutable_process()->set_cwd("x"); }), EINVAL);
  EXPECT_EQ(
      with([](C* c) { c->mutable_process()->set_seccomp_program("1234567"); }),
      EINVAL);
  EXPECT_EQ(with([](C* c) { c->mutable_process()->set_seccomp_flags(1); }),
            EINVAL);
  EXPECT_EQ(with([](C* c) { c->set_rootfs_fd(0); }), EBADF);
  EXPECT_EQ(with([](C* c) { c->set_template_mnt_ns_fd(11); }), EBADF);
  EXPECT_EQ(with([](C* c) { c->set_clone_flags(CLONE_NEWPID); }), EINVAL);
  EXPECT_EQ(with([](C* c) { c->set_clone_flags(CLONE_NEWNS | CLONE_NEWUSER); }),
            EINVAL);
  EXPECT_EQ(with([](C* c) { c->mutable_cgroup()->add_v1_procs_fds(0); }),
            EBADF);
  EXPECT_EQ(with([](C* c) { c->add_mounts()->set_target("/x"); }), EINVAL);
  EXPECT_EQ(with([](C* c) { c->add_mounts()->set_kind(v1::MountOp::MASK); }),
            EINVAL);
  EXPECT_EQ(with([](C* c) {
              v1::MountOp* op = c->add_mounts();
              op->set_kind(v1::MountOp::ATTACH);
              op->set_target("/x");
            }),
            EBADF);
  EXPECT_EQ(with([](C* c) {
              v1::JoinNamespace* join = c->add_join();
              join->set_flag(CLONE_NEWNS);
              join->set_fd(1);
            }),
            EINVAL);
}

TEST_F(PlanBuilderTest, OnlyTheRealNullPasses) {
  container()->set_null_fd(5);
  input_.fds[4].reset(open("/dev/zero", O_PATH | O_CLOEXEC));
  PlanBuilder builder(input_);
  ASSERT_FALSE(builder.BuildContainer().failed());
  base::UniqueFd null;
  const Failure failure = builder.OpenNull(&null);
  EXPECT_STREQ(failure.step, "null");
  EXPECT_EQ(failure.error, EINVAL);
}

TEST_F(PlanBuilderTest, ExecForksAgainAndBringsItsDescriptors) {
  v1::ExecLaunch* exec = input_.request.mutable_exec();
  exec->mutable_process()->add_args("prog");
  exec->set_target_pidfd(1);
  exec->set_setns_flags(CLONE_NEWNS | CLONE_NEWUSER);
  exec->set_stdout_fd(2);
  exec->set_null_fd(4);
  exec->mutable_cgroup()->set_v2_dir_fd(3);
  {
    PlanBuilder builder(input_);
    ASSERT_FALSE(builder.BuildExec().failed());
    EXPECT_FALSE(builder.plan().fork_last) << "among the host's processes";
  }
  exec->set_setns_flags(CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID);
  PlanBuilder builder(input_);
  ASSERT_FALSE(builder.BuildExec().failed());
  const init::Plan& plan = builder.plan();
  EXPECT_FALSE(plan.container);
  EXPECT_TRUE(plan.fork_last);
  EXPECT_FALSE(plan.fork_first);
  EXPECT_EQ(plan.target_flags,
            static_cast<uint64_t>(CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID));
  EXPECT_EQ(plan.stdio_fds[0], -1);
  EXPECT_EQ(plan.stdio_fds[1], input_.Fd(2));
  EXPECT_EQ(builder.cgroup_fd(), input_.Fd(3));
}

}  // namespace
}  // namespace warren::shim
