// Streams and commands at shim.sock: who gets what, who is cut off, who is
// refused. Speaks the protocol itself, as an agent of any age may.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "runtime/base/message_socket.h"
#include "runtime/base/status.h"
#include "tests/kernel/shim_host.h"

namespace warren::test {
namespace {

using shim::v1::Command;
using shim::v1::Reply;

// One connection.
class Client {
 public:
  explicit Client(const ContainerLaunch& launch)
      : socket_(*base::ConnectAt(launch.run_dir.get(), "shim.sock")) {}

  Reply Call(const std::string& command) {
    EXPECT_TRUE(Send(command));
    Reply reply;
    const std::string answer = Receive();
    EXPECT_FALSE(answer.empty()) << "hung up";
    EXPECT_TRUE(reply.ParseFromString(answer));
    return reply;
  }
  Reply Query() {
    Command command;
    command.mutable_query();
    return Call(command.SerializeAsString());
  }
  int Attach(bool output, bool input, bool close_stdin_at_end = false) {
    Command command;
    command.mutable_attach()->set_output(output);
    command.mutable_attach()->set_stdin(input);
    command.mutable_attach()->set_close_stdin_at_end(close_stdin_at_end);
    return Call(command.SerializeAsString()).error();
  }
  int Resize(uint32_t rows, uint32_t columns) {
    Command command;
    command.mutable_resize()->set_rows(rows);
    command.mutable_resize()->set_columns(columns);
    return Call(command.SerializeAsString()).error();
  }
  bool Send(const std::string& packet) {
    return base::SendMessage(socket_.get(), packet).ok();
  }
  void EndInput() { shutdown(socket_.get(), SHUT_WR); }
  void Close() { socket_.reset(); }

  // One packet; "" at end of file.
  std::string Receive() {
    auto message = base::ReceiveMessage(socket_.get(), absl::Seconds(10));
    EXPECT_TRUE(message.ok()) << message.status();
    return message.ok() ? message->data : "";
  }
  // Bytes of one stream up to END or end of file; says which.
  struct Received {
    std::string out;
    std::string err;
    bool ended = false;
  };
  Received ReceiveAll() {
    Received all;
    for (std::string p = Receive(); !p.empty(); p = Receive()) {
      if (p[0] == shim::v1::END) all.ended = p.size() == 1;
      if (p[0] == shim::v1::STDOUT) all.out += p.substr(1);
      if (p[0] == shim::v1::STDERR) all.err += p.substr(1);
    }
    return all;
  }
  bool HungUp() {
    pollfd p = {socket_.get(), POLLIN, 0};
    return poll(&p, 1, 10'000) == 1 && (p.revents & POLLHUP) != 0;
  }

 private:
  base::UniqueFd socket_;
};

class ShimStream : public ShimTest {
 protected:
  // A container with stdin open.
  void StartWith(const std::string& script, bool tty = false) {
    launch_ = Container(script);
    launch_.container()->set_stdin_open(true);
    launch_.container()->set_tty(tty);
    launched_ = Start(&launch_);
  }
  std::string LogOutput() {
    return LogText(Slurp(launch_.log_dir.get(), "0.log"));
  }
  void AwaitLog(const std::string& text) {
    EXPECT_TRUE(Eventually(
        [&] { return LogOutput().find(text) != std::string::npos; }));
  }
  int ExitCode() {
    const auto exited = runtime::ReadExitFile(launch_.run_dir.get());
    return exited.ok() && exited->has_value() ? (*exited)->exit_code() : -1;
  }
  void Signal(int signal) {
    Command command;
    command.mutable_signal()->set_signal(signal);
    EXPECT_EQ(Client(launch_).Call(command.SerializeAsString()).error(), 0);
  }

  ContainerLaunch launch_;
  runtime::Launched launched_;
};

TEST_F(ShimStream, AttachSeesOutputUntilTheEnd) {
  StartWith("echo before; read word; echo out $word; echo err >&2; exit 3");
  AwaitLog("before");
  Client first(launch_);
  Client second(launch_);
  Client silent(launch_);
  ASSERT_EQ(first.Attach(true, true), 0);
  ASSERT_EQ(second.Attach(true, false), 0);
  ASSERT_EQ(silent.Attach(false, false), 0);
  ASSERT_TRUE(first.Send("now\n"));
  for (Client* client : {&first, &second}) {
    const Client::Received all = client->ReceiveAll();
    EXPECT_EQ(all.out, "out now\n");
    EXPECT_EQ(all.err, "err\n");
    EXPECT_TRUE(all.ended);
    EXPECT_EQ(ExitCode(), 3) << "exit.pb is there before END";
  }
  const Client::Received none = silent.ReceiveAll();
  EXPECT_EQ(none.out + none.err, "");
  AwaitEnd(launched_);
  EXPECT_EQ(LogOutput(), "before\nout now\nerr\n");
}

TEST_F(ShimStream, ASlowClientIsCutOffAndHoldsNothingUp) {
  StartWith("read word; seq 400000; exit 7");
  Client slow(launch_);
  Client fast(launch_);
  ASSERT_EQ(slow.Attach(true, true), 0);
  ASSERT_EQ(fast.Attach(true, false), 0);
  ASSERT_TRUE(slow.Send("go\n"));
  // Nobody reads until the container has ended.
  AwaitEnd(launched_);
  EXPECT_EQ(ExitCode(), 7);
  std::string expected;
  for (int i = 1; i <= 400000; ++i) expected += std::to_string(i) + "\n";
  EXPECT_TRUE(LogOutput() == expected);
  for (Client* client : {&slow, &fast}) {
    const Client::Received some = client->ReceiveAll();
    EXPECT_FALSE(some.ended);
    EXPECT_GE(some.out.size(), 100'000u);
    EXPECT_LT(some.out.size(), expected.size());
    // What came is a piece without a hole.
    EXPECT_TRUE(expected.compare(0, some.out.size(), some.out) == 0);
  }
}

TEST_F(ShimStream, AClientThatReadsGetsAll) {
  constexpr int kRounds = 60;
  StartWith("while read word; do seq 10000; done; exit 7");
  std::string block;
  for (int i = 1; i <= 10000; ++i) block += std::to_string(i) + "\n";
  Client client(launch_);
  ASSERT_EQ(client.Attach(true, true, true), 0);
  // Each round fits the client's buffer, all together do not.
  std::string got;
  for (size_t round = 1; round <= kRounds; ++round) {
    ASSERT_TRUE(client.Send("go\n"));
    while (got.size() < round * block.size()) {
      const std::string packet = client.Receive();
      ASSERT_FALSE(packet.empty()) << "cut off in round " << round;
      got += packet.substr(1);
    }
  }
  client.EndInput();
  EXPECT_TRUE(client.ReceiveAll().ended);
  AwaitEnd(launched_);
  EXPECT_GT(got.size(), size_t{2} << 20);
  EXPECT_TRUE(got == LogOutput());
  EXPECT_EQ(ExitCode(), 7);
}

TEST_F(ShimStream, StdinArrivesInOrderHoweverLateItIsRead) {
  StartWith("trap 'exec wc -c' USR1; echo up; while :; do sleep 0.02; done");
  AwaitLog("up");
  Client client(launch_);
  ASSERT_EQ(client.Attach(false, true, true), 0);
  // More than a pipe holds; and the client does not stay.
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(client.Send(std::string(4096, 'x')));
  }
  client.Close();
  // The shim answers meanwhile, and does not spin.
  EXPECT_EQ(Client(launch_).Query().error(), 0);
  Signal(SIGUSR1);
  AwaitEnd(launched_);
  EXPECT_EQ(LogOutput(), "up\n81920\n");
}

TEST_F(ShimStream, EndOfInputClosesStdinOnlyWhenAsked) {
  StartWith("while read word; do echo got $word; done; echo end");
  Client stays(launch_);
  ASSERT_EQ(stays.Attach(true, true), 0);
  ASSERT_TRUE(stays.Send("one\n"));
  stays.EndInput();
  EXPECT_EQ(stays.Receive(), std::string("\x01got one\n"));
  Client closes(launch_);
  ASSERT_EQ(closes.Attach(true, true, true), 0);
  ASSERT_TRUE(closes.Send("two\n"));
  closes.EndInput();
  EXPECT_EQ(closes.ReceiveAll().out, "got two\nend\n");
  EXPECT_EQ(stays.ReceiveAll().out, "got two\nend\n");
  AwaitEnd(launched_);
}

TEST_F(ShimStream, StdinIsRefusedWhereThereIsNone) {
  launch_ = Container("exec sleep 1000");
  launched_ = Start(&launch_);
  Client client(launch_);
  EXPECT_EQ(client.Attach(true, true), ENXIO);
  // It may still have the output.
  EXPECT_EQ(client.Attach(true, false), 0);
  KillAndAwait(launched_);
  EXPECT_TRUE(client.ReceiveAll().ended);
}

TEST_F(ShimStream, InputThatIsTooLongClosesItsConnectionOnly) {
  StartWith("cat");
  Client bad(launch_);
  Client good(launch_);
  ASSERT_EQ(bad.Attach(true, true), 0);
  ASSERT_EQ(good.Attach(true, true, true), 0);
  ASSERT_TRUE(bad.Send(std::string(4097, 'x')));
  EXPECT_TRUE(bad.HungUp());
  ASSERT_TRUE(good.Send("fine"));
  good.EndInput();
  EXPECT_EQ(good.ReceiveAll().out, "fine");
  AwaitEnd(launched_);
}

TEST_F(ShimStream, ResizeChangesTheTerminal) {
  StartWith(
      "trap 'stty size; test $(stty size | cut -d\" \" -f1) = 50 && exit 6' "
      "WINCH; echo up; while :; do sleep 0.01; done",
      true);
  AwaitLog("up");
  Client stream(launch_);
  ASSERT_EQ(stream.Attach(true, false), 0);
  Client client(launch_);
  EXPECT_EQ(client.Resize(50, 70), 0);
  const Client::Received all = stream.ReceiveAll();
  EXPECT_EQ(all.out, "50 70\r\n");
  AwaitEnd(launched_);
  EXPECT_EQ(ExitCode(), 6);
}

TEST_F(ShimStream, InputReachesATerminal) {
  StartWith("stty -echo; echo up; read word; echo got $word", true);
  AwaitLog("up");
  Client client(launch_);
  ASSERT_EQ(client.Attach(true, true, true), 0);
  ASSERT_TRUE(client.Send("this\n"));
  EXPECT_EQ(client.ReceiveAll().out, "got this\r\n");
  AwaitEnd(launched_);
}

TEST_F(ShimStream, ResizeWithoutATerminalIsAnError) {
  StartWith("exec sleep 1000");
  EXPECT_EQ(Client(launch_).Resize(1, 1), ENOTTY);
  KillAndAwait(launched_);
}

TEST_F(ShimStream, CommandClientsDoNotPushAStreamOut) {
  StartWith("trap 'echo tick' USR1; echo up; while :; do sleep 0.01; done");
  AwaitLog("up");
  Client stream(launch_);
  ASSERT_EQ(stream.Attach(true, false), 0);
  std::vector<Client> commands;
  for (int i = 0; i < 8; ++i) {
    commands.emplace_back(launch_);
    EXPECT_EQ(commands.back().Query().error(), 0);
  }
  // The first has spoken again: the second is the one that makes room.
  EXPECT_EQ(commands[0].Query().error(), 0);
  Client ninth(launch_);
  EXPECT_EQ(ninth.Query().error(), 0);
  EXPECT_TRUE(commands[1].HungUp());
  for (const int i : {0, 2, 3, 4, 5, 6, 7}) {
    EXPECT_EQ(commands[static_cast<size_t>(i)].Query().error(), 0) << i;
  }
  Signal(SIGUSR1);
  EXPECT_EQ(stream.Receive(), std::string("\x01tick\n"));
  KillAndAwait(launched_);
}

TEST_F(ShimStream, StreamsDoNotPushCommandsOutAndTheNinthIsRefused) {
  StartWith("exec sleep 1000");
  Client command(launch_);
  EXPECT_EQ(command.Query().error(), 0);
  std::vector<Client> streams;
  for (int i = 0; i < 8; ++i) {
    streams.emplace_back(launch_);
    ASSERT_EQ(streams.back().Attach(true, false), 0);
  }
  Client ninth(launch_);
  EXPECT_EQ(ninth.Attach(true, false), EBUSY);
  // It is one for commands as before, and has a place once there is one.
  EXPECT_EQ(ninth.Query().error(), 0);
  EXPECT_EQ(command.Query().error(), 0);
  streams.pop_back();
  EXPECT_TRUE(Eventually([&] { return ninth.Attach(true, false) == 0; }));
  KillAndAwait(launched_);
  for (Client& stream : streams) EXPECT_TRUE(stream.ReceiveAll().ended);
}

TEST_F(ShimStream, PlacesOfClientsThatHungUpAreGivenAgain) {
  StartWith("echo up; sleep 1000");
  AwaitLog("up");
  {
    std::vector<Client> clients;
    for (int i = 0; i < 8; ++i) {
      clients.emplace_back(launch_);
      ASSERT_EQ(clients.back().Attach(true, true), 0);
    }
    // More than the pipe holds: the rest waits for a program that never reads.
    const std::string packet(4096, 'x');
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(clients[0].Send(packet));
  }
  Client next(launch_);
  EXPECT_EQ(next.Attach(true, false), 0);
  KillAndAwait(launched_);
  EXPECT_TRUE(next.ReceiveAll().ended);
}

TEST_F(ShimStream, QuerySaysWhatTheShimKnows) {
  StartWith("exec sleep 1000");
  const Reply reply = Client(launch_).Query();
  EXPECT_EQ(reply.process().pid(), launched_.process.pid);
  EXPECT_EQ(reply.protocol().version(), 1u);
  const auto& features = reply.protocol().features();
  EXPECT_EQ(
      std::vector<int>(features.begin(), features.end()),
      (std::vector<int>{shim::v1::FEATURE_ATTACH, shim::v1::FEATURE_RESIZE}));
  KillAndAwait(launched_);
}

// Field 99 of Command, an empty message: what a later agent might say.
constexpr char kUnknownCommand[] = "\x9a\x06";
std::string Unknown() { return std::string(kUnknownCommand, 3); }

TEST_F(ShimStream, AnUnknownCommandIsAnsweredWithAnError) {
  StartWith("exec sleep 1000");
  Client client(launch_);
  EXPECT_EQ(client.Call(Unknown()).error(), EOPNOTSUPP);
  EXPECT_EQ(client.Query().error(), 0);
  // So it is by the shim of an exec session, whose program goes on.
  FdList fds;
  ExecPipes pipes;
  const auto request =
      ExecRequest(launched_, {"sleep", "1001"}, false, &fds, &pipes);
  auto session = launcher().LaunchExec(request, fds.Numbers());
  ASSERT_TRUE(session.ok()) << session.status();
  ASSERT_TRUE(base::SendMessage(session->event_fd(), Unknown()).ok());
  auto answer = base::ReceiveMessage(session->event_fd(), absl::Seconds(10));
  ASSERT_TRUE(answer.ok()) << answer.status();
  shim::v1::Event event;
  ASSERT_TRUE(event.ParseFromString(answer->data));
  EXPECT_EQ(event.reply().error(), EOPNOTSUPP);
  ASSERT_TRUE(session->Resize(1, 1).ok());
  EXPECT_TRUE(session->Signal(SIGTERM).ok());
  // Wait() passes the complaint about Resize by.
  EXPECT_EQ(session->Wait(InTime())->exit_code(), 143);
  KillAndAwait(launched_);
}

}  // namespace
}  // namespace warren::test
