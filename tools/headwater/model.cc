// headwater model info

#include <memory>

#include "model/gguf.h"
#include "model/model_info.h"
#include "tools/headwater/command.h"

namespace headwater::tools {
namespace {

int info(const std::string& path) {
  const auto file = model::GgufFile::open(path);
  if (!file) return fail(file.error().message);
  print(model::describe_model(**file));
  return 0;
}

}  // namespace

void add_model(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("model", "Look into model files");
  command->require_subcommand(1);
  command->footer("Example: headwater model info models/default.gguf");
  auto* subcommand = command->add_subcommand("info", "Say what a GGUF file holds");
  auto path = std::make_shared<std::string>();
  subcommand->add_option("FILE", *path, "GGUF file")->required();
  subcommand->footer("Example: headwater model info models/default.gguf");
  subcommand->callback([path, &action] { action = [path] { return info(*path); }; });
}

}  // namespace headwater::tools
