#include "runtime/image/registry/retry.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stop_token>
#include <string>
#include <thread>

#include "runtime/base/clock.h"
#include "runtime/image/registry/answer.h"

namespace warren::registry {
namespace {

const base::Deadline kNever = base::Deadline::Never();

RetryLimits Quick(int tries) {
  RetryLimits limits;
  limits.tries = tries;
  limits.first_wait = absl::Milliseconds(1);
  return limits;
}

TEST(RegistryRetry, CountsTriesUntilSomethingMoves) {
  const absl::Status cut = TransportError(TransportFailure::kCut, "cut");
  Retries retries(Quick(3));
  EXPECT_TRUE(retries.Wait(cut, kNever).ok());
  EXPECT_TRUE(retries.Wait(cut, kNever).ok());
  EXPECT_EQ(retries.Wait(cut, kNever), cut);
  Retries moving(Quick(2));
  for (int i = 0; i < 10; ++i) {
    moving.Progress(Retries::kEnoughBytes);
    EXPECT_TRUE(moving.Wait(cut, kNever).ok());
  }
  moving.Progress(Retries::kEnoughBytes - 1);
  EXPECT_EQ(moving.Wait(cut, kNever), cut);
  Retries once(Quick(1));
  once.Progress(Retries::kEnoughBytes);
  EXPECT_TRUE(once.Wait(cut, kNever).ok());
  EXPECT_EQ(once.Wait(cut, kNever), cut);
}

TEST(RegistryRetry, OnlyWhatMayPass) {
  for (const int status : {408, 425, 429, 500, 502, 503, 504}) {
    EXPECT_TRUE(IsTransient(AnswerError({status, {}}, ""))) << status;
  }
  for (const int status : {300, 400, 401, 403, 404, 405, 407, 416, 451, 501}) {
    EXPECT_FALSE(IsTransient(AnswerError({status, {}}, ""))) << status;
  }
  EXPECT_FALSE(IsTransient(TransportError(TransportFailure::kTls, "x")));
  EXPECT_FALSE(IsTransient(TransportError(TransportFailure::kProtocol, "x")));
  EXPECT_FALSE(IsTransient(absl::DataLossError("x")));
  EXPECT_FALSE(IsTransient(absl::UnavailableError("x")));
}

TEST(RegistryRetry, RetryAfterIsHonouredUpToItsBound) {
  Retries retries(Quick(5));
  const int64_t before = base::SystemClock().MonotonicNow();
  EXPECT_TRUE(
      retries.Wait(AnswerError({429, {{"Retry-After", "1"}}}, ""), kNever)
          .ok());
  EXPECT_GE(base::SystemClock().MonotonicNow() - before, 1'000'000'000);
  const absl::Status beyond =
      retries.Wait(AnswerError({503, {{"retry-after", "31"}}}, ""), kNever);
  EXPECT_EQ(beyond.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(beyond.message(), "HTTP 503, asks to come back in 31 s");
}

TEST(RegistryRetry, RetryAfterInEverySpelling) {
  const auto after = [](const char* value) {
    return RetryAfterOf(AnswerError({429, {{"Retry-After", value}}}, ""));
  };
  EXPECT_EQ(after("7"), absl::Seconds(7));
  EXPECT_EQ(after("-7"), absl::ZeroDuration());
  EXPECT_EQ(after("Sun, 06 Nov 1994 08:49:37 GMT"), absl::ZeroDuration());
  EXPECT_GT(after("Sun, 06 Nov 2033 08:49:37 GMT"), absl::Hours(1));
  EXPECT_FALSE(after("soon").has_value());
  EXPECT_FALSE(after("").has_value());
  EXPECT_FALSE(RetryAfterOf(AnswerError({429, {}}, "")).has_value());
}

TEST(RegistryRetry, StopEndsAWait) {
  RetryLimits limits;
  limits.first_wait = absl::Hours(1);
  limits.longest_wait = absl::Hours(1);
  Retries retries(limits);
  std::stop_source stop;
  std::thread stopper([&] { stop.request_stop(); });
  const absl::Status status =
      retries.Wait(TransportError(TransportFailure::kCut, "cut"),
                   kNever.CancelledBy(stop.get_token()));
  stopper.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
}

TEST(RegistryAnswer, CodesOfTheSpecificationAndNoOtherWords) {
  const char body[] =
      R"({"errors":[{"code":"DENIED","message":"secret"},)"
      R"({"code":"secret"},{"code":"DENIED"},{"code":"NAME_UNKNOWN"},7]})";
  EXPECT_EQ(AnswerError({403, {}}, body).message(),
            "HTTP 403 (DENIED, NAME_UNKNOWN)");
  for (const char* odd :
       {"", "secret", "[]", R"({"errors":"secret"})", R"({"errors":[]})",
        R"({"errors":{"code":"DENIED"}})"}) {
    EXPECT_EQ(AnswerError({404, {}}, odd).message(), "HTTP 404") << odd;
  }
}

TEST(RegistryAnswer, Kinds) {
  const auto code = [](int status) {
    return AnswerError({status, {}}, "").code();
  };
  EXPECT_EQ(code(401), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(code(403), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code(404), absl::StatusCode::kNotFound);
  EXPECT_EQ(code(407), absl::StatusCode::kUnavailable);
  EXPECT_EQ(code(429), absl::StatusCode::kUnavailable);
  EXPECT_EQ(code(503), absl::StatusCode::kUnavailable);
  EXPECT_EQ(code(400), absl::StatusCode::kDataLoss);
  EXPECT_EQ(HttpStatusOf(AnswerError({416, {}}, "")), 416);
  EXPECT_EQ(HttpStatusOf(absl::DataLossError("x")), 0);
}

}  // namespace
}  // namespace warren::registry
