#include "actors/frontend.h"

#include <spdlog/spdlog.h>

#include "actors/messages.h"
#include "schedule/request_ledger.h"

namespace headwater::actors {

void ClientState::deliver(std::span<const TokenEvent> events) {
  const std::scoped_lock lock(mutex_);
  if (closed_) return;
  try {
    handler_(events);
  } catch (const std::exception& error) {
    spdlog::error("a client's event handler threw: {}", error.what());
  }
}

void ClientState::close() {
  const std::scoped_lock lock(mutex_);
  closed_ = true;
}

namespace {

using schedule::RequestLedger;

/// How often deadlines are looked at.
constexpr auto kTick = std::chrono::milliseconds(20);

struct DeadlineTick {};

}  // namespace
}  // namespace headwater::actors
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::actors::DeadlineTick)

namespace headwater::actors {
namespace {

class Frontend : public caf::event_based_actor {
 public:
  Frontend(caf::actor_config& config, std::shared_ptr<const Assets> assets, std::shared_ptr<Admission> admission)
      : caf::event_based_actor(config), assets_(std::move(assets)), admission_(std::move(admission)) {}

  const char* name() const override { return "frontend"; }

 private:
  caf::behavior make_behavior() override {
    return {
        [this](Wire& wire) { wire_ = std::move(wire); },
        [this](SubmitRequest& message) { open(message); },
        [this](const CancelRequest& message) {
          const auto* entry = ledger_.find(message.id);
          if (entry != nullptr && entry->request->connection == message.connection) cancel({message.id});
        },
        [this](const CancelConnection& message) {
          cancel(ledger_.select([&](const RequestLedger::Entry& entry) {
            return message.connection == 0 || entry.request->connection == message.connection;
          }));
        },
        [this](EndSession& message) { send(wire_.by_kind.at("prefix_matcher"), std::move(message)); },
        [this](const RequestTokenized& message) {
          ledger_.on_tokenized(message.id, message.prompt_tokens);
          admission_->count_tokens(message.prompt_tokens, 0);
        },
        [this](TokenBatch& batch) { deliver(batch); },
        [this](const StageLost& lost) { on_stage_lost(lost); },
        [this](const DeadlineTick&) { on_tick(); },
    };
  }

  void on_exit() override { wire_ = {}; }

  void open(SubmitRequest& message) {
    schedule::RequestPtr& request = message.request;
    const caf::actor& tokenizer = wire_.to[request->id % wire_.to.size()];
    clients_[request->connection] = message.client;
    ledger_.open(request);
    if (request->request.timeout_ms > 0 && !ticking_) {
      ticking_ = true;
      delayed_send(this, kTick, DeadlineTick{});
    }
    send(tokenizer, GenerateRequest{epoch_, std::move(request)});
  }

  void deliver(TokenBatch& batch) {
    const auto client = clients_.find(batch.connection);
    if (client == clients_.end()) return;
    const TimeNs now = assets_->clock();
    std::vector<RequestId> stopped;  // ended here by a stop string; the scheduler does not know
    std::vector<TokenEvent> events;
    std::uint64_t generated = 0;
    std::uint32_t ended = 0;
    for (TokenEvent& event : batch.events) {
      const auto* entry = ledger_.find(event.id);
      const bool had_token = entry != nullptr && entry->has_token;
      const auto verdict = ledger_.apply(event, now);
      if (verdict == RequestLedger::Verdict::drop) continue;
      if (verdict == RequestLedger::Verdict::first_token) admission_->first_token();
      if (verdict == RequestLedger::Verdict::ended) {
        ++ended;
        admission_->leave(event.kind, had_token);
        if (!event.stop_match.empty()) stopped.push_back(event.id);
      }
      if (event.kind == TokenEvent::Kind::tokens) generated += event.token_ids.size();
      events.push_back(std::move(event));
    }
    admission_->count_tokens(0, generated);
    cancel_downstream(stopped);
    hand_over(client->second, events, ended);
  }

  /// Gives events to a client; `ended` of them are terminal.
  void hand_over(const std::shared_ptr<ClientState>& client, std::span<const TokenEvent> events, std::uint32_t ended) {
    if (events.empty()) return;
    const std::shared_ptr<ClientState> kept = client;
    const bool last = kept->in_flight.fetch_sub(ended) == ended;
    kept->deliver(events);
    for (std::uint32_t i = 0; i < ended; ++i) admission_->delivered();
    if (last && kept->in_flight == 0) clients_.erase(kept->id());
  }

  void end(const std::vector<RequestId>& ids, TokenEvent::Kind kind, const Error& error) {
    const TimeNs now = assets_->clock();
    for (RequestId id : ids) {
      const auto* entry = ledger_.find(id);
      if (entry == nullptr) continue;
      const bool had_token = entry->has_token;
      const std::shared_ptr<ClientState> client = clients_.at(entry->request->connection);
      const auto event = ledger_.end(id, kind, error, now);
      admission_->leave(kind, had_token);
      hand_over(client, {&*event, 1}, 1);
    }
  }

  void cancel(const std::vector<RequestId>& ids) {
    cancel_downstream(ids);
    end(ids, TokenEvent::Kind::cancelled, {});
  }

  /// Along the path that the requests took, so that a cancel never overtakes its request.
  void cancel_downstream(const std::vector<RequestId>& ids) {
    std::map<std::size_t, std::vector<RequestId>> by_route;
    for (RequestId id : ids) by_route[id % wire_.to.size()].push_back(id);
    for (auto& [route, some] : by_route) send(wire_.to[route], CancelRequests{epoch_, std::move(some)});
  }

  void on_stage_lost(const StageLost& lost) {
    std::vector<RequestId> concerned;
    if (lost.epoch != epoch_) {
      epoch_ = lost.epoch;
      concerned = ledger_.select([](const auto&) { return true; });
    } else if (lost.kind == "tokenizer") {
      concerned = ledger_.select([](const RequestLedger::Entry& entry) { return !entry.tokenized; });
      std::erase_if(concerned, [&](RequestId id) { return !routed_to(lost, id); });
    } else {
      concerned = ledger_.select([](const auto&) { return true; });
      std::erase_if(concerned, [&](RequestId id) { return id % lost.replicas != lost.replica; });
      cancel_downstream(concerned);
    }
    end(concerned, TokenEvent::Kind::failed,
        {ErrorCode::stage_failed,
         "the stage \"" + lost.id + "\" (" + lost.kind + ") failed and was started anew; send the request again", ""});
  }

  bool routed_to(const StageLost& lost, RequestId id) const {
    // Successors are listed stage by stage; only the lost stage's replica at this place had the request.
    return lost.replicas != wire_.to.size() || id % wire_.to.size() == lost.replica;
  }

  void on_tick() {
    const TimeNs now = assets_->clock();
    const auto late = ledger_.select([&](const auto& entry) { return entry.deadline != 0 && entry.deadline <= now; });
    cancel_downstream(late);
    end(late, TokenEvent::Kind::failed,
        {ErrorCode::deadline_exceeded, "the request's timeout passed before its answer was complete", "timeout"});
    ticking_ = !ledger_.select([](const auto& entry) { return entry.deadline != 0; }).empty();
    if (ticking_) delayed_send(this, kTick, DeadlineTick{});
  }

  std::shared_ptr<const Assets> assets_;
  std::shared_ptr<Admission> admission_;
  Wire wire_;
  std::uint64_t epoch_ = 1;
  RequestLedger ledger_;
  std::map<ConnectionId, std::shared_ptr<ClientState>> clients_;
  bool ticking_ = false;
};

}  // namespace

caf::actor spawn_frontend(caf::actor_system& system, std::shared_ptr<const Assets> assets,
                          std::shared_ptr<Admission> admission) {
  return system.spawn<Frontend>(std::move(assets), std::move(admission));
}

}  // namespace headwater::actors
