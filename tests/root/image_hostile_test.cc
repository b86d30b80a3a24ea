// IMG-2: archives that want out, or that lie about themselves. Each goes
// through the real unpacker; outside of the store nothing changes, inside
// nothing stays.

#include <absl/strings/str_cat.h>

#include <string>
#include <vector>

#include "tests/root/image_fixture.h"

namespace warren::image {
namespace {

using testing::Member;
using testing::PaxRecord;
using testing::TarBuilder;
using testing::TarHeaderBlock;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;

Member Named(const std::string& name, char type = '0') {
  Member member;
  member.name = name;
  member.type = type;
  return member;
}

Member WithPax(Member member, const std::string& key,
               const std::string& value) {
  member.pax.emplace_back(key, value);
  return member;
}

TEST_F(ImageHostile, IMG_2_PathsThatLeaveTheLayer) {
  const std::string nul("a\0b", 3);
  std::vector<Hostile> corpus;
  for (const std::string& path :
       {std::string(".."), std::string("../x"), std::string("a/../../x"),
        std::string("a/.."), std::string("./../x"), std::string("/.."),
        std::string("/../etc/x"), std::string("//../etc/x"),
        ".." + canary() + "/file"}) {
    corpus.push_back({"file " + path, TarBuilder().File(path, "x").Build()});
    corpus.push_back(
        {"directory " + path, TarBuilder().Directory(path).Build()});
    corpus.push_back(
        {"symlink " + path, TarBuilder().Symlink(path, "x").Build()});
    corpus.push_back(
        {"pax " + path,
         TarBuilder().Add(WithPax(Named("x"), "path", path)).Build()});
    corpus.push_back({"gnu " + path,
                      TarBuilder().GnuLong('L', path).Add(Named("x")).Build()});
    corpus.push_back({"hard link from " + path,
                      TarBuilder().File("t").HardLink(path, "t").Build()});
    corpus.push_back(
        {"hard link to " + path, TarBuilder().HardLink("l", path).Build()});
  }
  corpus.push_back(
      {"NUL by pax",
       TarBuilder().Add(WithPax(Named("x"), "path", nul)).Build()});
  corpus.push_back(
      {"NUL by gnu", TarBuilder().GnuLong('L', nul).Add(Named("x")).Build()});
  corpus.push_back(
      {"NUL in a link",
       TarBuilder().Add(WithPax(Named("x", '2'), "linkpath", nul)).Build()});
  Member prefixed = Named("x");
  std::string block = TarHeaderBlock(prefixed);
  block.replace(345, 3, "../");
  testing::FixChecksum(&block);
  corpus.push_back({"prefix", TarBuilder().Raw(block).Build()});
  ExpectRefused(corpus);
}

TEST_F(ImageHostile, IMG_2_LinksAndReplacements) {
  ExpectRefused({
      {"hard link to nothing", TarBuilder().HardLink("l", "no").Build()},
      {"hard link to itself",
       TarBuilder().File("a").HardLink("a", "a").Build()},
      {"hard link to a directory",
       TarBuilder().Directory("d").HardLink("l", "d").Build()},
      {"hard link to the root", TarBuilder().HardLink("l", ".").Build()},
      {"hard link to a whiteout",
       TarBuilder().File(".wh.a").HardLink("l", "a").Build()},
      {"hard link with an empty target",
       TarBuilder().HardLink("l", "").Build()},
      {"symlink with an empty target", TarBuilder().Symlink("l", "").Build()},
      {"symlink with a target too long",
       TarBuilder()
           .Add(WithPax(Named("l", '2'), "linkpath", std::string(4096, 'x')))
           .Build()},
      {"hard link over its own target",
       TarBuilder().File("d/x").HardLink("d", "d/x").Build()},
      {"root as a file", TarBuilder().File(".", "evil").Build()},
      {"root as a symlink", TarBuilder().Symlink("./", canary()).Build()},
  });
}

TEST_F(ImageHostile, IMG_2_Whiteouts) {
  ExpectRefused({
      {"empty", TarBuilder().File(".wh.").Build()},
      {"dot", TarBuilder().File(".wh..").Build()},
      {"dot dot", TarBuilder().File(".wh...").Build()},
      {"of a whiteout", TarBuilder().File(".wh..wh.x").Build()},
      {"aufs data", TarBuilder().File(".wh..wh.plnk").Build()},
      {"almost opaque", TarBuilder().File(".wh..wh..opqx").Build()},
      {"as a directory", TarBuilder().Directory(".wh.x").Build()},
      {"as a symlink", TarBuilder().Symlink(".wh.x", canary()).Build()},
      {"as a hard link", TarBuilder().File("t").HardLink(".wh.x", "t").Build()},
      {"as a parent", TarBuilder().File(".wh.x/y").Build()},
      {"as a target", TarBuilder().HardLink("l", ".wh.x/y").Build()},
  });
}

TEST_F(ImageHostile, IMG_2_NamesTooLong) {
  std::string deep;
  for (int i = 0; i < 300; ++i) deep += "d/";
  std::string long_path;
  while (long_path.size() < 4200) long_path += std::string(200, 'p') + "/";
  ExpectRefused({
      {"component", TarBuilder()
                        .GnuLong('L', std::string(256, 'n'))
                        .Add(Named("x"))
                        .Build()},
      {"depth", TarBuilder().GnuLong('L', deep + "f").Add(Named("x")).Build()},
      {"path",
       TarBuilder().Add(WithPax(Named("x"), "path", long_path)).Build()},
      {"gnu name of a megabyte", TarBuilder()
                                     .GnuLong('L', std::string(1 << 20, 'n'))
                                     .Add(Named("x"))
                                     .Build()},
      {"hard link target",
       TarBuilder()
           .Add(WithPax(Named("l", '1'), "linkpath", std::string(300, 't')))
           .Build()},
  });
}

std::string Header(const Member& member, size_t offset,
                   const std::string& bytes) {
  std::string block = TarHeaderBlock(member);
  block.replace(offset, bytes.size(), bytes);
  testing::FixChecksum(&block);
  return block;
}

TEST_F(ImageHostile, IMG_2_HeadersThatLie) {
  const Member file = Named("f");
  std::string bad_sum = TarHeaderBlock(file);
  bad_sum[0] = 'g';
  Member sized = Named("d", '2');
  sized.link = "x";
  sized.size = 512;
  Member large = Named("f");
  large.size = 1 << 20;
  const std::string one_zero(512, '\0');
  ExpectRefused({
      {"checksum", TarBuilder().Raw(bad_sum).Build()},
      {"unknown type", TarBuilder().Add(Named("f", 'Z')).Build()},
      {"multi volume", TarBuilder().Add(Named("f", 'M')).Build()},
      {"volume label", TarBuilder().Add(Named("f", 'V')).Build()},
      {"symlink with data", TarBuilder().Add(sized).Build()},
      {"size not octal",
       TarBuilder().Raw(Header(file, 124, "0000000000z")).Build()},
      {"size negative",
       TarBuilder().Raw(Header(file, 124, std::string(12, '\xff'))).Build()},
      {"size beyond 64 bits",
       TarBuilder()
           .Raw(Header(file, 124, "\x80" + std::string(11, '\x7f')))
           .Build()},
      {"uid -1",
       TarBuilder()
           .Raw(Header(file, 108, std::string("\x80\0\0\0\xff\xff\xff\xff", 8)))
           .Build()},
      {"uid by pax",
       TarBuilder().Add(WithPax(file, "uid", "4294967295")).Build()},
      {"gid by pax",
       TarBuilder().Add(WithPax(file, "gid", "4294967296")).Build()},
      {"no name", TarBuilder().Add(Named("")).Build()},
      {"cut in the data", TarHeaderBlock(large) + std::string(1000, 'x')},
      {"cut in a header", std::string(100, 'x')},
      {"one zero block",
       TarBuilder().File("a").Raw(one_zero).File("b").Build()},
      {"data after the end", TarBuilder().File("a").Build() + "hidden"},
      {"pax for nobody",
       TarBuilder().PaxHeader('x', PaxRecord("path", "a")).Build()},
      {"pax for nobody, cut",
       TarBuilder().PaxHeader('x', PaxRecord("path", "a")).bytes()},
      {"pax for everybody", TarBuilder()
                                .PaxHeader('g', PaxRecord("path", "../x"))
                                .File("a")
                                .Build()},
      {"pax twice", TarBuilder()
                        .PaxHeader('x', PaxRecord("path", "a"))
                        .PaxHeader('x', PaxRecord("path", "b"))
                        .File("c")
                        .Build()},
      {"two names", TarBuilder()
                        .GnuLong('L', "a")
                        .PaxHeader('x', PaxRecord("path", "b"))
                        .File("c")
                        .Build()},
      {"gnu name twice",
       TarBuilder().GnuLong('L', "a").GnuLong('L', "b").File("c").Build()},
  });
}

TEST_F(ImageHostile, IMG_2_PaxRecordsThatLie) {
  std::vector<Hostile> corpus;
  const auto body = [&corpus](const std::string& what,
                              const std::string& text) {
    corpus.push_back(
        {what, TarBuilder().PaxHeader('x', text).File("f").Build()});
  };
  body("no length", "path=a\n");
  body("length 0", "0 path=a\n");
  body("length too long", "99 path=a\n");
  body("length too short", "5 path=a\n");
  body("length with a sign", "+9 path=a\n");
  body("length huge", "99999999999999999999 path=a\n");
  body("no line feed", "9 path=ab");
  body("no key", "6 =ab\n");
  body("no equals", "9 patha\n");
  body("key twice", PaxRecord("path", "a") + PaxRecord("path", "b"));
  body("empty path", PaxRecord("path", ""));
  body("size not a number", PaxRecord("size", "0x10"));
  body("size out of range", PaxRecord("size", "99999999999999999999999"));
  body("size beyond the archive", PaxRecord("size", "1048576"));
  body("time", PaxRecord("mtime", "1.2.3"));
  body("attribute without a name", PaxRecord("SCHILY.xattr.", "x"));
  body("capability cut short",
       PaxRecord("SCHILY.xattr.security.capability", "xx"));
  std::string many;
  for (int i = 0; i < 100; ++i) {
    many += PaxRecord(absl::StrCat("SCHILY.xattr.user.a", i), "x");
  }
  body("too many attributes", many);
  body("attribute too large",
       PaxRecord("SCHILY.xattr.user.a", std::string(70000, 'x')));
  body("header of two megabytes",
       PaxRecord("comment", std::string(2 << 20, 'x')));
  ExpectRefused(corpus);
}

TEST_F(ImageHostile, IMG_2_SparseMapsThatLie) {
  std::vector<Hostile> corpus;
  const auto map = [&corpus](const std::string& what, const std::string& text,
                             const std::string& real_size,
                             absl::StatusCode code = kInvalid) {
    Member member = Named("f");
    member.data = std::string(512, 'x');
    member.pax = {{"GNU.sparse.size", real_size}, {"GNU.sparse.map", text}};
    corpus.push_back({what, TarBuilder().Add(member).Build(), code});
  };
  map("outside the file", "4096,512", "512");
  map("overlap", "0,256,128,256", "4096");
  map("backwards", "1024,256,0,256", "4096");
  map("less than the data", "0,100", "4096");
  map("more than the data", "0,1024", "4096");
  map("odd", "0,512,9", "4096");
  map("wraps around", "18446744073709551615,512", "4096");
  map("not numbers", "a,b", "4096");
  map("file of an exabyte", "0,512", "1152921504606846976", kExhausted);
  std::string chunks = "0,512";
  for (int i = 0; i < 5000; ++i) absl::StrAppend(&chunks, ",", 600 + i, ",0");
  map("too many chunks", chunks, "100000");
  Member one = Named("f");
  one.data = std::string(512, '1');
  one.pax = {{"GNU.sparse.major", "1"}, {"GNU.sparse.realsize", "4096"}};
  corpus.push_back({"map without an end", TarBuilder().Add(one).Build()});
  one.data = testing::Padded("999999999\n");
  corpus.push_back({"map of too many", TarBuilder().Add(one).Build()});
  one.pax[0].second = "2";
  corpus.push_back({"unknown version", TarBuilder().Add(one).Build()});
  Member gnu = Named("f", 'S');
  corpus.push_back(
      {"GNU type in a POSIX archive", TarBuilder().Add(gnu).Build()});
  ExpectRefused(corpus);
}

}  // namespace
}  // namespace warren::image
