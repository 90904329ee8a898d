// `headwater bench`: how fast the model computes, without scheduler and sockets around it.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "kernels/backend.h"
#include "kernels/compute_cpus.h"
#include "model/architecture.h"
#include "tools/headwater/command.h"
#include "tools/headwater/model_path.h"

namespace headwater::tools {
namespace {

constexpr std::uint32_t kBlockTokens = 32;
/// Tokens that a decode measurement generates for each sequence.
constexpr std::uint32_t kDecodeSteps = 32;

struct Options {
  std::string model = kDefaultModel;
  std::vector<std::uint32_t> batches = {1, 8, 48};
  std::vector<std::uint32_t> contexts = {128, 512};
  std::uint32_t chunk = 512;
  std::uint32_t threads = 0;
  std::uint32_t repetitions = 3;
  std::string precision = "fast";
  std::vector<std::string> policies = {"0"};
  bool json = false;
};

/// Drives one model with made-up tokens.
class Bench {
 public:
  Bench(model::Architecture& model, std::uint32_t batch, std::uint32_t context, std::uint32_t chunk,
        const kernels::KvFormat& format)
      : model_(model), batch_(batch), context_(context), chunk_(chunk) {
    const std::uint32_t blocks = kernels::block_grid(format, kBlockTokens).covering(context + kDecodeSteps + 1);
    model_.allocate_kv(batch * blocks, kBlockTokens, format);
    for (std::uint32_t s = 0; s < batch; ++s) {
      tables_.emplace_back();
      for (std::uint32_t i = 0; i < blocks; ++i) tables_.back().push_back(static_cast<std::int32_t>(s * blocks + i));
    }
  }

  /// Computes the context of every sequence, one after the other: tokens per second.
  double prefill() {
    const auto began = std::chrono::steady_clock::now();
    for (std::uint32_t s = 0; s < batch_; ++s) {
      for (std::uint32_t at = 0; at < context_; at += chunk_) {
        const std::uint32_t n = std::min(chunk_, context_ - at);
        std::vector<TokenId> tokens(n);
        for (std::uint32_t i = 0; i < n; ++i) tokens[i] = token(s, at + i);
        const model::BatchSequence rows[] = {{0, n, at, tables_[s]}};
        const std::uint32_t last[] = {n - 1};
        const bool whole = at + n == context_;
        model_.forward({tokens, rows, {last, whole ? 1U : 0U}});
      }
    }
    return rate(std::uint64_t{batch_} * context_, began);
  }

  /// One token after another for all sequences at once: tokens per second in all.
  double decode() {
    const auto began = std::chrono::steady_clock::now();
    for (std::uint32_t step = 0; step < kDecodeSteps; ++step) {
      std::vector<TokenId> tokens;
      std::vector<model::BatchSequence> rows;
      std::vector<std::uint32_t> wanted;
      for (std::uint32_t s = 0; s < batch_; ++s) {
        tokens.push_back(token(s, context_ + step));
        rows.push_back({s, 1, context_ + step, tables_[s]});
        wanted.push_back(s);
      }
      model_.forward({tokens, rows, wanted});
    }
    return rate(std::uint64_t{batch_} * kDecodeSteps, began);
  }

 private:
  std::uint32_t vocab() const { return model_.shape().vocab_size; }
  TokenId token(std::uint32_t sequence, std::uint32_t position) const {
    return static_cast<TokenId>((sequence * 7919U + position * 104729U) % vocab());
  }
  static double rate(std::uint64_t tokens, std::chrono::steady_clock::time_point began) {
    return static_cast<double>(tokens) /
           std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  }

  model::Architecture& model_;
  std::uint32_t batch_, context_, chunk_;
  std::vector<std::vector<std::int32_t>> tables_;
};

/// As the JSON has it: a number where the policy is one.
nlohmann::json policy_json(const std::string& policy) {
  return policy.size() == 1 ? nlohmann::json(policy[0] - '0') : nlohmann::json(policy);
}

nlohmann::json summary(const char* phase, std::uint32_t batch, std::uint32_t context, const std::string& policy,
                       std::vector<double> rates) {
  std::sort(rates.begin(), rates.end());
  return {{"phase", phase},
          {"batch", batch},
          {"context", context},
          {"quant_policy", policy_json(policy)},
          {"tokens_per_second", {{"median", rates[rates.size() / 2]}, {"min", rates.front()}, {"max", rates.back()}}}};
}

void print_row(const nlohmann::json& row) {
  const auto& rate = row.at("tokens_per_second");
  const auto& policy = row.at("quant_policy");
  std::printf("%-8s %6u %8u %12s %12.0f %10.0f %10.0f\n", row.at("phase").get<std::string>().c_str(),
              row.at("batch").get<unsigned>(), row.at("context").get<unsigned>(),
              (policy.is_string() ? policy.get<std::string>() : policy.dump()).c_str(), rate.at("median").get<double>(),
              rate.at("min").get<double>(), rate.at("max").get<double>());
  std::fflush(stdout);
}

/// A row of the table for each phase.
std::vector<nlohmann::json> measure(model::Architecture& model, std::uint32_t batch, std::uint32_t context,
                                    const kernels::KvFormat& format, const Options& options) {
  Bench run(model, batch, context, options.chunk, format);
  run.prefill();  // warms memory, and makes the library's kernels
  run.decode();
  std::vector<double> prefill;
  std::vector<double> decode;
  for (std::uint32_t i = 0; i < options.repetitions; ++i) {
    prefill.push_back(run.prefill());
    decode.push_back(run.decode());
  }
  const std::string policy = kernels::quant_policy(format);
  return {summary("prefill", batch, context, policy, prefill), summary("decode", batch, context, policy, decode)};
}

int bench(const Options& options) {
  std::vector<kernels::KvFormat> formats;
  for (const std::string& policy : options.policies) {
    const auto format = kernels::parse_quant_policy(policy);
    if (!format) {
      fail("--quant-policy " + policy + " is none; supported are " + std::string(kernels::kQuantPolicies));
      return kWrongUsage;
    }
    formats.push_back(*format);
  }
  auto file = open_model(options.model);
  if (!file) return fail(file.error().message);
  tell(false, "computing with " + kernels::own_compute_cpus().describe(options.threads));
  warn_of_threads(options.threads);
  const auto precision = precision_named(options.precision);
  auto model = model::Architecture::load(*file, kernels::make_cpu_backend(options.threads, precision), 0, tell);
  if (!model) return fail(model.error().message);
  const std::uint32_t limit = (*model)->shape().context_length;
  const std::uint32_t longest = limit - std::min(limit, kDecodeSteps);
  nlohmann::json all = nlohmann::json::array();
  if (!options.json)
    std::printf("%-8s %6s %8s %12s %12s %10s %10s\n", "phase", "batch", "context", "quant_policy", "tok/s median",
                "min", "max");
  for (const std::uint32_t context : options.contexts) {
    if (context > longest)
      return fail("--context " + std::to_string(context) + " is too long: the model's context is " +
                  std::to_string(limit) + ", of which " + std::to_string(kDecodeSteps) + " are left for decoding");
    for (const std::uint32_t batch : options.batches) {
      for (const kernels::KvFormat& format : formats) {
        for (const auto& row : measure(**model, batch, context, format, options)) {
          all.push_back(row);
          if (!options.json) print_row(row);
        }
      }
    }
  }
  if (options.json) std::cout << all.dump(2) << "\n";
  return 0;
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("bench", "Measure how fast the model computes");
  add_model_file(*command, options->model)->capture_default_str();
  command->add_option("--batch", options->batches, "sequences at once, e.g. 1,8,48")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024));
  command->add_option("--context", options->contexts, "tokens in the cache before decoding, e.g. 128,1024")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--prefill-chunk", options->chunk, "prompt tokens in one step")->check(CLI::Range(1, 65536));
  add_threads(*command, options->threads)->check(CLI::Range(0, 1024));
  command->add_option("--repetitions", options->repetitions, "measurements of each")->check(CLI::Range(1, 100));
  add_precision(*command, options->precision);
  command->add_option("--quant-policy", options->policies, "formats of the KV cache, e.g. 0,8,4,k8v4")->delimiter(',');
  add_trace(*command);
  command->add_flag("--json", options->json, "an array of objects instead of a table");
  command->footer("Example: headwater bench --batch 1,8 --context 512");
  command->callback([options, &action] { action = [options] { return bench(*options); }; });
}

}  // namespace headwater::tools
