#include "tools/headwater/slips.h"

#include <cctype>

#include "topology/document.h"

namespace headwater::tools {
namespace {

std::vector<std::string> flags_of(const CLI::App& app) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
    for (const std::string& name : option->get_snames()) flags.push_back("-" + name);
  }
  return flags;
}

std::vector<std::string> commands_of(const CLI::App& app) {
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    commands.push_back(command->get_name());
  }
  return commands;
}

std::string unknown(const std::string& what, const std::string& word, const std::vector<std::string>& known) {
  const std::string near = topology::nearest(word, known);
  return "unknown " + what + " " + topology::quote(word) +
         (near.empty() ? "" : " (did you mean " + topology::quote(near) + "?)");
}

}  // namespace

std::string unknown_word(const CLI::App& app, const std::vector<std::string>& arguments) {
  const CLI::App* command = &app;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--") return "";
    if (word.size() > 1 && word[0] == '-' && std::isdigit(static_cast<unsigned char>(word[1])) == 0) {
      const std::string flag = word.substr(0, word.find('='));
      const CLI::Option* option = command->get_option_no_throw(flag);
      const bool attached = flag.size() > 2 && flag[1] != '-' && command->get_option_no_throw(flag.substr(0, 2));
      if (option == nullptr && !attached) return unknown("flag", flag, flags_of(*command));
      if (option != nullptr && flag == word && option->get_type_size() != 0) ++i;  // its value
      continue;
    }
    const std::vector<std::string> commands = commands_of(*command);
    if (commands.empty()) continue;
    const auto next = command->get_subcommands([&](const CLI::App* known) { return known->get_name() == word; });
    if (next.empty()) return unknown("command", word, commands);
    command = next.front();
  }
  return "";
}

}  // namespace headwater::tools
