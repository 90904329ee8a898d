// YAML → Topology: shape, types, units and ranges. What the stages are to each other is checked in check.cc.

#include <algorithm>
#include <set>

#include "topology/check.h"
#include "topology/reader.h"

namespace headwater::topology {
namespace {

constexpr std::size_t kMaxFileBytes = 1 << 20;
constexpr std::size_t kMaxStages = 256;
constexpr std::uint32_t kMaxReplicas = 64;
constexpr int kMaxDepth = 16;

/// Whether the document nests no deeper than any topology does. Aliases share nodes, and so cannot make it explode:
/// it is never expanded here.
bool shallow(const YAML::Node& node, int depth = 0) {
  if (depth > kMaxDepth) return false;
  if (node.IsSequence()) {
    return std::all_of(node.begin(), node.end(), [&](const auto& item) { return shallow(item, depth + 1); });
  }
  if (node.IsMap()) {
    return std::all_of(node.begin(), node.end(), [&](const auto& entry) { return shallow(entry.second, depth + 1); });
  }
  return true;
}

class Parser {
 public:
  Parser(const StageCatalog& catalog, Reader& reader) : catalog_(catalog), read_(reader) {}

  void document(const YAML::Node& root, Topology& topology) {
    read_.read_map(root, "the topology", {"name", "model", "cache", "stages", "gateway", "session_len", "threads"},
                   [&](const std::string& key, const YAML::Node& value) {
                     if (key == "name") topology.name = read_.text(value, "name").value_or("");
                     if (key == "model") model(value, topology.model);
                     if (key == "cache") cache(value, topology.cache);
                     if (key == "stages") stages(value, topology.stages);
                     if (key == "gateway") gateway(value, topology.gateway);
                     if (key == "session_len") set(topology.session_len, read_.integer(value, key, 16, 1 << 24));
                     if (key == "threads") set(topology.threads, read_.integer(value, key, 0, 1024));
                   });
    if (root.IsMap() && !root["stages"]) read_.report(Reader::where(root), "the topology has no \"stages\"");
    if (root.IsMap() && !root["model"]) read_.report(Reader::where(root), "the topology has no \"model\"");
  }

 private:
  template <class T, class V>
  static void set(T& place, const std::optional<V>& value) {
    if (value) place = static_cast<T>(*value);
  }

  void model(const YAML::Node& node, ModelSpec& spec) {
    read_.read_map(node, "model", {"path", "name", "chat_template"},
                   [&](const std::string& key, const YAML::Node& value) {
                     std::string& place = key == "path" ? spec.path : key == "name" ? spec.name : spec.chat_template;
                     set(place, read_.text(value, "model." + key));
                   });
    if (node.IsMap() && spec.path.empty()) read_.report(Reader::where(node), "model has no \"path\"");
  }

  void cache(const YAML::Node& node, CacheSpec& spec) {
    read_.read_map(node, "cache", {"quant_policy", "cache_size_limit", "block_tokens", "enable_prefix_caching"},
                   [&](const std::string& key, const YAML::Node& value) {
                     const std::string what = "cache." + key;
                     if (key == "quant_policy") {
                       const auto policy = read_.integer(value, what, 0, 8);
                       if (policy) quant_policy(*policy, Reader::where(value), spec);
                     } else if (key == "cache_size_limit") {
                       const auto size = value.IsScalar() ? parse_size_or_share(value.Scalar()) : std::nullopt;
                       if (!size) {
                         read_.report(Reader::where(value),
                                      what + " must be a size such as 2GiB, or a share of memory such as 0.6");
                       }
                       set(spec.size_limit, size);
                     } else if (key == "block_tokens") {
                       const auto tokens = read_.integer(value, what, 8, 256);
                       if (tokens && (*tokens & (*tokens - 1)) != 0) {
                         read_.report(Reader::where(value), what + " must be a power of two");
                       }
                       set(spec.block_tokens, tokens);
                     } else {
                       set(spec.enable_prefix_caching, read_.boolean(value, what));
                     }
                   });
  }

  void quant_policy(std::int64_t policy, Location where, CacheSpec& spec) {
    if (policy != 0) {
      read_.report(where, "cache.quant_policy is " + std::to_string(policy) + "; this version stores 16-bit values, 0");
    }
    spec.quant_policy = static_cast<std::uint32_t>(policy);
  }

  void gateway(const YAML::Node& node, GatewaySpec& spec) {
    spec.present = true;
    read_.read_map(node, "gateway",
                   {"listen", "max_queued", "max_per_connection", "max_connections", "max_body_bytes", "to"},
                   [&](const std::string& key, const YAML::Node& value) {
                     const std::string what = "gateway." + key;
                     if (key == "listen") {
                       const auto address = value.IsScalar() ? parse_listen(value.Scalar()) : std::nullopt;
                       if (!address)
                         read_.report(Reader::where(value), what + " must be host:port, such as 127.0.0.1:8080");
                       if (address) std::tie(spec.host, spec.port) = *address;
                     }
                     if (key == "max_queued") set(spec.max_queued, read_.integer(value, what, 1, 1 << 20));
                     if (key == "max_per_connection")
                       set(spec.max_per_connection, read_.integer(value, what, 1, 1 << 20));
                     if (key == "max_connections") set(spec.max_connections, read_.integer(value, what, 1, 1 << 20));
                     if (key == "max_body_bytes") set(spec.max_body_bytes, read_.integer(value, what, 1024, 1 << 30));
                     if (key == "to") spec.to = read_.texts(value, what);
                   });
  }

  void stages(const YAML::Node& node, std::vector<Stage>& stages) {
    if (!node.IsSequence() || node.size() == 0 || node.size() > kMaxStages) {
      read_.report(Reader::where(node), "stages must be a list of 1 … 256 stages");
      return;
    }
    for (const YAML::Node& item : node) stages.push_back(stage(item));
  }

  Stage stage(const YAML::Node& node) {
    Stage stage;
    stage.where = Reader::where(node);
    YAML::Node args;
    YAML::Node kind_node = node;
    YAML::Node impl_node = node;
    read_.read_map(node, "a stage", {"id", "kind", "impl", "replicas", "args", "to", "feedback"},
                   [&](const std::string& key, const YAML::Node& value) {
                     if (key == "id") set(stage.id, read_.text(value, "id"));
                     if (key == "kind") set(stage.kind, read_.text(value, "kind"));
                     if (key == "impl") set(stage.impl, read_.text(value, "impl"));
                     if (key == "kind") kind_node.reset(value);
                     if (key == "impl") impl_node.reset(value);
                     if (key == "replicas") set(stage.replicas, read_.integer(value, "replicas", 1, kMaxReplicas));
                     if (key == "args") args.reset(value);
                     if (key == "to") stage.to = read_.texts(value, "to");
                     if (key == "feedback") stage.feedback = read_.texts(value, "feedback");
                   });
    if (!node.IsMap()) return stage;
    if (stage.id.empty()) read_.report(stage.where, "the stage has no \"id\"");
    if (stage.kind.empty()) {
      read_.report(stage.where, "the stage has no \"kind\"");
      return stage;
    }
    const StageInfo* info = catalog_.find(stage.kind, stage.impl);
    if (info == nullptr) {
      const auto impls = catalog_.impls(stage.kind);
      if (impls.empty()) {
        read_.report(Reader::where(kind_node), "unknown stage kind " + unknown(stage.kind, catalog_.kinds()));
      } else {
        read_.report(Reader::where(impl_node),
                     "unknown impl " + unknown(stage.impl, impls) + " of stage kind \"" + stage.kind + "\"");
      }
      return stage;
    }
    arguments(args, *info, stage);
    return stage;
  }

  void arguments(const YAML::Node& node, const StageInfo& info, Stage& stage) {
    std::vector<std::string> names;
    for (const ArgSpec& spec : info.args) {
      names.push_back(spec.name);
      stage.args[spec.name] = spec.fallback;
    }
    if (!node.IsDefined() || node.IsNull()) return;
    read_.read_map(node, "args of a " + info.kind, names, [&](const std::string& key, const YAML::Node& value) {
      const auto spec = std::find_if(info.args.begin(), info.args.end(), [&](const auto& s) { return s.name == key; });
      if (auto parsed = read_.argument(value, key, *spec)) stage.args[key] = *parsed;
    });
  }

  const StageCatalog& catalog_;
  Reader& read_;
};

/// Puts command-line values in the place of the file's.
class OverrideWriter {
 public:
  OverrideWriter(Topology& topology, std::vector<Problem>& problems) : topology_(topology), problems_(problems) {}

  void apply(const Overrides& given) {
    if (given.model) topology_.model.path = *given.model;
    if (given.listen) {
      if (const auto address = parse_listen(*given.listen)) {
        std::tie(topology_.gateway.host, topology_.gateway.port) = *address;
      } else {
        report("--listen", "\"" + *given.listen + "\" must be host:port, such as 127.0.0.1:8080");
      }
    }
    if (given.cache_size_limit) {
      if (const auto size = parse_size_or_share(*given.cache_size_limit)) {
        topology_.cache.size_limit = *size;
      } else {
        report("--cache-size-limit",
               "\"" + *given.cache_size_limit + "\" must be a size such as 2GiB, or a share of memory such as 0.6");
      }
    }
    if (given.quant_policy.value_or(0) != 0) {
      report("--quant-policy", std::to_string(*given.quant_policy) + "; this version stores 16-bit values, 0");
    }
    if (given.quant_policy) topology_.cache.quant_policy = *given.quant_policy;
    if (given.enable_prefix_caching) topology_.cache.enable_prefix_caching = *given.enable_prefix_caching;
    number("--session-len", given.session_len, 16, 1 << 24, topology_.session_len);
    number("--max-queued", given.max_queued, 1, 1 << 20, topology_.gateway.max_queued);
    number("--threads", given.threads, 0, 1024, topology_.threads);
    argument("--threads", given.threads, 0, 1024, "executor", "threads");
    argument("--max-batch-size", given.max_batch_size, 1, 4096, "scheduler", "max_batch_size");
    argument("--prefill-chunk", given.prefill_chunk, 1, 65536, "scheduler", "prefill_chunk");
  }

 private:
  void report(const std::string& flag, const std::string& what) {
    problems_.push_back({{}, "command line: " + flag + ": " + what});
  }
  bool in_range(const std::string& flag, std::uint32_t value, std::uint32_t min, std::uint32_t max) {
    if (value >= min && value <= max) return true;
    report(flag, std::to_string(value) + " must be in " + std::to_string(min) + " … " + std::to_string(max));
    return false;
  }
  void number(const std::string& flag, std::optional<std::uint32_t> value, std::uint32_t min, std::uint32_t max,
              std::uint32_t& place) {
    if (value && in_range(flag, *value, min, max)) place = *value;
  }
  void argument(const std::string& flag, std::optional<std::uint32_t> value, std::uint32_t min, std::uint32_t max,
                const std::string& kind, const std::string& name) {
    if (!value || value < min || value > max) {
      if (value && flag != "--threads") in_range(flag, *value, min, max);
      return;
    }
    for (Stage& stage : topology_.stages) {
      if (stage.kind == kind && stage.args.contains(name)) stage.args[name] = std::int64_t{*value};
    }
  }

  Topology& topology_;
  std::vector<Problem>& problems_;
};

}  // namespace

ParseOutcome parse(std::string_view yaml, std::string_view source, const StageCatalog& catalog,
                   const Overrides& overrides) {
  Reader reader;
  Topology topology;
  topology.source = source;
  if (yaml.size() > kMaxFileBytes) {
    reader.report({1, 1}, "the file has " + std::to_string(yaml.size()) + " bytes; a topology has at most 1 MiB");
    return {std::nullopt, std::move(reader.problems)};
  }
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(yaml));
    if (documents.size() != 1 || !documents[0].IsMap() || !shallow(documents[0])) {
      reader.report({1, 1}, documents.size() > 1 ? "the file has several documents; a topology is one"
                                                 : "the file must be a map with name, model, cache, stages, gateway");
      return {std::nullopt, std::move(reader.problems)};
    }
    Parser(catalog, reader).document(documents[0], topology);
  } catch (const YAML::Exception& error) {
    reader.report({error.mark.line + 1, error.mark.column + 1}, "not valid YAML: " + error.msg);
    return {std::nullopt, std::move(reader.problems)};
  }
  OverrideWriter(topology, reader.problems).apply(overrides);
  check_graph(catalog, topology, reader.problems);
  std::stable_sort(reader.problems.begin(), reader.problems.end(), [](const Problem& a, const Problem& b) {
    return std::pair{a.where.line, a.where.column} < std::pair{b.where.line, b.where.column};
  });
  ParseOutcome outcome{std::nullopt, std::move(reader.problems)};
  if (outcome.problems.empty()) outcome.topology = std::move(topology);
  return outcome;
}

std::string ParseOutcome::report(std::string_view source) const {
  std::string text;
  for (const Problem& problem : problems) {
    if (problem.where.line > 0) {
      text += std::string(source) + ":" + std::to_string(problem.where.line) + ":" +
              std::to_string(problem.where.column) + ": ";
    }
    text += problem.message + "\n";
  }
  return text;
}

std::uint64_t resolve(const SizeOrShare& size, std::uint64_t memory) {
  return size.bytes > 0 ? size.bytes : static_cast<std::uint64_t>(size.share * static_cast<double>(memory));
}

}  // namespace headwater::topology
