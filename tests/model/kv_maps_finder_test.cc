#include "model/kv_maps_finder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "model/kv_maps_file.h"
#include "tests/model/some_kv_maps.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class KvMapsFinder : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "headwater_finder_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = std::filesystem::canonical(name);
    model_ = (folder_ / "model.gguf").string();
    maps_ = model_ + ".kvmaps";
    write_model(1);
    learning_.sizes = {2, 2, 8};
    learning_.n_heads = 4;
    learning_.ropes = {{{1, 0.1F, 0.01F, 0.001F}, 1}};
    learning_.layer_ropes = {0, 0};
    learning_.n_positions = 512;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write_model(std::uint32_t seed) const { test::write_tiny_llama(model_, {.seed = seed}); }

  /// As a start does. Maps differ with `seed`.
  LearntKvMaps find(std::uint32_t seed = 1, std::uint64_t least_bytes_kept = 0) {
    told_.clear();
    const auto file = GgufFile::open(model_).value();
    return find_kv_maps(
        *file, learning_,
        [&] {
          ++learnt_;
          return test::some_kv_maps(learning_.sizes, seed);
        },
        [&](bool warning, const std::string& sentence) { told_.push_back((warning ? "warning: " : "") + sentence); },
        least_bytes_kept);
  }

  std::filesystem::path folder_;
  std::string model_, maps_;
  KvLearning learning_;
  int learnt_ = 0;
  std::vector<std::string> told_;
};

TEST_F(KvMapsFinder, LearnsOnceForAFileAndSaysSo) {
  const LearntKvMaps first = find();
  EXPECT_THAT(told_, ElementsAre(HasSubstr("finding how keys are distributed (once per model file)"),
                                 HasSubstr("kept in " + maps_)));
  const LearntKvMaps second = find(2);
  EXPECT_EQ(second.keys, first.keys);
  EXPECT_EQ(learnt_, 1);
  EXPECT_THAT(told_, ElementsAre());
}

TEST_F(KvMapsFinder, LearnsOnceForAFileOfManyNames) {
  find();
  const std::string link = (folder_ / "default.gguf").string();
  std::filesystem::create_symlink(model_, link);
  model_ = link;
  find();
  EXPECT_EQ(learnt_, 1);
}

TEST_F(KvMapsFinder, LearnsAnewWhereTheFileIsDamagedOrAnothers) {
  find();
  std::filesystem::resize_file(maps_, std::filesystem::file_size(maps_) - 1);
  EXPECT_EQ(find(2).keys, test::some_kv_maps(learning_.sizes, 2).keys);
  EXPECT_THAT(told_, ElementsAre(HasSubstr(maps_ + " has "), HasSubstr("finding"), HasSubstr("kept in")));
  EXPECT_THAT(told_[0], HasSubstr("; it is made again"));
  find(3);
  EXPECT_EQ(learnt_, 2);

  write_model(2);
  find(4);
  EXPECT_THAT(told_, ElementsAre(HasSubstr("belongs to another model file"), HasSubstr("finding"), HasSubstr("kept")));
  learning_.n_positions = 100;
  find(5);
  EXPECT_THAT(told_, ElementsAre(HasSubstr("other positions"), HasSubstr("finding"), HasSubstr("kept")));
  EXPECT_EQ(learnt_, 4);
}

TEST_F(KvMapsFinder, WarnsOnceWhereNothingCanBeWrittenAndGoesOn) {
  std::filesystem::create_directory(maps_);  // whoever runs as root may write into any folder
  EXPECT_EQ(find().keys, test::some_kv_maps(learning_.sizes, 1).keys);
  EXPECT_THAT(told_, ElementsAre(HasSubstr("is no regular file"), HasSubstr("finding"),
                                 testing::AllOf(HasSubstr("warning: "), HasSubstr("each start will do it again"),
                                                HasSubstr("cannot write " + maps_))));
}

TEST_F(KvMapsFinder, KeepsNothingOfSmallModelsOrOfHeadsWithoutMaps) {
  find(1, kLeastBytesKept);
  EXPECT_THAT(told_, ElementsAre());
  EXPECT_FALSE(std::filesystem::exists(maps_));
  learning_.sizes = {1, 1, 2048};
  told_.clear();
  const auto file = GgufFile::open(model_).value();
  const LearntKvMaps maps = find_kv_maps(
      *file, learning_, [] { return LearntKvMaps{}; }, {}, 0);
  EXPECT_TRUE(maps.keys.empty());
  EXPECT_FALSE(std::filesystem::exists(maps_));
}

TEST_F(KvMapsFinder, PassesOnWhatLearningThrowsAndKeepsNothing) {
  const auto file = GgufFile::open(model_).value();
  EXPECT_THROW(find_kv_maps(
                   *file, learning_, []() -> LearntKvMaps { throw std::bad_alloc(); }, {}, 0),
               std::bad_alloc);
  EXPECT_FALSE(std::filesystem::exists(maps_));
}

TEST_F(KvMapsFinder, OfAModelThatCannotBeReadAnyMoreIsSilent) {
  const auto file = GgufFile::open(model_).value();
  std::filesystem::resize_file(model_, 0);
  const LearntKvMaps maps = find_kv_maps(
      *file, learning_, [&] { return test::some_kv_maps(learning_.sizes); },
      [&](bool warning, const std::string&) { EXPECT_FALSE(warning); }, 0);
  EXPECT_EQ(maps.keys, test::some_kv_maps(learning_.sizes).keys);
  EXPECT_FALSE(std::filesystem::exists(maps_));
}

}  // namespace
}  // namespace headwater::model
