#include "tools/headwater/kv_table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "model/model_info.h"

namespace headwater::tools {
namespace {

std::optional<double> ratio(std::optional<double> value, std::optional<double> first) {
  return value && first && *first > 0 ? std::optional(*value / *first) : std::nullopt;
}

void print_heading(const KvTable& table, bool mmlu, Figures& figures) {
  const std::string positions = model::with_commas(table.positions) + " positions";
  figures.note(
      "log-prob.: from " +
      (table.reference.empty()
           ? "those with a cache of 16 bits, after " + positions + " of the built-in text from " +
                 std::to_string(table.first_position) + " on"
           : "float32's, after " + positions + " of " + std::filesystem::path(table.reference).filename().string()));
  if (table.decode) {
    figures.note("tok/s: of one sequence after " + model::with_commas(table.decode->context) + " tokens, median of " +
                 std::to_string(table.decode->rounds) + " rounds, formats in turns");
  }
  std::string columns = "policy  log-prob.  perplexity  ÷ first";
  if (mmlu) columns += "  MMLU right  accuracy   = first = float32";
  columns += "  bytes a token  tokens in " + table.memory + "  × first";
  if (table.decode) columns += "    tok/s";
  figures.note(columns);
}

/// Adds a format's to its row, and gives its columns.
std::string add_mmlu(const eval::McTally& tally, std::size_t too_long, nlohmann::ordered_json& json) {
  json["mmlu"] = {{"questions", tally.questions()},
                  {"too_long", too_long},
                  {"right", tally.right()},
                  {"accuracy", number_or_null(tally.accuracy())},
                  {"same_as_first_policy", number_or_null(tally.same_as_first())},
                  {"same_as_float32", number_or_null(tally.same_as_reference())}};
  const std::string right = std::to_string(tally.right()) + "/" + std::to_string(tally.questions());
  char text[48];
  std::snprintf(text, sizeof text, " %11s", right.c_str());
  return text + column(tally.accuracy(), 4, 9) + column(tally.same_as_first(), 4, 8) +
         column(tally.same_as_reference(), 4, 9);
}

/// Likewise. `speeds`: at least one, ascending.
std::string add_speed(const std::vector<double>& speeds, std::uint32_t context, nlohmann::ordered_json& json) {
  const double median = speeds[speeds.size() / 2];
  json["decode"] = {{"context", context},
                    {"tokens_per_second", {{"median", median}, {"min", speeds.front()}, {"max", speeds.back()}}}};
  return column(median, 1, 8);
}

void print_row(const KvTable& table, const KvRow& row, const KvRow& first, Figures& figures) {
  if (!row.room) {
    return figures.add({{"quant_policy", row.policy.name}, {"bytes_per_token", nullptr}},
                       row.policy.name + ": cannot hold this model's heads");
  }
  const auto perplexity = row.texts.perplexity();
  const auto perplexity_ratio = ratio(perplexity, first.texts.perplexity());
  const auto tokens = static_cast<double>(row.room->tokens);
  const auto more = first.room ? ratio(tokens, static_cast<double>(first.room->tokens)) : std::nullopt;
  nlohmann::ordered_json json{{"quant_policy", row.policy.name},
                              {"reference", table.reference.empty() ? "16 bits" : "float32"},
                              {"positions", table.positions},
                              {"top_logprob_difference", number_or_null(row.texts.mean_top_difference())},
                              {"tokens", row.texts.tokens},
                              {"perplexity", number_or_null(perplexity)},
                              {"ratio_to_first_policy", number_or_null(perplexity_ratio)},
                              {"bytes_per_token", row.room->bytes_per_token},
                              {"memory", table.memory_bytes},
                              {"tokens_in_memory", row.room->tokens},
                              {"tokens_ratio_to_first_policy", number_or_null(more)}};
  std::string line = row.policy.name;
  line.resize(std::max<std::size_t>(line.size(), 6), ' ');
  line += column(row.texts.mean_top_difference(), 4, 10) + column(perplexity, 4, 11) + column(perplexity_ratio, 4, 8);
  if (row.mmlu) line += add_mmlu(*row.mmlu, table.questions_too_long, json);
  char room[80];
  std::snprintf(room, sizeof room, " %14s %*s",
                model::with_commas(static_cast<std::uint64_t>(std::llround(row.room->bytes_per_token))).c_str(),
                static_cast<int>(11 + table.memory.size()), model::with_commas(row.room->tokens).c_str());
  line += room + column(more, 2, 8);
  if (table.decode && !row.speeds.empty()) line += add_speed(row.speeds, table.decode->context, json);
  figures.add(std::move(json), line);
}

}  // namespace

void print_kv_table(const KvTable& table, const EvalVariant& variant, const std::vector<KvRow>& rows,
                    Figures& figures) {
  figures.begin(variant);
  const bool mmlu = std::ranges::any_of(rows, [](const KvRow& row) { return row.mmlu.has_value(); });
  print_heading(table, mmlu, figures);
  for (const KvRow& row : rows) print_row(table, row, rows.front(), figures);
}

}  // namespace headwater::tools
