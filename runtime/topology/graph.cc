// Topologies as pictures.

#include "topology/topology.h"

namespace headwater::topology {
namespace {

std::string label(const Stage& stage) {
  return stage.kind + (stage.replicas > 1 ? " x" + std::to_string(stage.replicas) : "");
}

/// Calls `edge(from, to, feedback)` for each.
template <class Edge>
void edges(const Topology& topology, const Edge& edge) {
  for (const std::string& id : topology.gateway.to) edge("gateway", id, false);
  for (const Stage& stage : topology.stages) {
    for (const std::string& id : stage.to) edge(stage.id, id, false);
    for (const std::string& id : stage.feedback) edge(stage.id, id, true);
  }
}

/// Text inside of double quotes.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) out += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return out + "\"";
}

}  // namespace

std::string to_graphviz(const Topology& topology) {
  std::string out = "digraph " + quoted(topology.name) + " {\n  rankdir=LR;\n  node [shape=box];\n  \"gateway\";\n";
  for (const Stage& stage : topology.stages) {
    out += "  " + quoted(stage.id) + " [label=" + quoted(stage.id + ": " + label(stage)) + "];\n";
  }
  edges(topology, [&](const std::string& from, const std::string& to, bool feedback) {
    out += "  " + quoted(from) + " -> " + quoted(to) + (feedback ? " [style=dashed]" : "") + ";\n";
  });
  return out + "}\n";
}

std::string to_mermaid(const Topology& topology) {
  std::string out = "flowchart LR\n  gateway[\"gateway\"]\n";
  for (const Stage& stage : topology.stages) out += "  " + stage.id + "[\"" + stage.id + ": " + label(stage) + "\"]\n";
  edges(topology, [&](const std::string& from, const std::string& to, bool feedback) {
    out += "  " + from + (feedback ? " -.-> " : " --> ") + to + "\n";
  });
  return out;
}

}  // namespace headwater::topology
