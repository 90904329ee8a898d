// headwater topology check | graph

#include "topology/topology.h"

#include <cstdio>
#include <memory>

#include "tools/headwater/command.h"
#include "topology/document.h"

namespace headwater::tools {
namespace {

/// The checked topology in `path`; its mistakes go to stderr.
std::optional<topology::Topology> load(const std::string& path) {
  const auto yaml = read_file(path, topology::kMaxFileBytes);
  if (!yaml) {
    fail(yaml.error().message);
    return std::nullopt;
  }
  auto outcome = topology::parse(*yaml, path, topology::builtin_catalog());
  if (!outcome.topology) std::fputs(outcome.report(path).c_str(), stderr);
  return std::move(outcome.topology);
}

int check(const std::vector<std::string>& files) {
  int status = 0;
  for (const std::string& file : files) {
    if (const auto topology = load(file)) {
      print(file + ": ok, " + std::to_string(topology->stages.size()) + " stages\n");
    } else {
      status = kFailed;
    }
  }
  return status;
}

int graph(const std::string& file, const std::string& format) {
  const auto topology = load(file);
  if (!topology) return kFailed;
  print(format == "mermaid" ? to_mermaid(*topology) : to_graphviz(*topology));
  return 0;
}

void add_check(CLI::App& parent, Action& action) {
  auto* command = parent.add_subcommand("check", "Look for mistakes in topology files; start nothing");
  auto files = std::make_shared<std::vector<std::string>>();
  command->add_option("FILE", *files, "topology files")->required();
  command->footer(
      "Every mistake is printed as file:line:column: what is wrong, and what would be right.\n"
      "Example: headwater topology check topologies/*.yaml");
  command->callback([files, &action] { action = [files] { return check(*files); }; });
}

void add_graph(CLI::App& parent, Action& action) {
  struct Options {
    std::string file, format = "dot";
  };
  auto* command = parent.add_subcommand("graph", "Print a topology as a graph");
  auto options = std::make_shared<Options>();
  command->add_option("FILE", options->file, "topology file")->required();
  command->add_option("--format", options->format, "dot (Graphviz) or mermaid")
      ->check(CLI::IsMember({"dot", "mermaid"}))
      ->capture_default_str();
  command->footer("Example: headwater topology graph topologies/single.yaml | dot -Tsvg > single.svg");
  command->callback([options, &action] { action = [options] { return graph(options->file, options->format); }; });
}

}  // namespace

void add_topology(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("topology", "Check and draw topology files");
  command->require_subcommand(1);
  command->footer("Example: headwater topology check topologies/single.yaml");
  add_check(*command, action);
  add_graph(*command, action);
}

}  // namespace headwater::tools
