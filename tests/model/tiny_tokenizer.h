#pragma once
// A tokenizer of some 270 tokens, see add_tiny_tokenizer().

#include <memory>
#include <utility>

#include "model/gguf.h"
#include "model/tokenizer.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::test {

inline std::shared_ptr<const model::Tokenizer> tiny_tokenizer() {
  GgufWriter writer;
  add_tiny_tokenizer(writer);
  const TemporaryFile bytes(writer.bytes());
  const auto file = model::GgufFile::open(bytes.path());
  return std::move(model::Tokenizer::load(**file)).value();
}

}  // namespace headwater::test
