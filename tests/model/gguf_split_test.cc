// Models in several files.

#include "model/gguf_split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

namespace fs = std::filesystem;
using test::GgufWriter;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

TEST(SplitName, IsWhatGgufSplitGivesItsFiles) {
  const auto name = parse_split_name("models/a-b-00002-of-00010.gguf");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->stem, "models/a-b");
  EXPECT_EQ(name->index, 1U);
  EXPECT_EQ(name->count, 10U);
  EXPECT_EQ(name->path(9), "models/a-b-00010-of-00010.gguf");
  for (const char* none :
       {"", "a.gguf", "-00001-of-00002.gguf", "a-00001-of-00002", "a-0001-of-00002.gguf", "a-00003-of-00002.gguf",
        "a-00000-of-00002.gguf", "a-0000x-of-00002.gguf", "a-00001_of-00002.gguf", "a-+0001-of-00002.gguf"}) {
    EXPECT_FALSE(parse_split_name(none)) << none;
  }
  EXPECT_EQ(without_part("folder/a-00001-of-00002"), "folder/a");
  EXPECT_EQ(without_part("a-of-00002"), "a-of-00002");
}

class GgufParts : public testing::Test {
 protected:
  GgufParts() : folder_(testing::TempDir() + "headwater_parts_" + std::to_string(getpid())) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    parts_ = test::tiny_llama_parts({}, 3);
  }
  ~GgufParts() override { fs::remove_all(folder_); }

  void write() { first_ = test::write_parts(folder_, "m", parts_); }
  std::string path(int number) const { return folder_ + "/m-0000" + std::to_string(number) + "-of-00003.gguf"; }

  /// What opening any of the parts that are there says, which is the same for all.
  std::string refusal() const {
    std::string said;
    for (int number = 1; number <= 3; ++number) {
      if (!fs::exists(path(number))) continue;
      const auto opened = GgufFile::open(path(number));
      EXPECT_FALSE(opened.ok()) << "part " << number;
      if (said.empty() && !opened) said = opened.error().message;
    }
    return said;
  }

  std::string folder_, first_;
  std::vector<GgufWriter> parts_;
};

TEST_F(GgufParts, AreOneModelWhicheverIsNamed) {
  write();
  const test::TemporaryFile one(test::tiny_llama({}).bytes());
  const auto whole = GgufFile::open(one.path());
  ASSERT_TRUE(whole.ok());
  std::uint64_t bytes = 0;
  for (int number = 1; number <= 3; ++number) bytes += fs::file_size(path(number));
  for (int number = 1; number <= 3; ++number) {
    const auto file = GgufFile::open(path(number));
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_EQ((*file)->path(), path(1));
    EXPECT_EQ((*file)->file_bytes(), bytes);
    ASSERT_EQ((*file)->parts().size(), 3U);
    EXPECT_EQ((*file)->parts()[2].first, path(3));
    EXPECT_EQ(*(*file)->get_string("general.name"), "tiny");
    ASSERT_EQ((*file)->tensors().size(), (*whole)->tensors().size());
    TensorRoom room, room_of_whole;
    for (const GgufTensor& tensor : (*whole)->tensors()) {
      const auto part = (*file)->tensor(tensor.name, tensor.dims, room);
      const auto same = (*whole)->tensor(tensor.name, tensor.dims, room_of_whole);
      ASSERT_TRUE(part.ok() && same.ok()) << tensor.name;
      ASSERT_TRUE(std::equal(part->data, part->data + tensor.bytes, same->data)) << tensor.name;
    }
  }
}

TEST_F(GgufParts, AreFoundWhereALinkLeads) {
  write();
  fs::create_symlink(path(2), folder_ + "/default.gguf");
  const auto file = GgufFile::open(folder_ + "/default.gguf");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ((*file)->parts().size(), 3U);
}

TEST_F(GgufParts, AllEnterTheDigestAndAreGuarded) {
  write();
  const auto file = GgufFile::open(first_);
  ASSERT_TRUE(file.ok());
  const auto digest = (*file)->digest();
  ASSERT_TRUE(digest.ok());
  EXPECT_EQ(*(*GgufFile::open(path(3)))->digest(), *digest);
  {
    std::fstream last(path(3), std::ios::in | std::ios::out | std::ios::binary);
    last.seekp(-1, std::ios::end);
    last.put('\x55');
  }
  EXPECT_NE(*(*GgufFile::open(first_))->digest(), *digest);
  fs::resize_file(path(3), fs::file_size(path(3)) + 1);
  EXPECT_THAT((*file)->unchanged().error().message, AllOf(StartsWith(path(3)), HasSubstr("was written to")));
}

TEST_F(GgufParts, ThatAreMissingAreNamed) {
  for (int number = 1; number <= 3; ++number) {
    write();
    fs::remove(path(number));
    EXPECT_THAT(refusal(), AllOf(StartsWith(path(number) + ": cannot be opened: No such file"),
                                 HasSubstr("expected part " + std::to_string(number) + " of 3")));
  }
}

TEST_F(GgufParts, ThatAreThereTwiceAreNamed) {
  write();
  fs::copy_file(path(2), path(3), fs::copy_options::overwrite_existing);
  const auto opened = GgufFile::open(path(1));
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().message,
            path(3) + ": metadata \"split.no\" says that this is part 2 of 3, expected part 3 of 3");
}

TEST_F(GgufParts, ThatHaveOtherNamesAreTold) {
  write();
  fs::rename(path(2), folder_ + "/other.gguf");
  const auto opened = GgufFile::open(folder_ + "/other.gguf");
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message,
              HasSubstr("this is part 2 of 3 of a model, expected to be named NAME-00002-of-00003.gguf"));
}

TEST_F(GgufParts, OfAnotherModelAreRefused) {
  write();
  const auto others = test::tiny_llama_parts({.layers = 1}, 3);
  others[1].write(path(2));
  EXPECT_THAT(refusal(), AllOf(StartsWith(path(2) + ": metadata \"split.tensors.count\" is 11, expected 20 as in "),
                               HasSubstr(path(1))));
  const auto four = test::tiny_llama_parts({}, 4);
  four[1].write(path(2));
  const auto opened = GgufFile::open(path(1));
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().message,
            path(2) + ": metadata \"split.count\" is 4, expected 3 as in the names of the parts");
  test::tiny_llama({}).write(path(2));
  EXPECT_THAT(GgufFile::open(path(1)).error().message, HasSubstr("\"split.count\" is missing, expected 3"));
}

TEST_F(GgufParts, ThatSayAnotherThingOfTheModelAreRefused) {
  parts_[2].add_string("general.name", "another");
  write();
  EXPECT_THAT(refusal(),
              StartsWith(path(3) + ": metadata \"general.name\" is \"another\", expected \"tiny\" as in " + path(1)));
}

TEST_F(GgufParts, ThatRepeatATensorAreRefused) {
  const std::vector<float> values(64);
  parts_[2].add_tensor("output_norm.weight", {64}, kernels::DType::f32, values);
  write();
  EXPECT_THAT(refusal(), AllOf(StartsWith(path(3) + ": tensor \"output_norm.weight\" is there, and in " + path(2)),
                               HasSubstr("expected it once")));
}

TEST_F(GgufParts, ThatHaveMoreTensorsThanTheySayAreRefused) {
  const std::vector<float> values(64);
  parts_[2].add_tensor("more", {64}, kernels::DType::f32, values);
  write();
  EXPECT_THAT(refusal(), StartsWith(path(1) + ": metadata \"split.tensors.count\" is 20, and the 3 parts have 21"));
}

TEST_F(GgufParts, ThatAreCutOffAreRefused) {
  write();
  const std::string bytes = parts_[1].bytes();
  for (std::size_t size = 0; size < bytes.size(); size += 509) {
    fs::resize_file(path(2), 0);
    std::ofstream(path(2), std::ios::binary) << bytes.substr(0, size);
    const auto opened = GgufFile::open(path(1));
    ASSERT_FALSE(opened.ok()) << "cut off at " << size;
    ASSERT_THAT(opened.error().message, AllOf(StartsWith(path(2) + ": offset "), HasSubstr("expected")));
  }
}

TEST(Split, RefusesNumbersThatAreNone) {
  const auto refusal = [](const GgufWriter& writer) {
    const test::TemporaryFile file(writer.bytes());
    const auto opened = GgufFile::open(file.path());
    return opened ? "" : opened.error().message.substr(file.path().size());
  };
  EXPECT_EQ(refusal(GgufWriter().add_u32("split.count", 1)), "");
  EXPECT_EQ(refusal(GgufWriter().add_u32("split.count", 0)), "");
  EXPECT_EQ(refusal(GgufWriter().add_u32("split.count", 60000)),
            ": metadata \"split.count\" is 60000, expected an integer from 0 to 1024");
  EXPECT_EQ(refusal(GgufWriter().add_i32("split.count", -1)),
            ": metadata \"split.count\" is -1, expected an integer from 0 to 1024");
  EXPECT_EQ(refusal(GgufWriter().add_u32("split.count", 2)),
            ": metadata \"split.no\" is missing, expected which of the parts this is");
  EXPECT_EQ(refusal(GgufWriter().add_u32("split.count", 2).add_u32("split.no", 2)),
            ": metadata \"split.no\" is 2, expected an integer from 0 to 1");
}

}  // namespace
}  // namespace headwater::model
