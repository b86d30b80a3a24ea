#include "tests/e2e/kubelet/pod.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/cri_test.h"
#include "tests/support/node_namespace.h"

namespace warren::test {
namespace {

constexpr size_t kLongestTerminationMessage = 4096;

bool Same(const google::protobuf::Message& a,
          const google::protobuf::Message& b) {
  return google::protobuf::util::MessageDifferencer::Equivalent(a, b);
}

template <typename Map>
std::map<std::string, std::string> Copy(const Map& map) {
  return {map.begin(), map.end()};
}

bool IsUnified() { return HostFileExists("/sys/fs/cgroup/cgroup.controllers"); }

}  // namespace

KubeletPod::KubeletPod(CriClient& client, const std::string& fixture,
                       const std::string& directory)
    : client_(client),
      root_(directory),
      node_({root_, CgroupParent(), IsUnified()}) {
  auto requests = ReadKubeletFixture(fixture, node_);
  EXPECT_TRUE(requests.ok()) << requests.status();
  if (requests.ok()) requests_ = *std::move(requests);
  MakeNodeSide();
}

KubeletPod::~KubeletPod() {
  // After a failure: nothing of the pod may hold its cgroup or its mounts.
  if (!sandbox_id_.empty()) {
    client_.StopPodSandbox(sandbox_id_).IgnoreError();
    client_.RemovePodSandbox(sandbox_id_).IgnoreError();
  }
  RemovePodCgroup();
}

std::string KubeletPod::InPodDirectory(const std::string& name) const {
  return absl::StrCat(root_, "/var/lib/kubelet/pods/",
                      requests_.sandbox.metadata().uid(), "/", name);
}

std::string KubeletPod::Volume(const std::string& kind_and_name) const {
  return InPodDirectory("volumes/kubernetes.io~" + kind_and_name);
}

void KubeletPod::MakeNodeSide() {
  MakePodCgroup();
  MakeDirectories(requests_.sandbox.log_directory());
  WriteAtomically(Volume("projected/kube-api-access-x7k2p"),
                  {{"token", "a token"},
                   {"ca.crt", "a certificate"},
                   {"namespace", requests_.sandbox.metadata().namespace_()}});
}

void KubeletPod::RunSandbox() {
  const cri::PodSandboxConfig& sent = requests_.sandbox;
  const auto id = client_.RunPodSandbox(sent);
  ASSERT_TRUE(id.ok()) << id.status();
  sandbox_id_ = *id;
  const auto reply = client_.PodSandboxStatus(*id);
  ASSERT_TRUE(reply.ok()) << reply.status();
  const cri::PodSandboxStatus& status = reply->status();
  EXPECT_EQ(status.id(), *id);
  EXPECT_TRUE(Same(status.metadata(), sent.metadata()));
  EXPECT_EQ(status.state(), cri::SANDBOX_READY);
  EXPECT_GT(status.created_at(), 0);
  EXPECT_EQ(Copy(status.labels()), Copy(sent.labels()));
  EXPECT_EQ(Copy(status.annotations()), Copy(sent.annotations()));
  const auto& asked = sent.linux().security_context().namespace_options();
  EXPECT_TRUE(Same(status.linux().namespaces().options(), asked))
      << status.linux().namespaces().ShortDebugString();
  ip_ = status.network().ip();
  EXPECT_EQ(ip_.empty(), asked.network() == cri::NODE) << ip_;
}

// A kubelet writes both files anew for each container, once it knows the ip.
void KubeletPod::MakeFilesFor(const cri::ContainerConfig& container) {
  const std::string log = absl::StrCat(requests_.sandbox.log_directory(), "/",
                                       container.metadata().name());
  MakeDirectories(log);
  const std::string& host = requests_.sandbox.hostname();
  for (const cri::Mount& mount : container.mounts()) {
    if (mount.container_path() == "/etc/hosts") {
      ASSERT_TRUE(WriteHostFile(
          mount.host_path(),
          host.empty() ? "# Kubernetes-managed hosts file (host network).\n"
                         "127.0.0.1\tlocalhost\n"
                       : absl::StrCat("# Kubernetes-managed hosts file.\n"
                                      "127.0.0.1\tlocalhost\n",
                                      ip_, "\t", host, "\n")));
    } else if (mount.container_path() == "/dev/termination-log") {
      MakeDirectories(
          std::filesystem::path(mount.host_path()).parent_path().string());
      ASSERT_TRUE(WriteHostFile(mount.host_path(), ""));
      ASSERT_EQ(chmod(mount.host_path().c_str(), 0666), 0);
    }
  }
}

std::string KubeletPod::Start(size_t index) {
  cri::ContainerConfig config = requests_.containers.at(index);
  MakeFilesFor(config);
  cri::ImageStatusRequest image;
  image.mutable_image()->set_image(config.image().user_specified_image());
  const auto found = client_.Call<cri::ImageStatusResponse>(image);
  EXPECT_TRUE(found.ok() && found->has_image()) << found.status();
  if (!found.ok()) return "";
  config.mutable_image()->set_image(found->image().id());
  const auto id =
      client_.CreateContainer(sandbox_id_, config, requests_.sandbox);
  EXPECT_TRUE(id.ok()) << id.status();
  if (!id.ok()) return "";
  container_ids_.push_back(*id);
  const absl::Status started = client_.StartContainer(*id);
  EXPECT_TRUE(started.ok()) << started;
  if (!started.ok()) return "";
  CheckStarted(*id, config);
  CheckListed(*id, config);
  return *id;
}

void KubeletPod::CheckStarted(const std::string& id,
                              const cri::ContainerConfig& sent) {
  const cri::ContainerStatus status = Status(id);
  EXPECT_EQ(status.id(), id);
  EXPECT_TRUE(Same(status.metadata(), sent.metadata()));
  EXPECT_GT(status.created_at(), 0);
  EXPECT_GE(status.started_at(), status.created_at());
  EXPECT_FALSE(status.image().image().empty());
  EXPECT_FALSE(status.image_ref().empty());
  EXPECT_EQ(status.image_id(), sent.image().image());
  EXPECT_EQ(Copy(status.labels()), Copy(sent.labels()));
  EXPECT_EQ(Copy(status.annotations()), Copy(sent.annotations()));
  EXPECT_EQ(status.log_path(), absl::StrCat(requests_.sandbox.log_directory(),
                                            "/", sent.log_path()));
  EXPECT_TRUE(HostFileExists(status.log_path()));
  ASSERT_EQ(status.mounts_size(), sent.mounts_size());
  for (int i = 0; i < sent.mounts_size(); ++i) {
    const cri::Mount& mount = sent.mounts(i);
    const auto same = [&mount](const cri::Mount& shown) {
      return shown.container_path() == mount.container_path() &&
             shown.host_path() == mount.host_path() &&
             shown.readonly() == mount.readonly() &&
             shown.propagation() == mount.propagation();
    };
    EXPECT_THAT(status.mounts(), testing::Contains(testing::Truly(same)))
        << mount.ShortDebugString();
  }
  cri::LinuxContainerResources shown = status.resources().linux();
  cri::LinuxContainerResources asked = sent.linux().resources();
  // Limits of pages that nobody asked for need not come back.
  shown.clear_hugepage_limits();
  asked.clear_hugepage_limits();
  EXPECT_TRUE(Same(shown, asked))
      << shown.ShortDebugString() << "\n  asked " << asked.ShortDebugString();
  const auto& security = sent.linux().security_context();
  EXPECT_EQ(status.user().linux().uid(), security.run_as_user().value());
  EXPECT_EQ(status.user().linux().gid(), security.run_as_group().value());
  EXPECT_THAT(status.user().linux().supplemental_groups(),
              testing::IsSupersetOf(security.supplemental_groups()));
}

void KubeletPod::CheckListed(const std::string& id,
                             const cri::ContainerConfig& sent) {
  cri::ContainerFilter filter;
  (*filter.mutable_label_selector())["io.kubernetes.pod.uid"] =
      requests_.sandbox.metadata().uid();
  const auto listed = client_.ListContainers(filter);
  ASSERT_TRUE(listed.ok()) << listed.status();
  for (const cri::Container& container : *listed) {
    if (container.id() != id) continue;
    EXPECT_EQ(container.pod_sandbox_id(), sandbox_id_);
    EXPECT_TRUE(Same(container.metadata(), sent.metadata()));
    EXPECT_TRUE(container.has_image());
    EXPECT_EQ(container.image_id(), sent.image().image());
    EXPECT_FALSE(container.image_ref().empty());
    return;
  }
  ADD_FAILURE() << "the list lacks container " << id;
}

cri::ContainerStatus KubeletPod::Status(const std::string& id) {
  const auto status = client_.ContainerStatus(id);
  EXPECT_TRUE(status.ok()) << status.status();
  return status.ok() ? *status : cri::ContainerStatus();
}

absl::StatusOr<cri::ExecSyncResponse> KubeletPod::Exec(const std::string& id,
                                                       size_t index) {
  cri::ExecSyncRequest request = requests_.execs.at(index);
  request.set_container_id(id);
  return client_.Call<cri::ExecSyncResponse>(request);
}

void KubeletPod::Stop(const std::string& id, int64_t grace) {
  const absl::Status stopped = client_.StopContainer(id, grace);
  EXPECT_TRUE(stopped.ok()) << stopped;
  const cri::ContainerStatus status = Status(id);
  EXPECT_EQ(status.state(), cri::CONTAINER_EXITED);
  EXPECT_GE(status.finished_at(), status.started_at());
}

void KubeletPod::Remove() {
  for (const std::string& id : container_ids_) {
    if (Status(id).state() == cri::CONTAINER_RUNNING) Stop(id);
  }
  EXPECT_TRUE(client_.StopPodSandbox(sandbox_id_).ok());
  const auto stopped = client_.PodSandboxStatus(sandbox_id_);
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->status().state(), cri::SANDBOX_NOTREADY);
  for (const std::string& id : container_ids_) {
    const std::string log = Status(id).log_path();
    EXPECT_EQ(unlink(log.c_str()), 0) << log;
    EXPECT_TRUE(client_.RemoveContainer(id).ok());
    EXPECT_CODE(client_.ContainerStatus(id).status(), kNotFound);
  }
  container_ids_.clear();
  // The pod's cgroup is the kubelet's.
  EXPECT_NE(CgroupValue("memory", "cgroup.procs"), "none");
  EXPECT_TRUE(client_.RemovePodSandbox(sandbox_id_).ok());
  EXPECT_CODE(client_.PodSandboxStatus(sandbox_id_).status(), kNotFound);
  EXPECT_NE(CgroupValue("memory", "cgroup.procs"), "none");
  EXPECT_TRUE(client_.StopPodSandbox(sandbox_id_).ok()) << "again";
  sandbox_id_.clear();
}

std::string KubeletPod::Log(const std::string& id) {
  std::string text;
  for (absl::string_view line : absl::StrSplit(
           ReadHostFile(Status(id).log_path()), '\n', absl::SkipEmpty())) {
    const std::vector<std::string> parts =
        absl::StrSplit(line, absl::MaxSplits(' ', 3));
    EXPECT_EQ(parts.size(), 4u) << line;
    absl::StrAppend(&text, parts.back(), "\n");
  }
  return text;
}

std::string KubeletPod::TerminationMessage(const std::string& id) {
  const cri::ContainerStatus status = Status(id);
  const auto path = status.annotations().find(
      "io.kubernetes.container.terminationMessagePath");
  if (path == status.annotations().end()) return "no annotation";
  for (const cri::Mount& mount : status.mounts()) {
    if (mount.container_path() != path->second) continue;
    return ReadHostFile(mount.host_path())
        .substr(0, kLongestTerminationMessage);
  }
  return "no mount";
}

}  // namespace warren::test
