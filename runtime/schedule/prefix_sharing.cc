#include <algorithm>

#include "schedule/scheduler_state.h"

namespace headwater::schedule {

std::uint32_t shared_prefix(const Sequence& reader, const Sequence& writer, const kernels::BlockGrid& grid) {
  const Request& reading = reader.request->request;
  const Request& writing = writer.request->request;
  if (!reader.uses_cache() || reading.tenant != writing.tenant || reading.cache_salt != writing.cache_salt) return 0;
  const std::size_t limit = std::min(reader.tokens.size() - 1, writer.tokens.size());
  const auto end = reader.tokens.begin() + static_cast<std::ptrdiff_t>(limit);
  const auto same = std::mismatch(reader.tokens.begin(), end, writer.tokens.begin()).first - reader.tokens.begin();
  return grid.begin(grid.whole(static_cast<std::uint32_t>(same)));
}

void Scheduler::Impl::mark_stale(const Sequence& writer) {
  if (!options.share_prefixes) return;
  const std::uint32_t published = options.grid.begin(writer.published);
  for (auto& [id, reader] : sequences) {
    if (reader.state == Sequence::State::running || reader.stale) continue;
    const std::uint32_t has = reader.in_memory(options.grid);
    if (has >= published) continue;
    reader.stale = std::min(shared_prefix(reader, writer, options.grid), published) > has;
  }
}

bool Scheduler::Impl::published_beyond(const Sequence& reader, std::uint32_t cached_tokens) const {
  return options.share_prefixes && std::ranges::any_of(running, [&](const Sequence* writer) {
           const std::uint32_t published = options.grid.begin(writer->published);
           return published > cached_tokens &&
                  std::min(shared_prefix(reader, *writer, options.grid), published) > cached_tokens;
         });
}

bool Scheduler::Impl::awaits_prefix(const Sequence& reader) const {
  return options.share_prefixes && std::ranges::any_of(running, [&](const Sequence* writer) {
           if (writer->uncomputed() <= 1) return false;
           const std::uint32_t shared = shared_prefix(reader, *writer, options.grid);
           // What the writer restores it has only promised until it is published.
           return shared > reader.in_memory(options.grid) && shared > options.grid.begin(writer->published);
         });
}

}  // namespace headwater::schedule
