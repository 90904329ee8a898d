#include "actors/frontend.h"

#include <spdlog/spdlog.h>

#include "actors/failure.h"
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
  } catch (...) {
    spdlog::error("a client's event handler threw");
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

/// An exception in a handler costs the requests that it concerns, not the frontend. One that comes while these are told
/// ends it, and the supervisor then the process.
class Frontend : public caf::event_based_actor {
 public:
  Frontend(caf::actor_config& config, std::shared_ptr<const Assets> assets, std::shared_ptr<Admission> admission)
      : caf::event_based_actor(config), assets_(std::move(assets)), admission_(std::move(admission)) {
    set_exception_handler(error_of);
    set_down_handler([this](const caf::down_msg& down) { on_supervisor_lost(down.reason); });
  }

  const char* name() const override { return "frontend"; }

 private:
  caf::behavior make_behavior() override {
    return {
        [this](Wire& wire) { wire_ = std::move(wire); },
        [this](const WatchSupervisor& watch) { monitor(watch.supervisor); },
        [this](SubmitRequest& message) {
          guard([&] { open(message); }, [&](const Error& why) { refuse(message, why); });
        },
        [this](TokenBatch& batch) {
          guard([&] { deliver(batch); }, [&](const Error& why) { fail(requests_of(batch.connection), why); });
        },
        [this](const CancelRequest& message) {
          guard([&] {
            const auto* entry = ledger_.find(message.id);
            if (entry != nullptr && entry->request->connection == message.connection) cancel({message.id});
          });
        },
        [this](const CancelConnection& message) {
          guard([&] { cancel(message.connection == 0 ? all_requests() : requests_of(message.connection)); });
        },
        // What is only kept in mind costs nobody a request.
        [this](EndSession& message) {
          guard([&] { send(wire_.peers.prefix_matcher, std::move(message)); }, [](const Error&) {});
        },
        [this](const RequestTokenized& message) {
          guard(
              [&] {
                ledger_.on_tokenized(message.id, message.prompt_tokens);
                admission_->tokenized(message.id, message.prompt_tokens);
              },
              [](const Error&) {});
        },
        [this](const StepDone& done) { guard([&] { admission_->on_step(done.result); }, [](const Error&) {}); },
        [this](const StageLost& lost) { guard([&] { on_stage_lost(lost); }); },
        [this](const DeadlineTick&) {
          ticking_ = false;
          guard([&] { on_tick(); });
        },
    };
  }

  /// `salvage` is told why `work` threw.
  template <class Work, class Salvage>
  void guard(const Work& work, const Salvage& salvage) {
    try {
      work();
    } catch (...) {
      const Error why = failure_of(std::current_exception(), "the frontend");
      spdlog::error("{}", why.message);
      salvage(why);
    }
  }
  template <class Work>
  void guard(const Work& work) {
    guard(work, [this](const Error& why) { fail(all_requests(), why); });
  }

  std::vector<RequestId> all_requests() const {
    return ledger_.select([](const auto&) { return true; });
  }
  std::vector<RequestId> requests_of(ConnectionId connection) const {
    return ledger_.select([&](const auto& entry) { return entry.request->connection == connection; });
  }

  void on_exit() override { wire_ = {}; }

  void open(const SubmitRequest& message) {
    const schedule::RequestPtr& request = message.request;
    const caf::actor& tokenizer = wire_.to.at(request->id % wire_.to.size());
    clients_[request->connection] = message.client;
    ledger_.open(request);
    if (request->request.timeout_ms > 0 && !ticking_) {
      ticking_ = true;
      delayed_send(this, kTick, DeadlineTick{});
    }
    send(tokenizer, GenerateRequest{epoch_, request});
  }

  /// Ends a request that could not be opened, or not whole.
  void refuse(const SubmitRequest& message, const Error& why) {
    const RequestId id = message.request->id;
    if (ledger_.find(id) != nullptr) return fail({id}, why);
    TokenEvent event;
    event.id = id;
    event.kind = TokenEvent::Kind::failed;
    event.error = why;
    leave(*message.request, event, false, assets_->clock());
    hand_over(message.client, {&event, 1}, 1);
  }

  void deliver(TokenBatch& batch) {
    const auto client = clients_.find(batch.connection);
    if (client == clients_.end()) return;
    const TimeNs now = assets_->clock();
    std::vector<RequestId> stopped;  // ended here by a stop string; the scheduler does not know
    std::vector<TokenEvent> events;
    // Nothing throws between what the ledger is told of an event and its client.
    stopped.reserve(batch.events.size());
    events.reserve(batch.events.size());
    std::uint64_t generated = 0;
    std::uint32_t ended = 0;
    for (TokenEvent& event : batch.events) {
      const auto* entry = ledger_.find(event.id);
      const bool had_token = entry != nullptr && entry->has_token;
      const schedule::RequestPtr request = entry != nullptr ? entry->request : nullptr;
      const auto verdict = ledger_.apply(event, now);
      if (verdict == RequestLedger::Verdict::drop) continue;
      if (verdict == RequestLedger::Verdict::first_token) admission_->first_token();
      if (verdict == RequestLedger::Verdict::ended) {
        ++ended;
        leave(*request, event, had_token, now);
        if (!event.stop_match.empty()) stopped.push_back(event.id);
      }
      if (event.kind == TokenEvent::Kind::tokens) generated += event.token_ids.size();
      events.push_back(std::move(event));
    }
    admission_->count_generated(generated);
    hand_over(client->second, events, ended);
    cancel_downstream(stopped);
  }

  /// The books of those who wait must not keep a terminal event from its client.
  void leave(const schedule::AdmittedRequest& request, const TokenEvent& event, bool had_token, TimeNs now) {
    guard([&] { admission_->leave(request, event, had_token, now); }, [](const Error&) {});
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
      const schedule::RequestPtr request = entry->request;
      const std::shared_ptr<ClientState> client = clients_.at(request->connection);
      const auto event = ledger_.end(id, kind, error, now);
      leave(*request, *event, had_token, now);
      hand_over(client, {&*event, 1}, 1);
    }
  }

  void fail(const std::vector<RequestId>& ids, const Error& why) {
    cancel_downstream(ids);
    end(ids, TokenEvent::Kind::failed, why);
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
      concerned = all_requests();
    } else if (lost.loss == topology::Loss::waiting_requests) {
      concerned = ledger_.select([](const RequestLedger::Entry& entry) { return !entry.tokenized; });
      std::erase_if(concerned, [&](RequestId id) { return !routed_to(lost, id); });
    } else {
      concerned = all_requests();
      std::erase_if(concerned, [&](RequestId id) { return id % lost.replicas != lost.replica; });
      cancel_downstream(concerned);
    }
    end(concerned, TokenEvent::Kind::failed,
        {lost.no_memory ? ErrorCode::unavailable : ErrorCode::stage_failed,
         "the stage \"" + lost.id + "\" (" + lost.kind + ") " + (lost.no_memory ? "had no memory left" : "failed") +
             " and was started anew; send the request again",
         ""});
  }

  /// Nobody would make a stage anew that dies from now on, and a request that waits for it would wait for ever.
  void on_supervisor_lost(const caf::error& reason) {
    const std::string why = "the supervisor failed: " + to_string(reason) + "; the server must be restarted";
    spdlog::critical("{}", why);
    admission_->break_down(why);
    end(all_requests(), TokenEvent::Kind::failed, {ErrorCode::stage_failed, why, ""});
  }

  bool routed_to(const StageLost& lost, RequestId id) const {
    // Successors are listed stage by stage; only the lost stage's replica at this place had the request.
    return lost.replicas != wire_.to.size() || id % wire_.to.size() == lost.replica;
  }

  void on_tick() {
    const TimeNs now = assets_->clock();
    const auto late = ledger_.select([&](const auto& entry) { return entry.deadline != 0 && entry.deadline <= now; });
    fail(late,
         {ErrorCode::deadline_exceeded, "the request's timeout passed before its answer was complete", "timeout"});
    fail(admission_->hopeless(now),
         {ErrorCode::deadline_exceeded,
          "the request had not begun when too little of its timeout was left for its answer; nothing was computed",
          "timeout"});
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
