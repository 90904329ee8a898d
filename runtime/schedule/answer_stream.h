#pragma once
// From step results to what clients are told: text deltas, log-probabilities, finish reasons.
// The plain class inside the detokenizer actor.
//
// A sequence's state can be rebuilt from its start record at any time, since the tokens generated before a
// preemption are part of it; a preempted sequence needs no memory here. Threading: one caller at a time.

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "headwater/request.h"
#include "model/text_stream.h"
#include "model/tokenizer.h"
#include "schedule/step.h"

namespace headwater::schedule {

/// The events of one step for one connection, in the order of the step's entries.
struct ConnectionEvents {
  ConnectionId connection = 0;
  std::vector<TokenEvent> events;
};

class AnswerStreams {
 public:
  /// `mine`: whether this instance is responsible for a request (replicas share them).
  AnswerStreams(const model::Tokenizer& tokenizer, std::function<bool(RequestId)> mine);

  /// Results of requests that are unknown, ended or not ours are ignored. `seq` of events and the
  /// times since acceptance other than queue_ms are left to the frontend.
  std::vector<ConnectionEvents> on_result(const StepResult& result);

  std::size_t size() const { return answers_.size(); }
  void reset() { answers_.clear(); }

 private:
  struct Answer {
    RequestPtr request;
    model::TextStream text;
    Usage usage;
    double queue_ms = 0;
    std::vector<PositionLogprobs> prompt_logprobs;
  };

  void start(const SequenceStart& start);
  void add_prompt(Answer& answer, const EntryResult& entry, std::vector<TokenEvent>& out);
  /// An event for each token, and the terminal one, if the entry ends the answer. Behind a stop string nothing counts.
  void add_tokens(Answer& answer, const EntryResult& entry, std::vector<TokenEvent>& out);
  /// What the token gave of the text. finish: the answer ends with it.
  model::TextStream::Delta add_token(Answer& answer, const SampledToken& sampled, FinishReason finish,
                                     std::vector<TokenEvent>& out);
  static void end(const Answer& answer, FinishReason reason, const std::string& stop_match,
                  std::vector<TokenEvent>& out);
  static void fail(const Answer& answer, const std::string& error, std::vector<TokenEvent>& out);
  TokenLogprob named(TokenId token, float logprob) const;
  bool may_stop(const Answer& answer) const;

  const model::Tokenizer& tokenizer_;
  std::function<bool(RequestId)> mine_;
  std::unordered_map<RequestId, Answer> answers_;
};

}  // namespace headwater::schedule
