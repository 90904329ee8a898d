// headwater model

#include <memory>

#include "model/gguf.h"
#include "model/model_info.h"
#include "tools/headwater/model.h"

namespace headwater::tools {
namespace {

int info(const std::string& path) {
  const auto file = model::GgufFile::open(path);
  if (!file) return fail(file.error().message);
  print(model::describe_model(**file));
  return 0;
}

}  // namespace

void add_model_info(CLI::App& parent, Action& action) {
  auto* command = parent.add_subcommand("info", "Say what a GGUF file holds");
  auto path = std::make_shared<std::string>();
  command->add_option("FILE", *path, "GGUF file, or the name of one that `model pull` fetched")->required();
  command->footer("Example: headwater model info models/default.gguf");
  command->callback([path, &action] { action = [path] { return info(model_file(*path)); }; });
}

void add_model(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("model", "Look into model files, and fetch some");
  command->require_subcommand(1);
  command->footer("Example: headwater model info models/default.gguf");
  add_model_info(*command, action);
  add_model_list(*command, action);
  add_model_pull(*command, action);
}

}  // namespace headwater::tools
