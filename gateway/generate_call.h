#pragma once
// One HTTP call for completions, whatever its dialect: what to generate and how to answer. Plain data.

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "gateway/json_text.h"
#include "gateway/token_text.h"
#include "headwater/request.h"
#include "headwater/runtime.h"

namespace headwater::gateway {

inline constexpr std::uint32_t kMaxChoices = 16;  ///< of one prompt
inline constexpr std::size_t kMaxPrompts = 64;

using Prompt = decltype(Request::prompt);

struct GenerateCall {
  std::vector<Prompt> prompts;
  std::uint32_t n = 1;  ///< choices of each prompt
  Request base;         ///< all but the prompt
  bool stream = false;
  bool include_usage = false;           ///< streaming: a last chunk with the usage
  bool continuous_usage = false;        ///< streaming: usage so far in every chunk
  bool echo = false;                    ///< completions: the prompt in front of the answer
  bool tokens_by_id = false;            ///< tokens named "token_id:N" in logprobs
  std::vector<std::string> echo_texts;  ///< echo: the text of each prompt

  // What the answer says of itself.
  std::string id;
  std::string model;
  std::int64_t created = 0;  ///< seconds since 1970

  std::size_t choices() const { return prompts.size() * n; }
  /// A prompt is scored for the first of its choices; the others wait for that and have the same scores.
  std::size_t first_of(std::size_t choice) const { return choice - choice % n; }

  /// The request of one choice; choices of one prompt stand together and draw from different seeds.
  Request request(std::size_t choice) const {
    Request request = base;
    request.prompt = prompts[choice / n];
    if (choice % n != 0) request.params.prompt_logprobs.reset();
    if (request.params.seed) *request.params.seed += choice % n;
    return request;
  }
};

/// What became of one choice.
struct Choice {
  std::size_t index = 0;
  RequestId id = 0;
  bool ended = false;
  std::string text;
  std::vector<PositionLogprobs> prompt_logprobs;  ///< of the first choice of a prompt
  std::vector<PositionLogprobs> logprobs;
  FinishReason finish_reason = FinishReason::none;
  std::string stop_match;
  Usage usage;  ///< as far as it is known

  // Streaming.
  bool opened = false;
  TextOffsets offsets;
  std::vector<PositionLogprobs> held_logprobs;  ///< of tokens whose text is held back: it may be cut off
};

/// How one API puts answers into JSON. Stateless but for what is said of streaming in Choice; all members are pure
/// otherwise.
class Dialect {
 public:
  virtual ~Dialect() = default;

  /// Prefix of answer ids, e.g. "chatcmpl-".
  virtual std::string_view id_prefix() const = 0;

  virtual Json whole(const GenerateCall& call, std::span<Choice> choices) const = 0;

  // Streaming: chunks of one choice. A null value is not sent.
  virtual Json opening(const GenerateCall& call, Choice& choice) const = 0;
  virtual Json delta(const GenerateCall& call, Choice& choice, const TokenEvent& event) const = 0;
  virtual Json closing(const GenerateCall& call, Choice& choice) const = 0;
  /// The last chunk, without choices.
  virtual Json usage_chunk(const GenerateCall& call, std::span<const Choice> choices) const = 0;
};

}  // namespace headwater::gateway
