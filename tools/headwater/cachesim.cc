// headwater cachesim

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <optional>

#include "model/model_info.h"
#include "tools/cachesim/chart.h"
#include "tools/cachesim/families.h"
#include "tools/cachesim/replay.h"
#include "tools/headwater/cachesim_families.h"
#include "tools/headwater/eval.h"

namespace headwater::tools {
namespace {

constexpr std::size_t kMaxTraceBytes = std::size_t{1} << 30;
constexpr std::uint32_t kMostBlocks = 1 << 24;

/// A cache's size: a share of the trace's distinct blocks, or a number of blocks.
struct Capacity {
  std::string text;
  std::optional<double> percent;
  std::uint32_t blocks = 0;

  std::uint32_t of(const cachesim::Trace& trace) const {
    if (!percent) return blocks;
    return std::max(static_cast<std::uint32_t>(*percent / 100 * trace.distinct_blocks), 1U);
  }
};

struct Options {
  std::string trace;
  bool families = false;
  unsigned seed = cachesim::kJudgeSeed;
  std::string part = "second";
  std::vector<std::string> policies;
  std::vector<std::string> capacities = {"1%", "3%", "10%", "30%"};
  bool json = false;
  std::string plot;
};

std::optional<Capacity> parse_capacity(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (error != std::errc{} || !std::isfinite(value)) return std::nullopt;
  if (std::string_view(rest, end) == "%") {
    return value > 0 && value <= 100 ? std::optional(Capacity{text, value, 0}) : std::nullopt;
  }
  const bool whole = rest == end && value == std::floor(value);
  if (!whole || value < 1 || value > kMostBlocks) return std::nullopt;
  return Capacity{text, std::nullopt, static_cast<std::uint32_t>(value)};
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

/// What a list may hold, each once; a sentence about what is wrong, or nothing.
std::string check_policy(const std::string& policy) {
  auto known = cache::policy_names();
  known.emplace_back(cachesim::kOptimal);
  if (std::ranges::count(known, policy) > 0) return "";
  return "\"" + policy + "\" is no policy; known are " + joined(known);
}

std::string check_capacity(const std::string& capacity) {
  if (parse_capacity(capacity)) return "";
  return "\"" + capacity +
         "\" is no size; give a share of the trace's blocks, above 0% and up to 100%, or a number of " +
         "blocks from 1 to " + std::to_string(kMostBlocks);
}

struct Row {
  std::string policy;
  std::vector<double> rates;
};

Result<std::vector<Row>> replay_all(const cachesim::Trace& trace, const std::vector<std::string>& policies,
                                    const std::vector<Capacity>& capacities) {
  const auto progress = make_progress(trace.requests.size() * policies.size() * capacities.size(), "requests");
  std::vector<Row> rows;
  for (const std::string& policy : policies) {
    rows.push_back({policy, {}});
    for (const Capacity& capacity : capacities) {
      progress->label(policy + " at " + capacity.text);
      const auto rate = cachesim::replay(trace, {policy, capacity.of(trace)},
                                         [&](std::uint64_t requests) { progress->advance(requests); });
      if (!rate) return rate.error();
      rows.back().rates.push_back(*rate);
    }
  }
  return rows;
}

void print_table(const std::vector<Row>& rows, const std::vector<Capacity>& capacities, const cachesim::Trace& trace) {
  print("hit rate by the cache's size, of " + model::with_commas(trace.total_blocks) + " blocks that " +
        model::with_commas(trace.requests.size()) + " requests want, " + model::with_commas(trace.distinct_blocks) +
        " of them distinct\n");
  char cell[64];
  std::snprintf(cell, sizeof cell, "%-10s", "policy");
  std::string line = cell;
  for (const Capacity& capacity : capacities) {
    std::snprintf(cell, sizeof cell, " %9s", capacity.text.c_str());
    line += cell;
  }
  print(line + "\n");
  for (const Row& row : rows) {
    std::snprintf(cell, sizeof cell, "%-10s", row.policy.c_str());
    line = cell;
    for (const double rate : row.rates) line += column(rate, 4, 9);
    print(line + "\n");
  }
}

void print_json(const std::vector<Row>& rows, const std::vector<Capacity>& capacities, const cachesim::Trace& trace) {
  auto all = nlohmann::ordered_json::array();
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < capacities.size(); ++i) {
      all.push_back({{"policy", row.policy},
                     {"capacity", capacities[i].text},
                     {"blocks", capacities[i].of(trace)},
                     {"hit_rate", row.rates[i]}});
    }
  }
  print(all.dump(2) + "\n");
}

Result<void> write_plot(const std::string& path, const std::vector<Row>& rows,
                        const std::vector<Capacity>& capacities) {
  cachesim::Chart chart{"Prefix cache: hit rate by size", "size of the cache", "hit rate", {}, {}};
  for (const Capacity& capacity : capacities) chart.ticks.push_back(capacity.text);
  for (const Row& row : rows) chart.lines.push_back({row.policy, row.rates});
  std::ofstream file(path, std::ios::binary);
  file << cachesim::png_of(chart) << std::flush;
  if (!file) return Error{ErrorCode::write_failed, "cannot write " + path + ": " + std::strerror(errno), ""};
  return {};
}

Result<cachesim::Trace> read_trace(const std::string& path) {
  auto text = read_file(path, kMaxTraceBytes);
  if (!text) return text.error();
  if (text->size() > kMaxTraceBytes) {
    const std::string most = std::to_string(kMaxTraceBytes);
    return Error{ErrorCode::too_large, path + " has more than " + most + " bytes; split it", ""};
  }
  return cachesim::parse_trace(*text, path);
}

int cachesim(const Options& options) {
  const auto trace = read_trace(options.trace);
  if (!trace) return fail(trace.error().message);
  std::vector<std::string> policies = options.policies;
  if (std::ranges::count(policies, cachesim::kOptimal) == 0) policies.emplace_back(cachesim::kOptimal);
  std::vector<Capacity> capacities;
  for (const std::string& capacity : options.capacities) capacities.push_back(*parse_capacity(capacity));
  const auto rows = replay_all(*trace, policies, capacities);
  if (!rows) return fail(rows.error().message);
  options.json ? print_json(*rows, capacities, *trace) : print_table(*rows, capacities, *trace);
  if (options.plot.empty()) return 0;
  const auto written = write_plot(options.plot, *rows, capacities);
  return written ? 0 : fail(written.error().message);
}

int judge(const Options& options) {
  FamiliesOptions judged{.seed = options.seed};
  if (options.part == "whole") judged.part = cachesim::Part::whole;
  if (options.part == "first") judged.part = cachesim::Part::first;
  if (options.trace.empty()) return judge_families(judged);
  const auto trace = read_trace(options.trace);
  if (!trace) return fail(trace.error().message);
  judged.published = &*trace;
  return judge_families(judged);
}

void refuse_repetitions(const std::string& name, const std::vector<std::string>& values) {
  for (const std::string& value : values) {
    if (std::ranges::count(values, value) > 1) throw CLI::ValidationError(name, "\"" + value + "\" stands twice");
  }
}

}  // namespace

void add_cachesim(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  options->policies = cache::policy_names();
  CLI::App* command =
      app.add_subcommand("cachesim", "Replay a trace of requests through the cache's eviction policies");
  command->add_option(
      "--trace", options->trace,
      "JSON Lines in Mooncake's format: timestamp (ms), input_length, output_length and hash_ids, an id for "
      "each block of the prompt; equal ids mean an equal prompt up to there");
  auto* families = command->add_flag(
      "--families", options->families,
      "judge all policies by " + std::to_string(cachesim::families().size()) +
          " kinds of work made from a seed, at 1, 3, 10 and 30%; takes some minutes. With --trace by that one, too: "
          "as it is, backwards, and every second and fourth request");
  command->add_option("--seed", options->seed, "of --families; policies are tuned on odd ones, judged on even ones")
      ->needs(families)
      ->capture_default_str();
  command->add_option("--part", options->part, "of each trace of --families: whole, first or second half")
      ->needs(families)
      ->check(CLI::IsMember({"whole", "first", "second"}))
      ->capture_default_str();
  command
      ->add_option(
          "--policy", options->policies,
          "policies to compare: " + joined(cache::policy_names()) + "; optimal knows the future and is always added")
      ->excludes(families)
      ->delimiter(',')
      ->check(check_policy);
  command
      ->add_option("--capacity", options->capacities,
                   "sizes of the cache: shares of the trace's distinct blocks, e.g. 10%, or numbers of blocks")
      ->excludes(families)
      ->delimiter(',')
      ->check(check_capacity)
      ->capture_default_str();
  command->add_flag("--json", options->json, "an array of objects instead of the table")->excludes(families);
  command->add_option("--plot", options->plot, "draw the table into a PNG file, too")
      ->type_name("FILE.png")
      ->excludes(families);
  command->footer(
      "Each request's blocks are matched, computed and released when it arrives, by the classes that the server runs.\n"
      "A block is a hit if it and all before it are cached.\n\n"
      "Example: headwater cachesim --trace trace.jsonl --policy lru,adaptive --capacity 1%,10% --plot rates.png\n"
      "         headwater cachesim --families --seed 2 --trace trace.jsonl");
  command->callback([options, &action] {
    refuse_repetitions("--policy", options->policies);
    refuse_repetitions("--capacity", options->capacities);
    if (!options->families && options->trace.empty())
      throw CLI::ValidationError("cachesim", "give --trace or --families");
    action = [options] { return options->families ? judge(*options) : cachesim(*options); };
  });
}

}  // namespace headwater::tools
