// A web server, a key-value store and an ssh server at real work under the
// default profile.
#include <string>

#include "tests/e2e/software/fixture.h"
#include "tests/support/http_fetch.h"

namespace warren::test {
namespace {

class SoftwareServersTest : public SoftwareTest {};

// Prints "<uid> <command line>" of each process but the script's own.
constexpr char kProcesses[] = R"(
for p in /proc/[0-9]*; do
  [[ ${p#/proc/} == "$$" ]] && continue
  line=$(tr '\0' ' ' 2>/dev/null <"$p/cmdline") || continue
  uid=$(awk '/^Uid:/ { print $2 }' "$p/status" 2>/dev/null) || continue
  [[ -z $line ]] || echo "$uid $line"
done
)";

TEST_P(SoftwareServersTest, NginxServesDropsItsUserAndReloads) {
  WARREN_SOFTWARE("nginx");
  const cri::PodSandboxConfig pod = SoftwarePod("nginx");
  const std::string pod_id = RunPod(pod);
  const std::string id = Run(pod_id, pod, Software("nginx"));
  const std::string ip = PodIp(pod_id);
  EXPECT_EQ(HttpGet(ip, 80, "/", absl::Seconds(30)).value_or("none"),
            "the page of the image\n");
  const std::string processes = Bash(id, kProcesses);
  EXPECT_THAT(processes, testing::HasSubstr("0 nginx: master process"));
  EXPECT_THAT(processes, testing::HasSubstr("33 nginx: worker process"))
      << "workers run as www-data";

  // A new configuration by signal: new workers, the old ones finish.
  Bash(id,
       "echo 'server { listen 8080; return 200 reloaded; }' "
       ">/etc/nginx/conf.d/more.conf; nginx -t -q; nginx -s reload");
  EXPECT_EQ(HttpGet(ip, 8080, "/", absl::Seconds(30)).value_or("none"),
            "reloaded");
  EXPECT_EQ(HttpGet(ip, 80, "/index.html").value_or("none"),
            "the page of the image\n");
  EXPECT_EQ(StatusOf(id).stop_signal(), cri::SIGNAL_SIGQUIT);
  StopsCleanly(id);
}

TEST_P(SoftwareServersTest, RedisKeepsValuesAndSavesInTheBackground) {
  WARREN_SOFTWARE("redis");
  const cri::PodSandboxConfig pod = SoftwarePod("redis");
  const std::string pod_id = RunPod(pod);
  const std::string id = Run(pod_id, pod, Software("redis"));
  WaitFor(id, "[[ $(redis-cli PING) == PONG ]]");
  EXPECT_EQ(Bash(id, "redis-cli SET word hello; redis-cli GET word"),
            "OK\nhello\n");
  EXPECT_EQ(Bash(id,
                 "for i in {1..5000}; do echo \"SET key:$i $i\"; done | "
                 "redis-cli --pipe | tail -n 1;"
                 "redis-cli DBSIZE; redis-cli EVAL "
                 "'return redis.call(\"GET\", KEYS[1]) * 2' 1 key:21"),
            "errors: 0, replies: 5000\n5001\n42\n");
  // A forked child writes the file.
  Bash(id, "redis-cli BGSAVE; redis-cli BGREWRITEAOF");
  WaitFor(id,
          "redis-cli INFO persistence | tr -d '\\r' >/tmp/info;"
          "grep -qx rdb_bgsave_in_progress:0 /tmp/info &&"
          "grep -qx rdb_last_bgsave_status:ok /tmp/info &&"
          "grep -qx aof_rewrite_in_progress:0 /tmp/info &&"
          "[[ -s /data/dump.rdb ]]");
  EXPECT_EQ(Bash(id, "id -un; stat -c %U /data/dump.rdb"), "redis\nredis\n");
  EXPECT_EQ(StatusOf(id).user().linux().uid(), 101);
  StopsCleanly(id);
  EXPECT_THAT(LogOf(id), testing::HasSubstr("DB saved on disk"))
      << "it saved once more when it was told to end";
}

// Key files are made by the client; the server lets alice and bob in.
class Sshd {
 public:
  static constexpr char kServe[] =
      "ssh-keygen -q -A\n"
      "exec /usr/sbin/sshd -D -e\n";
  static constexpr char kInstall[] =
      "install -d -o alice -g alice -m 700 /home/alice/.ssh\n"
      "install -o alice -g alice -m 600 /keys/key.pub "
      "/home/alice/.ssh/authorized_keys\n"
      "install -d -m 700 /root/.ssh\n"
      "install -m 600 /keys/key.pub /root/.ssh/authorized_keys\n"
      "install -m 644 /keys/key.pub /etc/ssh/bob_keys\n"
      "mkdir -p /jail/in\n"
      "echo kept >/jail/in/file\n";
};

TEST_P(SoftwareServersTest, SshdLetsAKeyIn) {
  WARREN_SOFTWARE("ssh");
  const cri::PodSandboxConfig pod = SoftwarePod("ssh");
  const std::string pod_id = RunPod(pod);
  const std::string keys = EmptyDir("keys");
  cri::ContainerConfig server = Software("ssh", {"bash", "-ec", Sshd::kServe});
  AddMount(&server, keys, "/keys", true);
  const std::string id = Run(pod_id, pod, server);
  cri::ContainerConfig client_config = Software("ssh", {"sleep", "1000"});
  client_config.mutable_metadata()->set_name("client");
  AddMount(&client_config, keys, "/keys", false);
  const std::string peer = Run(pod_id, pod, client_config);
  Bash(peer,
       "ssh-keygen -q -t ed25519 -N '' -f /tmp/key; cp /tmp/key.pub /keys");
  Bash(id, Sshd::kInstall);
  WaitFor(id, ": <>/dev/tcp/127.0.0.1/22");

  const std::string ssh =
      "ssh -i /tmp/key -o StrictHostKeyChecking=no "
      "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR ";
  EXPECT_EQ(Bash(peer, ssh + "alice@127.0.0.1 "
                             "'id -un; id -G; pwd; echo $((6*7)); exit 3' "
                             "|| echo code $?"),
            "alice\n1000\n/home/alice\n42\ncode 3\n");
  EXPECT_EQ(Bash(peer, ssh + "root@127.0.0.1 id -u"), "0\n");
  // With a terminal of its own.
  EXPECT_THAT(Bash(peer, ssh + "-tt alice@127.0.0.1 'tty; stty size' "
                               "</dev/null"),
              testing::HasSubstr("/dev/pts/"));
  // Large data through the channel, both ways.
  EXPECT_EQ(Bash(peer, "seq 1 300000 | " + ssh +
                           "alice@127.0.0.1 'cat | tac | tac' | tail -n 1"),
            "300000\n");
  // File transfer into a chroot of the server.
  EXPECT_THAT(Bash(peer,
                   "printf 'get /in/file /tmp/got\\nls /\\n' >/tmp/batch;"
                   "sftp -q -b /tmp/batch -i /tmp/key -o "
                   "StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
                   "-o LogLevel=ERROR bob@127.0.0.1; cat /tmp/got"),
              testing::EndsWith("kept\n"));
  StopsCleanly(id);
}

INSTANTIATE_TEST_SUITE_P(Users, SoftwareServersTest, testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "OfThePod" : "OfTheNode";
                         });

}  // namespace
}  // namespace warren::test
