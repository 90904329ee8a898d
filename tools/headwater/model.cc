// headwater model

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "kernels/compute_cpus.h"
#include "kernels/processor.h"
#include "model/model_fit.h"
#include "model/model_info.h"
#include "tools/headwater/model.h"
#include "tools/headwater/model_path.h"

namespace headwater::tools {
namespace {

struct InfoOptions {
  std::string path;
  std::string precision = "fast";
  model::FitQuestion question;
  bool kernels = false;
  bool json = false;
};

void print_kernels(bool as_json) {
  const kernels::ProcessorReport report = kernels::processor_report();
  const kernels::ComputeCpus& cpus = kernels::own_compute_cpus();
  if (as_json) {
    nlohmann::ordered_json object{{"processor", report.kind},
                                  {"machine", report.machine},
                                  {"forced", report.forced},
                                  {"threads", cpus.threads},
                                  {"threads_text", cpus.describe(0)}};
    for (const auto& [work, kernel] : report.kernels) {
      object["kernels"].push_back({{"work", work.substr(work.find_first_not_of(' '))}, {"kernel", kernel}});
    }
    return print(object.dump() + "\n");
  }
  std::size_t width = 0;
  for (const auto& choice : report.kernels) width = std::max(width, choice.work.size());
  std::string text = "kernels for " + report.processor() + "\n";
  for (const auto& [work, kernel] : report.kernels) {
    text.append("  ").append(work).append(width + 2 - work.size(), ' ').append(kernel).append("\n");
  }
  print(text.append("computing with ").append(cpus.describe(0)).append("\n"));
}

int info(const InfoOptions& options) {
  if (options.kernels) print_kernels(options.json);
  if (options.path.empty() || options.json) return 0;
  const auto file = open_model(model_file(options.path));
  if (!file) return fail(file.error().message);
  print(model::describe_model(**file));
  const auto backend = kernels::make_cpu_backend(1, precision_named(options.precision));
  const auto fit = model::describe_fit(**file, *backend, options.question);
  if (!fit) return fail(fit.error().message);
  print(*fit);
  return 0;
}

}  // namespace

void add_model_info(CLI::App& parent, Action& action) {
  auto* command = parent.add_subcommand("info", "Say what a GGUF file holds, and what it takes to serve it");
  auto options = std::make_shared<InfoOptions>();
  command->add_option("FILE", options->path, "GGUF file, or the name of one that `model pull` fetched");
  auto* table = command->add_flag("--kernels", options->kernels,
                                  "say which kernels compute on this processor; FILE may be left out");
  command->add_flag("--json", options->json, "with --kernels: these alone, as an object")->needs(table);
  command->add_option("--sequences", options->question.sequences, "sequences in the cache at once")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--context", options->question.context, "tokens of each; 0: the model's context, at most 4096")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  add_pre_tokenizer(*command, options->question.pre_tokenizer);
  add_precision(*command, options->precision);
  command->footer(
      "A file that no server takes is described as far as it goes, and the exit status is 1.\n"
      "HEADWATER_CPU=avx2 and the like, for any command, compute as on a lower kind of processor.\n"
      "Example: headwater model info models/default.gguf --sequences 48 --context 2048");
  command->callback([options, &action] {
    if (options->path.empty() && !options->kernels) throw CLI::RequiredError("FILE");
    action = [options] { return info(*options); };
  });
}

void add_model(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("model", "Look into model files, and fetch some");
  command->require_subcommand(1);
  command->footer("Example: headwater model info models/default.gguf");
  add_model_info(*command, action);
  add_model_list(*command, action);
  add_model_pull(*command, action);
}

}  // namespace headwater::tools
