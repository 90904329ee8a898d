// Attention reads a quantised cache as it is: it must not make room for what the cache would be in more bits.

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/kernels/values.h"

#include "kernels/cpu/attention.h"
#include "kernels/cpu/rope.h"

namespace headwater::kernels::cpu {
namespace {

/// A line of /proc/self/status, in bytes; 0: there is none.
std::size_t status_bytes(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name + ":")) return std::stoull(line.substr(name.size() + 1)) * 1024;
  }
  return 0;
}

/// From now on the peak is that of what follows.
bool forget_peak() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;
  return file.good();
}

struct Case {
  const char* policy;
  AttentionPath path;
};
std::string name_of(const Case& one) {
  return (one.path == AttentionPath::amx    ? "Amx"
          : one.path == AttentionPath::vnni ? "Vnni"
                                            : "Generic") +
         std::string(one.policy);
}
void PrintTo(const Case& one, std::ostream* out) { *out << name_of(one); }

class AttentionMemory : public testing::TestWithParam<Case> {};

TEST_P(AttentionMemory, IsFarLessThanTheCache) {
  constexpr std::uint32_t kTokens = 1 << 15U;
  constexpr std::uint32_t kHeads = 8;
  constexpr std::uint32_t kChunk = 512;
  const AttentionPath path = GetParam().path;
  if (!lacking(path).empty()) GTEST_SKIP() << "this machine has no " << lacking(path);
  const KvGeometry geometry{{{kHeads, 64}}, 32, format_of(GetParam().policy)};
  const AttentionShape heads{0, kHeads, kHeads, 64, 0};
  const std::uint32_t n_blocks = geometry.grid().covering(kTokens);
  const KvArena arena(geometry, n_blocks);
  std::vector<std::int32_t> table(n_blocks);
  for (std::uint32_t b = 0; b < n_blocks; ++b) table[b] = static_cast<std::int32_t>(b);
  ThreadPool pool(2);
  Rotary rotary;
  const std::vector<float> rows = random_values(std::size_t{kChunk} * 3 * kHeads * 64, 1);
  std::vector<float> copy;
  for (std::uint32_t at = 0; at < kTokens; at += kChunk) {
    copy = rows;
    const SequenceRows part{0, kChunk, at, table};
    rotary.rotate_and_store(arena, heads, {&part, 1}, copy.data(), pool);
  }
  std::vector<float> out(std::size_t{kChunk} * kHeads * 64);
  Attention attention(path, geometry.format);

  if (!forget_peak()) GTEST_SKIP() << "the system does not let a process forget its peak";
  const std::size_t before = status_bytes("VmRSS");
  for (const std::uint32_t n : {1U, 64U}) {  // decoding, and the end of a prompt
    const SequenceRows last{0, n, kTokens - n, table};
    attention.run(arena, heads, {&last, 1}, copy.data(), out.data(), pool);
  }
  const std::size_t peak = status_bytes("VmHWM");
  const std::size_t cache = KvArena::block_bytes(geometry).total() * n_blocks;
  EXPECT_LT(peak, before + cache / 4) << "the cache takes " << cache << " bytes";
}

INSTANTIATE_TEST_SUITE_P(Formats, AttentionMemory,
                         testing::Values(Case{"8", AttentionPath::generic}, Case{"4", AttentionPath::generic},
                                         Case{"k8v4", AttentionPath::generic}, Case{"8", AttentionPath::vnni},
                                         Case{"4", AttentionPath::vnni}, Case{"8", AttentionPath::amx},
                                         Case{"4", AttentionPath::amx}, Case{"k8v4", AttentionPath::amx}),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
}  // namespace headwater::kernels::cpu
