#pragma once
// A Runtime without a model. Tokens are bytes; an answer is " w0 w1 w2 …", one word a step, until max_tokens or
// eight words. A test may hold the steps back and let them through one by one.

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "headwater/runtime.h"
#include "tests/gateway/told.h"

namespace headwater::test {

class FakeRuntime : public Runtime {
 public:
  FakeRuntime() : thread_([this] { work(); }) {}
  ~FakeRuntime() override {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  // ---- what a test sets and asks; any thread ----------------------------------------------------------

  /// Steps wait for let_through() from now on.
  void hold() {
    set([&] { held_ = true, permits_ = 0; });
  }
  void let_through(std::uint64_t steps) {
    set([&] { permits_ += steps; });
  }
  void release() {
    set([&] { held_ = false; });
  }
  /// Every word is followed by so many dots.
  void pad_words(std::size_t bytes) {
    set([&] { padding_ = bytes; });
  }
  void refuse_with(std::optional<Error> error) {
    set([&] { refusal_ = std::move(error); });
  }
  void limit_in_flight(std::size_t n) {
    set([&] { limit_ = n; });
  }
  /// What a handler meets from now on: `thrower` throws in submit(), tokenize() and stats().
  void throw_from_now_on(std::function<void()> thrower) {
    set([&] { thrower_ = std::move(thrower); });
  }
  void drain_now() {
    set([&] { draining_ = true; });
  }

  /// The requests that were accepted, in order.
  std::vector<Request> requests() {
    const std::scoped_lock lock(mutex_);
    return requests_;
  }
  bool wait_accepted(std::size_t n) {
    return wait([&] { return requests_.size() >= n; });
  }
  bool wait_cancelled(std::size_t n) {
    return wait([&] { return stats_.cancelled >= n; });
  }
  bool wait_idle() {
    return wait([&] { return live_.empty(); });
  }

  // ---- Runtime ---------------------------------------------------------------------------------------

  std::unique_ptr<Client> connect(EventHandler on_events) override {
    auto state = std::make_shared<State>();
    state->handler = std::move(on_events);
    return std::make_unique<FakeClient>(*this, std::move(state));
  }

  ModelInfo model() const override {
    ModelInfo info;
    info.name = "fake";
    info.chat_template = "chatml";
    info.vocab_size = 2000;
    info.context_length = 1024;
    info.kv_bytes_per_token = 12240;
    info.kv_tokens = 3200;
    info.kv_window = 512;
    info.kv_factor = 1.875;
    info.sampling.temperature = 0.6F;
    return info;
  }

  Result<std::vector<TokenId>> tokenize(std::string_view text, bool add_special, bool) const override {
    maybe_throw();
    std::vector<TokenId> ids;
    if (add_special) ids.push_back(1999);
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  Result<std::vector<TokenId>> tokenize(std::span<const ChatMessage> messages,
                                        const ChatOptions& options = {}) const override {
    std::string text;
    for (const ChatMessage& message : messages) text += message.role + ":" + message.content + "\n";
    if (!options.open_answer) text.pop_back();
    return tokenize(text, false, true);
  }
  Result<std::string> detokenize(std::span<const TokenId> ids) const override {
    std::string text;
    for (const TokenId id : ids) {
      if (id < 0 || id > 255)
        return Error{ErrorCode::invalid_request, "there is no token " + std::to_string(id), "tokens"};
      text += static_cast<char>(id);
    }
    return text;
  }

  std::optional<TierStats> tier;  ///< told by stats()

  Stats stats() const override {
    maybe_throw();
    const std::scoped_lock lock(mutex_);
    Stats stats = stats_;
    stats.in_flight = live_.size();
    tell(stats);
    stats.tier = tier;
    return stats;
  }

  Result<CacheAdvice> cache_advice() const override { return told_advice(); }

  // What an operator asks for is noted; a prompt holds one cached block for each three tokens.

  Result<CacheStatus> cache_status() const override { return told_status(); }
  void end_session(const std::string& tenant, const std::string& session) override {
    set([&] { operator_asked_.push_back("end " + tenant + "/" + session); });
  }
  Result<CacheFlush> flush_cache(const std::optional<std::string>& tenant) override {
    set([&] { operator_asked_.push_back("flush " + tenant.value_or("all")); });
    if (tenant) return CacheFlush{.blocks = 10};
    return CacheFlush{10, 20, true};
  }
  Result<CachePins> pin_prompt(std::vector<TokenId> prompt, const CacheOwner& owner,
                               std::optional<std::chrono::milliseconds> ttl) override {
    return note("pin", prompt, owner, ttl ? std::to_string(ttl->count()) : "forever");
  }
  Result<CachePins> unpin_prompt(std::vector<TokenId> prompt, const CacheOwner& owner) override {
    return note("unpin", prompt, owner, "");
  }
  std::vector<std::string> operator_asked() {
    const std::scoped_lock lock(mutex_);
    return operator_asked_;
  }

  bool drain(std::chrono::milliseconds) override {
    drain_now();
    return wait_idle();
  }
  bool draining() const override {
    const std::scoped_lock lock(mutex_);
    return draining_;
  }

 private:
  struct State {
    std::recursive_mutex mutex;
    EventHandler handler;
    bool closed = false;

    void deliver(const std::vector<TokenEvent>& events) {
      const std::scoped_lock lock(mutex);
      if (!closed && !events.empty()) handler(events);
    }
  };
  struct Live {
    std::shared_ptr<State> client;
    Request request;
    std::vector<TokenId> prompt;
    std::uint32_t words = 0;
    std::uint64_t seq = 0;
    bool cancelled = false;
  };

  class FakeClient : public Client {
   public:
    FakeClient(FakeRuntime& runtime, std::shared_ptr<State> state) : runtime_(runtime), state_(std::move(state)) {}
    ~FakeClient() override {
      {
        const std::scoped_lock lock(state_->mutex);
        state_->closed = true;
      }
      runtime_.cancel_where([&](RequestId, const Live& live) { return live.client == state_; });
    }
    Result<Ticket> submit(Request request) override {
      runtime_.maybe_throw();
      return runtime_.accept(state_, std::move(request));
    }
    void cancel(RequestId id) override {
      runtime_.cancel_where([&](RequestId other, const Live& live) { return other == id && live.client == state_; });
    }

   private:
    FakeRuntime& runtime_;
    std::shared_ptr<State> state_;
  };

  Result<CachePins> note(const std::string& what, const std::vector<TokenId>& prompt, const CacheOwner& owner,
                         const std::string& ttl) {
    set([&] {
      operator_asked_.push_back(what + " " + std::to_string(prompt.size()) + " tokens of " + owner.tenant + "/" +
                                owner.salt + " " + ttl);
    });
    return CachePins{prompt.size() / 3, prompt.size(), 1, 1};
  }

  void maybe_throw() const {
    std::function<void()> thrower;
    {
      const std::scoped_lock lock(mutex_);
      thrower = thrower_;
    }
    if (thrower) thrower();
  }

  template <class F>
  void set(F change) {
    {
      const std::scoped_lock lock(mutex_);
      change();
    }
    changed_.notify_all();
  }
  template <class F>
  bool wait(F condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), condition);
  }

  Result<Client::Ticket> accept(const std::shared_ptr<State>& client, Request request) {
    Live live{client, request, {}, 0, 0, false};
    if (const auto* text = std::get_if<std::string>(&request.prompt)) live.prompt = *tokenize(*text, false, true);
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&request.prompt)) live.prompt = *ids;
    if (const auto* chat = std::get_if<std::vector<ChatMessage>>(&request.prompt)) live.prompt = *tokenize(*chat);
    Client::Ticket ticket;
    {
      const std::scoped_lock lock(mutex_);
      const auto refuse = [&](Error error) {
        const Refusal why = error.code == ErrorCode::draining ? Refusal::draining : Refusal::queue_full;
        if (!request.asks_again) ++stats_.refused[static_cast<std::size_t>(why)];
        return Result<Client::Ticket>(std::move(error));
      };
      if (refusal_) return refuse(*refusal_);
      if (draining_) return refuse({ErrorCode::draining, "shutting down", ""});
      if (live_.size() >= limit_) return refuse({ErrorCode::overloaded, "no credit left", ""});
      ticket.position = static_cast<std::uint32_t>(live_.size());
      ticket.id = next_id_++;
      ++stats_.accepted;
      requests_.push_back(std::move(request));
      live_.emplace(ticket.id, std::move(live));
    }
    changed_.notify_all();
    return ticket;
  }

  template <class F>
  void cancel_where(F wanted) {
    set([&] {
      for (auto& [id, live] : live_) live.cancelled = live.cancelled || wanted(id, live);
    });
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      const auto any_cancelled = [&] {
        return std::any_of(live_.begin(), live_.end(), [](const auto& entry) { return entry.second.cancelled; });
      };
      changed_.wait(lock, [&] { return stopping_ || any_cancelled() || (!live_.empty() && (!held_ || permits_ > 0)); });
      if (stopping_) return;
      const bool only_cancels = any_cancelled();
      if (!only_cancels && held_) --permits_;
      std::map<std::shared_ptr<State>, std::vector<TokenEvent>> batches;
      for (auto entry = live_.begin(); entry != live_.end();) {
        Live& live = entry->second;
        auto& events = batches[live.client];
        if (live.cancelled || !only_cancels) step(entry->first, live, events);
        entry = !events.empty() && events.back().id == entry->first && events.back().terminal() ? live_.erase(entry)
                                                                                                : std::next(entry);
      }
      lock.unlock();
      for (auto& [client, events] : batches) client->deliver(events);
      lock.lock();
      changed_.notify_all();
    }
  }

  TokenEvent event(RequestId id, Live& live, TokenEvent::Kind kind) const {
    TokenEvent event;
    event.id = id;
    event.kind = kind;
    event.seq = live.seq++;
    const auto size = static_cast<std::uint32_t>(live.prompt.size());
    const std::uint32_t words = live.words + (kind == TokenEvent::Kind::tokens ? 1 : 0);
    event.usage = {size, words, size / 2, {1, CacheSource::memory, CacheMiss::evicted, size - size / 2 - 1}};
    if (event.terminal()) event.timings = {1, 2, 10};
    return event;
  }

  static PositionLogprobs scored(TokenId id, const std::string& bytes, float logprob, std::uint32_t n) {
    PositionLogprobs position{{id, logprob, bytes}, {}};
    if (n > 0) position.top.push_back({id, logprob, bytes});
    for (std::uint32_t i = 1; i < n; ++i)
      position.top.push_back({TokenId(i), logprob - float(i), std::string(1, char('A' + i))});
    return position;
  }

  void step(RequestId id, Live& live, std::vector<TokenEvent>& events) {
    using Kind = TokenEvent::Kind;
    const SamplingParams& params = live.request.params;
    const std::string prompt(live.prompt.begin(), live.prompt.end());
    if (live.cancelled) {
      ++stats_.cancelled;
      events.push_back(event(id, live, Kind::cancelled));
      return;
    }
    if (prompt.find("TOO LONG") != std::string::npos)
      return fail(id, live, {ErrorCode::context_length_exceeded, "too long", "prompt"}, events);
    if (prompt.find("BREAK") != std::string::npos && live.words == 2) {
      return fail(id, live, {ErrorCode::stage_failed, "the stage broke", ""}, events);
    }
    if (live.words == 0 && params.prompt_logprobs && live.seq == 0) {
      TokenEvent scores = event(id, live, Kind::prompt);
      scores.token_ids = live.prompt;
      for (std::size_t i = 0; i < live.prompt.size(); ++i) {
        const float logprob = i == 0 ? std::numeric_limits<float>::quiet_NaN() : -float(i);
        scores.logprobs.push_back(scored(live.prompt[i], std::string(1, char(live.prompt[i])), logprob,
                                         i == 0 ? 0 : *params.prompt_logprobs));
      }
      events.push_back(std::move(scores));
    }
    const std::uint32_t most = params.max_tokens.value_or(8);
    if (most > 0) {
      TokenEvent word = event(id, live, Kind::tokens);
      word.text = " w" + std::to_string(live.words);
      word.token_ids = {TokenId(1000 + live.words)};
      if (params.logprobs) word.logprobs.push_back(scored(word.token_ids[0], word.text, -0.5F, *params.logprobs));
      word.text += std::string(padding_, '.');
      ++live.words;
      ++stats_.generation_tokens;
      events.push_back(std::move(word));
    }
    if (live.words < most) return;
    TokenEvent end = event(id, live, Kind::finished);
    end.finish_reason = params.max_tokens ? FinishReason::length : FinishReason::stop;
    if (!params.stop.empty()) end.stop_match = params.stop[0];
    ++stats_.finished;
    events.push_back(std::move(end));
  }

  void fail(RequestId id, Live& live, Error error, std::vector<TokenEvent>& events) {
    TokenEvent failed = event(id, live, TokenEvent::Kind::failed);
    failed.error = std::move(error);
    ++stats_.failed;
    events.push_back(std::move(failed));
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<RequestId, Live> live_;
  std::vector<Request> requests_;
  std::vector<std::string> operator_asked_;
  Stats stats_;
  RequestId next_id_ = 1;
  std::uint64_t permits_ = 0;
  std::size_t padding_ = 0;
  std::size_t limit_ = 1000;
  std::optional<Error> refusal_;
  std::function<void()> thrower_;
  bool held_ = false;
  bool draining_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace headwater::test
