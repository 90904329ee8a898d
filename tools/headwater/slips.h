#pragma once
// "did you mean": what a mistyped command or flag is probably meant to be.

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace headwater::tools {

/// The first word of the command line that is no command or flag where it stands, with the nearest that is:
/// `unknown flag "--modle" (did you mean "--model"?)`. Empty: every word is known.
std::string unknown_word(const CLI::App& app, const std::vector<std::string>& arguments);

}  // namespace headwater::tools
