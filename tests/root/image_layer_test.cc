// What a layer's directory looks like.

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "tests/root/image_fixture.h"

namespace warren::image {
namespace {

using testing::LayoutSource;
using testing::Member;
using testing::TarBuilder;

class ImageLayer : public UnpackedLayerTest {};

TEST_F(ImageLayer, OwnersModesTimes) {
  Member file;
  file.name = "file";
  file.data = "hello";
  file.mode = 06755;
  file.uid = 1234;
  file.gid = 70000;
  file.mtime = 1000000000;
  Member directory = file;
  directory.name = "directory/";
  directory.type = '5';
  directory.data = "";
  directory.mode = 01777;
  Member link = file;
  link.name = "link";
  link.type = '2';
  link.data = "";
  link.link = "/../../etc/passwd";
  Member fifo = directory;
  fifo.name = "fifo";
  fifo.type = '6';
  fifo.mode = 0620;
  Member precise = file;
  precise.name = "precise";
  precise.pax = {{"mtime", "1234567890.5"}, {"uid", "4000000000"}};
  Unpack(TarBuilder()
             .Add(directory)
             .Add(file)
             .Add(link)
             .Add(fifo)
             .Add(precise)
             .File("directory/late")
             .Build());
  struct stat st = Stat("file");
  EXPECT_EQ(st.st_mode, S_IFREG | 06755u);
  EXPECT_EQ(st.st_uid, 1234u);
  EXPECT_EQ(st.st_gid, 70000u);
  EXPECT_EQ(st.st_mtim.tv_sec, 1000000000);
  EXPECT_EQ(Read("file"), "hello");
  st = Stat("directory");
  EXPECT_EQ(st.st_mode, S_IFDIR | 01777u);
  EXPECT_EQ(st.st_uid, 1234u);
  // Members put into it later do not change its time.
  EXPECT_EQ(st.st_mtim.tv_sec, 1000000000);
  st = Stat("link");
  EXPECT_TRUE(S_ISLNK(st.st_mode));
  EXPECT_EQ(st.st_uid, 1234u);
  EXPECT_EQ(st.st_mtim.tv_sec, 1000000000);
  char target[64] = {};
  EXPECT_GT(readlink((layer() + "/link").c_str(), target, 63), 0);
  EXPECT_STREQ(target, "/../../etc/passwd");
  st = Stat("fifo");
  EXPECT_EQ(st.st_mode, S_IFIFO | 0620u);
  EXPECT_EQ(st.st_uid, 1234u);
  st = Stat("precise");
  EXPECT_EQ(st.st_uid, 4000000000u);
  EXPECT_EQ(st.st_mtim.tv_sec, 1234567890);
  EXPECT_EQ(st.st_mtim.tv_nsec, 500000000);
}

TEST_F(ImageLayer, UnlistedFoldersAndRoot) {
  Unpack(TarBuilder().File("a/b/c", "x").Build());
  for (const char* path : {"", "a", "a/b"}) {
    const struct stat st = Stat(path);
    EXPECT_EQ(st.st_mode, S_IFDIR | 0755u) << path;
    EXPECT_EQ(st.st_uid, 0u);
    EXPECT_EQ(st.st_mtim.tv_sec, 0) << path;
  }
  Member top;
  top.name = "./";
  top.type = '5';
  top.mode = 0750;
  top.uid = 7;
  Unpack(TarBuilder().Add(top).File("./x").Build());
  EXPECT_EQ(Stat("").st_mode, S_IFDIR | 0750u);
  EXPECT_EQ(Stat("").st_uid, 7u);
}

TEST_F(ImageLayer, HardLinksShareAnInode) {
  Unpack(TarBuilder()
             .File("a", "x")
             .HardLink("d/b", "./a")
             .Symlink("s", "nowhere")
             .HardLink("s2", "s")
             .Build());
  EXPECT_EQ(Stat("a").st_ino, Stat("d/b").st_ino);
  EXPECT_EQ(Stat("a").st_nlink, 2u);
  EXPECT_TRUE(S_ISLNK(Stat("s2").st_mode));
}

TEST_F(ImageLayer, LaterMembersReplaceEarlierOnes) {
  Unpack(TarBuilder()
             .File("f", "1")
             .File("f", "2")
             .Symlink("l", "f")
             .File("l", "3")
             .Directory("empty")
             .File("empty", "4")
             .File("g")
             .Directory("g", 0700)
             .Directory("d", 0700)
             .File("d/x", "5")
             .Directory("d", 0711)
             .Build());
  EXPECT_EQ(Read("f"), "2");
  EXPECT_EQ(Read("l"), "3");
  EXPECT_EQ(Read("empty"), "4");
  EXPECT_TRUE(S_ISDIR(Stat("g").st_mode));
  EXPECT_EQ(Stat("d").st_mode, S_IFDIR | 0711u);
  EXPECT_EQ(Read("d/x"), "5");
}

TEST_F(ImageLayer, LongNames) {
  const std::string part(200, 'n');
  const std::string path = part + "/" + part + "/" + part;
  const std::string target(1000, 't');
  Member pax;
  pax.name = "short";
  pax.data = "pax";
  pax.pax = {{"path", "p/" + path}};
  Member link;
  link.name = "link";
  link.type = '2';
  link.link = "short";
  Unpack(TarBuilder()
             .GnuLong('L', "g/" + path)
             .File("short", "gnu")
             .Add(pax)
             .GnuLong('K', target)
             .Add(link)
             .Build());
  EXPECT_EQ(Read("g/" + path), "gnu");
  EXPECT_EQ(Read("p/" + path), "pax");
  EXPECT_EQ(Stat("link").st_size, 1000);
}

TEST_F(ImageLayer, IMG_2_ExtendedAttributes) {
  std::string capability(20, '\0');  // revision 2: cap_net_raw, effective
  capability[0] = 1;
  capability[3] = 2;
  capability[5] = 1 << 5;
  std::string revision3 = capability + std::string(4, '\x01');
  revision3[3] = 3;
  Member file;
  file.name = "file";
  file.uid = 5;
  file.pax = {{"SCHILY.xattr.user.kept", "value"},
              {"SCHILY.xattr.security.capability", capability},
              {"SCHILY.xattr.user.overlay.opaque", "y"},
              {"SCHILY.xattr.user.overlay.redirect", "/etc"},
              {"SCHILY.xattr.trusted.overlay.redirect", "/etc"},
              {"SCHILY.xattr.trusted.overlay.metacopy", ""},
              {"SCHILY.xattr.security.selinux", "x"},
              {"SCHILY.xattr.system.posix_acl_access", "x"},
              {"SCHILY.xattr.odd", "x"}};
  Member directory = file;
  directory.name = "directory";
  directory.type = '5';
  Member other;
  other.name = "other";
  other.pax = {{"SCHILY.xattr.security.capability", revision3}};
  Unpack(TarBuilder().Add(file).Add(directory).Add(other).Build());
  EXPECT_EQ(Xattr("file", "user.kept"), "value");
  EXPECT_EQ(Xattr("file", "security.capability"), capability);
  EXPECT_EQ(Xattr("other", "security.capability"), capability);
  EXPECT_EQ(Xattr("directory", "user.kept"), "value");
  for (const char* path : {"file", "directory"}) {
    char names[1024];
    const ssize_t n =
        llistxattr((layer() + "/" + path).c_str(), names, sizeof(names));
    ASSERT_GE(n, 0);
    const std::string list(names, static_cast<size_t>(n));
    EXPECT_EQ(list.find("overlay"), std::string::npos) << path;
    EXPECT_EQ(list.find("selinux"), std::string::npos) << path;
    EXPECT_EQ(list.find("acl"), std::string::npos) << path;
  }
}

TEST_F(ImageLayer, IMG_2_DevicesAreLeftOut) {
  Member device;
  device.name = "dev/null";
  device.type = '3';
  Member disk = device;
  disk.name = "dev/vda";
  disk.type = '4';
  Unpack(TarBuilder().Directory("dev").Add(device).Add(disk).File("x").Build());
  const auto names = base::ListDir(AT_FDCWD, layer() + "/dev");
  ASSERT_TRUE(names.ok());
  EXPECT_TRUE(names->empty());
}

TEST_F(ImageLayer, SparseFiles) {
  const std::string block(512, 'x');
  std::string expected(4096, '\0');
  expected.replace(1024, 512, block);
  Member header;  // version 0.1: the map is in the header
  header.name = "GNUSparseFile.0/a";
  header.data = block;
  header.pax = {{"GNU.sparse.name", "v01"},
                {"GNU.sparse.size", "4096"},
                {"GNU.sparse.numblocks", "1"},
                {"GNU.sparse.map", "1024,512"}};
  Member data;  // version 1.0: the map is in front of the data
  data.name = "GNUSparseFile.0/b";
  data.data = testing::Padded("2\n1024\n512\n4096\n0\n") + block;
  data.pax = {{"GNU.sparse.name", "v10"},
              {"GNU.sparse.major", "1"},
              {"GNU.sparse.minor", "0"},
              {"GNU.sparse.realsize", "4096"}};
  Member old;  // GNU's own
  old.name = "gnu";
  old.type = 'S';
  old.data = block;
  std::string gnu = testing::TarHeaderBlock(old);
  gnu.replace(257, 8, std::string("ustar  \0", 8));
  gnu.replace(386, 23, std::string("00000002000\0", 12) + "00000001000");
  gnu.replace(483, 11, "00000010000");
  testing::FixChecksum(&gnu);
  Unpack(TarBuilder().Add(header).Add(data).Raw(gnu).Raw(block).Build());
  EXPECT_EQ(Read("v01"), expected);
  EXPECT_EQ(Read("v10"), expected);
  EXPECT_EQ(Read("gnu"), expected);
}

TEST_F(ImageLayer, StreamsOfSeveralMembers) {
  const std::string tar = TarBuilder().File("f", "x").Build();
  for (const Compression compression :
       {Compression::kGzip, Compression::kZstd}) {
    const std::string blob =
        testing::Compress(tar.substr(0, 700), compression) +
        testing::Compress(tar.substr(700), compression);
    LayoutSource source;
    source.layers = {{tar, compression}};
    source.manifest = [&](testing::Json* manifest) {
      const std::string type = (*manifest)["layers"][0]["mediaType"];
      (*manifest)["layers"][0] = testing::MakeDescriptor(type, blob);
    };
    source.files = [&](std::map<std::string, std::string>* files) {
      (*files)[testing::BlobPath(blob)] = blob;
    };
    EXPECT_TRUE(Import(source).ok());
  }
}

TEST_F(ImageLayer, EmptyLayers) {
  Unpack(TarBuilder().Build());
  Unpack("");
}

}  // namespace
}  // namespace warren::image
