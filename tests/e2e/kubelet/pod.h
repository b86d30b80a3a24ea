#ifndef WARREN_TESTS_E2E_KUBELET_POD_H_
#define WARREN_TESTS_E2E_KUBELET_POD_H_

#include <map>
#include <string>
#include <vector>

#include "tests/e2e/kubelet/fixture.h"
#include "tests/e2e/kubelet/volumes.h"
#include "tests/support/cri_client.h"

namespace warren::test {

// Does for one pod what a stock kubelet does, in its order, and fails the
// test when an answer lacks what a kubelet reads from it:
//
//   pod cgroup, log directory, token          the constructor
//   RunPodSandbox, PodSandboxStatus       RunSandbox
//   hosts file, termination log,
//   ImageStatus, CreateContainer,
//   StartContainer, ContainerStatus,
//   ListContainers                        Start
//   StopContainer                         Stop
//   StopPodSandbox, ContainerStatus,
//   RemoveContainer, RemovePodSandbox,
//   pod cgroup                            Remove
//
// Single-threaded. Its destructor takes back what it made on the node; a pod
// that still runs is the fixture's to remove.
class KubeletPod {
 public:
  // `directory` stands for the node's /.
  KubeletPod(CriClient& client, const std::string& fixture,
             const std::string& directory);
  KubeletPod(const KubeletPod&) = delete;
  KubeletPod& operator=(const KubeletPod&) = delete;
  ~KubeletPod();

  KubeletFixture& requests() { return requests_; }
  NodeMounts& mounts() { return mounts_; }

  // A path of the node, and one of the pod's own directory on it.
  std::string Host(const std::string& path) const { return root_ + path; }
  std::string Volume(const std::string& kind_and_name) const;
  std::string InPodDirectory(const std::string& name) const;

  void RunSandbox();
  // Creates and starts the container with that place in the fixture and
  // returns its id; empty when that failed.
  std::string Start(size_t index);
  cri::ContainerStatus Status(const std::string& id);
  // A probe or a hook of the fixture.
  absl::StatusOr<cri::ExecSyncResponse> Exec(const std::string& id,
                                             size_t index);
  void Stop(const std::string& id, int64_t grace = 30);
  void Remove();

  const std::string& sandbox_id() const { return sandbox_id_; }
  const std::string& ip() const { return ip_; }
  // The texts of a container's log, without times and tags.
  std::string Log(const std::string& id);
  // What a kubelet finds by the path of the annotation and the mounts.
  std::string TerminationMessage(const std::string& id);

  // A file of a cgroup of the pod, by controller on cgroup v1; that of a
  // container when an id is given.
  std::string CgroupValue(const std::string& controller,
                          const std::string& file,
                          const std::string& container_id = "") const;
  void SetCgroupValue(const std::string& controller, const std::string& file,
                      const std::string& value) const;
  bool unified() const { return node_.unified; }

 private:
  void MakeNodeSide();
  void MakePodCgroup();
  void RemovePodCgroup();
  void MakeFilesFor(const cri::ContainerConfig& container);
  void CheckStarted(const std::string& id, const cri::ContainerConfig& sent);
  void CheckListed(const std::string& id, const cri::ContainerConfig& sent);

  CriClient& client_;
  std::string root_;
  KubeletNode node_;
  KubeletFixture requests_;
  NodeMounts mounts_;
  std::string sandbox_id_;
  std::string ip_;
  std::vector<std::string> container_ids_;
};

}  // namespace warren::test

#endif  // WARREN_TESTS_E2E_KUBELET_POD_H_
