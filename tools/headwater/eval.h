#pragma once
// What the evaluations share: their options, the model they load, their progress and their figures.

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "model/architecture.h"
#include "model/tokenizer.h"
#include "tools/eval/progress.h"
#include "tools/eval/quant_policy.h"
#include "tools/headwater/command.h"

namespace headwater::tools {

struct EvalOptions {
  std::string model = kDefaultModel;
  std::vector<eval::QuantPolicy> policies = {{"0"}};
  std::uint32_t threads = 0;
  std::string precision = "fast";
  bool json = false;
  std::string json_file;  ///< empty: standard output
};

/// Adds the options that every evaluation has.
void add_eval_options(CLI::App& command, const std::shared_ptr<EvalOptions>& options);

struct EvalModel {
  std::shared_ptr<const model::Tokenizer> tokenizer;
  std::unique_ptr<model::Architecture> architecture;
};
Result<EvalModel> load_eval_model(const EvalOptions& options);

/// The file's text. Errors: it cannot be read, or has more than 16 MiB.
Result<std::string> read_eval_file(const std::string& path);

/// On stderr.
std::unique_ptr<eval::Progress> make_progress(std::uint64_t total, std::string unit);

/// Rows of figures: printed one by one as a table, unless JSON is wanted on stdout.
class Figures {
 public:
  /// `columns`: the table's, as a line without its end.
  Figures(const EvalOptions& options, const std::string& columns);

  /// `line`: the same for people.
  void add(nlohmann::ordered_json row, const std::string& line);
  /// A row that has no line in the table.
  void add(nlohmann::ordered_json row) { rows_.push_back(std::move(row)); }
  /// Writes the JSON, if it is wanted. The exit status.
  int finish() const;

 private:
  void line(const std::string& text) const;

  const EvalOptions& options_;
  nlohmann::ordered_json rows_ = nlohmann::ordered_json::array();
};

/// `value` with `digits` behind the point, or "-"; padded on the left to `width`.
std::string column(std::optional<double> value, int digits, int width);
/// JSON's null where there is none.
nlohmann::ordered_json number_or_null(std::optional<double> value);

// Each adds a subcommand of `eval`.
void add_eval_perplexity(CLI::App& parent, Action& action);
void add_eval_mmlu(CLI::App& parent, Action& action);

}  // namespace headwater::tools
