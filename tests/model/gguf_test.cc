#include "model/gguf.h"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/support/model_file.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

using test::GgufWriter;
using test::TemporaryFile;

Result<std::shared_ptr<const GgufFile>> open_bytes(std::string_view bytes) {
  const TemporaryFile file(bytes);
  return GgufFile::open(file.path());
}

void expect_refused(std::string_view bytes, std::string_view because) {
  const auto opened = open_bytes(bytes);
  ASSERT_FALSE(opened.ok()) << "expected an error about " << because;
  EXPECT_NE(opened.error().message.find(because), std::string::npos) << opened.error().message;
  EXPECT_NE(opened.error().message.find("offset "), std::string::npos) << opened.error().message;
}

template <class T>
void append(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string header(std::uint64_t tensors, std::uint64_t metadata, std::uint32_t version = 3) {
  std::string bytes = "GGUF";
  append(bytes, version);
  append(bytes, tensors);
  append(bytes, metadata);
  return bytes;
}

std::string tensor_header(std::vector<std::uint64_t> dims, std::uint32_t type, std::uint64_t offset) {
  std::string bytes = header(1, 0);
  append<std::uint64_t>(bytes, 1);
  bytes += "t";
  append(bytes, static_cast<std::uint32_t>(dims.size()));
  for (auto dim : dims) append(bytes, dim);
  append(bytes, type);
  append(bytes, offset);
  return bytes + std::string(4096, '\0');
}

TEST(Gguf, ReadsMetadataAndTensorsOfBothVersions) {
  for (std::uint32_t version : {2U, 3U}) {
    GgufWriter writer(version);
    writer.add_u32("a.number", 7).add_f32("a.float", 0.5F).add_bool("a.flag", true).add_string("a.text", "hé");
    writer.add_strings("a.list", {"x", "", "yz"}).add_i32s("a.ids", {-1, 2});
    const std::vector<float> values = {1, 2, 3, 4, 5, 6};
    writer.add_tensor("m", {3, 2}, kernels::DType::f32, values);
    const auto file = open_bytes(writer.bytes());
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_EQ((*file)->version(), version);
    EXPECT_EQ(*(*file)->get_uint("a.number"), 7U);
    EXPECT_EQ(*(*file)->get_float_or("a.float", 0), 0.5);
    EXPECT_TRUE(*(*file)->get_bool_or("a.flag", false));
    EXPECT_EQ(*(*file)->get_string("a.text"), "hé");
    EXPECT_EQ(*(*file)->find_strings("a.list"), (std::vector<std::string>{"x", "", "yz"}));
    EXPECT_EQ(std::get<std::vector<std::int64_t>>(*(*file)->find("a.ids")), (std::vector<std::int64_t>{-1, 2}));
    const std::uint64_t dims[] = {3, 2};
    TensorRoom room;
    const auto tensor = (*file)->tensor("m", dims, room);
    ASSERT_TRUE(tensor.ok());
    EXPECT_EQ(tensor->rows, 2U);
    std::vector<float> row(3);
    kernels::dequantize_row(*tensor, 1, row);
    EXPECT_EQ(row, (std::vector<float>{4, 5, 6}));
  }
}

TEST(Gguf, SaysWhichKeyIsMissingOrHasAnotherType) {
  const auto file = open_bytes(GgufWriter().add_string("text", "x").bytes());
  ASSERT_TRUE(file.ok());
  EXPECT_NE((*file)->get_uint("none").error().message.find("\"none\" is missing"), std::string::npos);
  EXPECT_NE((*file)->get_uint("text").error().message.find("\"text\" is \""), std::string::npos);
  EXPECT_EQ(*(*file)->get_uint_or("none", 3), 3U);
  EXPECT_FALSE((*file)->get_uint_or("text", 3).ok());
}

TEST(Gguf, SaysBothShapesWhereATensorHasAnother) {
  const std::vector<float> values(6);
  const auto file = open_bytes(GgufWriter().add_tensor("m", {3, 2}, kernels::DType::f32, values).bytes());
  ASSERT_TRUE(file.ok());
  const std::uint64_t dims[] = {2, 3};
  TensorRoom room;
  const auto message = (*file)->tensor("m", dims, room).error().message;
  EXPECT_NE(message.find("[3 x 2]"), std::string::npos);
  EXPECT_NE(message.find("[2 x 3]"), std::string::npos);
}

TEST(Gguf, RefusesWhatIsNoModelFile) {
  EXPECT_NE(GgufFile::open("/nonexistent/model.gguf").error().message.find("cannot be opened"), std::string::npos);
  EXPECT_NE(GgufFile::open("/tmp").error().message.find("is a folder"), std::string::npos);
  const std::string pipe = testing::TempDir() + "headwater_gguf_pipe_" + std::to_string(getpid());
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_NE(GgufFile::open(pipe).error().message.find("regular file"), std::string::npos);
  std::filesystem::remove(pipe);
  expect_refused("", "empty");
  expect_refused("GG", "left of the file");
  expect_refused(std::string(100, 'x'), "offset 0: it begins with \"xxxx\", expected a GGUF file, with \"GGUF\"");
  expect_refused("version https://git-lfs.github.com/spec/v1\noid", "\"GGUF\": a pointer of Git LFS");
  expect_refused("<!DOCTYPE html>", "a web page");
  expect_refused("PK\x03\x04", "a ZIP archive");
  expect_refused("tjgg\x01\x02\x03\x04", "before GGUF");
  expect_refused(std::string("\x10\0\0\0\0\0\0\0{\"x\":1}", 15), "safetensors");
  expect_refused(header(0, 0, 1), "version 1, expected 2 or 3");
  expect_refused(header(0, 0, 0x03000000), "big-endian");
}

TEST(Gguf, HoldsCountsAndLengthsAgainstTheFileBeforeAllocating) {
  const std::uint64_t huge = ~std::uint64_t{0};
  expect_refused(header(huge, 0), "tensors");
  expect_refused(header(0, huge), "metadata entries");
  expect_refused(header(0, std::uint64_t{1} << 63U), "metadata entries");
  std::string bytes = header(0, 1);
  append(bytes, huge);
  expect_refused(bytes + std::string(64, 'k'), "a metadata key");
  for (std::uint32_t element : {0U, 8U, 11U}) {
    std::string array = header(0, 1);
    append<std::uint64_t>(array, 1);
    array += "k";
    append<std::uint32_t>(array, 9);
    append(array, element);
    append(array, std::uint64_t{1} << 62U);
    expect_refused(array + std::string(64, '\0'), "elements");
  }
  std::string nested = header(0, 1);
  append<std::uint64_t>(nested, 1);
  nested += "k";
  append<std::uint32_t>(nested, 9);
  append<std::uint32_t>(nested, 9);
  append<std::uint64_t>(nested, 1);
  expect_refused(nested + std::string(64, '\0'), "scalar or string");
}

std::string byte_array(std::uint64_t count) {
  std::string bytes = header(0, 1);
  append<std::uint64_t>(bytes, 1);
  bytes += "k";
  append<std::uint32_t>(bytes, 9);
  append<std::uint32_t>(bytes, 0);
  append(bytes, count);
  return bytes;
}

TEST(Gguf, LimitsHowMuchMemoryTheHeaderMayTake) {
  // Files with holes: the bytes are there, but nothing has to be written.
  const TemporaryFile array(byte_array((1U << 24U) + 1));
  std::filesystem::resize_file(array.path(), 1U << 28U);
  EXPECT_NE(GgufFile::open(array.path()).error().message.find("at most 16777216 in all arrays"), std::string::npos);

  const TemporaryFile entries(header(0, (1U << 16U) + 1));
  std::filesystem::resize_file(entries.path(), 1U << 28U);
  EXPECT_NE(GgufFile::open(entries.path()).error().message.find("at most 65536"), std::string::npos);
}

TEST(Gguf, KeepsControlCharactersOutOfItsMessages) {
  const std::string key = "bad\x1b[2J\xff" + std::string(1000, 'k');
  const auto message = open_bytes(GgufWriter().add_u32(key, 1).add_u32(key, 2).bytes()).error().message;
  EXPECT_NE(message.find("\"bad?[2J?kkk"), std::string::npos) << message;
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_LT(message.size(), 300U);
}

TEST(Gguf, ReadsEveryTensorTypeToWithinItsPrecision) {
  const std::pair<kernels::DType, float> types[] = {{kernels::DType::f32, 0},      {kernels::DType::f16, 1e-3F},
                                                    {kernels::DType::bf16, 1e-2F}, {kernels::DType::q8_0, 1e-2F},
                                                    {kernels::DType::q4_0, 0.12F}, {kernels::DType::q4_1, 0.08F}};
  std::vector<float> values(2 * 64);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
  for (const auto& [type, most] : types) {
    SCOPED_TRACE(kernels::name(type));
    const auto file = open_bytes(GgufWriter().add_tensor("m", {64, 2}, type, values).bytes());
    ASSERT_TRUE(file.ok()) << file.error().message;
    const std::uint64_t dims[] = {64, 2};
    TensorRoom room;
    const auto tensor = (*file)->tensor("m", dims, room);
    ASSERT_TRUE(tensor.ok());
    EXPECT_EQ(tensor->type, type);
    std::vector<float> row(64);
    for (std::size_t r = 0; r < 2; ++r) {
      kernels::dequantize_row(*tensor, r, row);
      for (std::size_t c = 0; c < 64; ++c) ASSERT_NEAR(row[c], values[64 * r + c], most) << r << ", " << c;
    }
  }
}

TEST(Gguf, TakesAFileThatIsCutOffOrWrittenWhileItIsReadForAnError) {
  const std::vector<float> values(1 << 16, 1.5F);
  const TemporaryFile path(GgufWriter().add_tensor("m", {1 << 16}, kernels::DType::f32, values).bytes());
  const auto file = GgufFile::open(path.path());
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE((*file)->unchanged().ok());
  std::filesystem::resize_file(path.path(), (*file)->file_bytes() - 4096);
  const std::uint64_t dims[] = {1 << 16};
  TensorRoom room;
  EXPECT_NE((*file)->tensor("m", dims, room).error().message.find("ends at byte"), std::string::npos);
  EXPECT_NE((*file)->digest().error().message.find("ends at byte"), std::string::npos);
  EXPECT_NE((*file)->unchanged().error().message.find("was written to"), std::string::npos);
  std::filesystem::resize_file(path.path(), (*file)->file_bytes());
  std::filesystem::last_write_time(path.path(), std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  EXPECT_FALSE((*file)->unchanged().ok());
}

TEST(Gguf, ReadsAHeaderThatIsLongerThanItsFirstRead) {
  std::vector<std::string> words(300'000, "a word of some length");
  words.back() = "the last one";
  const auto file = open_bytes(GgufWriter().add_strings("words", words).add_u32("after", 7).bytes());
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ((*file)->find_strings("words")->back(), "the last one");
  EXPECT_EQ(*(*file)->get_uint("after"), 7U);
}

TEST(Gguf, RefusesTensorsThatDoNotFit) {
  const std::uint64_t big = std::uint64_t{1} << 40U;
  expect_refused(tensor_header({big, big}, 0, 0), "64 bits");
  expect_refused(tensor_header({big}, 0, 0), "end within the file");
  expect_refused(tensor_header({4}, 0, ~std::uint64_t{0} - 31), "end within the file");
  expect_refused(tensor_header({4}, 0, 1), "multiple of 32");
  expect_refused(tensor_header({0}, 0, 0), "dimension of 0");
  expect_refused(tensor_header({}, 0, 0), "0 dimensions");
  expect_refused(tensor_header({1, 1, 1, 1, 1}, 0, 0), "5 dimensions");
  expect_refused(tensor_header({33}, 8, 0), "multiple of 32");
  expect_refused(tensor_header({32}, 12, 0), "multiple of 256 for Q4_K");
  expect_refused(tensor_header({32}, 200, 0), "type 200, which is unknown, expected one of F32, ");
  expect_refused(tensor_header({256}, 16, 0), "\"t\" is IQ2_XXS, which is not supported, expected one of F32, ");
}

TEST(Gguf, RefusesDuplicatesAndOverlaps) {
  expect_refused(GgufWriter().add_u32("k", 1).add_u32("k", 2).bytes(), "twice");
  const std::vector<float> values(8);
  expect_refused(GgufWriter()
                     .add_tensor("t", {8}, kernels::DType::f32, values)
                     .add_tensor("t", {8}, kernels::DType::f32, values)
                     .bytes(),
                 "twice");
  std::string bytes = GgufWriter()
                          .add_tensor("a", {8}, kernels::DType::f32, values)
                          .add_tensor("b", {8}, kernels::DType::f32, values)
                          .bytes();
  const std::size_t offset_of_b = 24 + 2 * (8 + 1 + 4 + 8 + 4 + 8) - 8;
  std::memset(bytes.data() + offset_of_b, 0, 8);
  expect_refused(bytes, "overlaps");
}

TEST(Gguf, RefusesAnAlignmentThatIsNoPowerOfTwo) {
  for (std::uint32_t alignment : {0U, 3U, 1U << 30U}) {
    expect_refused(GgufWriter().add_u32("general.alignment", alignment).bytes(),
                   "general.alignment is " + std::to_string(alignment));
  }
}

TEST(Gguf, RefusesAFileThatIsCutOffAnywhere) {
  const std::string bytes = test::tiny_llama({.layers = 1}).bytes();
  for (std::size_t size = 0; size < bytes.size(); size += 211) {
    const auto opened = open_bytes(std::string_view(bytes).substr(0, size));
    ASSERT_FALSE(opened.ok()) << "cut off at " << size;
  }
}

/// Whatever opens must be consistent: every tensor lies within the file.
void expect_consistent(const GgufFile& file) {
  for (const auto& tensor : file.tensors()) {
    ASSERT_LE(tensor.offset, file.file_bytes());
    ASSERT_LE(tensor.bytes, file.file_bytes() - tensor.offset);
  }
}

TEST(Gguf, SurvivesFlippedBits) {
  const std::string bytes = test::tiny_llama({.layers = 1}).bytes();
  const std::size_t head = bytes.find("blk.0.ffn_down.weight") + 200;
  std::mt19937 random(7);
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = bytes.substr(0, head + 4096);
    for (unsigned flips = 1 + random() % 3; flips > 0; --flips) {
      damaged[random() % head] ^= static_cast<char>(1U << random() % 8);
    }
    if (const auto opened = open_bytes(damaged); opened.ok()) expect_consistent(**opened);
  }
}

TEST(Gguf, ReadsTheRealModelAndRefusesItCutOffAtEveryKibibyteOfItsHeader) {
  if (test::real_model().empty()) GTEST_SKIP() << "the real model is not in models/";
  const auto file = GgufFile::open(test::real_model());
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(*(*file)->get_string("general.architecture"), "llama");
  EXPECT_EQ((*file)->find_strings("tokenizer.ggml.tokens")->size(), 49152U);
  EXPECT_EQ((*file)->tensors().size(), 272U);
  expect_consistent(**file);

  std::uint64_t data_start = (*file)->file_bytes();
  for (const auto& tensor : (*file)->tensors()) data_start = std::min(data_start, tensor.offset);
  std::string head(data_start, '\0');
  std::ifstream(test::real_model(), std::ios::binary).read(head.data(), static_cast<std::streamsize>(head.size()));
  const TemporaryFile cut(head);
  for (std::uint64_t size = data_start / 1024 * 1024; size > 0; size -= 1024) {
    std::filesystem::resize_file(cut.path(), size);
    ASSERT_FALSE(GgufFile::open(cut.path()).ok()) << "cut off at " << size;
  }
}

}  // namespace
}  // namespace headwater::model
