// From the document to a Topology: the sections, one after the other, then the graph.

#include <filesystem>

#include "model/chat_template.h"
#include "model/pretokenizer.h"
#include "topology/graph_check.h"
#include "topology/overrides.h"
#include "topology/topology.h"
#include "topology/values.h"
#include "topology/warmup.h"

namespace headwater::topology {
namespace {

constexpr std::uint32_t kMostStages = 256;
constexpr std::uint32_t kMostReplicas = 64;
constexpr double kLongestTtlMs = 30.0 * 24 * 3600 * 1000;
constexpr double kLeastQuota = 0.01;
constexpr double kMostPinned = 0.9;  ///< what is left is there to serve

ArgSpec integer(std::string name, std::int64_t fallback, double min, double max) {
  return {.name = std::move(name), .type = ArgType::integer, .fallback = fallback, .min = min, .max = max};
}

class Parser {
 public:
  Parser(const StageCatalog& catalog, Problems& problems) : catalog_(catalog), problems_(problems) {}

  Topology read(const Node& root, std::string_view source) {
    Topology topology;
    topology.source = source;
    if (root.kind == Node::Kind::broken) return topology;
    const Section top(&root, "the topology", {"name", "model", "cache", "stages", "gateway", "session_len", "threads"},
                      problems_);
    if (!root.is_map()) return topology;
    topology.name = top.text("name");
    if (topology.name.empty()) topology.name = std::filesystem::path(source).stem().string();
    topology.session_len = static_cast<std::uint32_t>(top.integer(integer("session_len", 0, 0, 1 << 24)));
    topology.threads = static_cast<std::uint32_t>(top.integer(integer("threads", 0, 0, 1024)));
    read_model(top.find("model"), topology.model);
    read_cache(top.find("cache"), topology.cache);
    GraphDraft graph;
    graph.gateway_where = graph.stages_where = root.where;
    read_gateway(top.find("gateway"), topology.gateway, graph);
    if (read_stages(top.find("stages"), graph)) check_graph(graph, catalog_, problems_);
    finish(std::move(graph), topology);
    return topology;
  }

 private:
  void read_model(const Node* node, ModelSpec& model) {
    const Section section(node, "model", {"path", "name", "chat_template", "pre_tokenizer"}, problems_);
    model.path = section.text("path");
    model.name = section.text("name");
    model.chat_template = section.text("chat_template");
    if (!model.chat_template.empty()) {
      if (const auto known = model::ChatTemplate::read_source(model.chat_template); !known) {
        problems_.at(*section.find("chat_template"), known.error().message);
      }
    }
    model.pre_tokenizer = section.text("pre_tokenizer");
    if (!model.pre_tokenizer.empty()) {
      if (const auto known = model::Pretokenizer::by_name(model.pre_tokenizer); !known) {
        problems_.at(*section.find("pre_tokenizer"), known.error().message);
      }
    }
    if (node == nullptr) {
      problems_.at(Location{1, 1}, "no model; add model: { path: models/default.gguf }, or pass --model");
    } else if (node->is_map() && node->find("path") == nullptr) {
      problems_.at(*node, "model needs a path, that of a GGUF file");
    }
  }

  void read_cache(const Node* node, CacheSpec& cache) {
    const Section section(
        node, "cache",
        {"quant_policy", "cache_size_limit", "block_tokens", "enable_prefix_caching", "prefix_match_threshold",
         "warmup", "cache_ttl", "tenant_quota", "max_priority", "max_ttl", "max_pinned"},
        problems_);
    read_quant_policy(section, cache.format);
    cache.size_limit = std::get<SizeOrShare>(
        section.read({.name = "cache_size_limit", .type = ArgType::size_or_share, .fallback = cache.size_limit}));
    cache.block_tokens =
        static_cast<std::uint32_t>(section.integer(integer("block_tokens", cache.block_tokens, 8, 256)));
    if ((cache.block_tokens & (cache.block_tokens - 1)) != 0) {
      problems_.at(*section.find("block_tokens"), "block_tokens is " + std::to_string(cache.block_tokens) +
                                                      "; expected a power of two: 8, 16, 32, 64, 128 or 256");
    }
    cache.enable_prefix_caching = section.boolean("enable_prefix_caching", cache.enable_prefix_caching);
    cache.prefix_match_threshold = number(section, "prefix_match_threshold", cache.prefix_match_threshold, 0, 1);
    cache.warmup = read_warmup(section.find("warmup"), problems_);
    read_retention(section, cache);
  }

  /// How long what is cached is kept.
  void read_retention(const Section& section, CacheSpec& cache) {
    cache.cache_ttl_ms = duration(section, "cache_ttl", cache.cache_ttl_ms, 0);
    cache.max_ttl_ms = duration(section, "max_ttl", cache.max_ttl_ms, 1);
    cache.tenant_quota = number(section, "tenant_quota", cache.tenant_quota, kLeastQuota, 1);
    cache.max_pinned = number(section, "max_pinned", cache.max_pinned, 0, kMostPinned);
    cache.max_priority =
        static_cast<std::uint8_t>(section.integer(integer("max_priority", cache.max_priority, 0, kHighestPriority)));
  }

  static double number(const Section& section, const char* name, double fallback, double min, double max) {
    return std::get<double>(
        section.read({.name = name, .type = ArgType::number, .fallback = fallback, .min = min, .max = max}));
  }
  /// Milliseconds.
  static std::uint64_t duration(const Section& section, const char* name, std::uint64_t fallback, double min) {
    return static_cast<std::uint64_t>(section.integer({.name = name,
                                                       .type = ArgType::duration,
                                                       .fallback = static_cast<std::int64_t>(fallback),
                                                       .min = min,
                                                       .max = kLongestTtlMs}));
  }

  /// `8`, `k8v4`, or `{ k: 8, v: 4 }`.
  void read_quant_policy(const Section& section, kernels::KvFormat& format) {
    const Node* node = section.find("quant_policy");
    if (node == nullptr || node->kind == Node::Kind::broken) return;
    if (node->is_map()) {
      const Section bits(node, "quant_policy", {"k", "v"}, problems_);
      const std::int64_t k = bits.integer(integer("k", 0, 4, 8));
      const std::int64_t v = bits.integer(integer("v", 0, 4, 8));
      if (const auto known = kernels::parse_quant_policy("k" + std::to_string(k) + "v" + std::to_string(v))) {
        format = *known;
      } else if (bits.find("k") == nullptr || bits.find("v") == nullptr || (k != 0 && v != 0)) {
        problems_.at(*node, "quant_policy needs the bits of keys and of values, 8 or 4 each: { k: 8, v: 4 }");
      }
      return;
    }
    const auto known = node->kind == Node::Kind::scalar ? kernels::parse_quant_policy(node->text) : std::nullopt;
    if (known) {
      format = *known;
    } else {
      problems_.at(*node,
                   "quant_policy is " + describe(*node) + "; supported are " + std::string(kernels::kQuantPolicies));
    }
  }

  void read_gateway(const Node* node, GatewaySpec& gateway, GraphDraft& graph) {
    const Section section(node, "gateway",
                          {"listen", "max_queued", "max_per_connection", "max_connections", "max_body_bytes",
                           "max_sessions", "max_session_bytes", "session_ttl", "max_answer_bytes", "strict_fields",
                           "max_buffered", "allow_origins", "allow_hosts", "to"},
                          problems_);
    const auto count = [&](const char* name, std::uint32_t fallback, double max) {
      return static_cast<std::uint32_t>(section.integer(integer(name, fallback, 1, max)));
    };
    gateway.max_queued = count("max_queued", gateway.max_queued, 1'000'000);
    gateway.max_per_connection = count("max_per_connection", gateway.max_per_connection, 1'000'000);
    gateway.max_connections = count("max_connections", gateway.max_connections, 65536);
    const auto size = [&](const char* name, std::uint64_t fallback, double max) {
      ArgSpec spec = integer(name, static_cast<std::int64_t>(fallback), 1 << 10, max);
      spec.type = ArgType::size;
      return static_cast<std::uint64_t>(section.integer(spec));
    };
    gateway.max_body_bytes = size("max_body_bytes", gateway.max_body_bytes, 1 << 30);
    gateway.max_sessions = count("max_sessions", gateway.max_sessions, 1'000'000);
    gateway.max_session_bytes = size("max_session_bytes", gateway.max_session_bytes, 64 << 20);
    gateway.session_ttl_ms = duration(section, "session_ttl", gateway.session_ttl_ms, 1);
    gateway.max_answer_bytes = size("max_answer_bytes", gateway.max_answer_bytes, 16ULL << 30);
    gateway.strict_fields = section.boolean("strict_fields", gateway.strict_fields);
    read_doors(section, gateway);
    read_listen(section, gateway);
    graph.gateway_to = edges(section, "to");
    gateway.present = graph.has_gateway = node != nullptr && node->flag.empty();
    if (node != nullptr) graph.gateway_where = node->key_where;
  }

  void read_doors(const Section& section, GatewaySpec& gateway) {
    ArgSpec buffered = integer("max_buffered", 0, 0, 1ULL << 40);
    buffered.type = ArgType::size;
    gateway.max_buffered = static_cast<std::uint64_t>(section.integer(buffered));
    for (const Node& name : section.names("allow_origins", "web page's origin", "https://app.example")) {
      gateway.allow_origins.push_back(name.text);
    }
    for (const Node& name : section.names("allow_hosts", "host name", "ai.example")) {
      gateway.allow_hosts.push_back(name.text);
    }
  }

  void read_listen(const Section& section, GatewaySpec& gateway) {
    const std::string text = section.text("listen");
    if (text.empty()) return;
    const auto address = parse_listen(text);
    if (address) {
      std::tie(gateway.host, gateway.port) = *address;
    } else {
      problems_.at(*section.find("listen"), address.error().message);
    }
  }

  std::vector<Edge> edges(const Section& section, std::string_view key) {
    std::vector<Edge> edges;
    for (const Node& name : section.names(key)) edges.push_back({name.text, name.where});
    return edges;
  }

  /// False: there is no list of stages to check a graph of.
  bool read_stages(const Node* node, GraphDraft& graph) {
    if (node == nullptr) {
      problems_.at(Location{1, 1}, "no stages; add a list of " + join(catalog_.kinds()));
      return false;
    }
    graph.stages_where = node->key_where;
    if (node->kind != Node::Kind::sequence || node->items.size() > kMostStages) {
      if (node->kind != Node::Kind::broken) {
        const bool list = node->kind == Node::Kind::sequence;
        problems_.at(*node, "stages is " +
                                (list ? "a list of " + std::to_string(node->items.size()) : describe(*node)) +
                                "; expected a list of at most " + std::to_string(kMostStages) + " stages");
      }
      return false;
    }
    for (const Node& item : node->items) read_stage(item, graph);
    return true;
  }

  void read_stage(const Node& node, GraphDraft& graph) {
    StageDraft draft;
    Stage& stage = draft.stage;
    stage.where = node.where;
    const Section section(&node, "this stage", {"id", "kind", "impl", "replicas", "args", "to", "feedback"}, problems_);
    if (!node.is_map()) return;
    stage.id = section.text("id");
    stage.kind = section.text("kind");
    if (const std::string impl = section.text("impl"); !impl.empty()) stage.impl = impl;
    if (!check_id(section, stage, graph)) stage.id.clear();
    draft.info = find_info(node, section, stage);
    stage.replicas = static_cast<std::uint32_t>(section.integer(integer("replicas", 1, 1, kMostReplicas)));
    if (stage.replicas > 1 && draft.info != nullptr && !draft.info->replicable) {
      problems_.at(*section.find("replicas"), "a " + stage.kind +
                                                  " cannot be replicated, because it owns state that is "
                                                  "in one place; remove replicas");
    }
    draft.to = edges(section, "to");
    draft.to_broken =
        draft.to.empty() && section.find("to") != nullptr && section.find("to")->kind != Node::Kind::sequence;
    draft.feedback = edges(section, "feedback");
    if (draft.info != nullptr) read_args(section.find("args"), *draft.info, stage);
    graph.stages.push_back(std::move(draft));
  }

  bool check_id(const Section& section, const Stage& stage, const GraphDraft& graph) {
    const Node* node = section.find("id");
    if (node == nullptr) {
      problems_.at(stage.where, "this stage needs an id, such as " + quote(stage.kind.empty() ? "tok" : stage.kind));
      return false;
    }
    if (stage.id.empty()) return false;
    if (!valid_id(stage.id)) {
      problems_.at(*node, "the id " + quote(stage.id) +
                              " is not valid; expected a letter, then up to 63 letters, digits, \"_\" or \"-\"");
      return false;
    }
    if (stage.id == kGateway) {
      problems_.at(*node, "the id \"gateway\" is reserved for where requests come from; choose another");
      return false;
    }
    for (const StageDraft& other : graph.stages) {
      if (other.stage.id != stage.id) continue;
      problems_.at(*node, "the id " + quote(stage.id) + " stands twice, first in line " +
                              std::to_string(other.stage.where.line) + "; give each stage its own");
      return false;
    }
    return true;
  }

  const StageInfo* find_info(const Node& node, const Section& section, const Stage& stage) {
    const Node* kind = section.find("kind");
    if (kind == nullptr) {
      problems_.at(node, "this stage needs a kind (known: " + join(catalog_.kinds()) + ")");
      return nullptr;
    }
    if (stage.kind.empty()) return nullptr;
    const auto impls = catalog_.impls(stage.kind);
    if (impls.empty()) {
      problems_.at(*kind, "unknown stage kind " + quote(stage.kind) + suggest(stage.kind, catalog_.kinds()));
      return nullptr;
    }
    const StageInfo* info = catalog_.find(stage.kind, stage.impl);
    const Node* impl = section.find("impl");
    if (info == nullptr) {
      problems_.at(impl != nullptr ? *impl : *kind,
                   "unknown implementation " + quote(stage.impl) + " of " + stage.kind + suggest(stage.impl, impls));
    }
    return info;
  }

  void read_args(const Node* node, const StageInfo& info, Stage& stage) {
    std::vector<std::string> known;
    for (const ArgSpec& spec : info.args) known.push_back(spec.name);
    if (known.empty() && node != nullptr && node->is_map()) {
      for (const Node& arg : node->items) {
        problems_.at(arg.key_where, "a " + info.kind + " takes no args; remove " + quote(arg.key));
      }
      return;
    }
    const Section section(node, "args of " + info.kind, known, problems_);
    for (const ArgSpec& spec : info.args) {
      stage.args.emplace(spec.name, section.read(spec));
      if (!spec.required || section.find(spec.name) != nullptr) continue;
      problems_.at(stage.where, "a " + info.kind + " needs args: { " + spec.name + ": … }, its " + spec.help);
    }
  }

  static void finish(GraphDraft graph, Topology& topology) {
    const auto names = [](const std::vector<Edge>& edges) {
      std::vector<std::string> names;
      for (const Edge& edge : edges) names.push_back(edge.target);
      return names;
    };
    topology.gateway.to = names(graph.gateway_to);
    for (StageDraft& draft : graph.stages) {
      draft.stage.to = names(draft.to);
      draft.stage.feedback = names(draft.feedback);
      if (!graph.has_gateway && draft.info != nullptr && draft.info->consumes == kRequestMessage) {
        topology.gateway.to.push_back(draft.stage.id);
      }
      topology.stages.push_back(std::move(draft.stage));
    }
  }

  const StageCatalog& catalog_;
  Problems& problems_;
};

}  // namespace

ParseOutcome parse(std::string_view yaml, std::string_view source, const StageCatalog& catalog,
                   const Overrides& overrides) {
  Problems problems;
  Node root = read_document(yaml, problems);
  apply_overrides(overrides, root, problems);
  Topology topology = Parser(catalog, problems).read(root, source);
  ParseOutcome outcome;
  outcome.problems = std::move(problems).sorted();
  if (outcome.problems.empty()) outcome.topology = std::move(topology);
  return outcome;
}

}  // namespace headwater::topology
