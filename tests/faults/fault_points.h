#ifndef WARREN_TESTS_FAULTS_FAULT_POINTS_H_
#define WARREN_TESTS_FAULTS_FAULT_POINTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/faults/fault_orders.h"

// The walk's side of the fault layer: the points by name, and the orders.
namespace warren::faults {

struct Point {
  std::string name;         // "agent openat warren::Foo(int)#2"
  std::vector<int> errors;  // what the call can give
};

// Every point of both programs, from the lists that points.py made at their
// link. Empty when a list cannot be read.
std::map<uint64_t, Point> AllPoints();

// exceptions.txt: which points need not be reached, or not be seen, and why.
class Exceptions {
 public:
  Exceptions();
  // False when the file cannot be read or a line of it has no reason.
  bool valid() const { return valid_; }
  // `kind` is the first word of a line. A function's glob is compared with
  // "function#2", or with "function#2@operation" (without blanks) when the
  // line has an "@".
  bool Has(const std::string& kind, const Point& point,
           const std::string& operation = "") const;
  // Lines that fit none of `points`: their code is gone.
  std::vector<std::string> Stale(const std::map<uint64_t, Point>& points) const;

 private:
  struct Line {
    std::string kind, program, call, function;  // the last three are globs
    bool Fits(const Point& point, const std::string& operation) const;
  };
  bool valid_ = false;
  std::vector<Line> lines_;
};

// A new file of orders, mapped. Programs that start later obey it; those that
// run on obey the file that they found. Single-threaded.
class OrdersFile {
 public:
  OrdersFile();
  ~OrdersFile();
  OrdersFile(const OrdersFile&) = delete;
  OrdersFile& operator=(const OrdersFile&) = delete;

  bool valid() const { return orders_ != nullptr; }
  // Counts calls from now on, and lets the n-th of `key` fail (0: none).
  void Arm(uint64_t key = 0, uint32_t nth = 0, int error = 0);
  void Disarm();
  void Release() { orders_->release = 1; }
  // Shims that run now do not obey later orders.
  void SpareRunningShims();
  bool fired() const { return orders_->fired != 0; }
  // Calls of one point since Arm(), and of all points.
  uint32_t Count(uint64_t key) const;
  std::map<uint64_t, uint32_t> Counts() const;

 private:
  Orders* orders_ = nullptr;
};

}  // namespace warren::faults

#endif  // WARREN_TESTS_FAULTS_FAULT_POINTS_H_
