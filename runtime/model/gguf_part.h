#pragma once
// One of the files that hold a GGUF model: mostly the only one. Private to GgufFile.

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "headwater/result.h"
#include "model/gguf_parse.h"

namespace headwater::model {

/// That a model's file is not what it should be.
Error gguf_error(const std::string& path, const std::string& message);

/// Threading: any number of threads may read.
class GgufPart {
 public:
  /// Error: it cannot be opened, or is no regular file.
  static Result<std::unique_ptr<const GgufPart>> open(const std::string& path);
  ~GgufPart();
  GgufPart(const GgufPart&) = delete;
  GgufPart& operator=(const GgufPart&) = delete;

  const std::string& path() const { return path_; }
  std::uint64_t bytes() const { return size_; }

  /// Error: what is malformed, with its offset.
  Result<GgufHeader> header() const;
  /// Fills `out` with what begins at `offset`. Error: it cannot be read, or ends before.
  Result<void> read(std::uint64_t offset, std::span<std::byte> out) const;
  /// Error: the file has another size or was written since open().
  Result<void> unchanged() const;

 private:
  GgufPart() = default;

  std::string path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  std::chrono::nanoseconds written_{};  ///< when the file was written last, as open() found it
};

}  // namespace headwater::model
