// floor: the bare system calls that a pod of one container needs, with no
// daemon, protocol, record, log or error handling around them. Makes COUNT
// pods one after the other inside namespaces of its own and prints one line
// "operation microseconds" for each, with the operations of cri_bench.
#include <absl/time/clock.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "runtime/base/file.h"
#include "tests/bench/floor_container.h"
#include "tests/bench/floor_network.h"
#include "tests/bench/samples.h"

namespace warren::bench {
namespace {

struct FloorPod {
  FloorSandbox sandbox;
  FloorContainer container;
};

class Floor {
 public:
  Floor() {
    MustHold(mkdtemp(base_.data()) != nullptr, "mkdtemp");
    MustHold(unshare(CLONE_NEWNET | CLONE_NEWNS) == 0, "unshare");
    MustHold(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0,
             "private mounts");
    MakeLower(base_);
    cgroup_parent_ = "/warren-test-floor-" + std::to_string(getpid());
    MakeCgroupParent(cgroup_parent_);
    home_ = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    netlink_ = OpenNetlink();
    bridge_ = MakeBridge(netlink_, "floor0");
    AddAddress(netlink_, bridge_, Address(0));
  }
  ~Floor() {
    RemoveCgroupParent(cgroup_parent_);
    const size_t slash = base_.rfind('/');
    auto parent =
        base::OpenAt(AT_FDCWD, base_.substr(0, slash), O_PATH | O_DIRECTORY);
    if (parent.ok()) {
      base::RemoveTree(parent->get(), base_.substr(slash + 1)).IgnoreError();
    }
  }

  FloorPod RunPodSandbox(int serial) {
    FloorPod pod;
    pod.sandbox = MakeSandbox();
    const std::string name = "veth" + std::to_string(serial);
    MakeVeth(netlink_, name.c_str(), bridge_, pod.sandbox.net);
    MustHold(setns(pod.sandbox.net, CLONE_NEWNET) == 0, "setns");
    const int inside = OpenNetlink();
    MustHold(setns(home_, CLONE_NEWNET) == 0, "setns back");
    ConfigurePod(inside, Address(serial), Address(0));
    close(inside);
    return pod;
  }
  void CreateStart(int serial, FloorPod* pod) {
    pod->container =
        StartContainer(pod->sandbox, base_, cgroup_parent_, serial);
  }
  void StopRemove(const FloorPod& pod) {
    StopContainer(pod.container, base_, cgroup_parent_);
    CloseSandbox(pod.sandbox);
  }

 private:
  static uint32_t Address(int serial) {
    return htonl(0x0a630001 + static_cast<uint32_t>(serial));  // 10.99.0.1…
  }

  std::string base_ = "/tmp/warren-floor-XXXXXX";
  std::string cgroup_parent_;
  int home_ = -1;
  int netlink_ = -1;
  int bridge_ = 0;
};

void Report(const char* operation, absl::Time begin) {
  std::printf("%s %.1f\n", operation,
              absl::ToDoubleMicroseconds(absl::Now() - begin));
}

int Main(int count) {
  Floor floor;
  std::vector<FloorPod> pods;
  for (int i = 0; i < count; ++i) {
    const absl::Time begin = absl::Now();
    pods.push_back(floor.RunPodSandbox(i + 1));
    Report(kOperations[0], begin);
  }
  for (int i = 0; i < count; ++i) {
    const absl::Time begin = absl::Now();
    floor.CreateStart(i + 1, &pods[i]);
    Report(kOperations[1], begin);
  }
  for (const FloorPod& pod : pods) {
    const absl::Time begin = absl::Now();
    ExecTrue(pod.container);
    Report(kOperations[2], begin);
  }
  for (const FloorPod& pod : pods) {
    const absl::Time begin = absl::Now();
    floor.StopRemove(pod);
    Report(kOperations[3], begin);
  }
  return 0;
}

}  // namespace
}  // namespace warren::bench

int main(int argc, char** argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 20;
  if (count < 1 || count > 1000) {
    std::fprintf(stderr, "usage: floor [COUNT 1..1000]\n");
    return 2;
  }
  return warren::bench::Main(count);
}
