#include "topology/sections.h"

namespace headwater::topology {
namespace {

constexpr double kLongestTtlMs = 30.0 * 24 * 3600 * 1000;

ArgSpec spec(std::string name, ArgType type, ArgValue fallback, double min, double max, std::string help) {
  return {.name = std::move(name),
          .type = type,
          .fallback = std::move(fallback),
          .min = min,
          .max = max,
          .help = std::move(help)};
}
ArgSpec whole(std::string name, std::uint64_t fallback, double min, double max, std::string help) {
  return spec(std::move(name), ArgType::integer, static_cast<std::int64_t>(fallback), min, max, std::move(help));
}
ArgSpec size(std::string name, std::uint64_t fallback, double min, double max, std::string help) {
  return spec(std::move(name), ArgType::size, static_cast<std::int64_t>(fallback), min, max, std::move(help));
}
ArgSpec time(std::string name, std::uint64_t fallback, double min, std::string help) {
  return spec(std::move(name), ArgType::duration, static_cast<std::int64_t>(fallback), min, kLongestTtlMs,
              std::move(help));
}
ArgSpec number(std::string name, double fallback, double min, double max, std::string help) {
  return spec(std::move(name), ArgType::number, fallback, min, max, std::move(help));
}
ArgSpec text(std::string name, std::string fallback, std::string help) {
  return spec(std::move(name), ArgType::text, std::move(fallback), 0, 0, std::move(help));
}
ArgSpec needed(ArgSpec spec) {
  spec.required = true;
  return spec;
}

SectionSpec top() {
  return {
      "",
      "The file itself. `model`, `cache`, `stages` and `gateway` have tables of their own below.",
      {text("name", "", "what graphs and messages call the topology; left out: the file's name"),
       whole("session_len", 0, 0, 1 << 24, "most tokens of one sequence, prompt and answer; 0: the model's context"),
       whole("threads", 0, 0, 1024, kThreadsHelp), needed(text("model", "", "the model that is served")),
       text("cache", "", "the KV cache and what is kept of it"),
       needed(text("stages", "", "the list of stages, at most 256")),
       text("gateway", "", "where clients come in; needed by `headwater serve`")}};
}

SectionSpec model() {
  return {"model",
          "",
          {needed(text("path", "", "GGUF file; relative to the folder in which the command is started")),
           text("name", "", "what clients call the model; left out: the file's name"),
           text("chat_template", "",
                "a file with a Jinja template, or a form by name: chatml, llama3, gemma, mistral; left out: the "
                "model's own"),
           text("pre_tokenizer", "",
                "how text is cut into words before it is merged, for a file that names no known way: llama-bpe, qwen2, "
                "gpt-2 … (an unknown name is answered with all); left out: as the file says")}};
}

SectionSpec cache() {
  const CacheSpec defaults;
  return {
      "cache",
      "A share of memory is of what is available when the server starts: of machine, control groups and ulimits "
      "the least.",
      {text("quant_policy", "0",
            "bits of keys and values: 0 (16 bits), 8, 4, or k8v4 (keys 8, values 4), also as { k: 8, v: 4 }; fewer "
            "hold more tokens and are less exact"),
       spec("cache_size_limit", ArgType::size_or_share, defaults.size_limit, 0, 0,
            "what keys and values may take: at least 1MiB, or a share above 0 and up to 1; a size that does not fit "
            "into the memory that is available is refused at the start"),
       whole("block_tokens", defaults.block_tokens, 8, 256,
             "tokens of a block, a power of two; smaller blocks are shared more finely and take more books"),
       spec("enable_prefix_caching", ArgType::boolean, defaults.enable_prefix_caching, 0, 0,
            "whether prompts reuse what is cached of their beginnings"),
       number("prefix_match_threshold", defaults.prefix_match_threshold, 0, 1,
              "share of a cached block's tokens that a prompt must agree with for those to be copied; 0: any"),
       text("warmup", "",
            "list of prompts that are computed before the first request is taken: a text, "
            "{ messages: [{ role: system, content: TEXT }] } or { file: PATH }"),
       time("cache_ttl", defaults.cache_ttl_ms, 0,
            "time since the last use after which a cached block expires; 0: never"),
       number("tenant_quota", defaults.tenant_quota, 0.01, 1,
              "share of the cache that one tenant's idle blocks may hold before they go first"),
       whole("max_priority", defaults.max_priority, 0, kHighestPriority,
             "highest cache priority that a request may ask for"),
       time("max_ttl", defaults.max_ttl_ms, 1, "longest time to live that a request may ask for"),
       number("max_pinned", defaults.max_pinned, 0, 0.9, "share of the cache that may be pinned; 0: nobody may pin")}};
}

SectionSpec gateway() {
  const GatewaySpec defaults;
  return {
      "gateway",
      "",
      {text("listen", defaults.host + ":" + std::to_string(defaults.port),
            "host:port; port 0 takes any free one; 0.0.0.0:8080 listens on every network"),
       whole("max_queued", defaults.max_queued, 1, 1'000'000,
             "most requests accepted and not ended; more are refused with `overloaded`"),
       whole("max_per_connection", defaults.max_per_connection, 1, 1'000'000, "of them, by one connection"),
       whole("max_connections", defaults.max_connections, 1, 65536, "most connections that are open"),
       size("max_body_bytes", defaults.max_body_bytes, 1 << 10, 1 << 30,
            "longest body or WebSocket message of a request"),
       whole("max_sessions", defaults.max_sessions, 1, 1'000'000, "conversations whose messages are kept"),
       size("max_session_bytes", defaults.max_session_bytes, 1 << 10, 64 << 20, "what the messages of one may take"),
       time("session_ttl", defaults.session_ttl_ms, 1,
            "time since its last turn after which a conversation is forgotten"),
       size("max_answer_bytes", defaults.max_answer_bytes, 1 << 10, 16ULL << 30,
            "what one call's answers may take in memory, log-probabilities above all; larger calls are refused "
            "beforehand"),
       spec("strict_fields", ArgType::boolean, defaults.strict_fields, 0, 0,
            "refuse unknown fields of requests, instead of ignoring them with a line in the log"),
       size("max_buffered", defaults.max_buffered, 0, 1ULL << 40,
            "what requests being read and answers not taken may keep in memory, of all connections; 0: an eighth of "
            "what the process may take, at least 64MiB"),
       text("allow_origins", "",
            "list of web pages that may use the server, such as [\"https://app.example\"]; [\"*\"]: any"),
       text("allow_hosts", "",
            "list of names that the server goes by beside those of this machine, such as [ai.example]; [\"*\"]: any"),
       needed(text("to", "", "list of the stages that take requests, such as [tok]"))}};
}

SectionSpec stage() {
  return {"stages",
          "Keys of each stage in the list.",
          {needed(text("id", "", "its name: a letter, then up to 63 letters, digits, \"_\" or \"-\"")),
           needed(text("kind", "", "what it does; the kinds follow below")),
           text("impl", "default", "which implementation of the kind"),
           whole("replicas", 1, 1, 64,
                 "how many of it run; only of kinds that own no shared state (tokenizer, detokenizer)"),
           text("args", "", "options of its kind, see below"),
           text("to", "", "list of stages that it sends its results to"),
           text("feedback", "", "list of stages that it tells what it did")}};
}

}  // namespace

std::vector<SectionSpec> section_specs() { return {top(), model(), cache(), gateway(), stage()}; }

}  // namespace headwater::topology
