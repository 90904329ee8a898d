// A topology as a picture. Stage ids are letters, digits, "_" and "-", so only the name needs care.

#include <functional>

#include "topology/topology.h"

namespace headwater::topology {
namespace {

struct Line {
  std::string from, to;
  bool feedback = false;
};

std::vector<Line> lines(const Topology& topology) {
  std::vector<Line> lines;
  for (const std::string& target : topology.gateway.to) lines.push_back({"gateway", target});
  for (const Stage& stage : topology.stages) {
    for (const std::string& target : stage.to) lines.push_back({stage.id, target});
    for (const std::string& target : stage.feedback) lines.push_back({stage.id, target, true});
  }
  return lines;
}

/// The lines of a node's label: id, kind with its implementation, replicas.
std::string label(const Stage& stage, const std::string& line_break) {
  std::string text = stage.id + line_break + stage.kind;
  if (stage.impl != "default") text += "/" + stage.impl;
  if (stage.replicas > 1) text += " ×" + std::to_string(stage.replicas);
  return text;
}

std::string gateway_label(const Topology& topology, const std::string& line_break) {
  if (!topology.gateway.present) return "host program";
  const bool v6 = topology.gateway.host.find(':') != std::string::npos;
  return "gateway" + line_break + (v6 ? "[" + topology.gateway.host + "]" : topology.gateway.host) + ":" +
         std::to_string(topology.gateway.port);
}

std::string escape(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) continue;
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

}  // namespace

std::string to_graphviz(const Topology& topology) {
  std::string dot = "digraph \"" + escape(topology.name) + "\" {\n  rankdir=LR;\n  node [shape=box];\n";
  dot += "  \"gateway\" [label=\"" + gateway_label(topology, "\\n") + "\", shape=oval];\n";
  for (const Stage& stage : topology.stages) {
    dot += "  \"" + stage.id + "\" [label=\"" + label(stage, "\\n") + "\"];\n";
  }
  for (const Line& line : lines(topology)) {
    dot += "  \"" + line.from + "\" -> \"" + line.to + "\"" + (line.feedback ? " [style=dashed]" : "") + ";\n";
  }
  return dot + "}\n";
}

std::string to_mermaid(const Topology& topology) {
  // Prefixed, because some words ("end") cannot be the name of a Mermaid node.
  const auto node = [](const std::string& id) { return "s_" + id; };
  std::string text = "flowchart LR\n  " + node("gateway") + "([\"" + gateway_label(topology, "<br/>") + "\"])\n";
  for (const Stage& stage : topology.stages) {
    text += "  " + node(stage.id) + "[\"" + label(stage, "<br/>") + "\"]\n";
  }
  for (const Line& line : lines(topology)) {
    text += "  " + node(line.from) + (line.feedback ? " -.-> " : " --> ") + node(line.to) + "\n";
  }
  return text;
}

}  // namespace headwater::topology
