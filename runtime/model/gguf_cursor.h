#pragma once
// Reads a GGUF file from its beginning on.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "model/gguf_parse.h"

namespace headwater::model {

/// Reads forward through the file; every read is held against its end.
class GgufCursor {
 public:
  static constexpr std::uint64_t kMaxElements = 1U << 24U;  ///< of all arrays together
  static constexpr std::uint64_t kMaxStringBytes = 1U << 26U;

  GgufCursor(std::span<const std::byte> beginning, std::uint64_t size)
      : data_(beginning.data()), there_(beginning.size()), size_(size) {}

  std::uint64_t offset() const { return offset_; }
  std::uint64_t left() const { return size_ - offset_; }

  [[noreturn]] void fail(const std::string& message) const { throw MalformedGguf{offset_, message}; }

  void need(std::uint64_t bytes, const std::string& what) const {
    if (bytes > left()) {
      fail(what + " takes " + std::to_string(bytes) + " bytes, expected at most the " + std::to_string(left()) +
           " that are left of the file");
    }
    if (offset_ + bytes > there_) throw MoreOfGguf{offset_ + bytes};
  }

  template <class T>
  T read(const std::string& what) {
    need(sizeof(T), what);
    T value;
    std::memcpy(&value, data_ + offset_, sizeof(T));
    offset_ += sizeof(T);
    return value;
  }

  std::string read_string(const std::string& what, std::uint64_t most = kMaxStringBytes) {
    const auto length = read<std::uint64_t>(what + "'s length");
    if (length > most) {
      fail(what + " has " + std::to_string(length) + " bytes, expected at most " + std::to_string(most));
    }
    need(length, what);
    std::string text(reinterpret_cast<const char*>(data_ + offset_), length);
    offset_ += length;
    return text;
  }

  /// Elements take up to 32 bytes in memory for one in the file, so their number has a limit of its own.
  void take_elements(std::uint64_t count, const std::string& what) {
    if (count > elements_left_) {
      fail(what + " has " + std::to_string(count) + " elements, expected at most " + std::to_string(kMaxElements) +
           " in all arrays of a file");
    }
    elements_left_ -= count;
  }

  bool read_bool(const std::string& what) {
    const auto value = read<std::uint8_t>(what);
    if (value > 1) fail(what + " is " + std::to_string(value) + ", expected a boolean, 0 or 1");
    return value == 1;
  }

 private:
  const std::byte* data_;
  std::uint64_t there_;  ///< bytes at data_
  std::uint64_t size_;   ///< of the file
  std::uint64_t offset_ = 0;
  std::uint64_t elements_left_ = kMaxElements;
};

}  // namespace headwater::model
