#include "topology/check.h"

#include <algorithm>
#include <map>
#include <set>

#include "topology/reader.h"

namespace headwater::topology {
namespace {

/// The name under which stages send their events to whoever asked.
constexpr const char* kGateway = "gateway";
constexpr const char* kGatewayConsumes = "token_events";
constexpr const char* kGatewayProduces = "generate_request";

class Checker {
 public:
  Checker(const StageCatalog& catalog, Topology& topology, std::vector<Problem>& problems)
      : catalog_(catalog), topology_(topology), problems_(problems) {}

  void check() {
    ids();
    for (const Stage& stage : topology_.stages) {
      if (info(stage) != nullptr) edges(stage);
    }
    gateway();
    counts();
    if (problems_.empty()) reachable();
    cycles();
  }

 private:
  void report(Location where, std::string message) { problems_.push_back({where, std::move(message)}); }
  const StageInfo* info(const Stage& stage) const { return catalog_.find(stage.kind, stage.impl); }
  static std::string called(const Stage& stage) { return "stage \"" + stage.id + "\" (" + stage.kind + ")"; }

  void ids() {
    for (const Stage& stage : topology_.stages) {
      if (stage.id.empty()) continue;
      if (stage.id == kGateway) report(stage.where, "the id \"gateway\" is taken: it means whoever sent the request");
      if (!by_id_.emplace(stage.id, &stage).second) report(stage.where, "the id \"" + stage.id + "\" is there twice");
    }
  }

  std::vector<std::string> known_ids() const {
    std::vector<std::string> ids;
    for (const auto& [id, stage] : by_id_) ids.push_back(id);
    ids.emplace_back(kGateway);
    return ids;
  }

  /// One edge along the path: the message that `from` sends must be what `id` takes.
  void edge(Location where, const std::string& from, const std::string& produces, const std::string& id) {
    std::string consumes = kGatewayConsumes;
    if (id != kGateway) {
      const auto found = by_id_.find(id);
      if (found == by_id_.end()) {
        report(where, from + " sends to the unknown stage " + unknown(id, known_ids()));
        return;
      }
      const StageInfo* target = info(*found->second);
      if (target == nullptr) return;  // reported where it stands
      consumes = target->consumes;
    }
    if (consumes != produces) {
      report(where, from + " sends " + produces + " to \"" + id + "\", which takes " +
                        (consumes.empty() ? "nothing" : consumes));
    }
  }

  void edges(const Stage& stage) {
    const StageInfo& kind = *info(stage);
    if (stage.replicas > 1 && !kind.replicable) {
      report(stage.where, called(stage) + " cannot have replicas: it keeps state that cannot be shared");
    }
    if (kind.produces.empty() && !stage.to.empty())
      report(stage.where, called(stage) + " sends nothing; leave \"to\" out");
    if (!kind.produces.empty() && stage.to.empty()) {
      report(stage.where, called(stage) + " has no \"to\": name who takes its " + kind.produces);
    }
    for (const std::string& id : stage.to) edge(stage.where, called(stage), kind.produces, id);
    feedback(stage, kind);
  }

  void feedback(const Stage& stage, const StageInfo& kind) {
    std::set<std::string> named;
    for (const std::string& id : stage.feedback) {
      const auto found = by_id_.find(id);
      if (found == by_id_.end()) {
        report(stage.where, called(stage) + " gives feedback to the unknown stage " + unknown(id, known_ids()));
        continue;
      }
      const std::string& target = found->second->kind;
      if (std::find(kind.feedback_to.begin(), kind.feedback_to.end(), target) == kind.feedback_to.end()) {
        report(stage.where, called(stage) + " has no feedback for \"" + id + "\" (" + target + ")");
      }
      named.insert(target);
    }
    for (const std::string& target : kind.feedback_to) {
      if (!named.contains(target)) report(stage.where, called(stage) + " must name the " + target + " in \"feedback\"");
    }
  }

  void gateway() {
    if (topology_.gateway.to.empty()) {
      for (const Stage& stage : topology_.stages) {
        const StageInfo* kind = info(stage);
        if (kind != nullptr && kind->consumes == kGatewayProduces) topology_.gateway.to.push_back(stage.id);
      }
    }
    for (const std::string& id : topology_.gateway.to) edge({1, 1}, "the gateway", kGatewayProduces, id);
  }

  void counts() {
    std::map<std::string, int> found;
    for (const Stage& stage : topology_.stages) {
      const StageInfo* kind = info(stage);
      if (kind != nullptr && ++found[stage.kind] == 2 && kind->required) {
        report(stage.where, "there is a " + stage.kind + " already; use replicas where one is not enough");
      }
    }
    for (const StageInfo& kind : catalog_.all()) {
      if (kind.required && kind.impl == "default" && !found.contains(kind.kind)) {
        report({1, 1}, "the topology has no " + kind.kind);
      }
    }
  }

  void reachable() {
    std::set<std::string> seen(topology_.gateway.to.begin(), topology_.gateway.to.end());
    std::vector<std::string> queue(seen.begin(), seen.end());
    while (!queue.empty()) {
      const std::string id = queue.back();
      queue.pop_back();
      const auto stage = by_id_.find(id);
      if (stage == by_id_.end()) continue;
      for (const std::string& next : stage->second->to) {
        if (seen.insert(next).second) queue.push_back(next);
      }
    }
    for (const Stage& stage : topology_.stages) {
      if (!info(stage)->consumes.empty() && !seen.contains(stage.id)) {
        report(stage.where, called(stage) + " is reached by no request: nobody sends to it");
      }
    }
  }

  void cycles() {
    std::map<std::string, int> state;  // 1: on the way, 2: done
    for (const Stage& stage : topology_.stages) {
      std::vector<std::string> way;
      if (visit(stage.id, state, way)) return;
    }
  }

  bool visit(const std::string& id, std::map<std::string, int>& state, std::vector<std::string>& way) {
    const auto stage = by_id_.find(id);
    if (stage == by_id_.end() || state[id] == 2) return false;
    way.push_back(id);
    if (state[id] == 1) {
      std::string text;
      for (const std::string& step : way) text += (text.empty() ? "" : " → ") + step;
      report(stage->second->where, "requests would run in a circle: " + text + "; only \"feedback\" may go back");
      return true;
    }
    state[id] = 1;
    for (const std::string& next : stage->second->to) {
      if (visit(next, state, way)) return true;
    }
    state[id] = 2;
    way.pop_back();
    return false;
  }

  const StageCatalog& catalog_;
  Topology& topology_;
  std::vector<Problem>& problems_;
  std::map<std::string, const Stage*> by_id_;
};

}  // namespace

void check_graph(const StageCatalog& catalog, Topology& topology, std::vector<Problem>& problems) {
  Checker(catalog, topology, problems).check();
}

const Stage* Topology::find(std::string_view id) const {
  const auto found = std::find_if(stages.begin(), stages.end(), [&](const Stage& stage) { return stage.id == id; });
  return found == stages.end() ? nullptr : &*found;
}

const Stage* Topology::find_kind(std::string_view kind) const {
  const auto found = std::find_if(stages.begin(), stages.end(), [&](const Stage& stage) { return stage.kind == kind; });
  return found == stages.end() ? nullptr : &*found;
}

}  // namespace headwater::topology
