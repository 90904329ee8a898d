#pragma once
// A topology file, checked whole: YAML → graph of stages. No actor, no socket.
//
// Every mistake is found in one go and reported as `file:line:column: what, and what would be right`.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "headwater/result.h"
#include "headwater/runtime.h"
#include "kernels/kv_format.h"

namespace headwater::topology {

/// Where something stands in a file; both count from 1, 0 for what no file says.
struct Location {
  int line = 0;
  int column = 0;
};

/// The unit in which an argument is written and held.
enum class ArgType : std::uint8_t { integer, number, boolean, text, size, size_or_share, duration, choice };

/// A size: bytes, or a share of the machine's memory.
struct SizeOrShare {
  std::uint64_t bytes = 0;  ///< 0: `share` counts
  double share = 0;         ///< (0, 1]
};

using ArgValue = std::variant<std::int64_t, double, bool, std::string, SizeOrShare>;  // size: bytes, duration: ms

/// An option that a stage kind takes.
struct ArgSpec {
  std::string name;
  ArgType type = ArgType::integer;
  ArgValue fallback{};
  double min = 0, max = 0;             ///< of integer, number, size, duration; inclusive
  std::vector<std::string> choices{};  ///< of choice
  bool required = false;               ///< must be given
  std::string help{};
};

/// What is lost with a stage that dies, and so how its death is met: the supervisor makes it anew in any case.
enum class Loss : std::uint8_t {
  nothing,           ///< it holds nothing that cannot be had again: no request fails
  waiting_requests,  ///< those that it has not handed on: they fail, everything else goes on
  passing_requests,  ///< all that pass its replica, until they end: they fail, everything else goes on
  cache_state,       ///< a part of the cache's state: all requests fail, and every stage forgets (a new epoch)
};

/// What the checker and the supervisor need to know of a stage kind and implementation.
struct StageInfo {
  std::string kind;
  std::string impl;                      ///< "default" where the file names none
  std::string consumes;                  ///< message that its `to` predecessors send it; empty: none
  std::string produces;                  ///< message that it sends along `to`; empty: none
  bool replicable = false;               ///< more than one may run
  bool required = false;                 ///< every topology has exactly one stage of this kind
  bool single = false;                   ///< no topology has more than one stage of this kind; required ones are
  std::vector<std::string> feedback_to;  ///< kinds that its `feedback` must name, all of them
  Loss loss = Loss::cache_state;
  std::vector<ArgSpec> args;
};

/// The kinds that a topology may use. Explicit: nothing registers itself.
class StageCatalog {
 public:
  /// Error: the kind/impl pair is known already.
  Result<void> add(StageInfo info);
  const StageInfo* find(std::string_view kind, std::string_view impl) const;
  std::vector<std::string> kinds() const;
  std::vector<std::string> impls(std::string_view kind) const;
  const std::vector<StageInfo>& all() const { return stages_; }

 private:
  std::vector<StageInfo> stages_;
};

/// The built-in kinds (DESIGN: tokenizer, prefix_matcher, scheduler, executor, cache_evictor, detokenizer, cache_tier).
StageCatalog builtin_catalog();

struct Stage {
  std::string id;
  std::string kind;
  std::string impl = "default";
  std::uint32_t replicas = 1;
  std::map<std::string, ArgValue> args;  ///< every ArgSpec of the kind is present
  std::vector<std::string> to;
  std::vector<std::string> feedback;
  Location where;

  // REQUIRES: the kind has an argument of that name and type.
  std::int64_t integer(const std::string& name) const { return std::get<std::int64_t>(args.at(name)); }
  const std::string& text(const std::string& name) const { return std::get<std::string>(args.at(name)); }
};

struct ModelSpec {
  std::string path;           ///< as given; relative to the working directory
  std::string name;           ///< what clients call it; empty: the file's general.name, or its stem
  std::string chat_template;  ///< empty: the file's own; else a file's path, or a name such as "chatml"
  std::string pre_tokenizer;  ///< empty: the file's own; else a name such as "qwen2"
};

/// A prompt that is computed before the first request is taken.
struct WarmupPrompt {
  std::string name;  ///< where it stands, for messages: "warmup[2]"
  decltype(Request::prompt) prompt;
};

struct CacheSpec {
  kernels::KvFormat format;  ///< quant_policy
  SizeOrShare size_limit{.bytes = 0, .share = 0.5};
  std::uint32_t block_tokens = 32;
  bool enable_prefix_caching = true;
  double prefix_match_threshold = 0.8;  ///< share of a block's tokens that must agree for it to be copied; 0: any
  std::vector<WarmupPrompt> warmup;
  std::uint64_t cache_ttl_ms = 0;  ///< since the last use, after which a cached block expires; 0: never
  double tenant_quota = 1;         ///< share of the pool that one tenant's cached blocks may hold
  // What a request may ask for:
  std::uint8_t max_priority = kNormalPriority;
  std::uint64_t max_ttl_ms = 3'600'000;
  double max_pinned = 0;  ///< share of the pool, of all requests and the operator; 0: nobody may pin
};

struct GatewaySpec {
  bool present = false;
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
  std::uint32_t max_queued = 1024;         ///< credit: requests accepted and not ended
  std::uint32_t max_per_connection = 256;  ///< of them, by one connection
  std::uint32_t max_connections = 1024;
  std::uint64_t max_body_bytes = 8 << 20;
  std::uint32_t max_sessions = 1024;           ///< conversations whose messages are kept
  std::uint64_t max_session_bytes = 1 << 20;   ///< of one
  std::uint64_t session_ttl_ms = 3'600'000;    ///< since its last turn
  std::uint64_t max_answer_bytes = 128 << 20;  ///< of one call, in memory; longer ones are refused beforehand
  bool strict_fields = false;                  ///< unknown fields of requests are refused, not ignored
  std::uint64_t max_buffered = 0;              ///< bytes kept for all connections; 0: an eighth of memory
  std::vector<std::string> allow_hosts;        ///< names of the server beside those of this machine; "*": any
  std::vector<std::string> allow_origins;      ///< web pages that may use it; "*": any
  std::vector<std::string> to;                 ///< stages that take generate_request
};

struct Topology {
  std::string source;  ///< file name, for messages
  std::string name;
  ModelSpec model;
  CacheSpec cache;
  std::uint32_t session_len = 0;  ///< 0: the model's context
  std::uint32_t threads = 0;      ///< compute threads; 0: one per core, within a CPU quota
  GatewaySpec gateway;
  std::vector<Stage> stages;

  const Stage* find(std::string_view id) const;
  const Stage* find_kind(std::string_view kind) const;  ///< the first
};

/// One mistake, ready to print.
struct Problem {
  Location where;
  std::string message;
};

struct ParseOutcome {
  std::optional<Topology> topology;  ///< set where problems is empty
  std::vector<Problem> problems;     ///< in file order
  /// "file:line:column: message\n" for each.
  std::string report(std::string_view source) const;
};

/// Parses and checks. Overrides replace values before ranges are checked; a bad one is reported under "command line".
ParseOutcome parse(std::string_view yaml, std::string_view source, const StageCatalog& catalog,
                   const Overrides& overrides = {});

std::string to_graphviz(const Topology& topology);
std::string to_mermaid(const Topology& topology);

/// Bytes for a SizeOrShare on a machine with `memory` bytes.
std::uint64_t resolve(const SizeOrShare& size, std::uint64_t memory);

}  // namespace headwater::topology
