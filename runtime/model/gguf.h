#pragma once
// Reads GGUF v2 and v3 files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), also models in several parts.
//
// Nothing points into the file: what is read is copied, so that a file that is cut off or written over later changes
// nothing and ends nobody. One that changes while it is read is an error (see unchanged()).
// Every count, length, offset and alignment in the file is hostile until held against the file's size;
// nothing is allocated before that. Errors read `file: offset N: what, expected what`.
// Threading: immutable after open(); any number of threads may read.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "headwater/result.h"
#include "kernels/tensor.h"

namespace headwater::model {

/// A metadata value. Integers of all widths are widened; arrays are homogeneous (arrays of arrays are refused).
using GgufValue =
    std::variant<std::uint64_t, std::int64_t, double, bool, std::string, std::vector<std::uint64_t>,
                 std::vector<std::int64_t>, std::vector<double>, std::vector<bool>, std::vector<std::string>>;

struct GgufTensor {
  std::string name;
  kernels::DType type = kernels::DType::f32;
  std::vector<std::uint64_t> dims;  ///< 1 to 4, innermost first as in the file
  std::uint32_t part = 0;           ///< which of the model's files it is in
  std::uint64_t offset = 0;         ///< bytes from the start of that
  std::uint64_t bytes = 0;
};

/// Room for the bytes of a tensor, to be used for one after the other. It grows to the largest.
class TensorRoom {
 public:
  /// At least `bytes`; what was in it is gone. Throws std::bad_alloc.
  std::span<std::byte> take(std::size_t bytes);

 private:
  std::unique_ptr<std::byte[]> memory_;
  std::size_t size_ = 0;
};

class GgufPart;
struct GgufHeader;
struct SplitName;

class GgufFile {
 public:
  /// `path`: the file; of a model in parts (NAME-00001-of-00003.gguf …) any of them, and the others stand beside it.
  static Result<std::shared_ptr<const GgufFile>> open(const std::string& path);
  ~GgufFile();
  GgufFile(const GgufFile&) = delete;
  GgufFile& operator=(const GgufFile&) = delete;

  const std::string& path() const { return path_; }  ///< of several parts, the first one's
  /// That the file, as a model's, is not what it should be: `message` behind its path.
  Error invalid(const std::string& message) const { return {ErrorCode::invalid_model, path_ + ": " + message, ""}; }
  std::uint32_t version() const { return version_; }
  std::uint64_t file_bytes() const;  ///< of all parts
  /// The files that the model is in, mostly one.
  std::vector<std::pair<std::string, std::uint64_t>> parts() const;  ///< path and bytes

  /// Metadata in file order.
  const std::vector<std::pair<std::string, GgufValue>>& metadata() const { return metadata_; }
  const GgufValue* find(std::string_view key) const;

  /// Typed reads. Error: missing key (names it) or another type. The `_or` forms give `fallback` where
  /// the key is missing, and still an error where the type is wrong.
  Result<std::uint64_t> get_uint(std::string_view key) const;
  Result<std::uint64_t> get_uint_or(std::string_view key, std::uint64_t fallback) const;
  Result<double> get_float_or(std::string_view key, double fallback) const;
  Result<bool> get_bool_or(std::string_view key, bool fallback) const;
  Result<std::string> get_string(std::string_view key) const;
  const std::vector<std::string>* find_strings(std::string_view key) const;  ///< nullptr: missing or another type

  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find_tensor(std::string_view name) const;

  /// Reads a tensor of exactly these dims (innermost first) into `room`, as a matrix [rows = dims[1] or 1,
  /// cols = dims[0]]. Error: missing, other dims, with both shapes, or the file cannot be read that far.
  Result<kernels::HostTensor> tensor(std::string_view name, std::span<const std::uint64_t> dims,
                                     TensorRoom& room) const;

  /// SHA-256 of the whole file, or of all parts with the size of each before it; reads all, once: who asks meanwhile
  /// waits. Error: it cannot be read, or `stopped` has become true (see FileDigest).
  Result<std::array<std::uint8_t, 32>> digest(const std::atomic<bool>* stopped = nullptr) const;

  /// Error: a file has another size or was written since open(), so what was read may be of two files.
  Result<void> unchanged() const;

 private:
  GgufFile();
  Result<void> open_any(const std::string& path);
  Result<void> open_split(const SplitName& name, const std::string& asked);
  void take(GgufHeader header);
  Result<std::array<std::uint8_t, 32>> compute_digest(const std::atomic<bool>* stopped) const;
  struct Index;

  std::string path_;
  std::uint32_t version_ = 0;
  std::vector<std::unique_ptr<const GgufPart>> parts_;
  std::vector<std::pair<std::string, GgufValue>> metadata_;
  std::vector<GgufTensor> tensors_;
  std::unique_ptr<Index> index_;
  mutable std::mutex digest_mutex_;
  mutable std::optional<std::array<std::uint8_t, 32>> digest_;  ///< once somebody has asked
};

}  // namespace headwater::model
