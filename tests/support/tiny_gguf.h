#pragma once
// Writes GGUF files for tests: any file piece by piece, and a complete tiny model.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/tensor.h"

namespace headwater::test {

/// Builds a GGUF file in memory. Metadata first, then tensors, then bytes().
class GgufWriter {
 public:
  explicit GgufWriter(std::uint32_t version = 3) : version_(version) {}

  GgufWriter& add_u32(std::string_view key, std::uint32_t value);
  GgufWriter& add_i32(std::string_view key, std::int32_t value);
  GgufWriter& add_f32(std::string_view key, float value);
  GgufWriter& add_bool(std::string_view key, bool value);
  GgufWriter& add_string(std::string_view key, std::string_view value);
  GgufWriter& add_strings(std::string_view key, const std::vector<std::string>& values);
  GgufWriter& add_i32s(std::string_view key, const std::vector<std::int32_t>& values);
  GgufWriter& add_f32s(std::string_view key, const std::vector<float>& values);
  /// Values of a tensor [dims, innermost first], stored as `type`.
  GgufWriter& add_tensor(std::string_view name, std::vector<std::uint64_t> dims, kernels::DType type,
                         std::span<const float> values);

  /// A last tensor whose data are for the test to append, or to leave as a hole in the file.
  GgufWriter& add_hole(std::string_view name, std::vector<std::uint64_t> dims, kernels::DType type) {
    return add_tensor(name, std::move(dims), type, {});
  }
  /// A tensor of these very bytes. type: ggml's number.
  GgufWriter& add_raw(std::string_view name, std::vector<std::uint64_t> dims, std::uint32_t type,
                      std::string_view bytes);

  std::string bytes() const;
  void write(const std::string& path) const;

 private:
  void key(std::string_view key, std::uint32_t type);

  std::uint32_t version_;
  std::uint64_t n_metadata_ = 0;
  std::uint64_t n_tensors_ = 0;
  std::string metadata_, tensor_infos_, data_;
};

struct TinyOptions {
  std::uint32_t layers = 2;
  std::uint32_t heads = 4;
  std::uint32_t kv_heads = 2;
  std::uint32_t head_dim = 16;
  std::uint32_t ffn = 128;
  std::uint32_t context = 512;
  bool tied = true;  ///< no output.weight
  kernels::DType type = kernels::DType::f32;
  std::uint32_t seed = 1;
  std::string chat_template = {};  ///< empty: ChatML
  /// One that decoder_spec.h knows, with all that it has of its own.
  std::string architecture = "llama";
  std::uint32_t window = 24;  ///< tokens, where it has windows
};

/// A byte-level vocabulary: the 256 bytes in GPT-2's order, a few merges, three control tokens.
std::vector<std::string> tiny_tokens();
/// Adds tokenizer metadata and a chat template, by default ChatML's.
void add_tiny_tokenizer(GgufWriter& writer, const std::string& chat_template = "");
/// A complete model with random weights.
GgufWriter tiny_llama(const TinyOptions& options);
void write_tiny_llama(const std::string& path, const TinyOptions& options);
/// The same model in `n` parts: the tensors in turns, the metadata in the first, split.* in all.
std::vector<GgufWriter> tiny_llama_parts(const TinyOptions& options, std::uint32_t n);
/// FOLDER/STEM-00001-of-0000N.gguf and so on. The first one's path.
std::string write_parts(const std::string& folder, const std::string& stem, const std::vector<GgufWriter>& parts);

/// A file that goes with the object.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view bytes);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace headwater::test
