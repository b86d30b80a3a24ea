#include "tests/faults/fault_points.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace warren::faults {
namespace {

struct Call {
  uint64_t index = 0;
  std::vector<int> errors;
};

int ErrorOf(const std::string& name) {
  static const std::map<std::string, int> kErrors = {{"EMFILE", EMFILE},
                                                     {"ENOMEM", ENOMEM},
                                                     {"EIO", EIO},
                                                     {"ENOSPC", ENOSPC},
                                                     {"EINTR", EINTR}};
  return kErrors.at(name.front() == '=' ? name.substr(1) : name);
}

std::map<std::string, Call> Calls() {
  std::map<std::string, Call> calls;
  std::ifstream file(WARREN_FAULTS_CALLS);
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    std::istringstream words(line);
    std::string word;
    words >> word;
    const uint64_t index = calls.size();
    Call& call = calls[word];
    call.index = index;
    while (words >> word) call.errors.push_back(ErrorOf(word));
    call.errors.push_back(kStall);
  }
  return calls;
}

}  // namespace

std::map<uint64_t, Point> AllPoints() {
  const std::map<std::string, Call> calls = Calls();
  std::map<uint64_t, Point> points;
  for (const bool shim : {false, true}) {
    std::ifstream file(std::string(WARREN_FAULTY) +
                       (shim ? "/warren_shim_faults" : "/warrend_faults") +
                       ".points");
    std::map<std::string, int> serials;
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      uint64_t offset = 0;
      std::string call, function;
      words >> std::hex >> offset >> call;
      std::getline(words >> std::ws, function);
      const auto found = calls.find(call);
      if (found == calls.end()) continue;
      // Tails of a library's functions that happen to end like ours.
      if (function != "main" && function.find("warren::") == function.npos) {
        continue;
      }
      const std::string name =
          (shim ? "shim " : "agent ") + call + " " + function;
      points[Key(shim, found->second.index, offset)] = {
          name + "#" + std::to_string(++serials[name]), found->second.errors};
    }
  }
  return points;
}

Exceptions::Exceptions() {
  std::ifstream file(WARREN_FAULTS_EXCEPTIONS);
  valid_ = file.good();
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    std::istringstream words(line);
    Line next;
    std::string reason;
    words >> next.kind >> next.program >> next.call >> next.function >> reason;
    valid_ = valid_ && !reason.empty();
    lines_.push_back(std::move(next));
  }
}

bool Exceptions::Line::Fits(const Point& point,
                            const std::string& operation) const {
  std::istringstream words(point.name);
  std::string its_program, its_call, its_function;
  words >> its_program >> its_call;
  std::getline(words >> std::ws, its_function);
  if (function.find('@') != function.npos) its_function += "@" + operation;
  const auto fits = [](const std::string& glob, const std::string& text) {
    return fnmatch(glob.c_str(), text.c_str(), FNM_NOESCAPE) == 0;
  };
  return fits(program, its_program) && fits(call, its_call) &&
         fits(function, its_function);
}

bool Exceptions::Has(const std::string& kind, const Point& point,
                     const std::string& operation) const {
  std::string without_blanks = operation;
  std::erase(without_blanks, ' ');
  return std::any_of(lines_.begin(), lines_.end(), [&](const Line& line) {
    return line.kind == kind && line.Fits(point, without_blanks);
  });
}

std::vector<std::string> Exceptions::Stale(
    const std::map<uint64_t, Point>& points) const {
  std::vector<std::string> stale;
  for (const Line& line : lines_) {
    // Only the function counts here.
    Line anywhere = line;
    anywhere.function = line.function.substr(0, line.function.find('@'));
    if (std::none_of(points.begin(), points.end(), [&](const auto& one) {
          return anywhere.Fits(one.second, "");
        })) {
      stale.push_back(line.kind + " " + line.call + " " + line.function);
    }
  }
  return stale;
}

OrdersFile::OrdersFile() {
  const std::string path = std::string(WARREN_FAULTY) + "/orders";
  unlink(path.c_str());
  const int fd =
      open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return;
  if (ftruncate(fd, sizeof(Orders)) == 0) {
    void* place = mmap(nullptr, sizeof(Orders), PROT_READ | PROT_WRITE,
                       MAP_SHARED, fd, 0);
    if (place != MAP_FAILED) orders_ = static_cast<Orders*>(place);
  }
  close(fd);
}

OrdersFile::~OrdersFile() {
  if (orders_ == nullptr) return;
  Disarm();
  munmap(orders_, sizeof(Orders));
  unlink((std::string(WARREN_FAULTY) + "/orders").c_str());
}

void OrdersFile::Arm(uint64_t key, uint32_t nth, int error) {
  for (Slot& slot : orders_->slots) slot.count = 0;
  orders_->key = key;
  orders_->nth = nth;
  orders_->error = error;
  orders_->fired = 0;
  orders_->release = 0;
  ++orders_->generation;
  orders_->armed = 1;
}

void OrdersFile::Disarm() {
  orders_->armed = 0;
  orders_->release = 1;
}

void OrdersFile::SpareRunningShims() {
  orders_->immune.store(orders_->generation);
  ++orders_->generation;
}

uint32_t OrdersFile::Count(uint64_t key) const {
  const auto counts = Counts();
  const auto found = counts.find(key);
  return found == counts.end() ? 0 : found->second;
}

std::map<uint64_t, uint32_t> OrdersFile::Counts() const {
  std::map<uint64_t, uint32_t> counts;
  for (const Slot& slot : orders_->slots) {
    if (slot.key != 0 && slot.count != 0) counts[slot.key] = slot.count;
  }
  return counts;
}

}  // namespace warren::faults
