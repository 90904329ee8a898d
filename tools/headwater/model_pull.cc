// headwater model pull | list: the work is done by tools/models/pull.py, which is installed beside the topologies.

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "tools/headwater/model.h"
#include "tools/headwater/model_path.h"

namespace headwater::tools {
namespace {

/// Becomes the script. The exit status, where that fails.
int become(std::vector<std::string> arguments) {
  const auto folder = models_folder();
  if (!folder) return fail("cannot find models/pull.py, which is installed with the command; install it anew");
  arguments.insert(arguments.begin(), {"python3", *folder + "/pull.py"});
  std::vector<char*> words;
  for (std::string& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  execvp(words[0], words.data());
  return fail(std::string("cannot start python3: ") + std::strerror(errno) + "; install it");
}

struct Options {
  std::vector<std::string> names;
  std::string folder = "models";
};

void add_folder(CLI::App& command, Options& options) {
  command.add_option("--dir", options.folder, "the folder of models")->capture_default_str();
}

}  // namespace

void add_model_pull(CLI::App& parent, Action& action) {
  auto* command = parent.add_subcommand("pull", "Fetch models by name");
  auto options = std::make_shared<Options>();
  command->add_option("NAME", options->names, "as `model list` has them; all: every one")->required();
  add_folder(*command, *options);
  command->footer(
      "Models travel in Python packages, so pip's configuration says where they come from. A download that was cut "
      "off\n"
      "goes on where it stopped. What is there already is not fetched again.\n"
      "Example: headwater model pull qwen2.5-coder-0.5b && headwater run --model qwen2.5-coder-0.5b \"Hello\"");
  command->callback([options, &action] {
    action = [options] {
      std::vector<std::string> words = {"pull", "--dir=" + options->folder, "--"};
      words.insert(words.end(), options->names.begin(), options->names.end());
      return become(words);
    };
  });
}

void add_model_list(CLI::App& parent, Action& action) {
  auto* command = parent.add_subcommand("list", "List the models that can be fetched, and which are there");
  auto options = std::make_shared<Options>();
  add_folder(*command, *options);
  command->footer("Example: headwater model list");
  command->callback([options, &action] {
    action = [options] { return become({"list", "--dir=" + options->folder}); };
  });
}

}  // namespace headwater::tools
