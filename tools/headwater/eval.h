#pragma once
// What the evaluations share: their options, the model they load, their progress and their figures.

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "model/architecture.h"
#include "model/tokenizer.h"
#include "tools/eval/perplexity.h"
#include "tools/eval/progress.h"
#include "tools/eval/quant_policy.h"
#include "tools/headwater/command.h"

namespace headwater::tools {

struct EvalOptions {
  std::vector<std::string> models = {kDefaultModel};
  std::vector<std::string> precisions = {"fast"};
  std::vector<eval::QuantPolicy> policies = {{"0"}};
  std::string pre_tokenizer;  ///< of all models; empty: what each file names
  std::uint32_t threads = 0;
  bool json = false;
  std::string json_file;  ///< empty: standard output
};

/// Adds the options that every evaluation has.
void add_eval_options(CLI::App& command, const std::shared_ptr<EvalOptions>& options);

/// A file as it is computed.
struct EvalVariant {
  std::string model, precision;
};
/// Each model in each precision, in order.
std::vector<EvalVariant> variants(const EvalOptions& options);

struct EvalModel {
  EvalVariant variant;
  std::shared_ptr<const model::Tokenizer> tokenizer;
  std::unique_ptr<model::Architecture> architecture;
};
Result<EvalModel> load_eval_model(const EvalVariant& variant, const EvalOptions& options);

/// Loads one variant after the other and measures it. The first error ends it.
Result<void> for_each_variant(const EvalOptions& options, const std::function<Result<void>(EvalModel&)>& measure);

/// Error: the models' tokens differ, so that what is measured of both cannot be compared.
Result<void> check_same_tokens(const EvalModel& first, const EvalModel& other);

/// The file's text. Errors: it cannot be read, or has more than 16 MiB.
Result<std::string> read_eval_file(const std::string& path);

/// Documents of a text, or of a .jsonl file's records.
Result<std::vector<eval::Document>> read_documents(const std::string& path, const model::Tokenizer& tokenizer);

/// A document and what is measured of it.
struct Work {
  eval::Document document;
  std::vector<eval::Window> windows;
};
struct WindowOptions {
  std::uint32_t window = 0;  ///< 0: the model's context, at most `usual`
  std::uint32_t stride = 0;  ///< 0: half a window
  std::uint32_t limit = 0;   ///< windows in all; 0: all
};
void add_window_options(CLI::App& command, WindowOptions& options, const std::string& usual);
/// Error: more than the model's context; a stride beyond the window.
Result<eval::WindowSizes> window_sizes(const WindowOptions& options, std::uint32_t context, std::uint32_t usual);
std::vector<Work> make_works(std::vector<eval::Document> documents, eval::WindowSizes sizes, std::uint32_t limit);
std::uint64_t rows_of(const std::vector<Work>& works);
/// Tokens that the cache must hold for any window of these.
std::size_t room_for(const std::vector<Work>& works, std::uint32_t window);

/// On stderr.
std::unique_ptr<eval::Progress> make_progress(std::uint64_t total, std::string unit);

/// Rows of figures: printed one by one as a table, unless JSON is wanted on stdout.
class Figures {
 public:
  /// `columns`: the table's, as a line without its end; empty: notes say them.
  Figures(const EvalOptions& options, const std::string& columns);

  /// Rows that follow are of this variant; the table says so where there are several. REQUIRED before any row.
  void begin(const EvalVariant& variant);

  /// `line`: the same for people.
  void add(nlohmann::ordered_json row, const std::string& line);
  /// A row that has no line in the table.
  void add(nlohmann::ordered_json row);
  /// A line of the table that is no row.
  void note(const std::string& text) const { line(text); }
  /// Writes the JSON, if it is wanted. The exit status.
  int finish() const;

 private:
  void line(const std::string& text) const;

  const EvalOptions& options_;
  std::string columns_;  ///< empty once they are printed
  EvalVariant variant_;
  nlohmann::ordered_json rows_ = nlohmann::ordered_json::array();
};

/// `value` with `digits` behind the point, or "-"; padded on the left to `width`.
std::string column(std::optional<double> value, int digits, int width);
/// JSON's null where there is none.
nlohmann::ordered_json number_or_null(std::optional<double> value);

// Each adds a subcommand of `eval`.
void add_eval_perplexity(CLI::App& parent, Action& action);
void add_eval_mmlu(CLI::App& parent, Action& action);
void add_eval_kl(CLI::App& parent, Action& action);
void add_eval_kv(CLI::App& parent, Action& action);

}  // namespace headwater::tools
