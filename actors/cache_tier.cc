// Saves blocks to a slower tier and loads them from there (cache::TierWorker). Only a thread of its own waits for the
// device, and one that hangs is left behind. Loads come before saves, so that a request waits for one save at most.

#include "actors/cache_tier.h"

#include <spdlog/spdlog.h>

#include <any>
#include <chrono>
#include <deque>
#include <utility>

#include "base/trace.h"
#include "cache/tier/device_thread.h"
#include "cache/tier/segment_store.h"
#include "cache/tier/tier_worker.h"
#include "cache/tier/trouble_log.h"

namespace headwater::actors {
namespace {

/// The device's thread → itself: how the task ended.
struct TaskDone {
  std::any outcome;
};
/// → itself: whether that task still runs.
struct WatchTask {
  std::uint64_t number = 0;
};

}  // namespace
}  // namespace headwater::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::actors::TaskDone)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::actors::WatchTask)

namespace headwater::actors {
namespace {

TimeNs wall_clock() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since_1970).count();
}

class CacheTier : public StageActor {
 public:
  CacheTier(caf::actor_config& config, const StageContext& context, const MakeStore& make_store,
            std::chrono::milliseconds hung_after)
      : StageActor(config, context),
        worker_(std::make_shared<cache::TierWorker>(make_store(context), context.assets->block_bytes,
                                                    context.assets->clock, wall_clock)),
        name_(worker_->store().name()),
        hung_after_(hung_after),
        device_(std::make_unique<cache::DeviceThread>()) {}

 private:
  /// What the device's thread does, and what this actor then does with the outcome.
  struct Task {
    std::function<std::any(cache::TierWorker&)> work;
    std::function<void(std::any&)> then;
  };

  caf::message_handler handlers() override {
    return {
        on<const OpenTier>([this](const OpenTier&) { open(false); }),
        on<StoreBlocks>([this](StoreBlocks& store) {
          for (cache::TierBlock& block : store.blocks) waiting_.push_back(std::move(block));
          go_on();
        }),
        [this](EraseBlocks& erase) { return this->erase(std::move(erase.what)); },
        on<LoadBlocks>([this](LoadBlocks& load) { this->load(std::move(load)); }),
        [this](TaskDone& done) {
          busy_ = false;
          if (std::exchange(hung_, false)) spdlog::info("disk tier {} answers again", name_);
          const auto then = std::exchange(then_, nullptr);
          then(done.outcome);
          go_on();
        },
        [this](const WatchTask& watched) { watch(watched); },
    };
  }

  template <class Outcome>
  static Task task(std::function<Outcome(cache::TierWorker&)> work, std::function<void(Outcome&)> then) {
    return {[work = std::move(work)](cache::TierWorker& worker) { return std::any(work(worker)); },
            [then = std::move(then)](std::any& outcome) { then(std::any_cast<Outcome&>(outcome)); }};
  }

  void open(bool fresh) {
    first_.push_back(task<cache::OpenOutcome>(
        [](cache::TierWorker& worker) {
          const trace::Span span("open tier");
          return worker.open();
        },
        [this, fresh, epoch = epoch()](cache::OpenOutcome& outcome) {
          tell(outcome.notes);
          const bool told = report("open", outcome.error);
          if (outcome.error.empty() && (fresh || told)) {
            spdlog::info("disk tier {}: {} blocks, {} MiB", name_, outcome.entries.size(), outcome.store.bytes >> 20U);
          }
          send(peers().prefix_matcher, TierOpened{epoch, fresh, std::move(outcome)});
        }));
    go_on();
  }

  void load(LoadBlocks load) {
    const std::uint64_t number = load.number;
    first_.push_back(task<cache::LoadOutcome>(
        [load = std::move(load)](cache::TierWorker& worker) {
          const trace::Span span("load blocks", load.chain.size());
          return worker.load(load.chain, load.read_until);
        },
        [this, number, epoch = epoch()](cache::LoadOutcome& outcome) {
          report("load", outcome.error);
          tell_of_damage(outcome.mismatches);
          send(peers().prefix_matcher, TierLoaded{epoch, number, std::move(outcome)});
        }));
    go_on();
  }

  caf::result<cache::EraseOutcome> erase(cache::Erasure what) {
    auto answer = make_response_promise<cache::EraseOutcome>();
    first_.push_back(task<cache::EraseOutcome>(
        [what = std::move(what)](cache::TierWorker& worker) {
          const trace::Span span("erase blocks", what.keys.size());
          return worker.erase(what);
        },
        [this, answer](cache::EraseOutcome& outcome) mutable {
          report("erase", outcome.error);
          answer.deliver(outcome);
        }));
    go_on();
    return answer;
  }

  Task save(cache::TierBlock block) {
    return task<cache::SaveOutcome>(
        [block = std::move(block)](cache::TierWorker& worker) {
          const trace::Span span("save block");
          return worker.save(block);
        },
        [this, epoch = epoch()](cache::SaveOutcome& outcome) {
          tell(outcome.notes);
          report("save", outcome.error);
          send(peers().prefix_matcher, TierSaved{epoch, std::move(outcome)});
        });
  }

  /// One task at a time; saves come last.
  void go_on() {
    if (busy_ || (first_.empty() && waiting_.empty())) return;
    Task next;
    if (first_.empty()) {
      next = save(std::move(waiting_.front()));
      waiting_.pop_front();
    } else {
      next = std::move(first_.front());
      first_.pop_front();
    }
    busy_ = true;
    ++task_;
    then_ = std::move(next.then);
    // A thread that is left behind owns the store and nothing of the actors.
    device_->post([this, worker = worker_, work = std::move(next.work)]() -> cache::DeviceThread::Done {
      return [this, outcome = work(*worker)]() mutable {
        caf::anon_send(caf::actor_cast<caf::actor>(this), TaskDone{std::move(outcome)});
      };
    });
    if (std::exchange(watching_, true)) return;
    delayed_send(this, hung_after_, WatchTask{task_});
  }

  /// A task that takes this long may take for ever: the tier is off until it is done.
  void watch(const WatchTask& watched) {
    watching_ = busy_;
    if (!busy_) return;
    if (watched.number == task_ && !std::exchange(hung_, true)) {
      spdlog::warn("disk tier {} has not answered for {} s; serving goes on without it until it does", name_,
                   hung_after_.count() / 1000);
      send(peers().prefix_matcher, TierHung{epoch()});
    }
    delayed_send(this, hung_after_, WatchTask{task_});
  }

  void tell(const std::vector<std::string>& notes) {
    for (const std::string& note : notes) spdlog::warn("disk tier {}: {}", name_, note);
  }

  /// Whether something was told.
  bool report(const char* doing, const std::string& error) {
    const auto line = troubles_.on(doing, error, now());
    if (line && line->trouble) spdlog::warn("disk tier {} {}", name_, line->text);
    if (line && !line->trouble) spdlog::info("disk tier {} {}", name_, line->text);
    return line.has_value();
  }

  void tell_of_damage(std::uint32_t blocks) {
    if (blocks == 0) return;
    const auto line = troubles_.on("read some blocks", "they are damaged", now());
    troubles_.on("read some blocks", "", now());
    if (line) spdlog::warn("disk tier {}: deleted a block that was damaged", name_);
  }

  /// A new epoch, or the first: the prefix_matcher has forgotten what is here.
  void on_reset() override {
    waiting_.clear();
    open(true);
  }

  /// Handles to this actor may outlive it; its files are free at once, unless the device hangs.
  void on_exit() override {
    device_.reset();
    worker_.reset();
    waiting_.clear();
    first_.clear();
    then_ = nullptr;
    StageActor::on_exit();
  }

  std::shared_ptr<cache::TierWorker> worker_;
  std::string name_;
  std::chrono::milliseconds hung_after_;
  std::deque<Task> first_;  ///< all but saves
  std::deque<cache::TierBlock> waiting_;
  std::function<void(std::any&)> then_;  ///< of the task under way
  bool busy_ = false, watching_ = false, hung_ = false;
  std::uint64_t task_ = 0;  ///< number of the latest
  cache::TroubleLog troubles_;
  std::unique_ptr<cache::DeviceThread> device_;
};

std::unique_ptr<cache::BlockStore> make_disk_store(const StageContext& context) {
  return std::make_unique<cache::SegmentStore>(cache::SegmentStoreOptions{
      context.stage.text("path"), static_cast<std::uint64_t>(context.stage.integer("size_limit")), nullptr});
}

}  // namespace

caf::actor spawn_cache_tier(caf::actor_system& system, const StageContext& context, const MakeStore& make_store,
                            std::chrono::milliseconds hung_after) {
  return system.spawn<CacheTier, caf::detached>(context, make_store, hung_after);
}

caf::actor spawn_disk_tier(caf::actor_system& system, const StageContext& context) {
  return spawn_cache_tier(system, context, make_disk_store);
}

}  // namespace headwater::actors
