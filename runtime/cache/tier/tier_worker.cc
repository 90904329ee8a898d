#include "cache/tier/tier_worker.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "cache/expiry_queue.h"
#include "cache/tier/record.h"

namespace headwater::cache {
namespace {

/// What `work` gives; an exception becomes an error.
template <class Work>
auto guarded(const Work& work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::exception& error) {
    return Error{ErrorCode::store_failed, error.what(), ""};
  }
}

}  // namespace

TierWorker::TierWorker(std::unique_ptr<BlockStore> store, std::uint64_t block_bytes, Clock clock, Clock wall_clock)
    : store_(std::move(store)),
      block_bytes_(block_bytes),
      clock_(std::move(clock)),
      wall_clock_(std::move(wall_clock)) {}

TimeNs TierWorker::translate(TimeNs time, const Clock& from, const Clock& to) {
  if (time == kNever) return kNever;
  const TimeNs left = time - from(), now = to();
  return left >= kNever - std::max<TimeNs>(now, 0) ? kNever : now + left;
}

OpenOutcome TierWorker::open() {
  OpenOutcome outcome;
  auto entries = guarded([&] { return store_->open(); });
  if (entries) {
    const TimeNs today = wall_clock_();
    Erasure expired;
    for (TierEntry& entry : *entries) {
      if (entry.terms.expires <= today) {
        expired.keys.push_back(entry.key);
        continue;
      }
      entry.terms.expires = translate(entry.terms.expires, wall_clock_, clock_);
      outcome.entries.push_back(entry);
    }
    if (!expired.empty()) outcome.error = erase(expired).error;
  } else {
    outcome.error = entries.error().message;
  }
  outcome.store = store_->state();
  outcome.notes = store_->take_notes();
  return outcome;
}

EraseOutcome TierWorker::erase(const Erasure& what) {
  EraseOutcome outcome;
  const auto erased = guarded([&] { return what.all ? store_->clear() : store_->erase(what.keys); });
  if (!erased) outcome.error = erased.error().message;
  outcome.store = store_->state();
  return outcome;
}

SaveOutcome TierWorker::save(const TierBlock& block) {
  const TimeNs began = clock_();
  SaveOutcome outcome;
  outcome.key = block.name.key;
  const auto head = record_head(block.name, block.bytes->bytes());
  TierEntry entry = block.entry();
  entry.terms.expires = translate(entry.terms.expires, clock_, wall_clock_);
  auto dropped = guarded([&] { return store_->put(entry, head, block.bytes->bytes()); });
  if (dropped) {
    outcome.dropped = std::move(*dropped);
  } else {
    outcome.error = dropped.error().message;
  }
  outcome.store = store_->state();
  outcome.notes = store_->take_notes();
  outcome.duration = clock_() - began;
  return outcome;
}

LoadOutcome TierWorker::load(std::span<const BlockName> chain, TimeNs deadline) {
  const TimeNs began = clock_();
  LoadOutcome outcome;
  for (const BlockName& name : chain) {
    outcome.late = clock_() >= deadline;
    if (outcome.late || !load_one(name, outcome)) break;
  }
  outcome.store = store_->state();
  outcome.duration = clock_() - began;
  return outcome;
}

bool TierWorker::load_one(const BlockName& name, LoadOutcome& outcome) {
  bool agrees = false;
  const auto found = guarded([&] {
    return store_->get(name.key, [&](std::span<const std::byte> record) {
      const auto bytes = check_record(record, name, block_bytes_);
      agrees = bytes.ok();
      if (!agrees) return;
      auto block = std::make_shared<ByteBuffer>(bytes.value().size());
      std::ranges::copy(*bytes, block->bytes().begin());
      outcome.blocks.push_back(std::move(block));
    });
  });
  if (!found && found.error().code != ErrorCode::corrupt) {
    outcome.error = found.error().message;
    return false;
  }
  if (agrees) return true;
  outcome.gone.push_back(name.key);
  if (found && !*found) return false;
  ++outcome.mismatches;
  outcome.error = erase({.all = false, .keys = {name.key}}).error;
  return false;
}

}  // namespace headwater::cache
