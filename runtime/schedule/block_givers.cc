#include "schedule/block_givers.h"

#include <algorithm>
#include <unordered_map>

namespace headwater::schedule {

std::vector<Sequence*> block_givers(const std::vector<Sequence*>& running, std::vector<Sequence*> waiting,
                                    const Sequence* beneficiary, std::uint32_t missing) {
  std::unordered_map<BlockId, std::uint32_t> users;
  const auto count = [&](const Sequence* sequence) {
    for (BlockId block : sequence->blocks) ++users[block];
  };
  std::ranges::for_each(running, count);
  std::ranges::for_each(waiting, count);
  std::erase_if(waiting, [&](const Sequence* one) { return one->blocks.empty() || one == beneficiary; });
  std::ranges::sort(waiting, std::ranges::greater{}, &Sequence::age);
  std::vector<Sequence*> candidates = std::move(waiting);
  for (std::size_t i = running.size(); i > 1; --i) candidates.push_back(running[i - 1]);

  std::vector<Sequence*> givers;
  std::uint32_t freed = 0;
  for (Sequence* candidate : candidates) {
    if (freed >= missing) break;
    for (BlockId block : candidate->blocks) freed += --users[block] == 0 ? 1 : 0;
    givers.push_back(candidate);
  }
  return givers;
}

}  // namespace headwater::schedule
