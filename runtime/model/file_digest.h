#pragma once
// The digest of a model's file, made beside what else is done with the file.
//
// It reads from the first byte to the last, as loading does, so that whichever of the two is behind finds the file in
// memory.

#include <array>
#include <atomic>
#include <cstdint>
#include <future>
#include <memory>

#include "headwater/result.h"
#include "model/gguf.h"

namespace headwater::model {

class FileDigest {
 public:
  /// Begins, on a thread of its own. Where the system starts no more of them, get() does the work.
  explicit FileDigest(std::shared_ptr<const GgufFile> file);
  /// Waits for a piece of the file at most.
  ~FileDigest();
  FileDigest(const FileDigest&) = delete;
  FileDigest& operator=(const FileDigest&) = delete;

  /// GgufFile::digest(), when it is there. REQUIRES: called once.
  Result<std::array<std::uint8_t, 32>> get() { return digest_.get(); }

 private:
  std::atomic<bool> stopped_{false};
  std::future<Result<std::array<std::uint8_t, 32>>> digest_;
};

}  // namespace headwater::model
