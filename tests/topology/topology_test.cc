#include "topology/topology.h"

#include <limits>

#include "tests/topology/check.h"

namespace headwater::topology {
namespace {

TEST(Topology, FindsStagesByIdAndKind) {
  const Topology topology = sound(kSound);
  EXPECT_EQ(topology.find("match")->kind, "prefix_matcher");
  EXPECT_EQ(topology.find_kind("executor")->id, "exec");
  EXPECT_EQ(topology.find("executor"), nullptr);
  EXPECT_EQ(topology.find_kind("exec"), nullptr);
}

TEST(Topology, ResolvesSharesAndSizes) {
  EXPECT_EQ(resolve({.bytes = 100, .share = 0}, 10), 100U);
  EXPECT_EQ(resolve({.bytes = 0, .share = 0.5}, 1000), 500U);
  constexpr auto kAll = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(resolve({.bytes = 0, .share = 1}, kAll), kAll);
}

}  // namespace
}  // namespace headwater::topology
