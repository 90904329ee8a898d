#include "model/file_digest.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <vector>

#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

using test::GgufWriter;
using test::TemporaryFile;

GgufWriter small_model() {
  const std::vector<float> values(1 << 16, 1.5F);
  return GgufWriter().add_tensor("m", {1 << 16}, kernels::DType::f32, values);
}

TEST(FileDigest, IsThatOfTheFile) {
  const TemporaryFile path(small_model().bytes());
  const auto file = GgufFile::open(path.path());
  ASSERT_TRUE(file.ok());
  FileDigest digest(*file);
  EXPECT_EQ(*digest.get(), *(*file)->digest());
}

TEST(FileDigest, TellsWhyTheFileCannotBeRead) {
  const TemporaryFile path(small_model().bytes());
  const auto file = GgufFile::open(path.path());
  ASSERT_TRUE(file.ok());
  std::filesystem::resize_file(path.path(), (*file)->file_bytes() - 4096);
  FileDigest digest(*file);
  EXPECT_NE(digest.get().error().message.find("ends at byte"), std::string::npos);
}

TEST(FileDigest, IsGivenUpWhereNobodyWantsIt) {
  const TemporaryFile path(small_model().bytes());
  std::filesystem::resize_file(path.path(),
                               std::uintmax_t{1} << 42U);  // hours of reading; it takes no room on the disk
  const auto file = GgufFile::open(path.path());
  ASSERT_TRUE(file.ok());
  { const FileDigest digest(*file); }
  const std::atomic<bool> stopped{true};
  EXPECT_NE((*file)->digest(&stopped).error().message.find("no longer wanted"), std::string::npos);
}

}  // namespace
}  // namespace headwater::model
