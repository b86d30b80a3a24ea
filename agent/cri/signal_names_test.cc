#include "agent/cri/signal_names.h"

#include <gtest/gtest.h>

#include <csignal>

namespace warren::agent {
namespace {

TEST(SignalNames, ByName) {
  const struct {
    const char* name;
    int number;
  } cases[] = {{"SIGTERM", 15}, {"term", 15},     {"15", 15},
               {"SIGKILL", 9},  {"SIGRTMIN", 34}, {"SIGRTMIN+3", 37},
               {"RTMAX-1", 63}, {"SIGRTMAX", 64}, {"RTMIN+30", 64},
               {"RTMIN+31", 0}, {"RTMAX-31", 0},  {"RTMIN3", 0},
               {"SIG", 0},      {"", 0},          {"0", 0},
               {"65", 0},       {"-1", 0},        {"RTMIN+", 0},
               {"RTMIN+-1", 0}, {"15x", 0},       {"15 ", 0},
               {"RTMIN+3 ", 0}, {"RTMIN-1", 0}};
  for (const auto& c : cases) {
    EXPECT_EQ(SignalByName(c.name), c.number) << c.name;
  }
}

TEST(SignalNames, CriNumbersAreNotLinuxNumbers) {
  EXPECT_EQ(SignalFromCri(cri::SIGNAL_SIGKILL), SIGKILL);
  EXPECT_EQ(SignalFromCri(cri::SIGNAL_SIGTERM), SIGTERM);
  EXPECT_EQ(SignalFromCri(cri::SIGNAL_SIGRTMINPLUS15), 49);
  EXPECT_EQ(SignalFromCri(cri::SIGNAL_SIGRTMAXMINUS14), 50);
  EXPECT_EQ(SignalFromCri(cri::SIGNAL_RUNTIME_DEFAULT), 0);
  EXPECT_EQ(SignalFromCri(static_cast<cri::Signal>(999)), 0);
}

TEST(SignalNames, EveryCriSignalHasANumberAndComesBack) {
  for (int i = 1; i <= cri::Signal_MAX; ++i) {
    const auto signal = static_cast<cri::Signal>(i);
    const int number = SignalFromCri(signal);
    EXPECT_NE(number, 0) << cri::Signal_Name(signal);
    // A synonym comes back under another name of the same number.
    EXPECT_EQ(SignalFromCri(SignalToCri(number)), number);
  }
  EXPECT_EQ(SignalToCri(SIGTERM), cri::SIGNAL_SIGTERM);
  EXPECT_EQ(SignalToCri(0), cri::SIGNAL_RUNTIME_DEFAULT);
  EXPECT_EQ(SignalToCri(32), cri::SIGNAL_RUNTIME_DEFAULT);
}

}  // namespace
}  // namespace warren::agent
