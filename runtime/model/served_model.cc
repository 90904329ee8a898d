#include "model/served_model.h"

#include <utility>

#include "model/decoder_spec.h"
#include "model/model_tensors.h"
#include "model/supported.h"

namespace headwater::model {
namespace {

Result<void> read_template(const GgufFile& file, const std::string& chosen, ServedModel& model) {
  if (!chosen.empty()) {
    const auto source = ChatTemplate::read_source(chosen);
    if (!source) return source.error();
    auto parsed = ChatTemplate::parse(*source, SpecialTexts::of_file(file), chosen);
    if (!parsed) return parsed.error();
    model.chat_template = *parsed;
    return {};
  }
  if (file.find("tokenizer.chat_template") == nullptr) return {};
  auto own = ChatTemplate::of_file(file);
  // Completions are served all the same.
  if (!own) model.no_chat = own.error().message;
  model.chat_template = own ? *own : ChatTemplate::refusing(model.no_chat);
  return {};
}

}  // namespace

Result<ServedModel> read_served_model(const GgufFile& file, const ModelChoices& choices) {
  if (auto supported = check_supported(file); !supported) return supported.error();
  const auto spec = read_decoder_spec(file, choices.context);
  if (!spec) return spec.error();
  ServedModel model;
  model.shape = spec->shape;
  auto tokenizer = Tokenizer::load(file, choices.pre_tokenizer);
  if (!tokenizer) return tokenizer.error();
  model.tokenizer = std::move(*tokenizer);
  if (model.tokenizer->vocab_size() != model.shape.vocab_size) {
    return file.invalid("the vocabulary has " + std::to_string(model.tokenizer->vocab_size()) +
                        " tokens and the embedding " + std::to_string(model.shape.vocab_size) +
                        " rows, expected as many");
  }
  if (auto fits = check_tensors(file, *spec); !fits) return fits.error();
  if (auto read = read_template(file, choices.chat_template, model); !read) return read.error();
  return model;
}

}  // namespace headwater::model
