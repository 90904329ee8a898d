#include "gateway/bridge.h"

#include <chrono>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace headwater::gateway {

/// Events on their way from the runtime's threads to the strand. Shared by the runtime's handler, the posted
/// delivery and the Bridge, so that none of them can outlive it.
struct Bridge::Inbox : std::enable_shared_from_this<Inbox> {
  Inbox(Metrics& metrics, Executor strand, Consumer consume, std::function<void()> lost)
      : metrics(metrics), strand(std::move(strand)), consume(std::move(consume)), lost(std::move(lost)) {}

  /// Any thread. At most one delivery is posted at a time: it takes all that has come meanwhile. Throws nothing:
  /// the stage whose thread this is serves others, too.
  void put(std::span<const TokenEvent> batch) noexcept {
    const std::scoped_lock lock(mutex);
    if (closed) return;  // the executor may be gone
    try {
      if (!failed) events.insert(events.end(), batch.begin(), batch.end());
    } catch (...) {
      failed = true;
    }
    if (posted) return;
    try {
      net::post(strand, [self = shared_from_this()] { self->deliver(); });
      posted = true;
    } catch (...) {
      failed = true;  // the next batch tries again
    }
  }

  /// The strand.
  void deliver() {
    std::vector<TokenEvent> batch;
    bool incomplete = false;
    {
      const std::scoped_lock lock(mutex);
      posted = false;
      if (closed) return;
      batch.swap(events);
      incomplete = failed;
    }
    if (incomplete) return lost();
    try {
      observe(batch);
    } catch (...) {  // for want of memory: the events matter more than their count
    }
    consume(std::move(batch));
  }

  /// The strand. Of several tokens that arrive together, the later ones are 0 apart.
  void observe(const std::vector<TokenEvent>& batch) {
    const auto now = std::chrono::steady_clock::now();
    for (const TokenEvent& event : batch) {
      if (event.terminal()) {
        metrics.observe(event);
        last_token.erase(event.id);
      } else if (event.kind == TokenEvent::Kind::tokens) {
        const auto [last, first] = last_token.try_emplace(event.id, now);
        if (!first) metrics.observe_gap(now - std::exchange(last->second, now));
      }
    }
  }

  void close() {
    const std::scoped_lock lock(mutex);
    closed = true;
    events.clear();
    strand = Executor();  // the runtime may hold the handler, and so this, for longer than there is a server
  }

  Metrics& metrics;
  Executor strand;  ///< until it is closed
  const Consumer consume;
  const std::function<void()> lost;
  std::mutex mutex;
  std::vector<TokenEvent> events;
  bool posted = false;
  bool closed = false;
  std::unordered_map<RequestId, std::chrono::steady_clock::time_point> last_token;  ///< the strand's; of live requests
  bool failed = false;                                                              ///< events were lost
};

Bridge::Bridge(Runtime& runtime, Metrics& metrics, Executor strand, Consumer consume, std::function<void()> lost)
    : inbox_(std::make_shared<Inbox>(metrics, std::move(strand), std::move(consume), std::move(lost))),
      client_(runtime.connect([inbox = inbox_](std::span<const TokenEvent> events) { inbox->put(events); })) {}

Bridge::~Bridge() {
  inbox_->close();
  client_.reset();
}

}  // namespace headwater::gateway
