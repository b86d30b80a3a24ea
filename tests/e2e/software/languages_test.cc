// A shell and two language runtimes at real work under the default profile.
#include <algorithm>
#include <string>

#include "tests/e2e/software/fixture.h"
#include "tests/support/command.h"
#include "tests/support/http_fetch.h"

namespace warren::test {
namespace {

class SoftwareLanguagesTest : public SoftwareTest {};

constexpr char kShellWork[] = R"sh(set -o pipefail
trap 'exit 0' TERM
# Process substitution: two pipes as /dev/fd/N.
diff <(seq 1 9 | sort -r) <(printf '%s\n' {9..1}) && echo same
# A sort larger than its buffer, in several processes with files of its own.
seq 200000 -1 1 | sort -n -S 1M --parallel=2 -T /tmp | sha256sum
seq 1 200000 | sha256sum
# Background jobs, a fifo between them, wait with an exit code.
mkfifo /tmp/pipe
(for i in 1 2 3; do echo "line $i"; done >/tmp/pipe) &
writer=$!
tr a-z A-Z </tmp/pipe | sed 's/ /-/' | tail -n 1
wait $writer
(exit 7) & wait $! || echo "job $?"
# A coprocess and a here document.
coproc sed -u 's/$/ bottles/'
echo 99 >&${COPROC[1]}; read -r answer <&${COPROC[0]}; echo "$answer"
kill $COPROC_PID
cat <<< "$(find /etc -maxdepth 1 -name passwd -printf '%f %m\n')"
echo done
while :; do sleep 1000 & wait; done
)sh";

TEST_P(SoftwareLanguagesTest, AShellWithPipesAndJobs) {
  WARREN_SOFTWARE("shell");
  const cri::PodSandboxConfig pod = SoftwarePod("shell");
  const std::string id =
      Run(RunPod(pod), pod, Software("shell", {"bash", "-c", kShellWork}));
  WaitForLog(id, " F done\n");
  const std::string log = LogOf(id);
  for (const char* line :
       {"stdout F same\n", "stdout F LINE-3\n", "stdout F job 7\n",
        "stdout F 99 bottles\n", "stdout F passwd 644\n"}) {
    EXPECT_THAT(log, testing::HasSubstr(line));
  }
  // The big sort gave what seq gives.
  const std::string sum = Bash(id, "seq 1 200000 | sha256sum");
  EXPECT_NE(log.find(sum), log.rfind(sum)) << log;
  EXPECT_THAT(log, testing::Not(testing::HasSubstr("stderr")));
  StopsCleanly(id);
}

TEST_P(SoftwareLanguagesTest, TheProfileIsAFilter) {
  WARREN_SOFTWARE("shell");
  const cri::PodSandboxConfig pod = SoftwarePod("shell");
  const std::string id =
      Run(RunPod(pod), pod, Software("shell", {"sleep", "1000"}));
  EXPECT_EQ(Bash(id, "awk '/^Seccomp:/ { print $2 }' /proc/1/status"), "2\n");
}

TEST_P(SoftwareLanguagesTest, ImagesShareTheirBaseLayer) {
  WARREN_SOFTWARE("shell", "python");
  const auto images =
      client().Call<cri::ListImagesResponse>(cri::ListImagesRequest());
  ASSERT_TRUE(images.ok()) << images.status();
  // The default image has one layer; each other one its own and the base.
  const std::string layers =
      RunCommand({"ls", daemon().state_dir() + "/images/layers"}).out;
  EXPECT_EQ(std::count(layers.begin(), layers.end(), '\n'),
            images->images_size() + 1);
}

constexpr char kPythonWork[] = R"py(
import asyncio, concurrent.futures, fcntl, hashlib, json, mmap, os, queue
import select, signal, socket, sqlite3, subprocess, sys, tempfile, threading
import time
import multiprocessing as mp

def square(n):
    return n * n

def threads():
    q, out = queue.Queue(), []
    def work():
        while (item := q.get()) is not None:
            out.append(hashlib.sha256(bytes(item)).hexdigest())
    workers = [threading.Thread(target=work) for _ in range(8)]
    for w in workers: w.start()
    for n in range(200): q.put(n)
    for w in workers: q.put(None)
    for w in workers: w.join()
    return len(set(out)) == 200

def processes():
    for method in ("fork", "spawn", "forkserver"):
        with mp.get_context(method).Pool(2) as pool:
            if pool.map(square, range(20)) != [n * n for n in range(20)]:
                return False
    from multiprocessing import shared_memory
    block = shared_memory.SharedMemory(create=True, size=4096)
    block.buf[:2] = b"ok"
    block.close()
    block.unlink()
    return True

def subprocesses():
    sorted_ = subprocess.run(["sort"], input=b"b\na\n", stdout=-1).stdout
    slow = subprocess.Popen(["sleep", "100"], start_new_session=True)
    os.killpg(slow.pid, signal.SIGTERM)
    return sorted_ == b"a\nb\n" and slow.wait() == -signal.SIGTERM

def database():
    db = sqlite3.connect("/srv/test.db")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, v TEXT)")
    with db:
        db.executemany("INSERT INTO t VALUES (?, ?)",
                       [(n, str(n)) for n in range(10000)])
    other = sqlite3.connect("/srv/test.db")
    return other.execute("SELECT sum(n) FROM t").fetchone() == (49995000,)

def sockets():
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            peer, _ = server.accept()
            with peer: peer.sendall(peer.recv(100).upper())
        thread = threading.Thread(target=serve)
        thread.start()
        with socket.create_connection(server.getsockname()) as c:
            c.sendall(b"hello")
            answer = c.recv(100)
        thread.join()
    a, b = socket.socketpair()
    r, w = os.pipe()
    socket.send_fds(a, [b"fd"], [w])
    _, fds, _, _ = socket.recv_fds(b, 10, 1)
    os.write(fds[0], b"x")
    poll = select.epoll()
    poll.register(r, select.EPOLLIN)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.sendto(b"x", ("127.0.0.1", 9))
    return answer == b"HELLO" and poll.poll(5)[0][0] == r

def files():
    with tempfile.TemporaryFile() as file:
        file.truncate(1 << 20)
        fcntl.lockf(file, fcntl.LOCK_EX)
        with mmap.mmap(file.fileno(), 0) as m: m[5:7] = b"ok"
        os.posix_fallocate(file.fileno(), 0, 2 << 20)
        memory = os.memfd_create("m")
        with tempfile.TemporaryFile() as copy:
            return 2 * 4096 == sum((
                os.copy_file_range(file.fileno(), copy.fileno(), 4096, 0),
                os.sendfile(memory, file.fileno(), 0, 4096)))

def waiting():
    ticks = []
    signal.signal(signal.SIGALRM, lambda *_: ticks.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    while len(ticks) < 3: signal.pause()
    signal.setitimer(signal.ITIMER_REAL, 0)
    async def main():
        p = await asyncio.create_subprocess_exec("echo", "hi", stdout=-1)
        await asyncio.sleep(0.01)
        return (await p.communicate())[0]
    return asyncio.run(main()) == b"hi\n"

if __name__ == "__main__":
    for check in (threads, processes, subprocesses, database, sockets, files,
                  waiting):
        print(check.__name__, check(), flush=True)
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    print("finished", flush=True)
    signal.pause()
)py";

TEST_P(SoftwareLanguagesTest, PythonWithThreadsProcessesSocketsAndSqlite) {
  WARREN_SOFTWARE("python");
  const cri::PodSandboxConfig pod = SoftwarePod("python");
  // multiprocessing's "spawn" wants a file.
  const std::string directory = EmptyDir("code");
  ASSERT_TRUE(WriteHostFile(directory + "/work.py", kPythonWork));
  cri::ContainerConfig config =
      Software("python", {"python3", "/code/work.py"});
  AddMount(&config, directory, "/code", true);
  const std::string id = Run(RunPod(pod), pod, config);
  WaitForLog(id, " F finished\n");
  const std::string log = LogOf(id);
  for (const char* check : {"threads", "processes", "subprocesses", "database",
                            "sockets", "files", "waiting"}) {
    EXPECT_THAT(log, testing::HasSubstr(std::string(check) + " True\n"));
  }
  EXPECT_EQ(StatusOf(id).stop_signal(), cri::SIGNAL_SIGINT);
  // An unhandled KeyboardInterrupt ends python with 128 + SIGINT.
  StopsCleanly(id, 130);
}

constexpr char kNodeWork[] = R"js(
const { Worker } = require('worker_threads');
const { execFile } = require('child_process');
const crypto = require('crypto'), dns = require('dns').promises;
const fs = require('fs'), http = require('http'), os = require('os');
const zlib = require('zlib');

const inWorker = n => new Promise((ok, bad) => new Worker(
    `const { parentPort, workerData } = require('worker_threads');
     let sum = 0; for (let i = 1; i <= workerData; i++) sum += i;
     parentPort.postMessage(sum)`, { eval: true, workerData: n })
    .on('message', ok).on('error', bad));

async function work() {
  const sums = await Promise.all([1e6, 2e6, 3e6].map(inWorker));
  const directory = fs.mkdtempSync('/tmp/node-');
  const seen = new Promise(ok => fs.watch(directory, (_, name) => ok(name)));
  await fs.promises.writeFile(directory + '/file', crypto.randomBytes(1 << 20));
  const packed = zlib.gzipSync(await fs.promises.readFile(directory + '/file'));
  fs.createReadStream(directory + '/file').pipe(
      fs.createWriteStream(directory + '/copy'));
  const child = await new Promise((ok, bad) => execFile(
      process.execPath, ['-p', '6 * 7'], (e, out) => e ? bad(e) : ok(out)));
  const local = await dns.lookup('localhost');
  const key = crypto.pbkdf2Sync('a', 'b', 1000, 32, 'sha256').toString('hex');
  const wasm = new WebAssembly.Module(
      Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
  return { sums, watched: await seen, packed: packed.length > 1 << 20,
           child: child.trim(), local: local.address.length > 2,
           key: key.length, wasm: wasm instanceof WebAssembly.Module,
           uid: process.getuid(), cpus: os.cpus().length > 0 };
}
const server = http.createServer((request, answer) => {
  work().then(r => answer.end(JSON.stringify(r)), e => answer.end(e.stack));
});
server.listen(3000, () => console.log('listening'));
process.on('SIGTERM', () => { server.close(); process.exit(0); });
)js";

TEST_P(SoftwareLanguagesTest, NodeServesWhatWorkersAndFilesGive) {
  WARREN_SOFTWARE("node", "shell");
  const cri::PodSandboxConfig pod = SoftwarePod("node");
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = Software("node");
  for (const char* word : {"-e", kNodeWork}) config.add_args(word);
  const std::string id = Run(pod_id, pod, config);
  WaitForLog(id, "listening");
  const std::string expected =
      R"({"sums":[500000500000,2000001000000,4500001500000],)"
      R"("watched":"file","packed":true,"child":"42","local":true,)"
      R"("key":64,"wasm":true,"uid":1000,"cpus":true})";
  // From the node, and from another container of the pod.
  EXPECT_EQ(
      HttpGet(PodIp(pod_id), 3000, "/", absl::Seconds(30)).value_or("none"),
      expected);
  const std::string shell =
      Run(pod_id, pod, Software("shell", {"sleep", "1000"}));
  EXPECT_THAT(Bash(shell,
                   "exec 3<>/dev/tcp/127.0.0.1/3000;"
                   "printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"),
              testing::EndsWith("\r\n\r\n" + expected));
  EXPECT_EQ(Bash(id, "id -u; pwd"), "1000\n/srv/app\n");
  StopsCleanly(id);
}

INSTANTIATE_TEST_SUITE_P(Users, SoftwareLanguagesTest, testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "OfThePod" : "OfTheNode";
                         });

}  // namespace
}  // namespace warren::test
