#pragma once
// The runtime for a program that embeds it: start a topology, submit requests, get events.
//
// Threading: every method may be called from any thread. Event handlers run on the runtime's own
// threads, one call at a time for each client; they must not block and may call submit() and cancel().
// Ownership: destroy clients before their Runtime. Destroying a client cancels what it has running.

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "headwater/cache_insight.h"
#include "headwater/refusal.h"
#include "headwater/request.h"
#include "headwater/result.h"

namespace headwater {

/// Takes the events of one step for one client, in order; never empty.
using EventHandler = std::function<void(std::span<const TokenEvent>)>;

/// Values that replace those of a topology file; unset ones leave the file's.
struct Overrides {
  std::optional<std::string> model;             ///< path of a GGUF file
  std::optional<std::string> chat_template;     ///< file of a Jinja template, or a form by name: "chatml"
  std::optional<std::string> pre_tokenizer;     ///< how text is cut into words, in place of what the file names
  std::optional<std::string> listen;            ///< host:port of the gateway
  std::optional<std::string> quant_policy;      ///< bits of keys and values in the cache: "0" (16), "8", "4" or "k8v4"
  std::optional<std::string> cache_size_limit;  ///< "0.6" of memory, or "2GiB"
  std::optional<std::string> cache_dir;       ///< folder of the prefix cache's disk tier; adds one where there is none
  std::optional<std::string> cache_dir_size;  ///< what it may take on the disk: "10GiB"
  std::optional<bool> enable_prefix_caching;
  std::optional<double> prefix_match_threshold;  ///< share of a block's tokens, 0 … 1, from which on it is copied
  std::optional<std::string> cache_ttl;  ///< "300s" since the last use, after which a cached block expires; "0": never
  std::optional<double> tenant_quota;    ///< share of the pool that one tenant's cached blocks may hold, 0.01 … 1
  std::optional<double> max_pinned;      ///< share of the pool that may be pinned, 0 … 0.9
  std::optional<std::uint32_t> max_batch_size;
  std::optional<std::uint32_t> prefill_chunk;  ///< most prompt tokens of one sequence in a step
  std::optional<std::uint32_t> threads;        ///< compute threads; 0: one per core, within a CPU quota
  std::optional<std::string> precision;        ///< "fast", "balanced" or "exact"
  std::optional<std::uint32_t> session_len;    ///< most tokens of one sequence
  std::optional<std::uint32_t> max_queued;     ///< requests accepted and not finished
  std::optional<std::uint32_t> draft_tokens;   ///< most guessed tokens of a sequence in a step; 0: none
  std::optional<std::string> max_wait;         ///< "2s", longest that a request may be expected to wait; "0": any time
  /// Values of Request::tenant for which the topology's warm-up prompts are computed; none: the one without a name.
  std::vector<std::string> warmup_tenants;
};

struct ModelInfo {
  std::string name;  ///< what clients call it
  std::string path;
  std::string architecture;   ///< e.g. "llama"
  std::string chat_template;  ///< whose it is: "the model's own", a file's path, "chatml"; empty: no chat is served
  std::uint32_t vocab_size = 0;
  std::uint32_t context_length = 0;  ///< tokens of one sequence that are served: model, session_len and pool
  std::uint64_t parameters = 0;
  std::string quant_policy;              ///< of the cache, as Overrides has it
  std::uint64_t kv_bytes_per_token = 0;  ///< of the cache, all that belongs to a token
  std::uint64_t kv_tokens = 0;           ///< that the cache holds
  std::uint32_t kv_window = 0;           ///< tokens that layers with a window keep of a sequence; 0: none has one
  double kv_factor = 1;                  ///< tokens held over those that 16 bits would hold in the same memory
  /// What to ask for where nobody says: the usual defaults, with the temperature, top_k, top_p and min_p that the
  /// model's file names. Request has the usual ones; who embeds the runtime puts these in.
  SamplingParams sampling;
};

/// The disk tier of the prefix cache: counters since the start, and gauges.
struct TierStats {
  enum class State : std::uint8_t {
    off,       ///< not open: it starts, or it cannot be opened now
    degraded,  ///< it could not save, or loads came too late: it does less, and tries again after a while
    on,
  };
  State state = State::off;
  std::uint64_t blocks = 0, bytes = 0;  ///< that it holds
  std::uint64_t hit_tokens = 0;         ///< of prompts, loaded instead of computed
  std::uint64_t saved_blocks = 0;
  std::uint64_t dropped_blocks = 0;  ///< worth saving, and the queue was full or the tenant had its share
  std::uint64_t mismatches = 0;      ///< blocks found damaged, or not what they should be, and deleted
  std::uint64_t late_loads = 0;      ///< given up, or cut short, as computing was as fast
  std::uint64_t too_slow = 0;        ///< loads not tried as computing was expected to be as fast
  std::uint64_t errors = 0;          ///< of the device, or of what keeps the files
  // cumulative counts for kTierSecondsBounds, Prometheus style: of loads, and of the blocks saved
  double load_seconds_sum = 0, save_seconds_sum = 0;
  std::vector<std::uint64_t> load_seconds_counts, save_seconds_counts;  ///< [kTierSecondsBounds + 1]
};

/// Counters since the start, and gauges; one consistent picture of each stage.
struct Stats {
  // requests
  std::uint64_t accepted = 0, finished = 0, failed = 0, cancelled = 0;
  std::array<std::uint64_t, kRefusalNames.size()> refused{};  ///< by Refusal; these were not accepted
  std::uint64_t in_flight = 0, running = 0, queued = 0;
  std::uint64_t prompt_tokens = 0, generation_tokens = 0;
  // cache; free + active + cached == total
  std::uint64_t blocks_free = 0, blocks_active = 0, blocks_cached = 0, blocks_total = 0;
  /// Bytes that blocks take, in the layers that keep all tokens, and in those with a window.
  std::uint64_t kv_full_bytes = 0, kv_window_bytes = 0;
  // Prompts that were looked up in the cache, each once, and what was found. Blocks are whole ones.
  std::uint64_t prefix_query_tokens = 0, prefix_query_blocks = 0;
  std::uint64_t prefix_hit_tokens = 0, prefix_hit_blocks = 0;
  std::uint64_t prefix_copied_tokens = 0;  ///< of those hit, in blocks that agreed in part
  std::array<std::uint64_t, kCacheMissNames.size()> prefix_missed_tokens{};  ///< by CacheMiss
  std::uint64_t ghost_hits = 0;  ///< prompts that missed first what had been evicted
  std::array<std::uint64_t, kEvictionReasonNames.size()> evictions{};  ///< blocks, by EvictionReason
  double eviction_age_seconds_sum = 0;                                 ///< from the last use of a block to its eviction
  std::vector<std::uint64_t> eviction_age_seconds_counts;              ///< [kEvictionAgeBounds + 1]
  std::uint64_t preemptions = 0;
  std::uint64_t drafted = 0, draft_accepted = 0;  ///< tokens guessed and checked; of those, right
  std::uint32_t block_tokens = 0;
  std::optional<TierStats> tier;  ///< where the topology has one
  // steps: cumulative counts for the upper bounds below, Prometheus style
  std::uint64_t steps = 0;
  double step_seconds_sum = 0;
  std::vector<std::uint64_t> step_seconds_counts;  ///< [kStepSecondsBounds + 1]
  std::uint64_t batch_size_sum = 0;                ///< sequences of all steps
  std::vector<std::uint64_t> batch_size_counts;    ///< [kBatchSizeBounds + 1]
  // supervision
  std::uint64_t stage_restarts = 0;

  std::uint64_t rejected() const { return std::accumulate(refused.begin(), refused.end(), std::uint64_t{0}); }
};

inline constexpr double kStepSecondsBounds[] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1};
inline constexpr double kEvictionAgeBounds[] = {0.1, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400};  // seconds
inline constexpr double kTierSecondsBounds[] = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5};
inline constexpr double kBatchSizeBounds[] = {1, 2, 4, 8, 16, 32, 48, 64, 128};

class Runtime;

/// One source of requests. Requests of different clients are served in fair turns.
class Client {
 public:
  struct Ticket {
    RequestId id = 0;
    std::uint32_t position = 0;  ///< accepted requests in front that have no token yet
  };

  virtual ~Client() = default;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Accepts the request, or says why not. Errors: "overloaded" (no credit left, try after `retry_after`),
  /// "draining", "invalid_request" with `param`. Mistakes that only the tokenizer sees, such as
  /// "context_length_exceeded", arrive as a `failed` event.
  virtual Result<Ticket> submit(Request request) = 0;

  /// Ends a request with a `cancelled` event. An unknown or ended id is ignored.
  virtual void cancel(RequestId id) = 0;

 protected:
  Client() = default;
};

/// A running topology.
class Runtime {
 public:
  /// Starts the topology in `yaml`; `source` names it in errors ("high.yaml:7:12: …"). Returns when the
  /// model is loaded, every stage runs and the topology's warm-up prompts are computed.
  static Result<std::unique_ptr<Runtime>> start(std::string_view yaml, std::string_view source,
                                                const Overrides& overrides = {});
  virtual ~Runtime() = default;
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  virtual std::unique_ptr<Client> connect(EventHandler on_events) = 0;

  virtual ModelInfo model() const = 0;

  /// Text to ids. `parse_special`: whether "<|im_end|>" and the like become their special tokens.
  virtual Result<std::vector<TokenId>> tokenize(std::string_view text, bool add_special, bool parse_special) const = 0;
  /// The ids of a conversation as the model's chat template renders it.
  virtual Result<std::vector<TokenId>> tokenize(std::span<const ChatMessage> messages,
                                                const ChatOptions& options = {}) const = 0;
  /// Ids to bytes (UTF-8 where the ids are whole text). Errors: an id outside the vocabulary.
  virtual Result<std::string> detokenize(std::span<const TokenId> ids) const = 0;

  /// Asks all stages at once; waits for at most a second for those that are busy.
  virtual Stats stats() const = 0;

  /// What more or less memory for the cache would bring, judged by what was asked for lately. Errors: "unavailable",
  /// the prefix cache is off, or its stage is busy for more than a second.
  virtual Result<CacheAdvice> cache_advice() const = 0;
  /// Ends the pin that requests of this tenant with this session have made, or that running ones would make when they
  /// end. A session that is not known: nothing happens. Waits for nothing.
  virtual void end_session(const std::string& tenant, const std::string& session) = 0;

  // What an operator may ask of the prefix cache. Error of each: "unavailable", where the stage that keeps it has not
  // answered within a second.

  virtual Result<CacheStatus> cache_status() const = 0;
  /// Gives up what is cached and not pinned, of one tenant (as CacheStatus shows it) or of all, and what a slower tier
  /// has of it. Once this has returned, no restart finds it there either.
  virtual Result<CacheFlush> flush_cache(const std::optional<std::string>& tenant) = 0;
  /// Pins the cached blocks that a request with this prompt would read, until unpin_prompt() or for `ttl`; as many as
  /// max_pinned and the tenant's quota leave. Error: "invalid_request" where max_pinned is 0.
  virtual Result<CachePins> pin_prompt(std::vector<TokenId> prompt, const CacheOwner& owner,
                                       std::optional<std::chrono::milliseconds> ttl) = 0;
  /// Ends all pins but those of sessions that end within these blocks, and those of requests that began with this
  /// prompt. Longer pins of an operator keep what is theirs.
  virtual Result<CachePins> unpin_prompt(std::vector<TokenId> prompt, const CacheOwner& owner) = 0;

  /// Accepts nothing more and waits until every request has ended; after `timeout` the rest is
  /// cancelled. Returns whether all ended by themselves.
  virtual bool drain(std::chrono::milliseconds timeout) = 0;
  virtual bool draining() const = 0;

  /// Bytes of memory that this process may take in all: of the machine, every control group that it is in (v1 and v2)
  /// and its ulimits the least. 0: nothing is known.
  static std::uint64_t memory_limit();

 protected:
  Runtime() = default;
};

}  // namespace headwater
