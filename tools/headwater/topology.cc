// headwater topology check | graph | options

#include "topology/topology.h"

#include <cstdio>
#include <memory>
#include <stdexcept>

#include "gateway/origins.h"
#include "model/served_model.h"
#include "tools/headwater/command.h"
#include "tools/headwater/model_path.h"
#include "tools/headwater/options.h"
#include "tools/headwater/topology_file.h"
#include "topology/document.h"

namespace headwater::tools {
namespace {

/// The checked topology in the file `name`, or of the ones that ship; its mistakes go to stderr.
std::optional<topology::Topology> load(const std::string& name) {
  const auto found = find_topology(name);
  if (!found) {
    fail(found.error().message);
    return std::nullopt;
  }
  const std::string& path = *found;
  const auto yaml = read_file(path, topology::kMaxFileBytes);
  if (!yaml) {
    fail(yaml.error().message);
    return std::nullopt;
  }
  auto outcome = topology::parse(*yaml, path, topology::builtin_catalog());
  if (!outcome.topology) std::fputs(outcome.report(path).c_str(), stderr);
  return std::move(outcome.topology);
}

/// Whether the model is there and would be served, as far as its header tells; what is wrong goes to stderr.
bool check_model(const std::string& topology_file, const topology::Topology& topology) {
  const topology::ModelSpec& spec = topology.model;
  const auto model = open_model(spec.path);
  if (!model) {
    fail(topology_file + ": model: " + model.error().message + "; --no-model leaves the model out");
    return false;
  }
  const auto served = model::read_served_model(**model, {spec.pre_tokenizer, spec.chat_template, topology.session_len});
  if (!served) {
    fail(topology_file + ": model: " + served.error().message);
    return false;
  }
  try {
    (void)kernels::make_cpu_backend(1)->kv_block_bytes(
        {served->shape.kv_layers, topology.cache.block_tokens, topology.cache.format});
  } catch (const std::invalid_argument& error) {
    fail(topology_file + ": model: " + spec.path + ": " + error.what());
    return false;
  }
  if (!served->no_chat.empty()) fail(topology_file + ": model: no chat would be served: " + served->no_chat);
  return true;
}

/// Whether browsers can send the origins that the gateway allows; what is wrong goes to stderr.
bool check_origins(const std::string& topology_file, const topology::GatewaySpec& spec) {
  const auto wrong = gateway::check_origins(spec.allow_origins);
  if (wrong) fail(topology_file + ": gateway: allow_origins: " + *wrong);
  return !wrong;
}

int check(const std::vector<std::string>& files, bool with_model) {
  int status = 0;
  for (const std::string& file : files) {
    const auto topology = load(file);
    if (topology && check_origins(file, topology->gateway) && (!with_model || check_model(file, *topology))) {
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
  auto no_model = std::make_shared<bool>(false);
  command->add_flag("--no-model", *no_model, "do not look at the model file: it is on another machine");
  command->footer(
      "Every mistake is printed as file:line:column: what is wrong, and what would be right.\n"
      "Example: headwater topology check topologies/*.yaml");
  command->callback([files, no_model, &action] { action = [files, no_model] { return check(*files, !*no_model); }; });
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

void add_options(CLI::App& parent, CLI::App& root, Action& action) {
  auto* command = parent.add_subcommand("options", "Print every flag and every key of a topology file, as Markdown");
  command->footer("Example: headwater topology options > docs/OPTIONS.md");
  command->callback([&root, &action] {
    action = [&root] {
      print(options_markdown(root));
      return 0;
    };
  });
}

}  // namespace

void add_topology(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("topology", "Check, draw and explain topology files");
  command->require_subcommand(1);
  command->footer("Example: headwater topology check topologies/single.yaml");
  add_check(*command, action);
  add_graph(*command, action);
  add_options(*command, app, action);
}

}  // namespace headwater::tools
