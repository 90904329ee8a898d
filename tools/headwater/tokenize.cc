// headwater tokenize

#include <memory>
#include <nlohmann/json.hpp>

#include "model/tokenizer.h"
#include "tools/headwater/command.h"
#include "tools/headwater/model_path.h"

namespace headwater::tools {
namespace {

struct Options {
  std::string text;
  std::string model = kDefaultModel;
  std::string pre_tokenizer;
  bool no_special = false;
  bool json = false;
};

/// JSON, because it is what shows any bytes in one line; bytes that are no whole character become U+FFFD.
std::string quoted(std::string_view bytes) {
  return nlohmann::json(bytes).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string table(const model::Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::string lines;
  for (const TokenId id : ids) {
    std::string number = std::to_string(id);
    number.insert(0, number.size() < 7 ? 7 - number.size() : 0, ' ');
    lines += number + "  " + quoted(tokenizer.token_bytes(id)) + "\n";
  }
  return lines + std::to_string(ids.size()) + (ids.size() == 1 ? " token\n" : " tokens\n");
}

std::string as_json(const model::Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  nlohmann::ordered_json object{{"ids", ids}, {"pieces", nlohmann::json::array()}};
  for (const TokenId id : ids) object["pieces"].push_back(tokenizer.token_bytes(id));
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

int tokenize(const Options& options) {
  const auto text = text_or_stdin(options.text);
  if (!text) return fail(text.error().message);
  const auto file = open_model(options.model);
  if (!file) return fail(file.error().message);
  const auto tokenizer = model::Tokenizer::load(**file, options.pre_tokenizer);
  if (!tokenizer) return fail(tokenizer.error().message);
  const bool special = !options.no_special;
  const auto ids = (*tokenizer)->encode(*text, {.add_special = special, .parse_special = special});
  print(options.json ? as_json(**tokenizer, ids) : table(**tokenizer, ids));
  return 0;
}

}  // namespace

void add_tokenize(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("tokenize", "Show the tokens of a text");
  auto options = std::make_shared<Options>();
  command->add_option("TEXT", options->text, "the text; - reads standard input")->required();
  add_model_file(*command, options->model)->capture_default_str();
  add_pre_tokenizer(*command, options->pre_tokenizer);
  command->add_flag("--no-special", options->no_special,
                    "add no beginning-of-text token, and take \"<|im_end|>\" and the like as plain text");
  command->add_flag("--json", options->json, "print {\"ids\": […], \"pieces\": […]}");
  command->footer("Example: headwater tokenize \"Hello, world\"");
  command->callback([options, &action] { action = [options] { return tokenize(*options); }; });
}

}  // namespace headwater::tools
