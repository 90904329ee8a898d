// Files of maps of keys: whatever they hold is read or refused, and what is read is finite.

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "model/kv_maps_file.h"

namespace {

using headwater::model::KvMapsIdentity;
using headwater::model::Sha256;
using headwater::model::Sha256Digest;

/// A file in memory, by its path.
struct MemoryFile {
  int descriptor = memfd_create("maps", MFD_CLOEXEC);
  std::string path = "/proc/self/fd/" + std::to_string(descriptor);

  void set(std::span<const std::uint8_t> bytes) const {
    if (ftruncate(descriptor, 0) != 0) std::abort();
    if (pwrite(descriptor, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) std::abort();
  }
};

void read(const MemoryFile& file) {
  KvMapsIdentity identity;
  identity.sizes = {1, 1, 4};
  const auto maps = headwater::model::read_kv_maps(file.path, identity);
  if (!maps || !maps->has_value()) return;
  const auto& found = **maps;
  for (const auto* part : {&found.centres, &found.keys, &found.queries, &found.scales, &found.value_scales}) {
    if (!std::ranges::all_of(*part, [](float x) { return std::isfinite(x); })) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile file;
  std::vector<std::uint8_t> bytes(data, data + size);
  file.set(bytes);
  read(file);
  // The same with the digest that it must have, which nobody guesses.
  if (size < sizeof(Sha256Digest)) return 0;
  const auto digested = std::span(bytes).first(size - sizeof(Sha256Digest));
  const Sha256Digest digest = Sha256().add(std::as_bytes(digested)).finish();
  std::ranges::copy(digest, bytes.end() - sizeof digest);
  file.set(bytes);
  read(file);
  return 0;
}
