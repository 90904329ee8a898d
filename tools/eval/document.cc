#include "tools/eval/document.h"

#include <algorithm>

#include "tools/eval/jsonl.h"

namespace headwater::eval {
namespace {

/// Positions are 32 bits wide.
constexpr std::size_t kMostTokens = 1U << 30U;
/// Each costs a pass over a row of logits.
constexpr std::size_t kMostTopTokens = 1000;

/// All tokens of a text, the model's BOS among them.
std::vector<TokenId> encode(const model::Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.encode(text, {.add_special = true, .parse_special = true});
}

Document make_document(std::string place, std::vector<TokenId> ids, const model::Tokenizer& tokenizer) {
  Document document;
  document.place = std::move(place);
  document.tokens = std::move(ids);
  if (!encode(tokenizer, "").empty() && !document.tokens.empty() && document.tokens.front() == tokenizer.bos()) {
    document.bos = tokenizer.bos();
    document.tokens.erase(document.tokens.begin());
  }
  return document;
}

/// `prompt`, `ids` or both, which must agree: a reference of another model's tokens would compare nothing.
std::vector<TokenId> read_ids(Record& record, const model::Tokenizer& tokenizer) {
  if (!record.has("ids")) return encode(tokenizer, record.text("prompt"));
  std::vector<TokenId> ids = record.tokens("ids", tokenizer.vocab_size());
  if (record.has("prompt") && !record.error()) {
    const std::vector<TokenId> own = encode(tokenizer, record.text("prompt"));
    const auto [theirs, ours] = std::ranges::mismatch(ids, own);
    if (theirs != ids.end() || ours != own.end()) {
      record.fail("\"ids\" are not the tokens of \"prompt\" from ids[" + std::to_string(theirs - ids.begin()) +
                  "] on; is this a record of another model?");
    }
  }
  return ids;
}

void read_reference(Record& record, const model::Tokenizer& tokenizer, Document& document) {
  if (record.has("mean_nll")) {
    document.mean_nll = record.number("mean_nll");
    if (*document.mean_nll < 0) record.fail("\"mean_nll\" is less than 0");
  }
  if (!record.has("top10_ids") && !record.has("top10_logprobs")) return;
  document.top_ids = record.tokens("top10_ids", tokenizer.vocab_size());
  document.top_logprobs = record.numbers("top10_logprobs");
  if (document.top_ids.size() != document.top_logprobs.size()) {
    record.fail("\"top10_ids\" and \"top10_logprobs\" have different lengths");
  }
  if (document.top_ids.size() > kMostTopTokens) {
    record.fail("\"top10_ids\" has more than " + std::to_string(kMostTopTokens) + " tokens");
  }
}

}  // namespace

Result<Document> text_document(std::string_view text, const std::string& name, const model::Tokenizer& tokenizer) {
  Document document = make_document(name, encode(tokenizer, text), tokenizer);
  const std::size_t n = document.tokens.size();
  if (n < 2)
    return Error{ErrorCode::too_short, name + ": a text of at least 2 tokens is needed, and this has fewer", ""};
  if (n > kMostTokens) return Error{ErrorCode::too_large, name + ": the text has more than 2^30 tokens", ""};
  return document;
}

Result<std::vector<Document>> record_documents(std::string_view jsonl, const std::string& name,
                                               const model::Tokenizer& tokenizer) {
  std::vector<Document> documents;
  const auto read = read_jsonl(jsonl, name, [&](Record& record) -> Result<void> {
    Document document = make_document(record.place(), read_ids(record, tokenizer), tokenizer);
    read_reference(record, tokenizer, document);
    if (document.tokens.empty()) record.fail("the text is empty");
    if (record.error()) return *record.error();
    documents.push_back(std::move(document));
    return {};
  });
  if (!read) return read.error();
  if (documents.empty()) return Error{ErrorCode::no_records, name + ": there are no records", ""};
  return documents;
}

}  // namespace headwater::eval
