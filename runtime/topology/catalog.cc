#include <algorithm>

#include "topology/topology.h"

namespace headwater::topology {

Result<void> StageCatalog::add(StageInfo info) {
  if (find(info.kind, info.impl) != nullptr) {
    return Error{
        "duplicate_stage",
        "the stage kind \"" + info.kind + "\" (impl \"" + info.impl + "\") is registered already; choose another name",
        ""};
  }
  stages_.push_back(std::move(info));
  return {};
}

const StageInfo* StageCatalog::find(std::string_view kind, std::string_view impl) const {
  for (const StageInfo& stage : stages_) {
    if (stage.kind == kind && stage.impl == impl) return &stage;
  }
  return nullptr;
}

std::vector<std::string> StageCatalog::kinds() const {
  std::vector<std::string> names;
  for (const StageInfo& stage : stages_) {
    if (std::find(names.begin(), names.end(), stage.kind) == names.end()) names.push_back(stage.kind);
  }
  return names;
}

std::vector<std::string> StageCatalog::impls(std::string_view kind) const {
  std::vector<std::string> names;
  for (const StageInfo& stage : stages_) {
    if (stage.kind == kind) names.push_back(stage.impl);
  }
  return names;
}

StageCatalog builtin_catalog() {
  const auto integer = [](const char* name, std::int64_t fallback, double min, double max, const char* help) {
    return ArgSpec{name, ArgType::integer, fallback, min, max, {}, help};
  };
  const auto choice = [](const char* name, std::vector<std::string> choices, const char* help) {
    return ArgSpec{name, ArgType::choice, choices.front(), 0, 0, choices, help};
  };
  const std::vector<StageInfo> stages = {
      {.kind = "tokenizer",
       .impl = "default",
       .consumes = "generate_request",
       .produces = "tokenized_request",
       .replicable = true,
       .required = true,
       .feedback_to = {},
       .args = {integer("max_prompt_bytes", 4 << 20, 1, 64 << 20, "longest text of a prompt")}},
      {.kind = "prefix_matcher",
       .impl = "default",
       .consumes = "tokenized_request",
       .produces = "matched_request",
       .replicable = false,
       .required = true,
       .feedback_to = {},
       .args = {}},
      {.kind = "scheduler",
       .impl = "default",
       .consumes = "matched_request",
       .produces = "step_plan",
       .replicable = false,
       .required = true,
       .feedback_to = {},
       .args = {integer("max_batch_size", 48, 1, 4096, "sequences in one step"),
                integer("max_step_tokens", 512, 16, 65536, "rows in one step"),
                integer("prefill_chunk", 256, 1, 65536, "prompt tokens of one sequence in one step")}},
      {.kind = "executor",
       .impl = "default",
       .consumes = "step_plan",
       .produces = "step_result",
       .replicable = false,
       .required = true,
       .feedback_to = {"scheduler"},
       .args = {choice("backend", {"cpu"}, "what computes"),
                integer("threads", 0, 0, 1024, "compute threads, 0: one per core")}},
      {.kind = "cache_evictor",
       .impl = "default",
       .consumes = "",
       .produces = "",
       .replicable = false,
       .required = true,
       .feedback_to = {"scheduler", "prefix_matcher"},
       .args = {choice("policy", {"lru"}, "which cached blocks go first")}},
      {.kind = "detokenizer",
       .impl = "default",
       .consumes = "step_result",
       .produces = "token_events",
       .replicable = true,
       .required = true,
       .feedback_to = {},
       .args = {}},
  };
  StageCatalog catalog;
  for (const StageInfo& stage : stages) static_cast<void>(catalog.add(stage));
  return catalog;
}

}  // namespace headwater::topology
