#pragma once
// The subcommands of `headwater model`.

#include "tools/headwater/command.h"

namespace headwater::tools {

void add_model_info(CLI::App& parent, Action& action);
void add_model_list(CLI::App& parent, Action& action);
void add_model_pull(CLI::App& parent, Action& action);

}  // namespace headwater::tools
