#pragma once
// The header of a GGUF file: metadata and the list of tensors. Private to GgufFile.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "model/gguf.h"

namespace headwater::model {

/// Why a file cannot be read. Thrown within the parser, a value for everybody else.
struct MalformedGguf {
  std::uint64_t offset;  ///< bytes from the start of the file
  std::string message;   ///< what is there, expected what
};

/// The header goes on beyond what was read of the file. Thrown within the parser.
struct MoreOfGguf {
  std::uint64_t bytes;  ///< from the start of the file: as many are needed at least
};

struct GgufHeader {
  std::uint32_t version = 0;
  std::vector<std::pair<std::string, GgufValue>> metadata;
  std::vector<GgufTensor> tensors;
};

/// Reads the header from the beginning of a file of `size` bytes and holds every tensor's place against that.
/// Throws MalformedGguf; MoreOfGguf where the header does not end within `beginning`.
/// Memory: at most the bytes of the header and 512 MiB for the elements of its arrays.
GgufHeader parse_gguf(std::span<const std::byte> beginning, std::uint64_t size);

}  // namespace headwater::model
