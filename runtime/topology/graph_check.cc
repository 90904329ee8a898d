#include "topology/graph_check.h"

#include <algorithm>
#include <functional>
#include <set>

namespace headwater::topology {
namespace {

std::string named(const StageDraft& draft) { return quote(draft.stage.id) + " (" + draft.stage.kind + ")"; }

class GraphChecker {
 public:
  GraphChecker(const GraphDraft& graph, const StageCatalog& catalog, Problems& problems)
      : graph_(graph), catalog_(catalog), problems_(problems) {}

  void run() {
    check_kinds();
    check_gateway();
    for (const StageDraft& draft : graph_.stages) {
      check_duplicates(draft.to, "to");
      check_duplicates(draft.feedback, "feedback");
      for (const Edge& edge : draft.to) check_edge(draft, edge);
      check_feedback(draft);
      check_connected(draft);
    }
    check_cycles();
  }

 private:
  const StageDraft* find(std::string_view id) const {
    const auto found = std::find_if(graph_.stages.begin(), graph_.stages.end(),
                                    [&](const StageDraft& draft) { return draft.stage.id == id; });
    return found == graph_.stages.end() ? nullptr : &*found;
  }

  std::vector<std::string> ids(bool with_gateway) const {
    std::vector<std::string> ids;
    for (const StageDraft& draft : graph_.stages) {
      if (!draft.stage.id.empty()) ids.push_back(draft.stage.id);  // a stage without an id is reported already
    }
    if (with_gateway) ids.emplace_back(kGateway);
    return ids;
  }

  /// "match (prefix_matcher)" for every stage that takes the message.
  std::string takers(const std::string& message) const {
    std::vector<std::string> takers;
    for (const StageDraft& draft : graph_.stages) {
      if (draft.info != nullptr && draft.info->consumes == message) takers.push_back(named(draft));
    }
    if (message == kAnswerMessage) takers.push_back(quote(kGateway));
    return takers.empty() ? "none here does" : join(takers, " or ");
  }

  void check_kinds() {
    for (const std::string& kind : catalog_.kinds()) {
      const StageDraft* first = nullptr;
      for (const StageDraft& draft : graph_.stages) {
        if (draft.stage.kind != kind || !is_single(kind)) continue;
        if (first == nullptr) {
          first = &draft;
          continue;
        }
        problems_.at(draft.stage.where,
                     named(draft) + " is a second " + kind + "; a topology has one, here " + quote(first->stage.id) +
                         (draft.info != nullptr && draft.info->replicable ? ": raise its replicas instead"
                                                                          : ": remove one of the two"));
      }
      if (first == nullptr && is_required(kind) && !misspelt(kind)) {
        problems_.at(graph_.stages_where, "no stage of kind " + kind + "; a topology needs one" + reason(kind));
      }
    }
  }

  bool is_required(const std::string& kind) const {
    const auto& all = catalog_.all();
    return std::any_of(all.begin(), all.end(), [&](const auto& info) { return info.kind == kind && info.required; });
  }

  bool is_single(const std::string& kind) const {
    const auto& all = catalog_.all();
    return is_required(kind) ||
           std::any_of(all.begin(), all.end(), [&](const auto& info) { return info.kind == kind && info.single; });
  }

  /// Whether a stage of unknown kind is probably meant to be of this one.
  bool misspelt(const std::string& kind) const {
    return std::any_of(graph_.stages.begin(), graph_.stages.end(), [&](const StageDraft& draft) {
      return draft.info == nullptr && nearest(draft.stage.kind, catalog_.kinds()) == kind;
    });
  }

  std::string reason(const std::string& kind) const {
    if (kind == "cache_evictor") return ": it gives the prefix_matcher blocks when the cache is full";
    const StageInfo* info = catalog_.find(kind, "default");
    if (info == nullptr || info->produces.empty()) return "";
    return ": it turns " + info->consumes + " into " + info->produces;
  }

  void check_gateway() {
    if (!graph_.has_gateway) return;
    check_duplicates(graph_.gateway_to, "to");
    if (graph_.gateway_to.empty()) {
      problems_.at(graph_.gateway_where, "gateway needs `to`, the stages that take its " +
                                             std::string(kRequestMessage) + ": " + takers(kRequestMessage));
    }
    for (const Edge& edge : graph_.gateway_to) {
      const StageDraft* target = find(edge.target);
      if (target == nullptr) {
        problems_.at(edge.where, "unknown stage " + quote(edge.target) + suggest(edge.target, ids(false)));
      } else if (target->info != nullptr && target->info->consumes != kRequestMessage) {
        problems_.at(edge.where, misfit(kGateway, kRequestMessage, *target));
      }
    }
  }

  std::string misfit(const std::string& sender, const std::string& message, const StageDraft& target) const {
    const std::string takes =
        target.info->consumes.empty() ? " takes nothing by `to`" : " takes " + target.info->consumes;
    return sender + " sends " + message + ", and " + named(target) + takes + "; send it to a stage that takes " +
           message + ": " + takers(message);
  }

  void check_duplicates(const std::vector<Edge>& edges, const std::string& key) {
    std::set<std::string_view> seen;
    for (const Edge& edge : edges) {
      if (!seen.insert(edge.target).second) {
        problems_.at(edge.where, quote(edge.target) + " stands twice in `" + key + "`; remove one");
      }
    }
  }

  void check_edge(const StageDraft& from, const Edge& edge) {
    const StageDraft* target = find(edge.target);
    const bool sink = edge.target == kGateway;
    if (target == nullptr && !sink) {
      problems_.at(edge.where, "unknown stage " + quote(edge.target) + " in `to` of " + named(from) +
                                   suggest(edge.target, ids(true)));
      return;
    }
    if (from.info == nullptr || from.info->produces.empty()) return;  // check_connected speaks of the latter
    if (sink && from.info->produces != kAnswerMessage) {
      problems_.at(edge.where, named(from) + " sends " + from.info->produces + ", and the gateway takes " +
                                   kAnswerMessage + "; send it to a stage that takes " + from.info->produces + ": " +
                                   takers(from.info->produces));
    } else if (!sink && target->info != nullptr && target->info->consumes != from.info->produces) {
      problems_.at(edge.where, misfit(named(from), from.info->produces, *target));
    }
  }

  void check_feedback(const StageDraft& from) {
    std::set<std::string_view> reached;
    for (const Edge& edge : from.feedback) {
      const StageDraft* target = find(edge.target);
      if (target == nullptr) {
        problems_.at(edge.where, "unknown stage " + quote(edge.target) + " in `feedback` of " + named(from) +
                                     suggest(edge.target, ids(false)));
        continue;
      }
      if (target->info == nullptr) {
        reached.insert(target->stage.kind);
        reached.insert("?");
        continue;
      }
      reached.insert(target->stage.kind);
      if (from.info == nullptr) continue;
      const auto& wanted = from.info->feedback_to;
      if (std::find(wanted.begin(), wanted.end(), target->stage.kind) == wanted.end()) {
        problems_.at(edge.where, named(from) + " gives no feedback to a " + target->stage.kind + "; " +
                                     (wanted.empty() ? "it gives none at all, so remove it"
                                                     : "it gives it to " + join(wanted, " and ")));
      }
    }
    if (from.info == nullptr || reached.count("?") > 0) return;
    for (const std::string& kind : from.info->feedback_to) {
      if (reached.count(kind) == 0) report_missing_feedback(from, kind);
    }
  }

  /// Silent where there is no stage of that kind: that is reported already.
  void report_missing_feedback(const StageDraft& from, const std::string& kind) {
    const auto target = std::find_if(graph_.stages.begin(), graph_.stages.end(),
                                     [&](const StageDraft& draft) { return draft.stage.kind == kind; });
    if (target == graph_.stages.end()) return;
    problems_.at(from.stage.where, named(from) + " needs `feedback` to " + quote(target->stage.id) + ", the " + kind);
  }

  void check_connected(const StageDraft& draft) {
    if (draft.info == nullptr) return;
    if (draft.info->produces.empty() && !draft.to.empty()) {
      problems_.at(draft.to.front().where, named(draft) + " sends nothing by `to`; remove it");
    }
    if (!draft.info->produces.empty() && draft.to.empty() && !draft.to_broken) {
      problems_.at(draft.stage.where, named(draft) + " needs `to`, the stages that take its " + draft.info->produces +
                                          ": " + takers(draft.info->produces));
    }
    if (draft.info->consumes.empty() || draft.stage.id.empty() || is_target(draft) || sender_broken(draft)) return;
    if (draft.info->consumes == kRequestMessage && !graph_.has_gateway) return;  // gateway.to is inferred
    problems_.at(draft.stage.where, named(draft) + " is never reached: name it in the `to` of a stage that sends " +
                                        draft.info->consumes + ": " + senders(draft.info->consumes));
  }

  /// Whether the stage that should send to this one is missing or cannot be read, which is reported already.
  bool sender_broken(const StageDraft& draft) const {
    bool sent = draft.info->consumes == kRequestMessage;
    for (const StageDraft& from : graph_.stages) {
      if (from.info == nullptr || from.info->produces != draft.info->consumes) continue;
      if (from.to_broken || from.to.empty()) return true;
      sent = true;
    }
    return !sent;
  }

  bool is_target(const StageDraft& draft) const {
    const auto names_it = [&](const Edge& edge) { return edge.target == draft.stage.id; };
    return std::any_of(graph_.gateway_to.begin(), graph_.gateway_to.end(), names_it) ||
           std::any_of(graph_.stages.begin(), graph_.stages.end(),
                       [&](const StageDraft& from) { return std::any_of(from.to.begin(), from.to.end(), names_it); });
  }

  std::string senders(const std::string& message) const {
    std::vector<std::string> senders;
    for (const StageDraft& draft : graph_.stages) {
      if (draft.info != nullptr && draft.info->produces == message) senders.push_back(named(draft));
    }
    if (message == kRequestMessage) senders.push_back(quote(kGateway));
    return join(senders, " or ");
  }

  /// Depth first; an edge to a stage on the current path closes a cycle. Depth is at most the number of stages.
  void check_cycles() {
    std::set<const StageDraft*> done;
    std::vector<const StageDraft*> path;
    for (const StageDraft& draft : graph_.stages) visit(draft, path, done);
  }

  void visit(const StageDraft& draft, std::vector<const StageDraft*>& path, std::set<const StageDraft*>& done) {
    if (!done.insert(&draft).second) return;
    path.push_back(&draft);
    for (const Edge& edge : draft.to) {
      const StageDraft* target = find(edge.target);
      if (target == nullptr) continue;
      if (const auto start = std::find(path.begin(), path.end(), target); start != path.end()) {
        report_cycle(edge, {start, path.end()});
      } else {
        visit(*target, path, done);
      }
    }
    path.pop_back();
  }

  void report_cycle(const Edge& edge, const std::vector<const StageDraft*>& cycle) {
    std::vector<std::string> ids;
    for (const StageDraft* draft : cycle) ids.push_back(draft->stage.id);
    ids.push_back(edge.target);
    problems_.at(edge.where, "this closes a cycle: " + join(ids, " → ") + "; only `feedback` may lead back");
  }

  const GraphDraft& graph_;
  const StageCatalog& catalog_;
  Problems& problems_;
};

}  // namespace

void check_graph(const GraphDraft& graph, const StageCatalog& catalog, Problems& problems) {
  GraphChecker(graph, catalog, problems).run();
}

}  // namespace headwater::topology
