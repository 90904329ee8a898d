// Saves blocks to a slower tier and loads them from there (cache::TierWorker). Detached: only its thread waits for the
// device. Loads come before saves, so that a request waits for one save at most.

#include "actors/cache_tier.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <deque>
#include <utility>

#include "base/trace.h"
#include "cache/tier/rocksdb_store.h"
#include "cache/tier/tier_worker.h"

namespace headwater::actors {
namespace {

/// → itself: the next block of those that wait.
struct SaveNext {};

}  // namespace
}  // namespace headwater::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::actors::SaveNext)

namespace headwater::actors {
namespace {

TimeNs wall_clock() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since_1970).count();
}

class CacheTier : public StageActor {
 public:
  CacheTier(caf::actor_config& config, const StageContext& context, const MakeStore& make_store)
      : StageActor(config, context),
        worker_(std::make_unique<cache::TierWorker>(make_store(context), context.assets->block_bytes,
                                                    context.assets->clock, wall_clock)) {}

 private:
  caf::message_handler handlers() override {
    return {
        on<const OpenTier>([this](const OpenTier&) { open(false); }),
        on<StoreBlocks>([this](StoreBlocks& store) {
          for (cache::TierBlock& block : store.blocks) waiting_.push_back(std::move(block));
          go_on();
        }),
        [this](const SaveNext&) {
          saving_ = false;
          save_next();
          go_on();
        },
        [this](const EraseBlocks& erase) {
          const trace::Span span("erase blocks", erase.what.keys.size());
          cache::EraseOutcome outcome = worker_->erase(erase.what);
          report("erase", outcome.error);
          return outcome;
        },
        on<const LoadBlocks>([this](const LoadBlocks& load) {
          const trace::Span span("load blocks", load.chain.size());
          cache::LoadOutcome outcome = worker_->load(load.chain, load.read_until);
          report("load", outcome.error);
          if (outcome.mismatches > 0) spdlog::warn("{}: deleted a block that is damaged", worker_->store().name());
          send(peers().prefix_matcher, TierLoaded{epoch(), load.number, std::move(outcome)});
        }),
    };
  }

  void open(bool fresh) {
    cache::OpenOutcome outcome = worker_->open();
    report("open", outcome.error);
    if (outcome.error.empty()) {
      spdlog::info("disk tier {}: {} blocks, {} MiB", worker_->store().name(), outcome.entries.size(),
                   outcome.store.bytes >> 20U);
    }
    send(peers().prefix_matcher, TierOpened{epoch(), fresh, std::move(outcome)});
  }

  /// A message for each save, so that loads that have come meanwhile take their turn in between.
  void go_on() {
    if (saving_ || waiting_.empty()) return;
    saving_ = true;
    send(this, SaveNext{});
  }

  void save_next() {
    if (waiting_.empty()) return;
    const trace::Span span("save block");
    cache::SaveOutcome outcome = worker_->save(waiting_.front());
    waiting_.pop_front();
    report("save", outcome.error);
    send(peers().prefix_matcher, TierSaved{epoch(), std::move(outcome)});
  }

  /// One line for a trouble, however often it shows.
  void report(const char* what, const std::string& error) {
    if (error == std::exchange(last_error_, error) || error.empty()) return;
    spdlog::warn("disk tier {} cannot {}: {}; serving goes on without it", worker_->store().name(), what, error);
  }

  /// A new epoch, or the first: the prefix_matcher has forgotten what is here.
  void on_reset() override {
    waiting_.clear();
    open(true);
  }

  /// Handles to this actor may outlive it; its files are free at once.
  void on_exit() override {
    waiting_.clear();
    worker_.reset();
    StageActor::on_exit();
  }

  std::unique_ptr<cache::TierWorker> worker_;
  std::deque<cache::TierBlock> waiting_;
  bool saving_ = false;
  std::string last_error_;
};

std::unique_ptr<cache::BlockStore> make_rocksdb(const StageContext& context) {
  return std::make_unique<cache::RocksDbStore>(cache::RocksDbOptions{
      context.stage.text("path"), static_cast<std::uint64_t>(context.stage.integer("size_limit")), nullptr});
}

}  // namespace

caf::actor spawn_cache_tier(caf::actor_system& system, const StageContext& context, const MakeStore& make_store) {
  return system.spawn<CacheTier, caf::detached>(context, make_store);
}

caf::actor spawn_rocksdb_tier(caf::actor_system& system, const StageContext& context) {
  return spawn_cache_tier(system, context, make_rocksdb);
}

}  // namespace headwater::actors
