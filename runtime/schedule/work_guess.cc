#include "schedule/work_guess.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <variant>

namespace headwater::schedule {
namespace {

/// Of English text, until prompts tell.
constexpr double kTokensPerByte = 0.25;
/// Of an answer, until answers tell.
constexpr double kAnswerTokens = 32;

std::size_t text_bytes(const Request& request) {
  if (const auto* text = std::get_if<std::string>(&request.prompt)) return text->size();
  std::size_t bytes = 0;
  if (const auto* messages = std::get_if<std::vector<ChatMessage>>(&request.prompt)) {
    for (const ChatMessage& message : *messages) bytes += message.content.size() + message.more.size();
    bytes += request.chat.tools.size();
  }
  return bytes;
}

template <std::size_t... I>
std::array<RecentMean, sizeof...(I)> means(double weight, std::index_sequence<I...> /*of the array*/) {
  return {((void)I, RecentMean(weight))...};
}

}  // namespace

std::array<RecentMean, kAnswerKinds> WorkGuess::make_kinds() {
  return means(kWeight, std::make_index_sequence<kAnswerKinds>());
}

double WorkGuess::usual_answer(const Request& request) const {
  const RecentMean& known = answers_[answer_kind(request)];
  const double most = request.params.max_tokens.value_or(std::numeric_limits<std::uint32_t>::max());
  return std::min(known.known() ? known.or_else(0) * answer_unit(request) : kAnswerTokens, most);
}

ExpectedWork WorkGuess::expect(const Request& request) const {
  const auto* ids = std::get_if<std::vector<TokenId>>(&request.prompt);
  const double prompt = ids != nullptr
                            ? static_cast<double>(ids->size())
                            : static_cast<double>(text_bytes(request)) * tokens_per_byte_.or_else(kTokensPerByte);
  const double cached = cached_tokens_.or_else(0) / std::max(prompt_tokens_.or_else(1), 1.0);
  const bool scores = request.params.prompt_logprobs.has_value();

  ExpectedWork work;
  work.prompt = std::max(prompt * (scores ? 1 : 1 - std::min(cached, 1.0)), 1.0);
  const auto& most = request.params.max_tokens;
  work.certain_answer = request.params.ignore_eos && most ? *most : request.params.min_tokens;
  work.certain_answer = std::max(work.certain_answer, 1.0);
  work.answer = std::max(usual_answer(request), work.certain_answer);
  return work;
}

void WorkGuess::tokenized(const Request& request, std::uint32_t prompt_tokens) {
  const std::size_t bytes = text_bytes(request);
  if (bytes >= 64) tokens_per_byte_.add(prompt_tokens / static_cast<double>(bytes));
}

void WorkGuess::started(std::uint32_t prompt_tokens, std::uint32_t cached_tokens) {
  prompt_tokens_.add(prompt_tokens);
  cached_tokens_.add(cached_tokens);
}

void WorkGuess::finished(const Request& request, std::uint32_t answer_tokens) {
  answers_[answer_kind(request)].add(answer_tokens / answer_unit(request));
}

void WorkGuess::cut(const Request& request, std::uint32_t answer_tokens) {
  if (answer_tokens > usual_answer(request)) finished(request, answer_tokens);
}

}  // namespace headwater::schedule
