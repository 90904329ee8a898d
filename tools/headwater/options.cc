#include "tools/headwater/options.h"

#include "topology/options.h"

namespace headwater::tools {
namespace {

constexpr const char* kHead =
    "# Options\n"
    "\n"
    "<!-- Printed by `headwater topology options`; `tools/options` writes it here. Do not edit by hand. -->\n"
    "\n"
    "Every flag of the command line and every key of a topology file. A flag replaces what the file says.\n"
    "Sizes have a unit: `B`, `KB`, `MB`, `GB`, `TB`, `KiB`, `MiB`, `GiB`, `TiB`; times, too: `ms`, `s`, `m`, `h`.\n";

/// Text for a cell of a table.
std::string cell(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|') escaped += '\\';
    escaped += c == '\n' ? ' ' : c;
  }
  return escaped;
}

std::string row(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const std::string& text : cells) line += " " + (text.empty() ? "" : cell(text) + " ") + "|";
  return line + "\n";
}

std::string code(const std::string& text) { return text.empty() || text == "–" ? text : "`" + text + "`"; }

std::string keys(const topology::OptionSection& section) {
  std::string text;
  if (!section.help.empty()) text += "\n" + section.help + "\n";
  text += "\n" + row({"key", "type", "default", "range", "what it does"}) + "|---|---|---|---|---|\n";
  for (const topology::OptionText& option : section.options) {
    const bool plain = option.fallback == "required";
    text += row(
        {code(option.name), option.type, plain ? option.fallback : code(option.fallback), option.range, option.help});
  }
  return text;
}

std::string names_of(const CLI::Option& option) {
  if (option.get_positional() && option.nonpositional() == false) return code(option.get_name(true));
  std::string names;
  for (const std::string& name : option.get_snames()) names += (names.empty() ? "" : ", ") + code("-" + name);
  for (const std::string& name : option.get_lnames()) names += (names.empty() ? "" : ", ") + code("--" + name);
  return names;
}

/// The value that an option takes: "UINT in [0 - 86400]" as the help prints it.
std::string value_of(const CLI::Option& option) { return option.get_type_size() == 0 ? "" : option.get_type_name(); }

std::string flags(const CLI::App& command) {
  std::string rows;
  for (const CLI::Option* option : command.get_options()) {
    if (option == command.get_help_ptr()) continue;
    std::string help = option->get_description();
    if (!option->get_envname().empty()) {
      help += (help.empty() ? "" : "; ") + ("also from the environment: `" + option->get_envname() + "`");
    }
    const std::string fallback = option->get_required() ? "required" : code(option->get_default_str());
    rows += row({names_of(*option), value_of(*option), fallback.empty() ? "–" : fallback, help});
  }
  if (rows.empty()) return "";
  return "\n" + row({"flag", "value", "default", "what it does"}) + "|---|---|---|---|\n" + rows;
}

void add_commands(const CLI::App& parent, const std::string& path, std::string& text) {
  for (const CLI::App* command : parent.get_subcommands([](const CLI::App*) { return true; })) {
    const std::string name = path + " " + command->get_name();
    text += "\n### " + code(name) + "\n\n" + command->get_description() + ".\n" + flags(*command);
    add_commands(*command, name, text);
  }
}

}  // namespace

std::string options_markdown(const CLI::App& root) {
  std::string text = kHead;
  text += "\n## Command line\n";
  add_commands(root, "headwater", text);
  text += "\n## Topology file\n";
  for (const topology::OptionSection& section : topology::topology_sections()) {
    text += "\n### " + (section.name.empty() ? "Top of the file" : code(section.name)) + "\n" + keys(section);
  }
  text += "\n## Args of stages\n";
  for (const topology::OptionSection& section : topology::stage_sections(topology::builtin_catalog())) {
    text += "\n### " + section.name + "\n" + keys(section);
  }
  return text;
}

}  // namespace headwater::tools
