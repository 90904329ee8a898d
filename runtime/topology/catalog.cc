#include <algorithm>

#include "kernels/precision.h"
#include "topology/sections.h"
#include "topology/topology.h"

namespace headwater::topology {
namespace {

ArgSpec integer(std::string name, std::int64_t fallback, double min, double max, std::string help) {
  return {.name = std::move(name),
          .type = ArgType::integer,
          .fallback = fallback,
          .min = min,
          .max = max,
          .choices = {},
          .help = std::move(help)};
}

ArgSpec choice(std::string name, std::vector<std::string> choices, std::string help) {
  return {.name = std::move(name),
          .type = ArgType::choice,
          .fallback = choices.front(),
          .min = 0,
          .max = 0,
          .choices = choices,
          .help = std::move(help)};
}

StageInfo required(std::string kind, std::string consumes, std::string produces) {
  StageInfo info;
  info.kind = std::move(kind);
  info.impl = "default";
  info.consumes = std::move(consumes);
  info.produces = std::move(produces);
  info.required = true;
  return info;
}

StageInfo tokenizer() {
  StageInfo info = required("tokenizer", "generate_request", "tokenized_request");
  info.replicable = true;
  info.loss = Loss::waiting_requests;
  ArgSpec limit = integer("max_prompt_bytes", 4 << 20, 1, 64 << 20, "longest prompt text that is tokenized");
  limit.type = ArgType::size;
  info.args = {limit};
  return info;
}

StageInfo prefix_matcher() { return required("prefix_matcher", "tokenized_request", "matched_request"); }

StageInfo scheduler() {
  StageInfo info = required("scheduler", "matched_request", "step_plan");
  ArgSpec max_wait =
      integer("max_wait", 2000, 0, 24 * 3'600'000.0,
              "longest that a request may be expected to wait once all places of the batch are taken; what "
              "would wait for longer is refused; 0: any time");
  max_wait.type = ArgType::duration;
  info.args = {
      integer("max_batch_size", 48, 1, 4096, "most sequences in one step"),
      integer("max_step_tokens", 512, 16, 65536, "most tokens in one step, of all sequences"),
      integer("prefill_chunk", 256, 1, 65536, "most prompt tokens of one sequence in a step"),
      integer("mixed_prefill_tokens", 208, 1, 65536,
              "most prompt tokens in a step in which sequences decode, which wait for them"),
      integer("draft_tokens", 8, 0, 64,
              "most tokens of a sequence that are guessed from its own text and checked in one step, where few "
              "sequences decode; the answer is the same; 0: none"),
      max_wait,
      choice("admission", {"lasting", "eager"},
             "lasting: a sequence is let in when its blocks will likely last, by how long answers were lately; "
             "eager: as soon as its next tokens have room, and more are set back")};
  return info;
}

StageInfo executor() {
  StageInfo info = required("executor", "step_plan", "step_result");
  info.feedback_to = {"scheduler"};
  info.args = {choice("backend", {"cpu"}, "what computes"),
               choice("precision", {kernels::kPrecisions.begin(), kernels::kPrecisions.end()}, kPrecisionHelp),
               integer("threads", 0, 0, 1024, "compute threads; 0: as the topology says")};
  return info;
}

StageInfo cache_evictor() {
  StageInfo info = required("cache_evictor", "", "");
  info.feedback_to = {"scheduler", "prefix_matcher"};
  info.args = {choice("policy", {"lru", "fifo", "lfu", "adaptive"}, "which cached blocks go first")};
  return info;
}

StageInfo disk_tier() {
  StageInfo info;
  info.kind = "cache_tier";
  info.impl = "disk";
  info.single = true;
  info.loss = Loss::nothing;
  info.feedback_to = {"prefix_matcher"};
  ArgSpec path{.name = "path",
               .type = ArgType::text,
               .fallback = std::string(),
               .required = true,
               .help = "folder for the blocks that memory gives up; made where it is missing"};
  constexpr std::int64_t kGiB = std::int64_t{1} << 30;
  ArgSpec limit = integer("size_limit", 10 * kGiB, 16 << 20, static_cast<double>(256 * kGiB),
                          "what it may take on the disk; what was written longest ago goes first");
  limit.type = ArgType::size;
  info.args = {path, limit};
  return info;
}

/// The name that older topologies have.
StageInfo rocksdb_tier() {
  StageInfo info = disk_tier();
  info.impl = "rocksdb";
  return info;
}

StageInfo detokenizer() {
  StageInfo info = required("detokenizer", "step_result", "token_events");
  info.replicable = true;
  info.loss = Loss::passing_requests;
  return info;
}

}  // namespace

Result<void> StageCatalog::add(StageInfo info) {
  if (find(info.kind, info.impl) != nullptr) {
    return Error{ErrorCode::duplicate_stage_kind,
                 "the stage kind \"" + info.kind + "\" with implementation \"" + info.impl +
                     "\" is registered already; give yours another implementation name",
                 ""};
  }
  stages_.push_back(std::move(info));
  return {};
}

const StageInfo* StageCatalog::find(std::string_view kind, std::string_view impl) const {
  const auto found = std::find_if(stages_.begin(), stages_.end(),
                                  [&](const StageInfo& info) { return info.kind == kind && info.impl == impl; });
  return found == stages_.end() ? nullptr : &*found;
}

std::vector<std::string> StageCatalog::kinds() const {
  std::vector<std::string> kinds;
  for (const StageInfo& info : stages_) {
    if (std::find(kinds.begin(), kinds.end(), info.kind) == kinds.end()) kinds.push_back(info.kind);
  }
  return kinds;
}

std::vector<std::string> StageCatalog::impls(std::string_view kind) const {
  std::vector<std::string> impls;
  for (const StageInfo& info : stages_) {
    if (info.kind == kind) impls.push_back(info.impl);
  }
  return impls;
}

StageCatalog builtin_catalog() {
  StageCatalog catalog;
  for (StageInfo (*make)() :
       {tokenizer, prefix_matcher, scheduler, executor, cache_evictor, detokenizer, disk_tier, rocksdb_tier}) {
    if (!catalog.add(make())) std::terminate();  // two built-in stages of one name: a bug
  }
  return catalog;
}

}  // namespace headwater::topology
