#include "runtime/identity/user_lookup.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "runtime/base/file.h"

namespace warren::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kPasswd[] =
    "root:x:0:0:root:/root:/bin/sh\n"
    "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
    "www:x:33:34:www-data:/var/www:/bin/false\n"
    "nohome:x:40:41\n"
    "emptyhome:x:42:42:::\n"
    "1000:x:0:0:a number as a name:/root:/bin/sh\n"
    "app:x:1000:1001:App:/home/app:/bin/sh\n"
    "app:x:7:7:second of its name:/:/bin/sh\n"
    "bad\n"
    "bad1:x:notanumber:5:::\n"
    "bad2:x:99999999999999:5:::\n"
    "bad3:x:5:-1:::\n"
    ":x:50:50:no name:/:\n"
    "1,000:x:0:0::/root:\n"
    "0x1:x:0:0::/root:\n"
    "-dash:x:0:0::/root:\n"
    "host$:x:60:60::/:\n"
    "_apt.x-1:x:61:61::/:\n"
    "big:x:2147483647:2147483647::/big:\n";

constexpr char kGroup[] =
    "root:x:0:\n"
    "www-data:x:34:\n"
    "wheel:x:10:app,root\n"
    "audio:x:29:www,app\n"
    "apps:x:1001:\n"
    "dup:x:10:app\n"
    "4000:x:0:app2\n"
    "1,000:x:0:app2\n"
    "bad:x:oops:app\n"
    "toobig:x:4294967296:app\n"
    "prefix:x:77:ap,appx\n"
    "short:x:78\n";

struct Case {
  const char* image_user;
  // "" = an error; else "uid gid groups… home".
  std::string expected;
};

std::string Text(const absl::StatusOr<User>& user) {
  if (!user.ok()) {
    EXPECT_EQ(user.status().code(), absl::StatusCode::kInvalidArgument)
        << user.status();
    return "";
  }
  std::string text =
      std::to_string(user->uid) + " " + std::to_string(user->gid) + " [";
  for (const uint32_t gid : user->groups) {
    text += (text.back() == '[' ? "" : " ") + std::to_string(gid);
  }
  return text + "] " + user->home;
}

TEST(UserLookup, EXE_5_ImageUserTable) {
  const std::vector<Case> cases = {
      {"", "0 0 [0 10] /root"},
      {"root", "0 0 [0 10] /root"},
      {"0", "0 0 [0 10] /root"},
      {"00", "0 0 [0 10] /root"},
      {":", "0 0 [0 10] /root"},
      {":34", "0 34 [34 10] /root"},
      {":wheel", "0 10 [10] /root"},
      {"root:", "0 0 [0 10] /root"},
      {"www", "33 34 [34 29] /var/www"},
      {"www:wheel", "33 10 [10 29] /var/www"},
      {"www:0", "33 0 [0 29] /var/www"},
      {"www:99", "33 99 [99 29] /var/www"},
      {"33", "33 34 [34 29] /var/www"},
      {"33:34", "33 34 [34 29] /var/www"},
      {"033", "33 34 [34 29] /var/www"},
      // A number is never a name, even where one is called that.
      {"1000", "1000 1001 [1001 10 29] /home/app"},
      {"app", "1000 1001 [1001 10 29] /home/app"},
      {"app:4000", "1000 4000 [4000 10 29] /home/app"},
      {"12345", "12345 0 [0] /"},
      {"12345:6", "12345 6 [6] /"},
      {"12345:wheel", "12345 10 [10] /"},
      {"nohome", "40 41 [41] /"},
      {"emptyhome", "42 42 [42] /"},
      {"2147483647", "2147483647 2147483647 [2147483647] /big"},
      {"2147483648", ""},
      {"4294967295", ""},
      {"4294967296", ""},
      {"18446744073709551616", ""},
      {"340282366920938463463374607431768211456", ""},
      {"-1", ""},
      {"+1", ""},
      {"0x0", ""},
      {" 0", ""},
      {"0 ", ""},
      {"1e3", ""},
      // In the image's files, and refused all the same.
      {"1,000", ""},
      {"0x1", ""},
      {"-dash", ""},
      {"www:1,000", ""},
      {"host$", "60 60 [60] /"},
      {"_apt.x-1", "61 61 [61] /"},
      {"nobody", ""},
      {"bad", ""},
      {"bad1", ""},
      {"bad2", ""},
      {"bad3", ""},
      {"root:nosuch", ""},
      {"root:2147483648", ""},
      {"root:-1", ""},
      {"root:toobig", ""},
      {"root:bad", ""},
      {"a:b:c", ""},
      {"::", ""},
      {"root\n", ""},
      {"5", "5 0 [0] /"},  // only malformed lines have that number
      {"50", "50 0 [0] /"},
      {"app:short", "1000 78 [78 10 29] /home/app"},
  };
  for (const Case& c : cases) {
    UserRequest request;
    request.image_user = c.image_user;
    EXPECT_EQ(Text(ResolveUser(request, kPasswd, kGroup)), c.expected)
        << "USER \"" << c.image_user << '"';
  }
}

TEST(UserLookup, EXE_5_RequestWinsOverImage) {
  UserRequest request;
  request.image_user = "www:wheel";
  request.uid = 1000;
  EXPECT_EQ(Text(ResolveUser(request, kPasswd, kGroup)),
            "1000 1001 [1001 10 29] /home/app");
  request.gid = 5;
  EXPECT_EQ(Text(ResolveUser(request, kPasswd, kGroup)),
            "1000 5 [5 10 29] /home/app");
  request.username = "root";
  request.gid.reset();
  EXPECT_EQ(Text(ResolveUser(request, kPasswd, kGroup)), "0 0 [0 10] /root");
  request.username = "1000";
  EXPECT_EQ(Text(ResolveUser(request, kPasswd, kGroup)),
            "1000 1001 [1001 10 29] /home/app");
  request.username = "root:wheel";
  EXPECT_EQ(Text(ResolveUser(request, kPasswd, kGroup)), "");
}

TEST(UserLookup, EXE_5_StrictGroupsAreExact) {
  UserRequest request;
  request.uid = 1000;
  request.strict_groups = true;
  request.supplemental_groups = {1234};
  EXPECT_EQ(Text(ResolveUser(request, kPasswd, kGroup)),
            "1000 1001 [1001 1234] /home/app");
  request.strict_groups = false;
  EXPECT_EQ(Text(ResolveUser(request, kPasswd, kGroup)),
            "1000 1001 [1001 10 29 1234] /home/app");
  request.supplemental_groups = {29, 1001, 29};
  EXPECT_EQ(Text(ResolveUser(request, kPasswd, kGroup)),
            "1000 1001 [1001 10 29] /home/app");
}

TEST(UserLookup, EXE_5_RangesOfTheRequest) {
  for (const int64_t bad : {int64_t{-1}, int64_t{1} << 31, int64_t{1} << 32}) {
    UserRequest request;
    request.uid = bad;
    EXPECT_EQ(Text(ResolveUser(request, kPasswd, kGroup)), "");
    request.uid = 0;
    request.gid = bad;
    EXPECT_EQ(Text(ResolveUser(request, kPasswd, kGroup)), "");
    request.gid.reset();
    request.supplemental_groups = {bad};
    EXPECT_EQ(Text(ResolveUser(request, kPasswd, kGroup)), "");
  }
  UserRequest lone_group;
  lone_group.gid = 5;
  EXPECT_EQ(Text(ResolveUser(lone_group, kPasswd, kGroup)), "");
}

class UserFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(directory_), nullptr);
    ASSERT_EQ(mkdir((root() + "/etc").c_str(), 0755), 0);
    auto fd = base::OpenAt(AT_FDCWD, root(), O_PATH | O_DIRECTORY);
    ASSERT_TRUE(fd.ok());
    fd_ = *std::move(fd);
  }
  void TearDown() override {
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, directory_).ok());
  }
  std::string root() const { return directory_; }
  std::string passwd() const { return root() + "/etc/passwd"; }
  void Write(const std::string& path, const std::string& text) {
    auto fd = base::OpenAt(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ASSERT_TRUE(fd.ok());
    ASSERT_TRUE(base::WriteFd(fd->get(), text).ok());
  }
  absl::StatusOr<User> LookUp(const char* image_user) {
    UserRequest request;
    request.image_user = image_user;
    return LookUpUser(request, fd_.get());
  }

  char directory_[64] = "/tmp/user_lookup_test.XXXXXX";
  base::UniqueFd fd_;
};

TEST_F(UserFiles, ReadsInsideTheRoot) {
  Write(passwd(), kPasswd);
  Write(root() + "/etc/group", kGroup);
  auto user = LookUp("www");
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->uid, 33u);
  EXPECT_THAT(user->groups, ElementsAre(34, 29));
}

TEST_F(UserFiles, MissingFilesAreEmpty) {
  EXPECT_EQ(Text(LookUp("7:8")), "7 8 [8] /");
  EXPECT_EQ(Text(LookUp("root")), "");
}

TEST_F(UserFiles, FS_8_NothingButRegularFilesInside) {
  ASSERT_EQ(symlink("/etc/passwd", passwd().c_str()), 0);
  EXPECT_THAT(LookUp("").status().message(), HasSubstr("not a regular file"));
  ASSERT_EQ(unlink(passwd().c_str()), 0);
  ASSERT_EQ(symlink("nowhere", passwd().c_str()), 0);
  EXPECT_EQ(Text(LookUp("7:8")), "7 8 [8] /") << "as if it were not there";
  ASSERT_EQ(unlink(passwd().c_str()), 0);
  ASSERT_EQ(mkdir(passwd().c_str(), 0755), 0);
  EXPECT_EQ(Text(LookUp("")), "");
  ASSERT_EQ(rmdir(passwd().c_str()), 0);
  ASSERT_EQ(mkfifo(passwd().c_str(), 0644), 0);
  EXPECT_EQ(Text(LookUp("")), "");  // and does not block
  ASSERT_EQ(unlink(passwd().c_str()), 0);
  if (mknod(passwd().c_str(), S_IFCHR | 0666, makedev(1, 5)) == 0) {
    EXPECT_EQ(Text(LookUp("")), "");  // and does not read zeroes for ever
  }
}

TEST_F(UserFiles, FS_8_SizeIsBounded) {
  Write(passwd(), std::string((1 << 20) + 1, '\n'));
  EXPECT_THAT(LookUp("").status().message(),
              HasSubstr("larger than 1048576 bytes"));
}

TEST_F(UserFiles, FS_8_LinksAreFollowedInsideOnly) {
  // As in images that keep everything in a store.
  ASSERT_TRUE(base::MakeDirs(AT_FDCWD, root() + "/nix/store/x", 0755).ok());
  Write(root() + "/nix/store/x/passwd", kPasswd);
  Write(root() + "/nix/store/x/group", kGroup);
  ASSERT_EQ(symlink("/nix/store/x/passwd", passwd().c_str()), 0);
  ASSERT_EQ(
      symlink("../../../nix/store/x/group", (root() + "/etc/group").c_str()),
      0);
  const auto user = LookUp("www");
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->uid, 33u);
  EXPECT_THAT(user->groups, ElementsAre(34, 29));
  // A file of the host, by any spelling, is none of the image's.
  const std::string outside = root() + "-outside";
  Write(outside, "host:x:0:0::/:\n");
  for (const std::string& target : {outside, "../../../../.." + outside}) {
    ASSERT_EQ(unlink(passwd().c_str()), 0);
    ASSERT_EQ(symlink(target.c_str(), passwd().c_str()), 0);
    EXPECT_THAT(LookUp("host").status().message(),
                HasSubstr("is not in the image's"))
        << target;
  }
  ASSERT_EQ(unlink(outside.c_str()), 0);
  // Nor do the bounds of what it leads to change.
  Write(root() + "/nix/store/x/passwd", std::string((1 << 20) + 1, '\n'));
  ASSERT_EQ(unlink(passwd().c_str()), 0);
  ASSERT_EQ(symlink("/nix/store/x/passwd", passwd().c_str()), 0);
  EXPECT_THAT(LookUp("").status().message(),
              HasSubstr("larger than 1048576 bytes"));
  for (const char* odd : {"/nix/store", "/nix/fifo"}) {
    ASSERT_EQ(unlink(passwd().c_str()), 0);
    mkfifo((root() + "/nix/fifo").c_str(), 0644);
    ASSERT_EQ(symlink(odd, passwd().c_str()), 0);
    EXPECT_THAT(LookUp("").status().message(), HasSubstr("not a regular file"));
  }
}

TEST_F(UserFiles, FS_8_FolderLinkStaysInside) {
  ASSERT_EQ(rmdir((root() + "/etc").c_str()), 0);
  // Would reach the host's /etc if it were followed outside.
  ASSERT_EQ(symlink("../../../../../etc", (root() + "/etc").c_str()), 0);
  EXPECT_EQ(Text(LookUp("root")), "");
}

}  // namespace
}  // namespace warren::runtime
