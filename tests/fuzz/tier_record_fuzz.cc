// Records of the disk tier: bytes that are read back are the block that was written, or are refused.
//
// The input's first bytes say what the block holds and where its record is spoilt; the rest are the block's bytes, or,
// where the first byte is odd, the record itself.

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "cache/tier/record.h"

using namespace headwater::cache;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 8) return 0;
  const auto* const bytes = reinterpret_cast<const std::byte*>(data);
  BlockName name;
  name.key.fill(static_cast<std::uint8_t>(data[1]));
  name.parent.fill(static_cast<std::uint8_t>(data[2]));
  name.tokens.resize(data[3] % 65);
  for (std::size_t i = 0; i < name.tokens.size(); ++i) name.tokens[i] = static_cast<headwater::TokenId>(i * data[4]);
  const std::span<const std::byte> rest(bytes + 8, size - 8);
  if (data[0] % 2 == 1) {
    (void)check_record(rest, name, data[5] | data[6] << 8U);
    return 0;
  }
  std::vector<std::byte> record = record_head(name, rest);
  record.insert(record.end(), rest.begin(), rest.end());
  const auto whole = check_record(record, name, rest.size());
  if (!whole || !std::ranges::equal(*whole, rest)) std::abort();
  const std::size_t at = (data[5] | data[6] << 8U) % record.size();
  record[at] ^= static_cast<std::byte>(data[7] | 1U);
  if (check_record(record, name, rest.size())) std::abort();
  record.resize(at);
  if (check_record(record, name, rest.size())) std::abort();
  return 0;
}
