#include "model/kv_maps_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include "tests/model/some_kv_maps.h"

namespace headwater::model {
namespace {

constexpr KvSizes kSizes{2, 3, 8};

class KvMapsFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "headwater_maps_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = (folder_ / "model.gguf.kvmaps").string();
    identity_.model.fill(7);
    identity_.learning.fill(9);
    identity_.sizes = kSizes;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string bytes() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void set_bytes(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc).write(bytes.data(), std::streamsize(bytes.size()));
  }
  /// What the file is refused for; empty: it is not.
  std::string refusal() const {
    const auto read = read_kv_maps(path_, identity_);
    return read ? "" : read.error().message;
  }
  /// What the file holds, or nothing.
  LearntKvMaps kept() const {
    const auto read = read_kv_maps(path_, identity_);
    return read ? read->value_or(LearntKvMaps{}) : LearntKvMaps{};
  }
  std::size_t files() const { return std::size_t(std::distance(std::filesystem::directory_iterator(folder_), {})); }

  std::filesystem::path folder_;
  std::string path_;
  KvMapsIdentity identity_;
  const LearntKvMaps maps_ = test::some_kv_maps(kSizes);
};

TEST_F(KvMapsFile, GivesBackWhatWasWritten) {
  ASSERT_TRUE(write_kv_maps(path_, identity_, maps_).ok());
  const LearntKvMaps read = kept();
  EXPECT_EQ(read.sizes, kSizes);
  EXPECT_EQ(read.centres, maps_.centres);
  EXPECT_EQ(read.keys, maps_.keys);
  EXPECT_EQ(read.queries, maps_.queries);
  EXPECT_EQ(read.scales, maps_.scales);
  EXPECT_EQ(read.value_scales, maps_.value_scales);
  EXPECT_EQ(files(), 1U);
}

TEST_F(KvMapsFile, IsNothingWhereThereIsNone) {
  const auto read = read_kv_maps(path_, identity_);
  ASSERT_TRUE(read.ok());
  EXPECT_FALSE(read->has_value());
}

TEST_F(KvMapsFile, IsReplacedAsAWhole) {
  ASSERT_TRUE(write_kv_maps(path_, identity_, test::some_kv_maps(kSizes, 2)).ok());
  ASSERT_TRUE(write_kv_maps(path_, identity_, maps_).ok());
  EXPECT_EQ(kept().keys, maps_.keys);
  EXPECT_EQ(files(), 1U);
}

TEST_F(KvMapsFile, IsRefusedWithAnyByteChangedOrMissingOrTooMuch) {
  ASSERT_TRUE(write_kv_maps(path_, identity_, maps_).ok());
  const std::string whole = bytes();
  for (std::size_t i = 0; i < whole.size(); i += i < 100 ? 1 : 41) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    set_bytes(damaged);
    EXPECT_NE(refusal(), "") << "byte " << i;
    set_bytes(whole.substr(0, i));
    EXPECT_NE(refusal(), "") << "cut off at " << i;
  }
  set_bytes(whole + "x");
  EXPECT_NE(refusal().find("bytes, expected " + std::to_string(whole.size())), std::string::npos) << refusal();
  set_bytes(whole);
  EXPECT_EQ(refusal(), "");
}

TEST_F(KvMapsFile, OfAnotherModelVersionOrShapeSaysSo) {
  ASSERT_TRUE(write_kv_maps(path_, identity_, maps_).ok());
  const KvMapsIdentity own = identity_;
  identity_.model[31] ^= 1;
  EXPECT_EQ(refusal(), "belongs to another model file");
  identity_ = own;
  identity_.learning[0] ^= 1;
  EXPECT_EQ(refusal(), "was made for other positions");
  identity_ = own;
  identity_.sizes = {2, 3, 16};
  EXPECT_EQ(refusal(), "belongs to a model of another shape");
  identity_ = own;
  std::string other = bytes();
  other[8] = static_cast<char>(other[8] + 1);
  set_bytes(other);
  EXPECT_EQ(refusal(), "is of another version");
  set_bytes("GGUF" + other);
  EXPECT_EQ(refusal(), "holds something else");
}

TEST_F(KvMapsFile, WithNumbersThatNoLearningFindsIsRefusedThoughItsDigestIsRight) {
  const float bad[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()};
  for (const float number : bad) {
    for (std::vector<float> LearntKvMaps::*part : {&LearntKvMaps::centres, &LearntKvMaps::keys, &LearntKvMaps::queries,
                                                   &LearntKvMaps::scales, &LearntKvMaps::value_scales}) {
      LearntKvMaps maps = maps_;
      (maps.*part).back() = number;
      ASSERT_TRUE(write_kv_maps(path_, identity_, maps).ok());
      EXPECT_EQ(refusal(), "is damaged");
    }
  }
  for (const float scale : {0.0F, -2.0F, 3.0F}) {
    LearntKvMaps maps = maps_;
    maps.value_scales[1] = scale;
    ASSERT_TRUE(write_kv_maps(path_, identity_, maps).ok());
    EXPECT_EQ(refusal(), "is damaged") << scale;
  }
}

TEST_F(KvMapsFile, ThatIsNoFileIsRefused) {
  std::filesystem::create_directory(path_);
  EXPECT_EQ(refusal(), "is no regular file");
  EXPECT_NE(write_kv_maps(path_, identity_, maps_).error().message.find(path_), std::string::npos);
  EXPECT_EQ(files(), 1U);
  std::filesystem::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(refusal(), "is no regular file");
}

TEST_F(KvMapsFile, ThatCannotBeWrittenIsAnErrorAndLeavesNothing) {
  const std::string nowhere = (folder_ / "none" / "model.kvmaps").string();
  const auto written = write_kv_maps(nowhere, identity_, maps_);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().message, "cannot write " + nowhere + ": No such file or directory");
  EXPECT_EQ(files(), 0U);
}

TEST_F(KvMapsFile, ThatThereIsNoRoomForIsAnErrorAndLeavesTheOldOne) {
  ASSERT_TRUE(write_kv_maps(path_, identity_, maps_).ok());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  for (const rlim_t most : {rlim_t{0}, rlim_t{50}, rlim_t{1000}}) {
    rlimit limit = before;
    limit.rlim_cur = most;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    const auto written = write_kv_maps(path_, identity_, test::some_kv_maps(kSizes, 2));
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    ASSERT_FALSE(written.ok()) << most;
    EXPECT_EQ(written.error().message, "cannot write " + path_ + ": File too large");
    EXPECT_EQ(files(), 1U);
  }
  EXPECT_EQ(kept().keys, maps_.keys);
}

}  // namespace
}  // namespace headwater::model
