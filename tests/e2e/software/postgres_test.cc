// A database on a volume: transactions, and recovery after a kill.
#include <string>

#include "tests/e2e/software/fixture.h"

namespace warren::test {
namespace {

class SoftwarePostgresTest : public SoftwareTest {
 protected:
  cri::ContainerConfig Postgres(int attempt) {
    cri::ContainerConfig config = Software("postgres");
    config.mutable_metadata()->set_attempt(attempt);
    config.set_log_path("postgres/" + std::to_string(attempt) + ".log");
    AddMount(&config, EmptyDir("data"), "/var/lib/postgresql/data", false);
    return config;
  }
  // The one value that a query gives.
  std::string Query(const std::string& id, const std::string& sql) {
    return Bash(id, "psql -qAtX -c \"" + sql + "\" bench");
  }
};

TEST_P(SoftwarePostgresTest, TransactionsAndCrashRecovery) {
  WARREN_SOFTWARE("postgres");
  const cri::PodSandboxConfig pod = SoftwarePod("postgres");
  const std::string pod_id = RunPod(pod);
  const std::string first = Run(pod_id, pod, Postgres(0));
  WaitFor(first, "pg_isready -q");
  EXPECT_EQ(StatusOf(first).user().linux().uid(), 102);
  Bash(first, "createdb bench; pgbench -q -i bench 2>/dev/null");
  Bash(first, "pgbench -n -c 4 -j 2 -t 50 bench >/dev/null 2>&1");
  // Workers that share memory with each other, and a sort on disk.
  EXPECT_EQ(Query(first,
                  "SET max_parallel_workers_per_gather = 2;"
                  "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;"
                  "SET min_parallel_table_scan_size = 0;"
                  "SELECT count(DISTINCT aid % 1000) FROM pgbench_accounts"),
            "1000\n");
  EXPECT_EQ(Query(first, "SELECT count(*) FROM pgbench_history"), "200\n");
  const std::string consistent =
      "SELECT (SELECT sum(delta) FROM pgbench_history) ="
      " (SELECT sum(abalance) FROM pgbench_accounts) AND"
      " (SELECT sum(bbalance) FROM pgbench_branches) ="
      " (SELECT sum(tbalance) FROM pgbench_tellers)";
  EXPECT_EQ(Query(first, consistent), "t\n");

  // SIGKILL with transactions in flight; the next attempt finds the volume.
  Bash(first, "(pgbench -n -c 4 -T 600 bench >/dev/null 2>&1 &)");
  WaitFor(first,
          "(($(psql -qAtX -c 'SELECT count(*) FROM pgbench_history' bench)"
          " > 300))");
  ASSERT_TRUE(client().StopContainer(first, 0).ok());
  EXPECT_EQ(StatusOf(first).exit_code(), 137);
  const std::string second = Run(pod_id, pod, Postgres(1));
  WaitFor(second, "pg_isready -q");
  EXPECT_THAT(LogOf(second),
              testing::HasSubstr("automatic recovery in progress"));
  EXPECT_EQ(Query(second, "SELECT count(*) > 300 FROM pgbench_history"), "t\n");
  EXPECT_EQ(Query(second, consistent), "t\n");
  Bash(second, "pgbench -n -c 2 -t 20 bench >/dev/null 2>&1");
  EXPECT_EQ(StatusOf(second).stop_signal(), cri::SIGNAL_SIGINT);
  StopsCleanly(second);
  EXPECT_THAT(LogOf(second),
              testing::HasSubstr("database system is shut down"));
}

INSTANTIATE_TEST_SUITE_P(Users, SoftwarePostgresTest, testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "OfThePod" : "OfTheNode";
                         });

}  // namespace
}  // namespace warren::test
