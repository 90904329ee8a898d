#include "tools/eval/long_context.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "model/sampler.h"
#include "tools/eval/jsonl.h"

namespace headwater::eval {
namespace {

constexpr std::uint32_t kTop = 10;
/// Each costs a number.
constexpr std::size_t kMostTop = 1000;

Error unusable(const WatchedText& text, std::size_t position) {
  return {
      ErrorCode::bad_logits,
      text.place + ": the model gave no usable logits at position " + std::to_string(position) + " (NaN or infinity)",
      ""};
}

void read_positions(Record& record, std::uint32_t vocab_size, WatchedText& text) {
  const auto n = static_cast<std::int64_t>(text.tokens.size());
  const auto positions = record.integers("positions", 0, std::max<std::int64_t>(n - 1, 0), text.tokens.size());
  auto ids = record.token_lists("top10_ids", vocab_size);
  auto logprobs = record.number_lists("top10_logprobs");
  if (record.error()) return;
  if (!std::ranges::is_sorted(positions, std::ranges::less_equal())) record.fail("\"positions\" do not ascend");
  if (ids.size() != positions.size() || logprobs.size() != positions.size()) {
    return record.fail("\"top10_ids\" and \"top10_logprobs\" have other lengths than \"positions\"");
  }
  for (std::size_t i = 0; i < positions.size(); ++i) {
    if (ids[i].size() != logprobs[i].size() || ids[i].size() > kMostTop) {
      record.fail("\"top10_ids[" + std::to_string(i) + "]\" and \"top10_logprobs[" + std::to_string(i) +
                  "]\" are not of one length up to " + std::to_string(kMostTop));
    }
    text.watched.push_back({static_cast<std::size_t>(positions[i]), std::move(ids[i]), std::move(logprobs[i])});
  }
}

/// What softmax subtracts from a row's logits; NaN where they are not usable.
double log_sum(std::span<const float> logits) {
  const auto best = static_cast<std::size_t>(std::ranges::max_element(logits) - logits.begin());
  const double of_best = logprob(logits, static_cast<TokenId>(best));
  return static_cast<double>(logits[best]) - of_best;
}

/// Sum of absolute differences of a row from what is expected of it.
double difference(std::span<const float> logits, double log_sum, const Watched& expected) {
  double sum = 0;
  for (std::size_t k = 0; k < expected.ids.size(); ++k) {
    sum += std::abs(static_cast<double>(logits[static_cast<std::size_t>(expected.ids[k])]) - log_sum -
                    expected.logprobs[k]);
  }
  return sum;
}

}  // namespace

Result<std::vector<WatchedText>> read_watched_texts(std::string_view jsonl, const std::string& name,
                                                    std::uint32_t vocab_size, std::uint32_t context) {
  std::vector<WatchedText> texts;
  const auto read = read_jsonl(jsonl, name, [&](Record& record) -> Result<void> {
    WatchedText text{record.place(), record.tokens("ids", vocab_size), {}};
    read_positions(record, vocab_size, text);
    const std::size_t n = text.tokens.size();
    if (n < 2) record.fail("a text of at least 2 tokens is needed in \"ids\"");
    if (n > context) {
      record.fail("\"ids\" has " + std::to_string(n) + " tokens, and the model's context " + std::to_string(context) +
                  "; is this a record of another model?");
    }
    if (record.error()) return *record.error();
    texts.push_back(std::move(text));
    return {};
  });
  if (!read) return read.error();
  if (texts.empty()) return Error{ErrorCode::no_records, name + ": there are no records", ""};
  return texts;
}

WatchedText watched_text(const Document& document, std::uint32_t context) {
  WatchedText text{document.place, {}, {}};
  if (document.bos >= 0) text.tokens.push_back(document.bos);
  text.tokens.insert(text.tokens.end(), document.tokens.begin(), document.tokens.end());
  text.tokens.resize(std::min<std::size_t>(text.tokens.size(), context));
  return text;
}

Result<void> watch(Scorer& scorer, WatchedText& text, std::size_t first) {
  const std::size_t begin = std::min(first, text.tokens.size());
  text.watched.assign(text.tokens.size() - begin, {});
  scorer.run(text.tokens, begin, [&](std::size_t i, std::span<const float> logits) {
    Watched& at = text.watched[i - begin];
    at.position = i;
    for (const auto& [token, logprob] : model::score_token(logits, 0, kTop).top) {
      at.ids.push_back(token);
      at.logprobs.push_back(static_cast<double>(logprob));
    }
  });
  const auto empty = std::ranges::find_if(text.watched, [](const Watched& at) { return at.ids.empty(); });
  if (empty == text.watched.end()) return {};
  return unusable(text, begin + static_cast<std::size_t>(empty - text.watched.begin()));
}

Result<Likelihood> measure(Scorer& scorer, const WatchedText& text) {
  struct Row {
    double logprob = 0;  ///< of the token that follows
    double difference = 0;
  };
  std::vector<const Watched*> watched(text.tokens.size());
  for (const Watched& at : text.watched) watched[at.position] = &at;
  std::vector<Row> rows(text.tokens.size());
  scorer.run(text.tokens, 0, [&](std::size_t i, std::span<const float> logits) {
    const double sum = log_sum(logits);
    if (i + 1 < rows.size()) {
      rows[i].logprob = static_cast<double>(logits[static_cast<std::size_t>(text.tokens[i + 1])]) - sum;
    }
    if (watched[i] != nullptr) rows[i].difference = difference(logits, sum, *watched[i]);
    if (std::isnan(sum)) rows[i].logprob = sum;
  });
  Likelihood sums;
  sums.tokens = rows.size() - 1;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (std::isnan(rows[i].logprob)) return unusable(text, i);
    sums.nll -= rows[i].logprob;
    sums.top_difference += rows[i].difference;
    if (watched[i] != nullptr) sums.top_tokens += watched[i]->ids.size();
  }
  return sums;
}

}  // namespace headwater::eval
