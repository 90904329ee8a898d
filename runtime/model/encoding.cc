#include "model/encoding.h"

namespace headwater::model {
namespace {

/// Of a tokenizer that does not slice.
class WholeEncoding : public Encoding {
 public:
  WholeEncoding(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options)
      : tokenizer_(tokenizer), text_(text), options_(options) {}

  bool advance(std::size_t /*bytes*/) override {
    ids_ = tokenizer_.encode(text_, options_);
    return true;
  }

 private:
  const Tokenizer& tokenizer_;
  std::string_view text_;
  EncodeOptions options_;
};

}  // namespace

std::unique_ptr<Encoding> begin_encoding(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options) {
  if (const auto* sliced = dynamic_cast<const SlicedTokenizer*>(&tokenizer)) return sliced->begin(text, options);
  return std::make_unique<WholeEncoding>(tokenizer, text, options);
}

std::size_t max_bytes_for(const Tokenizer& tokenizer, std::size_t tokens) {
  const auto* sliced = dynamic_cast<const SlicedTokenizer*>(&tokenizer);
  return sliced == nullptr ? SlicedTokenizer::kAny : sliced->max_bytes_for(tokens);
}

}  // namespace headwater::model
