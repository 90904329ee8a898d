#include <algorithm>

#include "schedule/scheduler_state.h"

namespace headwater::schedule {

std::uint32_t shared_prefix(const Sequence& reader, const Sequence& writer, std::uint32_t block_tokens) {
  const Request& reading = reader.request->request;
  const Request& writing = writer.request->request;
  if (!reader.uses_cache() || reading.tenant != writing.tenant || reading.cache_salt != writing.cache_salt) return 0;
  const std::size_t limit = std::min(reader.tokens.size() - 1, writer.tokens.size());
  const auto end = reader.tokens.begin() + static_cast<std::ptrdiff_t>(limit);
  const auto same = std::mismatch(reader.tokens.begin(), end, writer.tokens.begin()).first - reader.tokens.begin();
  return static_cast<std::uint32_t>(same) / block_tokens * block_tokens;
}

void Scheduler::Impl::mark_stale(const Sequence& writer) {
  if (!options.share_prefixes) return;
  const std::uint32_t published = writer.published * options.block_tokens;
  for (auto& [id, reader] : sequences) {
    if (reader.state == Sequence::State::running || reader.stale) continue;
    const std::uint32_t has = reader.in_memory(options.block_tokens);
    if (has >= published) continue;
    reader.stale = std::min(shared_prefix(reader, writer, options.block_tokens), published) > has;
  }
}

bool Scheduler::Impl::published_beyond(const Sequence& reader, std::uint32_t cached_tokens) const {
  return options.share_prefixes && std::ranges::any_of(running, [&](const Sequence* writer) {
           const std::uint32_t published = writer->published * options.block_tokens;
           return published > cached_tokens &&
                  std::min(shared_prefix(reader, *writer, options.block_tokens), published) > cached_tokens;
         });
}

bool Scheduler::Impl::awaits_prefix(const Sequence& reader) const {
  return options.share_prefixes && std::ranges::any_of(running, [&](const Sequence* writer) {
           if (writer->uncomputed() <= 1) return false;
           const std::uint32_t shared = shared_prefix(reader, *writer, options.block_tokens);
           // What the writer restores it has only promised until it is published.
           return shared > reader.in_memory(options.block_tokens) && shared > writer->published * options.block_tokens;
         });
}

}  // namespace headwater::schedule
