#include "runtime/mounts/requested.h"

#include <absl/strings/match.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "runtime/mounts/plan.h"

namespace warren::runtime {
namespace {

using ::testing::ElementsAre;

const MountHost kHost = {{{"", "cgroup2", {}}}, true};

std::vector<std::string> TargetsOf(const MountPlan& plan) {
  std::vector<std::string> targets;
  for (const PlannedMount& m : plan.mounts) targets.push_back(m.op.target());
  return targets;
}

const PlannedMount* Find(const MountPlan& plan, const std::string& target) {
  for (const PlannedMount& m : plan.mounts) {
    if (m.op.target() == target) return &m;
  }
  return nullptr;
}

// The image links /var/run to /run, and /p to /proc.
TEST(Mounts, C26_OrderIsThatOfThePlacesWhereTargetsLead) {
  const PlaceFinder place = [](const std::string& target) {
    if (absl::StartsWith(target, "/var/run")) return target.substr(4);
    return target == "/p" ? std::string("/proc/meminfo") : target;
  };
  const auto plan = [&](std::vector<MountSpec> mounts,
                        std::vector<std::string> volumes = {}) {
    ContainerSpec spec;
    spec.mounts = std::move(mounts);
    spec.volumes = std::move(volumes);
    return PlanMounts(spec, kHost, {}, place);
  };
  const auto last_two = [&](std::vector<MountSpec> mounts) {
    const std::vector<std::string> all = TargetsOf(*plan(std::move(mounts)));
    return std::vector<std::string>(all.end() - 2, all.end());
  };
  const MountSpec token = {"/var/run/secrets/t", "/token"};
  const MountSpec run = {"/run", "/volume"};
  const MountSpec below = {"/run/x", "/x"};
  const MountSpec linked = {"/var/run", "/volume"};
  EXPECT_THAT(last_two({token, run}),
              ElementsAre("/run", token.container_path));
  EXPECT_THAT(last_two({run, token}),
              ElementsAre("/run", token.container_path));
  EXPECT_THAT(last_two({below, linked}), ElementsAre("/var/run", "/run/x"));
  // A volume of the image below a mount comes after it.
  const std::vector<std::string> all =
      TargetsOf(*plan({run}, {"/var/run/data"}));
  EXPECT_EQ(all.back(), "/var/run/data");
  // A link of the image does not lead to what is reserved.
  EXPECT_TRUE(plan({{"/p", "/h"}}).ok());
  ContainerSpec evil;
  evil.mounts = {{"/p", "/h"}};
  const auto to = [&](const char* where) {
    return PlanMounts(evil, kHost, {}, [where](const std::string&) {
      return std::string(where);
    });
  };
  EXPECT_FALSE(to("/proc/sys").ok());
  EXPECT_FALSE(to("/").ok());
  // Nor away from it: what is named counts as well.
  evil.mounts = {{"/proc/uptime", "/h"}};
  const auto away = to("/elsewhere");
  ASSERT_TRUE(away.ok());
  EXPECT_TRUE(Find(*away, "/proc/uptime")->plain_file);
  EXPECT_FALSE(Find(*away, "/proc/uptime")->make_missing);
  evil.mounts = {{"/proc/sys", "/h"}};
  EXPECT_FALSE(to("/elsewhere").ok());
  evil.mounts = {{"/p", "/h"}};
  EXPECT_TRUE(to("/data").ok());
}

TEST(Mounts, C24_FilesOfProcThatTellMayBeCovered) {
  ContainerSpec spec;
  spec.mounts = {{"/proc/meminfo", "/h"}, {"/data", "/h"}};
  const MountPlan plan = *PlanMounts(spec, kHost);
  EXPECT_TRUE(Find(plan, "/proc/meminfo")->plain_file);
  EXPECT_FALSE(Find(plan, "/proc/meminfo")->make_missing);
  EXPECT_TRUE(Find(plan, "/proc/meminfo")->op.may_cover_proc());
  EXPECT_FALSE(Find(plan, "/data")->op.may_cover_proc());
  EXPECT_FALSE(Find(plan, "/data")->plain_file);
  EXPECT_TRUE(Find(plan, "/data")->make_missing);
  EXPECT_NE(Find(plan, "/proc"), nullptr);
  // An image as a volume is a directory.
  spec.mounts = {{.container_path = "/proc/stat",
                  .host_path = "",
                  .image_layers = {"/l"}}};
  EXPECT_FALSE(PlanMounts(spec, kHost).ok());
}

}  // namespace
}  // namespace warren::runtime
