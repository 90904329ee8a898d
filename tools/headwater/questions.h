#pragma once
// Multiple-choice questions as people keep them: folders of CSV files, or prompts in JSON Lines.

#include <string>
#include <vector>

#include "headwater/result.h"
#include "tools/eval/mmlu_data.h"

namespace headwater::tools {

/// The questions of `data`, and what float32 chose of them as the file `reference` has it; empty: nothing. Errors: with
/// file and line.
Result<std::vector<eval::Subject>> read_questions(const std::string& data, const std::string& reference);

}  // namespace headwater::tools
