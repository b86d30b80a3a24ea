#ifndef WARREN_TESTS_SUPPORT_TEMP_FOLDER_H_
#define WARREN_TESTS_SUPPORT_TEMP_FOLDER_H_

#include <string>

namespace warren::test {

// A folder made with mkdtemp(3) below TempRoot() (in a node) or $TMPDIR, and
// removed with all its content at the end. Crosses no mount. Aborts the test
// program when it cannot be made. Thread-compatible.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_TEMP_FOLDER_H_
