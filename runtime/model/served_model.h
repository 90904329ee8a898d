#pragma once
// What a server reads of a model before its weights, and whatever it refuses a file for that can be told from there.

#include <cstdint>
#include <memory>
#include <string>

#include "headwater/result.h"
#include "model/architecture.h"
#include "model/chat_template.h"
#include "model/gguf.h"
#include "model/tokenizer.h"

namespace headwater::model {

/// What an operator asks for in place of what the file says.
struct ModelChoices {
  std::string pre_tokenizer = {};  ///< empty: the file's own
  std::string chat_template = {};  ///< see ChatTemplate::read_source(); empty: the file's own
  std::uint32_t context = 0;       ///< see Architecture::load()
};

struct ServedModel {
  ModelShape shape;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat_template;  ///< null: the model has none
  std::string no_chat;  ///< why the file's own template cannot be used, and so refuses; empty: it can
};

/// Reads the file's header alone. Errors: of check_supported(), the architecture's metadata, Tokenizer::load() and
/// check_tensors(); a vocabulary of another size than the embedding; an operator's template that cannot be read.
Result<ServedModel> read_served_model(const GgufFile& file, const ModelChoices& choices = {});

}  // namespace headwater::model
