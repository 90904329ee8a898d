#pragma once
// The parts that every subcommand uses.

#include <CLI/CLI.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "headwater/result.h"
#include "kernels/backend.h"
#include "topology/sections.h"

namespace headwater::tools {

/// Exit statuses, beside 0.
inline constexpr int kFailed = 1;      ///< what was asked for did not work
inline constexpr int kWrongUsage = 2;  ///< the command line makes no sense

inline constexpr const char* kDefaultModel = "models/default.gguf";

/// What the chosen subcommand does, and its exit status.
using Action = std::function<int()>;

// Each adds a subcommand, which sets `action` when it is chosen.
void add_serve(CLI::App& app, Action& action);
void add_run(CLI::App& app, Action& action);
void add_chat(CLI::App& app, Action& action);
void add_tokenize(CLI::App& app, Action& action);
void add_model(CLI::App& app, Action& action);
void add_topology(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_eval(CLI::App& app, Action& action);
void add_cachesim(CLI::App& app, Action& action);

/// The file that --model names: `name` itself, or models/NAME.gguf, which `model pull NAME` leaves there.
std::string model_file(const std::string& name);

/// --model, for an override.
template <class Text>
CLI::Option* add_model_file(CLI::App& command, Text& model) {
  return command.add_option("-m,--model", model, "GGUF file, or the name of one that `model pull` fetched")
      ->transform(CLI::Validator([](std::string& name) { return name = model_file(name), std::string(); }, ""));
}

/// --threads, for an override.
template <class Count>
CLI::Option* add_threads(CLI::App& command, Count& threads) {
  return command.add_option("--threads", threads, topology::kThreadsHelp);
}

inline CLI::IsMember known_precisions() {
  return CLI::IsMember(std::vector<std::string>(kernels::kPrecisions.begin(), kernels::kPrecisions.end()));
}

/// --precision, for an override.
template <class Text>
void add_precision(CLI::App& command, Text& precision) {
  command.add_option("--precision", precision, topology::kPrecisionHelp)->check(known_precisions());
}

/// What --precision names. REQUIRES: it was checked.
inline kernels::Precision precision_named(std::string_view name) {
  return kernels::parse_precision(name).value_or(kernels::Precision::fast);
}

/// --quant-policy, for an override.
template <class Text>
void add_quant_policy(CLI::App& command, Text& policy) {
  command.add_option("--quant-policy", policy,
                     "bits of keys and values in the cache: 0 (16 bits), 8, 4, or k8v4 (keys 8, values 4)");
}

/// --chat-template, for an override.
template <class Text>
void add_chat_template(CLI::App& command, Text& chosen) {
  command.add_option(
      "--chat-template", chosen,
      "a file with a Jinja template in place of the model's, or a form by name: chatml, llama3, gemma, mistral");
}

/// Why there is no pre-tokenizer of that name; "": there is.
std::string wrong_pre_tokenizer(const std::string& name);

/// --pre-tokenizer, for an override.
template <class Text>
void add_pre_tokenizer(CLI::App& command, Text& chosen) {
  command
      .add_option("--pre-tokenizer", chosen,
                  "how text is cut into words, in place of what the model's file names: llama-bpe, qwen2, gpt-2 … (an "
                  "unknown name is answered with all)")
      ->check(CLI::Validator([](std::string& name) { return wrong_pre_tokenizer(name); }, ""));
}

/// --trace FILE: main() records what the command does, and writes it.
void add_trace(CLI::App& command);
/// The file, if one was given.
const std::string& trace_file();

/// Prints "headwater: message" on stderr. Gives kFailed.
int fail(const std::string& message);

/// The same with the status that the error calls for: kWrongUsage where flags of the command line are at fault.
int fail(const Error& error);

/// The file's text, at most `max_bytes` + 1 of it. Error: a sentence with the file's name.
Result<std::string> read_file(const std::string& path, std::size_t max_bytes);

/// All of standard input. Error: more than `max_bytes`.
Result<std::string> read_stdin(std::size_t max_bytes);

/// `text` itself, or what stands on standard input where it is "-".
Result<std::string> text_or_stdin(const std::string& text);

/// Writes to stdout at once. On a terminal, control characters other than line ends and tabs are left out.
void print(std::string_view text);

}  // namespace headwater::tools
