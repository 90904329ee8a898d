#include "cache/tier/checksum.h"

#include <bit>
#include <cstring>

namespace headwater::cache {
namespace {

constexpr std::uint64_t kPrimes[] = {0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
                                     0x27D4EB2F165667C5};

template <class Word>
Word read(const std::byte*& at) {
  Word word{};
  std::memcpy(&word, at, sizeof word);
  at += sizeof word;
  return word;
}

std::uint64_t round(std::uint64_t lane, std::uint64_t word) {
  return std::rotl(lane + word * kPrimes[1], 31) * kPrimes[0];
}

std::uint64_t merge(std::uint64_t hash, std::uint64_t lane) {
  return (hash ^ round(0, lane)) * kPrimes[0] + kPrimes[3];
}

}  // namespace

std::uint64_t xxh64(std::span<const std::byte> data, std::uint64_t seed) {
  const std::byte* at = data.data();
  const std::byte* const end = at + data.size();
  std::uint64_t hash = seed + kPrimes[4];
  if (data.size() >= 32) {
    std::uint64_t lanes[] = {seed + kPrimes[0] + kPrimes[1], seed + kPrimes[1], seed, seed - kPrimes[0]};
    while (end - at >= 32) {
      for (std::uint64_t& lane : lanes) lane = round(lane, read<std::uint64_t>(at));
    }
    hash = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
    for (const std::uint64_t lane : lanes) hash = merge(hash, lane);
  }
  hash += data.size();
  while (end - at >= 8) hash = std::rotl(hash ^ round(0, read<std::uint64_t>(at)), 27) * kPrimes[0] + kPrimes[3];
  if (end - at >= 4) hash = std::rotl(hash ^ read<std::uint32_t>(at) * kPrimes[0], 23) * kPrimes[1] + kPrimes[2];
  while (at < end) hash = std::rotl(hash ^ read<std::uint8_t>(at) * kPrimes[4], 11) * kPrimes[0];
  hash = (hash ^ hash >> 33) * kPrimes[1];
  hash = (hash ^ hash >> 29) * kPrimes[2];
  return hash ^ hash >> 32;
}

}  // namespace headwater::cache
