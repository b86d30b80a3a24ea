// Volumes as a stock kubelet makes them, seen from inside; with the node's
// users and with a user namespace.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <string>

#include "runtime/base/unique_fd.h"
#include "tests/e2e/kubelet/pod.h"
#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

class KubeletVolumesTest : public CriTest {
 protected:
  std::string Node() { return daemon().directory() + "/node"; }
  // "<uid> <gid>" of a file on the node.
  static std::string OwnerOf(const std::string& path) {
    struct stat st;
    if (lstat(path.c_str(), &st) != 0) return "no " + path;
    return std::to_string(st.st_uid) + " " + std::to_string(st.st_gid);
  }
};

// A datagram socket of the node, like /dev/log.
base::UniqueFd LogSocket(const std::string& path) {
  base::UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  EXPECT_LT(path.size(), sizeof(address.sun_path));
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  EXPECT_EQ(
      bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
      0);
  const timeval limit = {.tv_sec = 10, .tv_usec = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  return fd;
}

void MakeVolumes(KubeletPod& pod) {
  const std::string cache = pod.Volume("empty-dir/cache");
  const std::string config = pod.Volume("configmap/config");
  MakeEmptyDir(cache, 2000);
  MakeEmptyDir(cache + "/inner", 2000);
  pod.mounts().Tmpfs(pod.Volume("empty-dir/ram"), "size=1m,mode=2777,gid=2000");
  WriteAtomically(config, {{"app.ini", "v=1\n"}, {"other.ini", "o=1\n"}});
  WriteAtomically(pod.Volume("downward-api/podinfo"), {{"labels", "app=x\n"}});
  pod.mounts().SubPath(cache + "/inner",
                       pod.InPodDirectory("volume-subpaths/cache/app/7"));
  pod.mounts().SubPath(config + "/..data/app.ini",
                       pod.InPodDirectory("volume-subpaths/config/app/8"));
  MakeDirectories(pod.Host("/srv/data"));
  MakeDirectories(pod.Host("/etc"));
  MakeDirectories(pod.Host("/dev"));
  ASSERT_TRUE(WriteHostFile(pod.Host("/srv/data/file"), "of the node\n"));
  ASSERT_TRUE(WriteHostFile(pod.Host("/etc/app.conf"), "old\n"));
}

TEST_F(KubeletVolumesTest, EachKindOfVolume) {
  KubeletPod pod(client(), "volumes", Node());
  const std::string cache = pod.Volume("empty-dir/cache");
  const std::string config = pod.Volume("configmap/config");
  MakeVolumes(pod);
  const base::UniqueFd log = LogSocket(pod.Host("/dev/log"));
  pod.RunSandbox();
  const std::string app = pod.Start(0);

  // emptyDir: written by everybody, files belong to the fsGroup.
  EXPECT_EQ(ShellOutput(app, "id -G"), "0 2000\n");
  EXPECT_EQ(ShellOutput(app, "echo 1 >/cache/a; stat -c '%u %g' /cache/a"),
            "0 2000\n");
  EXPECT_EQ(ReadHostFile(cache + "/a"), "1\n");
  EXPECT_EQ(ShellOutput(app, "grep ' /ram ' /proc/mounts | cut -d' ' -f3"),
            "tmpfs\n");
  EXPECT_NE(ExitCodeOf(app, {"dd", "if=/dev/zero", "of=/ram/big", "bs=64k",
                             "count=32"}),
            0)
      << "more than the medium's size";
  // hostPath.
  EXPECT_EQ(ShellOutput(app, "cat /host-data/file"), "of the node\n");
  EXPECT_NE(ExitCodeOf(app, {"touch", "/host-data/new"}), 0);
  ShellOutput(app, "echo new >/etc/app.conf");
  EXPECT_EQ(ReadHostFile(pod.Host("/etc/app.conf")), "new\n");
  ShellOutput(app, "logger a word");
  char message[256] = "";
  EXPECT_GT(recv(log.get(), message, sizeof(message) - 1, 0), 0);
  EXPECT_THAT(message, testing::HasSubstr("a word"));
  // subPath of a directory.
  ShellOutput(app, "echo deep >/sub/dir/file");
  EXPECT_EQ(ShellOutput(app, "cat /cache/inner/file"), "deep\n");
  EXPECT_EQ(ShellOutput(app, "cat /podinfo/labels"), "app=x\n");
  EXPECT_EQ(ShellOutput(app,
                        "cd /var/run/secrets/kubernetes.io/serviceaccount;"
                        "cat token ca.crt"),
            "a tokena certificate");

  // An update is seen, as a whole; a subPath keeps what it was.
  EXPECT_EQ(ShellOutput(app, "cat /config/*; readlink /config/app.ini"),
            "v=1\no=1\n..data/app.ini\n");
  WriteAtomically(config, {{"app.ini", "v=2\n"}, {"other.ini", "o=2\n"}});
  EXPECT_EQ(ShellOutput(app, "cat /config/*; cat /etc/only.ini"),
            "v=2\no=2\nv=1\n");
  EXPECT_EQ(ShellOutput(app, "ls -A /config | wc -l"), "4\n");
  EXPECT_NE(ExitCodeOf(app, {"touch", "/config/new"}), 0);
  EXPECT_NE(ExitCodeOf(app, {"sh", "-c", "echo >/etc/only.ini"}), 0);
  pod.Remove();
}

TEST_F(KubeletVolumesTest, APodWithHostUsersFalse) {
  KubeletPod pod(client(), "user_namespace", Node());
  const std::string cache = pod.Volume("empty-dir/cache");
  MakeEmptyDir(cache, 2000);
  ASSERT_TRUE(WriteHostFile(cache + "/before", "of root\n", 0600));
  WriteAtomically(pod.Volume("configmap/config"), {{"app.ini", "v=1\n"}});
  pod.RunSandbox();
  const std::string app = pod.Start(0);
  ASSERT_NE(app, "");
  EXPECT_EQ(ShellOutput(app, "cat /proc/self/uid_map | tr -s ' '"),
            " 0 589824 65536\n");
  // On the disk the ids are those inside: the mounts translate.
  EXPECT_EQ(ShellOutput(app, "cat /cache/before; stat -c '%u %g' /cache"),
            "of root\n0 2000\n");
  ShellOutput(app, "echo 1 >/cache/a; chown 1000:1000 /cache/a");
  EXPECT_EQ(OwnerOf(cache + "/a"), "1000 1000");
  EXPECT_EQ(ShellOutput(app,
                        "stat -c '%u %g' /etc/hosts /dev/termination-log "
                        "/config/..data/app.ini"),
            "0 0\n0 0\n0 0\n");
  ShellOutput(app, "echo 192.0.2.9 more >>/etc/hosts");
  ShellOutput(app, "echo last words >/dev/termination-log");
  EXPECT_EQ(pod.TerminationMessage(app), "last words\n");
  WriteAtomically(pod.Volume("configmap/config"), {{"app.ini", "v=2\n"}});
  EXPECT_EQ(ShellOutput(app, "cat /config/app.ini"), "v=2\n");
  pod.Remove();
}

}  // namespace
}  // namespace warren::test
