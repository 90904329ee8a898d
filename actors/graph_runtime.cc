#include "actors/graph_runtime.h"

#include <limits>
#include <random>

#include "actors/ask_all.h"
#include "actors/cache_controls.h"
#include "actors/counters.h"
#include "actors/frontend.h"
#include "actors/memory_plan.h"
#include "actors/warm_up.h"
#include "headwater/context_limit.h"
#include "kernels/memory_limits.h"
#include "kernels/memory_reserve.h"
#include "model/prompt_encoder.h"
#include "model/sampler.h"

namespace headwater::actors {
namespace {

/// How long stats() waits for a stage that is busy.
constexpr auto kStatsPatience = std::chrono::seconds(1);

std::atomic<RequestId> next_request{1};

std::uint64_t random_seed() {
  thread_local std::mt19937_64 generator{std::random_device{}()};
  return generator();
}

class GraphClient : public Client {
 public:
  GraphClient(std::shared_ptr<const Assets> assets, std::shared_ptr<Admission> admission, caf::actor frontend,
              const topology::CacheSpec& cache, std::uint32_t max_in_flight, std::shared_ptr<ClientState> state)
      : assets_(std::move(assets)),
        admission_(std::move(admission)),
        frontend_(std::move(frontend)),
        cache_(cache),
        max_in_flight_(max_in_flight),
        state_(std::move(state)) {}

  ~GraphClient() override {
    state_->close();
    caf::anon_send(frontend_, CancelConnection{state_->id()});
  }

  Result<Ticket> submit(Request request) override {
    auto checked = model::check_params(request.params, assets_->tokenizer->vocab_size());
    if (checked) checked = check_cache_control(request, cache_);
    if (!checked) {
      admission_->count_refused(Refusal::invalid);
      return checked.error();
    }
    if (!kernels::memory_reserve_whole()) {
      admission_->count_refused(Refusal::no_memory);
      return Error{ErrorCode::unavailable, "the server is short of memory; try later", ""};
    }
    if (state_->in_flight.fetch_add(1) >= max_in_flight_) {
      state_->in_flight.fetch_sub(1);
      if (!request.asks_again) admission_->count_refused(Refusal::connection_full);
      return Error{ErrorCode::overloaded,
                   "this connection has " + std::to_string(max_in_flight_) +
                       " requests under way, as many as one may have; wait for some to end",
                   ""};
    }
    auto admitted = std::make_shared<schedule::AdmittedRequest>();
    admitted->id = next_request++;
    admitted->connection = state_->id();
    admitted->accepted_at = assets_->clock();
    admitted->seed = request.params.seed.value_or(random_seed());
    admitted->request = std::move(request);
    const RequestId id = admitted->id;
    const auto position = admission_->enter(admitted);
    if (!position) {
      state_->in_flight.fetch_sub(1);
      return position.error();
    }
    caf::anon_send(frontend_, SubmitRequest{std::move(admitted), state_});
    return Ticket{id, *position};
  }

  void cancel(RequestId id) override { caf::anon_send(frontend_, CancelRequest{state_->id(), id}); }

 private:
  std::shared_ptr<const Assets> assets_;
  std::shared_ptr<Admission> admission_;
  caf::actor frontend_;
  const topology::CacheSpec cache_;
  std::uint32_t max_in_flight_;
  std::shared_ptr<ClientState> state_;
};

AdmissionOptions admission_options(const topology::Topology& topology, const Assets& assets) {
  AdmissionOptions options;
  options.max_in_flight = topology.gateway.max_queued;
  options.limits.kv_tokens = assets.info.kv_tokens;
  if (const topology::Stage* scheduler = topology.find_kind("scheduler"); scheduler != nullptr) {
    // A scheduler of a host program may have other arguments.
    const auto read = [&](const char* name, std::uint32_t& limit) {
      if (scheduler->args.contains(name)) limit = static_cast<std::uint32_t>(scheduler->integer(name));
    };
    read("max_batch_size", options.limits.max_batch_size);
    read("max_step_tokens", options.limits.max_step_tokens);
    read("prefill_chunk", options.limits.prefill_chunk);
    read("mixed_prefill_tokens", options.limits.mixed_prefill_tokens);
    // A program that embeds the runtime knows how long it wants to wait.
    std::uint32_t max_wait_ms = 0;
    if (topology.gateway.present) read("max_wait", max_wait_ms);
    options.max_wait = max_wait_ms * 1e-3;
  }
  return options;
}

/// Error: the length alone says that it is too long to be served.
Result<std::vector<TokenId>> encode_whole(const Assets& assets, std::vector<model::PromptPart> parts) {
  constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();
  model::PromptEncoder encoder(*assets.tokenizer, std::move(parts));
  if (!encoder.may_fit(assets.max_sequence_tokens)) {
    return context_exceeded(
        assets.max_sequence_tokens,
        "the text has " + std::to_string(encoder.bytes()) + " bytes, more than so many tokens can have", "prompt");
  }
  while (!encoder.advance(kAny, kAny)) {
  }
  return std::move(encoder).take();
}

std::unique_ptr<caf::actor_system_config> make_config() {
  auto config = std::make_unique<caf::actor_system_config>();
  config->set("scheduler.policy", caf::atom("sharing"));  // idles at no cost, and wakes fast for the detached executor
  config->set("scheduler.max-threads", 2);
  config->set("scheduler.max-throughput", 50);  // messages of one actor before others have a turn
  return config;
}

}  // namespace

GraphRuntime::GraphRuntime(const topology::Topology& topology, std::shared_ptr<const Assets> assets)
    : assets_(std::move(assets)),
      admission_(std::make_shared<Admission>(admission_options(topology, *assets_))),
      max_per_connection_(topology.gateway.max_per_connection),
      cache_(topology.cache),
      config_(make_config()),
      system_(std::make_unique<caf::actor_system>(*config_)) {}

Result<std::unique_ptr<GraphRuntime>> GraphRuntime::start(const topology::Topology& topology,
                                                          const StageRegistry& registry,
                                                          std::shared_ptr<const Assets> assets) {
  // CAF's actor_system does not survive that one of its threads cannot be started.
  constexpr unsigned kCafThreads = 8;
  if (auto enough = check_threads(kCafThreads); !enough) return enough.error();
  std::unique_ptr<GraphRuntime> runtime(new GraphRuntime(topology, std::move(assets)));
  runtime->frontend_ = spawn_frontend(*runtime->system_, runtime->assets_, runtime->admission_);
  runtime->supervisor_ = spawn_supervisor(*runtime->system_, topology, registry, runtime->assets_, runtime->admission_,
                                          runtime->frontend_);
  std::string failure;
  caf::scoped_actor self(*runtime->system_);
  self->request(runtime->supervisor_, caf::infinite, StartStages{})
      .receive([](const StageList&) {}, [&](const caf::error& error) { failure = to_string(error); });
  if (!failure.empty()) return Error{ErrorCode::start_failed, "a stage could not be started: " + failure, ""};
  return runtime;
}

GraphRuntime::~GraphRuntime() {
  admission_->drain();
  caf::anon_send(supervisor_, StopStages{});
  caf::anon_send_exit(frontend_, caf::exit_reason::user_shutdown);  // also where the supervisor has died
  supervisor_ = nullptr;
  frontend_ = nullptr;
}

std::unique_ptr<Client> GraphRuntime::connect(EventHandler on_events) {
  return std::make_unique<GraphClient>(assets_, admission_, frontend_, cache_, max_per_connection_,
                                       std::make_shared<ClientState>(next_connection_++, std::move(on_events)));
}

Result<std::vector<TokenId>> GraphRuntime::tokenize(std::string_view text, bool add_special, bool parse_special) const {
  model::EncodeOptions options{.add_special = add_special, .parse_special = parse_special};
  return encode_whole(*assets_, {{-1, std::string(text), options}});
}

Result<std::vector<TokenId>> GraphRuntime::tokenize(std::span<const ChatMessage> messages,
                                                    const ChatOptions& options) const {
  if (assets_->chat_template == nullptr) {
    return Error{ErrorCode::invalid_request, "the model has no chat template; send text", "messages"};
  }
  auto parts = model::prompt_parts(*assets_->chat_template, *assets_->tokenizer, messages, options);
  if (!parts) return parts.error();
  return encode_whole(*assets_, std::move(*parts));
}

Result<std::string> GraphRuntime::detokenize(std::span<const TokenId> ids) const {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!assets_->tokenizer->valid(ids[i])) {
      return Error{ErrorCode::invalid_request,
                   "tokens[" + std::to_string(i) + "] is " + std::to_string(ids[i]) + "; the vocabulary ends at " +
                       std::to_string(assets_->tokenizer->vocab_size() - 1),
                   "tokens"};
    }
  }
  return assets_->tokenizer->decode(ids);
}

std::vector<StageHandle> GraphRuntime::stages() const {
  std::vector<StageHandle> stages;
  caf::scoped_actor self(*system_);
  self->request(supervisor_, kStatsPatience, ListStages{})
      .receive([&](StageList& list) { stages = std::move(list.stages); }, [](const caf::error&) {});
  return stages;
}

Stats GraphRuntime::stats() const {
  Stats stats;
  admission_->report(stats);
  stats.blocks_total = assets_->total_blocks;
  stats.block_tokens = assets_->grid.tokens;
  std::vector<caf::actor> asked;
  for (const StageHandle& stage : stages()) {
    // Those are busy with the model or a device, and have nothing to tell that others do not.
    if (stage.kind != "executor" && stage.kind != "cache_tier") asked.push_back(stage.actor);
  }
  ask_all<Stats>(*system_, asked, kStatsPatience, StatsQuery{}, [&](const Stats& part) { add(stats, part); });
  return stats;
}

template <class Answer, class Question>
Result<Answer> GraphRuntime::ask_cache(Question question) const {
  Result<Answer> result =
      Error{ErrorCode::unavailable, "the prefix cache has not answered within a second; try again", ""};
  caf::scoped_actor self(*system_);
  for (const StageHandle& stage : stages()) {
    if (stage.kind != "prefix_matcher") continue;
    self->request(stage.actor, kStatsPatience, std::move(question))
        .receive([&](Answer& answer) { result = std::move(answer); }, [](const caf::error&) {});
    break;
  }
  return result;
}

Result<CacheAdvice> GraphRuntime::cache_advice() const {
  if (!cache_.enable_prefix_caching) {
    return Error{ErrorCode::unavailable, "the prefix cache is off (enable_prefix_caching), so nothing is known", ""};
  }
  auto reply = ask_cache<CacheAdviceReply>(CacheAdviceQuery{});
  if (!reply) return reply.error();
  return std::move(reply->advice);
}

Result<CacheStatus> GraphRuntime::cache_status() const { return ask_cache<CacheStatus>(CacheStatusQuery{}); }

void GraphRuntime::end_session(const std::string& tenant, const std::string& session) {
  caf::anon_send(frontend_, EndSession{tenant, session});
}

Result<CacheFlush> GraphRuntime::flush_cache(const std::optional<std::string>& tenant) {
  return ask_cache<CacheFlush>(FlushCache{tenant});
}

Result<CachePins> GraphRuntime::pin_prompt(std::vector<TokenId> prompt, const CacheOwner& owner,
                                           std::optional<std::chrono::milliseconds> ttl) {
  if (cache_.max_pinned <= 0) {
    return Error{ErrorCode::invalid_request,
                 "nothing may be pinned here; set max_pinned in the topology's cache section", ""};
  }
  const TimeNs until = ttl ? assets_->clock() + std::chrono::nanoseconds(*ttl).count() : cache::kNever;
  return ask_cache<CachePins>(PinPrompt{std::move(prompt), owner, until});
}

Result<CachePins> GraphRuntime::unpin_prompt(std::vector<TokenId> prompt, const CacheOwner& owner) {
  return ask_cache<CachePins>(PinPrompt{std::move(prompt), owner, std::nullopt});
}

bool GraphRuntime::drain(std::chrono::milliseconds timeout) {
  admission_->drain();
  if (admission_->wait_idle(timeout)) return true;
  caf::anon_send(frontend_, CancelConnection{0});
  admission_->wait_idle(std::chrono::seconds(2));
  return false;
}

}  // namespace headwater::actors

namespace headwater {

namespace {

Result<std::unique_ptr<Runtime>> start_topology(std::string_view yaml, std::string_view source,
                                                const Overrides& overrides) {
  const actors::StageRegistry registry = actors::builtin_stages();
  const auto parsed = topology::parse(yaml, source, registry.catalog(), overrides);
  if (!parsed.topology) return Error{ErrorCode::invalid_topology, parsed.report(source), ""};
  auto assets = actors::load_assets(*parsed.topology);
  if (!assets) return assets.error();
  auto runtime = actors::GraphRuntime::start(*parsed.topology, registry, std::move(*assets));
  if (!runtime) return runtime.error();
  const topology::CacheSpec& cache = parsed.topology->cache;
  if (cache.enable_prefix_caching) {
    if (auto warm = actors::warm_up(**runtime, cache.warmup, overrides.warmup_tenants); !warm) return warm.error();
  }
  return std::unique_ptr<Runtime>(std::move(*runtime));
}

}  // namespace

Result<std::unique_ptr<Runtime>> Runtime::start(std::string_view yaml, std::string_view source,
                                                const Overrides& overrides) {
  try {
    return start_topology(yaml, source, overrides);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::unavailable,
                 "there is not enough memory to start; give the process more, or pass a smaller --cache-size-limit",
                 ""};
  } catch (const std::exception& error) {
    return Error{ErrorCode::start_failed, std::string("the topology could not be started: ") + error.what(), ""};
  }
}

std::uint64_t Runtime::memory_limit() {
  std::uint64_t least = 0;
  for (const kernels::MemoryLimit& limit : kernels::memory_limits()) {
    if (least == 0 || limit.limit < least) least = limit.limit;
  }
  return least;
}

}  // namespace headwater
