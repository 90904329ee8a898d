#include "topology/overrides.h"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace headwater::topology {
namespace {

Node from_flag(Node::Kind kind, const std::string& flag, std::string text = "") {
  Node node;
  node.kind = kind;
  node.flag = flag;
  node.text = std::move(text);
  return node;
}

/// `map[key] = node`, where `map` is one; otherwise it is reported when the document is read.
void put(Node* map, const std::string& key, Node node) {
  if (map == nullptr || !map->is_map()) return;
  node.key = key;
  if (Node* old = map->find(key); old != nullptr) {
    node.key_where = old->key_where;
    *old = std::move(node);
  } else {
    map->items.push_back(std::move(node));
  }
}

/// The map under `key`, made where it is missing.
Node* section(Node& map, const std::string& key, const std::string& flag) {
  if (map.find(key) == nullptr) put(&map, key, from_flag(Node::Kind::map, flag));
  return map.find(key);
}

bool has_tier(const Node& root) {
  const Node* stages = root.find("stages");
  return stages != nullptr && std::ranges::any_of(stages->items, [](const Node& item) {
           const Node* kind = item.find("kind");
           return kind != nullptr && kind->text == "cache_tier";
         });
}

/// A disk tier beside the stages that the file has, where they have none. The prefix_matcher decides what goes there.
void add_tier(Node& root, const std::string& flag) {
  Node* stages = root.find("stages");
  if (stages == nullptr || stages->kind != Node::Kind::sequence || has_tier(root)) return;
  const std::string* matcher = nullptr;
  for (const Node& item : stages->items) {
    const Node* kind = item.find("kind");
    const Node* id = item.find("id");
    if (kind != nullptr && kind->text == "prefix_matcher" && id != nullptr) matcher = &id->text;
  }
  if (matcher == nullptr) return;  // reported when the graph is checked
  Node tier = from_flag(Node::Kind::map, flag);
  put(&tier, "id", from_flag(Node::Kind::scalar, flag, "disk_tier"));
  put(&tier, "kind", from_flag(Node::Kind::scalar, flag, "cache_tier"));
  put(&tier, "impl", from_flag(Node::Kind::scalar, flag, "disk"));
  Node feedback = from_flag(Node::Kind::sequence, flag);
  feedback.items.push_back(from_flag(Node::Kind::scalar, flag, *matcher));
  put(&tier, "feedback", std::move(feedback));
  stages->items.push_back(std::move(tier));
}

class Applier {
 public:
  explicit Applier(Node& root) : root_(root) {}

  template <class T>
  void top(const std::optional<T>& value, const std::string& flag, const std::string& key) {
    if (value) put(&root_, key, from_flag(Node::Kind::scalar, flag, text(*value)));
  }

  template <class T>
  void in(const std::string& name, const std::optional<T>& value, const std::string& flag, const std::string& key) {
    if (value) put(section(root_, name, flag), key, from_flag(Node::Kind::scalar, flag, text(*value)));
  }

  /// An argument of every stage of a kind.
  template <class T>
  void stage(const std::string& kind, const std::optional<T>& value, const std::string& flag, const std::string& key) {
    Node* stages = root_.find("stages");
    if (!value || stages == nullptr || stages->kind != Node::Kind::sequence) return;
    for (Node& item : stages->items) {
      const Node* found = item.find("kind");
      if (found == nullptr || found->text != kind) continue;
      put(section(item, "args", flag), key, from_flag(Node::Kind::scalar, flag, text(*value)));
    }
  }

 private:
  static std::string text(const std::string& value) { return value; }
  static std::string text(std::uint32_t value) { return std::to_string(value); }
  static std::string text(double value) {
    char digits[32];
    return {digits, std::to_chars(std::begin(digits), std::end(digits), value).ptr};
  }
  static std::string text(bool value) { return value ? "true" : "false"; }

  Node& root_;
};

}  // namespace

void apply_overrides(const Overrides& overrides, Node& root, Problems& problems) {
  if (!root.is_map()) return;
  if (overrides.listen && root.find("gateway") == nullptr) {
    problems.at(from_flag(Node::Kind::scalar, "--listen"),
                "the topology has no gateway section; add gateway: { listen: 127.0.0.1:8080, to: [tok] }");
  }
  if (overrides.cache_dir) add_tier(root, "--cache-dir");
  if (overrides.cache_dir_size && !overrides.cache_dir && !has_tier(root)) {
    problems.at(from_flag(Node::Kind::scalar, "--cache-dir-size"),
                "the topology has no cache_tier; give --cache-dir, too");
  }
  Applier apply(root);
  apply.in("model", overrides.model, "--model", "path");
  apply.in("model", overrides.chat_template, "--chat-template", "chat_template");
  apply.in("model", overrides.pre_tokenizer, "--pre-tokenizer", "pre_tokenizer");
  apply.in("cache", overrides.quant_policy, "--quant-policy", "quant_policy");
  apply.in("cache", overrides.cache_size_limit, "--cache-size-limit", "cache_size_limit");
  apply.in("cache", overrides.enable_prefix_caching, "--no-prefix-caching", "enable_prefix_caching");
  apply.in("cache", overrides.prefix_match_threshold, "--prefix-match-threshold", "prefix_match_threshold");
  apply.in("cache", overrides.cache_ttl, "--cache-ttl", "cache_ttl");
  apply.in("cache", overrides.tenant_quota, "--tenant-quota", "tenant_quota");
  apply.in("cache", overrides.max_pinned, "--max-pinned", "max_pinned");
  apply.in("gateway", overrides.listen, "--listen", "listen");
  apply.in("gateway", overrides.max_queued, "--max-queued", "max_queued");
  apply.stage("scheduler", overrides.max_batch_size, "--max-batch-size", "max_batch_size");
  apply.stage("scheduler", overrides.draft_tokens, "--draft-tokens", "draft_tokens");
  apply.stage("scheduler", overrides.max_wait, "--max-wait", "max_wait");
  apply.stage("scheduler", overrides.prefill_chunk, "--prefill-chunk", "prefill_chunk");
  apply.stage("cache_tier", overrides.cache_dir, "--cache-dir", "path");
  apply.stage("cache_tier", overrides.cache_dir_size, "--cache-dir-size", "size_limit");
  apply.stage("executor", overrides.precision, "--precision", "precision");
  apply.stage("executor", overrides.threads, "--threads", "threads");
  apply.top(overrides.threads, "--threads", "threads");
  apply.top(overrides.session_len, "--session-len", "session_len");
}

}  // namespace headwater::topology
