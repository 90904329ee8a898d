#include "gateway/cache_report.h"

namespace headwater::gateway {

Json cache_json(std::span<const Usage> prompts) {
  std::uint64_t matched = 0, copied = 0, missed = 0;
  Usage most_matched, most_missed;
  for (const Usage& prompt : prompts) {
    matched += prompt.cached_tokens;
    copied += prompt.cache.copied_tokens;
    missed += prompt.cache.missed_tokens;
    if (prompt.cached_tokens > most_matched.cached_tokens) most_matched = prompt;
    if (prompt.cache.missed_tokens > most_missed.cache.missed_tokens) most_missed = prompt;
  }
  Json cache = {{"matched_tokens", matched},
                {"copied_tokens", copied},
                {"source", name_of(most_matched.cache.source)},
                {"miss", nullptr}};
  if (missed > 0) cache["miss"] = {{"reason", name_of(most_missed.cache.miss)}, {"tokens", missed}};
  return cache;
}

Json evictions_json(const Stats& stats) {
  Json evictions = Json::object();
  for (std::size_t i = 0; i < stats.evictions.size(); ++i) {
    evictions[std::string(kEvictionReasonNames[i])] = stats.evictions[i];
  }
  return evictions;
}

Json advice_json(const CacheAdvice& advice, const Stats& stats) {
  Json sizes = Json::array();
  for (const CacheSize& size : advice.sizes) {
    sizes.push_back({{"factor", size.factor},
                     {"capacity_blocks", size.capacity_blocks},
                     {"bytes", size.bytes},
                     {"hit_rate", size.hit_rate}});
  }
  Json measured = nullptr;
  if (stats.prefix_query_blocks > 0) {
    measured = static_cast<double>(stats.prefix_hit_blocks) / static_cast<double>(stats.prefix_query_blocks);
  }
  return {{"looked_up_blocks", advice.looked_up_blocks},
          {"measured_hit_rate", measured},
          {"sizes", std::move(sizes)},
          {"advice", advice.advice}};
}

}  // namespace headwater::gateway
