#pragma once
// docs/OPTIONS.md: every flag of the command line and every key of a topology file, as Markdown.

#include <CLI/CLI.hpp>

#include <string>

namespace headwater::tools {

/// root: the command with all its subcommands.
std::string options_markdown(const CLI::App& root);

}  // namespace headwater::tools
