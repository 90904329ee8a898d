#pragma once
// headwater cachesim --families: the adaptive policy held against the simple ones over many kinds of work.

#include <string>

#include "tools/cachesim/judge.h"
#include "tools/cachesim/trace_parts.h"

namespace headwater::tools {

struct FamiliesOptions {
  unsigned seed = cachesim::kJudgeSeed;
  cachesim::Part part = cachesim::Part::second;
  const cachesim::Trace* published = nullptr;  ///< judged, too, in several forms
};

/// Prints a table and its summary. The command's exit status.
int judge_families(const FamiliesOptions& options);

}  // namespace headwater::tools
