#include "cache/tier/record.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "cache/tier/checksum.h"

namespace headwater::cache {
namespace {

static_assert(std::endian::native == std::endian::little, "records are little endian");

constexpr std::uint32_t kMagic = 0x564B5748;  // "HWKV"

struct Head {
  std::uint32_t magic = kMagic;
  std::uint32_t version = kRecordVersion;
  std::uint64_t checksum = 0;
  std::uint32_t tokens = 0;
  std::uint32_t zero = 0;
  std::uint64_t bytes = 0;
  Key key{};
  Key parent{};
};
static_assert(sizeof(Head) == 96);
constexpr std::size_t kSummedFrom = 16;

std::uint64_t checksum(std::span<const std::byte> head, std::span<const std::byte> bytes) {
  return xxh64(bytes, xxh64(head.subspan(kSummedFrom)));
}

Error mismatch(const char* what) {
  return {ErrorCode::record_mismatch, std::string("the record has another ") + what, ""};
}

}  // namespace

std::vector<std::byte> record_head(const BlockName& name, std::span<const std::byte> bytes) {
  Head head;
  head.tokens = static_cast<std::uint32_t>(name.tokens.size());
  head.bytes = bytes.size();
  head.key = name.key;
  head.parent = name.parent;
  const auto tokens = std::as_bytes(std::span(name.tokens));
  std::vector<std::byte> text(sizeof head + tokens.size());
  std::memcpy(text.data(), &head, sizeof head);
  std::ranges::copy(tokens, text.begin() + sizeof head);
  head.checksum = checksum(text, bytes);
  std::memcpy(text.data(), &head, sizeof head);
  return text;
}

Result<std::span<const std::byte>> check_record(std::span<const std::byte> record, const BlockName& name,
                                                std::uint64_t block_bytes) {
  Head head;
  if (record.size() < sizeof head) return mismatch("size");
  std::memcpy(&head, record.data(), sizeof head);
  if (head.magic != kMagic) return mismatch("magic number");
  if (head.version != kRecordVersion) return mismatch("version");
  const auto tokens = std::as_bytes(std::span(name.tokens));
  if (head.tokens != name.tokens.size() || head.bytes != block_bytes ||
      record.size() != sizeof head + tokens.size() + block_bytes) {
    return mismatch("size");
  }
  if (head.key != name.key) return mismatch("key");
  if (head.parent != name.parent) return mismatch("parent");
  if (!std::ranges::equal(record.subspan(sizeof head, tokens.size()), tokens)) return mismatch("tokens");
  const auto bytes = record.last(block_bytes);
  if (head.checksum != checksum(record.first(sizeof head + tokens.size()), bytes)) return mismatch("checksum");
  return bytes;
}

}  // namespace headwater::cache
