#ifndef WARREN_TESTS_SUPPORT_TEMP_DIRECTORY_H_
#define WARREN_TESTS_SUPPORT_TEMP_DIRECTORY_H_

#include <string>

namespace warren::test {

// A directory made with mkdtemp(3) below TempRoot() (in a node) or $TMPDIR, and
// removed with all its content at the end. Crosses no mount. Aborts the test
// program when it cannot be made. Thread-compatible.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_TEMP_DIRECTORY_H_
