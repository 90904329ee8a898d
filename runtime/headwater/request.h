#pragma once
// What a client asks for and what it is told: plain data, shared by every stage and by programs that
// embed the runtime. Values are copied or moved; nothing here owns threads or files.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "headwater/cache_control.h"
#include "headwater/cache_insight.h"
#include "headwater/result.h"

namespace headwater {

using RequestId = std::uint64_t;     ///< unique in one process, never reused
using ConnectionId = std::uint64_t;  ///< one client (socket, HTTP call, embedding handle)
using TokenId = std::int32_t;

/// One turn of a conversation.
struct ChatMessage {
  std::string role;  ///< "system", "user", "assistant" or "tool"
  std::string content;
  /// What else it says, as a JSON object for the model's template: {"tool_calls": […]}. A `content` in it counts more
  /// than the one above. Empty: nothing.
  std::string more{};
};

/// What the model's chat template is told beside the messages.
struct ChatOptions {
  std::string tools{};      ///< a JSON list of functions that the model may call; empty: none
  std::string variables{};  ///< a JSON object of what the template knows by name: {"enable_thinking": false}
  bool open_answer = true;  ///< up to where an answer begins; false: up to the end of the last message
};

/// How tokens are chosen and when to stop. The defaults are OpenAI's.
struct SamplingParams {
  std::optional<std::uint32_t> max_tokens;            ///< none: up to the end of the context
  std::uint32_t min_tokens = 0;                       ///< end tokens and stop strings wait until then
  float temperature = 1.0F;                           ///< 0 is greedy; 0 … 100
  float top_p = 1.0F;                                 ///< (0, 1]
  std::uint32_t top_k = 0;                            ///< 0: off
  float min_p = 0.0F;                                 ///< [0, 1], share of the best token's probability
  float repetition_penalty = 1.0F;                    ///< (0, 10], over prompt and output, 1: off
  float presence_penalty = 0.0F;                      ///< [-2, 2], over the output
  float frequency_penalty = 0.0F;                     ///< [-2, 2], over the output
  std::vector<std::pair<TokenId, float>> logit_bias;  ///< added to the logits; each in [-100, 100]
  std::optional<std::uint64_t> seed;                  ///< none: drawn at admission
  std::vector<std::string> stop;                      ///< text that ends the answer and is not part of it
  std::vector<TokenId> stop_token_ids;                ///< tokens that end the answer, beside the model's own
  bool ignore_eos = false;                            ///< go on after the model's end tokens
  std::optional<std::uint32_t> logprobs;              ///< alternatives listed beside each token, 0 … 20
  std::optional<std::uint32_t> prompt_logprobs;       ///< the same for the prompt's tokens (computes all of it)
};

/// The most alternatives that a request may ask for beside each token.
inline constexpr std::uint32_t kMaxLogprobs = 20;

/// One request. `prompt` is text, a conversation for the model's chat template, or token ids.
struct Request {
  std::variant<std::string, std::vector<ChatMessage>, std::vector<TokenId>> prompt;
  ChatOptions chat{};              ///< for a conversation
  bool add_special_tokens = true;  ///< for text: whether the model's BOS goes in front where it asks for one
  SamplingParams params;
  std::string tenant;      ///< whose quota its cache blocks count against
  std::string cache_salt;  ///< requests of different tenants, or with different salts, never share cache blocks
  CacheControl cache;
  std::string session;           ///< a conversation, whose blocks stay pinned from turn to turn; empty: none
  std::uint32_t timeout_ms = 0;  ///< deadline counted from acceptance, 0: none
  bool asks_again = false;       ///< its caller tries again where there is no credit: that is not counted as a refusal
};

/// A token and its log-probability (nats) under the distribution before temperature and truncation.
struct TokenLogprob {
  TokenId token = 0;
  float logprob = 0;
  std::string bytes;  ///< the token's own bytes, not always whole UTF-8
};

/// The log-probability of a token that stands in the text, with the best alternatives at its place.
struct PositionLogprobs {
  TokenLogprob chosen;            ///< logprob is NaN for the first prompt token, which nothing predicts
  std::vector<TokenLogprob> top;  ///< best first
};

enum class FinishReason : std::uint8_t { none, stop, length };

struct Usage {
  std::uint32_t prompt_tokens = 0;
  std::uint32_t completion_tokens = 0;
  std::uint32_t cached_tokens = 0;  ///< of the prompt: read from the prefix cache, not computed
  CacheDetails cache{};             ///< when the request was started first
};

/// Milliseconds since acceptance, except total_ms which is a span up to the terminal event as well.
struct Timings {
  double queue_ms = 0;  ///< until the first step that worked on the request
  double ttft_ms = 0;   ///< until the first token
  double total_ms = 0;
};

/// What a client is told. Every accepted request gets any number of `prompt` and `tokens` events, then
/// exactly one of `finished`, `failed`, `cancelled`, and nothing after it.
struct TokenEvent {
  enum class Kind : std::uint8_t { prompt, tokens, finished, failed, cancelled };

  RequestId id = 0;
  Kind kind = Kind::tokens;
  std::uint64_t seq = 0;                   ///< 0, 1, 2, … over all events of the request
  std::string text;                        ///< tokens: whole UTF-8, may be empty while a character is incomplete
  std::vector<TokenId> token_ids;          ///< prompt: the prompt's ids; tokens: the new ones
  std::vector<PositionLogprobs> logprobs;  ///< one per token id where asked for
  FinishReason finish_reason = FinishReason::none;  ///< finished
  std::string stop_match;                           ///< finished by a stop string: which
  Usage usage;                                      ///< so far
  Timings timings;                                  ///< terminal kinds
  Error error;                                      ///< failed

  bool terminal() const { return kind >= Kind::finished; }
};

}  // namespace headwater
