#ifndef WARREN_TESTS_E2E_KUBELET_VOLUMES_H_
#define WARREN_TESTS_E2E_KUBELET_VOLUMES_H_

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

// What a kubelet does to a volume on the node before a container mounts it.
// Failures fail the test.
namespace warren::test {

void MakeDirectories(const std::string& path);

// An emptyDir: mode 0777; with a group as fsGroup makes it (setgid, 02777).
void MakeEmptyDir(const std::string& path, gid_t fs_group = 0);

// The files of a configMap, a secret or a projected volume, replaced all at
// once: <path>/<file> -> ..data/<file>, ..data -> a directory with a time, made
// beside the old one and renamed over it. Whoever looks sees the old files or
// the new ones.
void WriteAtomically(const std::string& path,
                     const std::map<std::string, std::string>& files);

// Mounts that a test makes on the node; gone with the object, last one first.
class NodeMounts {
 public:
  NodeMounts() = default;
  NodeMounts(const NodeMounts&) = delete;
  NodeMounts& operator=(const NodeMounts&) = delete;
  ~NodeMounts() { Clear(); }

  // A tmpfs, as for an emptyDir of medium Memory.
  void Tmpfs(const std::string& path, const std::string& options,
             bool shared = false);
  // A subPath: the file or directory `source`, opened once and bound over
  // `target` by its descriptor, so that nobody can put another thing there.
  void SubPath(const std::string& source, const std::string& target);
  void Clear();

 private:
  std::vector<std::string> targets_;
};

}  // namespace warren::test

#endif  // WARREN_TESTS_E2E_KUBELET_VOLUMES_H_
