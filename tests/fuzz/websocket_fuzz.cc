// Frames of a WebSocket through a real session. The input is a list of frames: a byte for opcode and FIN, one for the
// kind of length, two for the length, the payload; where its first byte is 0xFF the rest is sent as it stands.

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/fuzz/live.h"

namespace {

constexpr std::string_view kUpgrade =
    "GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A frame with a mask of zeros.
void add_frame(std::string& bytes, std::uint8_t first, std::string_view payload, bool long_form) {
  bytes += static_cast<char>(first);
  if (payload.size() < 126 && !long_form) {
    bytes += static_cast<char>(0x80U | payload.size());
  } else {
    bytes += static_cast<char>(0x80U | 126U);
    bytes += static_cast<char>(payload.size() >> 8U);
    bytes += static_cast<char>(payload.size() & 0xFFU);
  }
  bytes += std::string(4, '\0');
  bytes += payload;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  if (!rest.empty() && data[0] == 0xFF) {
    bytes += rest.substr(1);
  } else {
    while (rest.size() >= 4) {
      const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(rest[i]); };
      const std::size_t length = std::min<std::size_t>(at(2) | at(3) << 8U, rest.size() - 4);
      add_frame(bytes, at(0), rest.substr(4, length), at(1) % 2 == 1);
      rest.remove_prefix(4 + length);
    }
  }
  const std::string answer = headwater::fuzz::live().talk(bytes, kUpgrade);
  if (!answer.starts_with("HTTP/1.1 101")) std::abort();
  return 0;
}
