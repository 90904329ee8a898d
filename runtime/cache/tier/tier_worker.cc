#include "cache/tier/tier_worker.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "cache/tier/record.h"

namespace headwater::cache {
namespace {

/// What `work` gives; an exception becomes an error.
template <class Work>
auto guarded(const Work& work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::exception& error) {
    return Error{"store_failed", error.what(), ""};
  }
}

}  // namespace

TierWorker::TierWorker(std::unique_ptr<BlockStore> store, std::uint64_t block_bytes,
                       std::function<schedule::TimeNs()> clock)
    : store_(std::move(store)), block_bytes_(block_bytes), clock_(std::move(clock)) {}

OpenOutcome TierWorker::open() {
  OpenOutcome outcome;
  auto keys = guarded([&] { return store_->open(); });
  if (keys) {
    outcome.keys = std::move(*keys);
  } else {
    outcome.error = keys.error().message;
  }
  outcome.store_bytes = store_->bytes();
  return outcome;
}

SaveOutcome TierWorker::save(const TierBlock& block) {
  const schedule::TimeNs began = clock_();
  SaveOutcome outcome;
  outcome.key = block.name.key;
  const auto head = record_head(block.name, block.bytes->bytes());
  auto dropped = guarded([&] { return store_->put(block.name.key, head, block.bytes->bytes()); });
  if (dropped) {
    outcome.dropped = std::move(*dropped);
  } else {
    outcome.error = dropped.error().message;
  }
  outcome.store_bytes = store_->bytes();
  outcome.duration = clock_() - began;
  return outcome;
}

LoadOutcome TierWorker::load(std::span<const BlockName> chain, schedule::TimeNs deadline) {
  const schedule::TimeNs began = clock_();
  LoadOutcome outcome;
  for (const BlockName& name : chain) {
    outcome.late = clock_() >= deadline;
    if (outcome.late || !load_one(name, outcome)) break;
  }
  outcome.store_bytes = store_->bytes();
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
  if (!found && found.error().code != "corrupt") {
    outcome.error = found.error().message;
    return false;
  }
  if (agrees) return true;
  outcome.gone.push_back(name.key);
  if (found && !*found) return false;
  ++outcome.mismatches;
  if (const auto erased = guarded([&] { return store_->erase(name.key); }); !erased) {
    outcome.error = erased.error().message;
  }
  return false;
}

}  // namespace headwater::cache
