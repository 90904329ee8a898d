// Bytes through a real session of the server: each connection is answered with HTTP or closed, and the next one is
// served.

#include <cstdlib>
#include <string_view>

#include "tests/fuzz/live.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string answer = headwater::fuzz::live().talk({reinterpret_cast<const char*>(data), size});
  if (!answer.empty() && !answer.starts_with("HTTP/1.")) std::abort();
  return 0;
}
