#include "gateway/bridge.h"

#include <chrono>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace headwater::gateway {

/// Events on their way from the runtime's threads to the strand. Shared by the runtime's handler, the posted
/// delivery and the Bridge, so that none of them can outlive it.
struct Bridge::Inbox : std::enable_shared_from_this<Inbox> {
  Inbox(Metrics& metrics, Executor strand, Consumer consume)
      : metrics(metrics), strand(std::move(strand)), consume(std::move(consume)) {}

  /// Any thread. At most one delivery is posted at a time: it takes all that has come meanwhile.
  void put(std::span<const TokenEvent> batch) {
    const std::scoped_lock lock(mutex);
    if (closed) return;  // the executor may be gone
    events.insert(events.end(), batch.begin(), batch.end());
    if (posted) return;
    posted = true;
    net::post(strand, [self = shared_from_this()] { self->deliver(); });
  }

  /// The strand.
  void deliver() {
    std::vector<TokenEvent> batch;
    {
      const std::scoped_lock lock(mutex);
      posted = false;
      if (closed) return;
      batch.swap(events);
    }
    observe(batch);
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
  }

  Metrics& metrics;
  const Executor strand;
  const Consumer consume;
  std::mutex mutex;
  std::vector<TokenEvent> events;
  bool posted = false;
  bool closed = false;
  std::unordered_map<RequestId, std::chrono::steady_clock::time_point> last_token;  ///< the strand's; of live requests
};

Bridge::Bridge(Runtime& runtime, Metrics& metrics, Executor strand, Consumer consume)
    : inbox_(std::make_shared<Inbox>(metrics, std::move(strand), std::move(consume))),
      client_(runtime.connect([inbox = inbox_](std::span<const TokenEvent> events) { inbox->put(events); })) {}

Bridge::~Bridge() {
  inbox_->close();
  client_.reset();
}

}  // namespace headwater::gateway
