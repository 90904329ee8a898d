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

}  // namespace headwater::gateway
