#pragma once
// One HTTP call for completions under way: its requests in the runtime, and what has come of them.

#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>

#include "gateway/bridge.h"
#include "gateway/generate_call.h"
#include "gateway/hub.h"
#include "gateway/request_log.h"
#include "gateway/signal.h"

namespace headwater::gateway {

/// REQUIRES: all on one strand.
class Generation {
 public:
  /// `account`: of the connection, which outlives this.
  Generation(Hub& hub, const Executor& strand, GenerateCall call, const Dialect& dialect, BufferAccount& account);

  /// Submits as many choices as there is credit for; the others follow as those end. An error: nothing runs.
  Result<void> start();
  /// The client is gone: cancels everything.
  void abandon();

  /// Something has happened: an event, or abandon().
  Signal& changed() { return changed_; }

  /// Something has come from the runtime.
  bool heard() const { return heard_; }
  /// Nobody reads the answer any more; also where a stream's reader takes nothing for stall_timeout, and more than
  /// max_unsent_bytes wait.
  bool abandoned() const { return !bridge_.has_value(); }
  bool ended() const { return ended_ == choices_.size() || failure_.has_value(); }
  /// A choice that failed fails the call.
  const std::optional<Error>& failure() const { return failure_; }
  /// For the log: of what has ended, or, where nobody reads any more, of what has come.
  Generated generated() const;

  /// REQUIRES: ended() without failure(), and the call does not stream.
  Json whole() { return dialect_.whole(call_, choices_); }
  /// Streaming: the events to write since the last call; the last ones, with the end of the stream, once ended().
  std::string take_output();
  /// So much of what was taken is not yet written: less than before, so the client reads.
  void being_written(std::size_t bytes);

 private:
  Result<void> submit_more();
  void on_events(std::vector<TokenEvent> events);
  void handle(std::vector<TokenEvent>& events);
  void open(Choice& choice, const Usage& usage);
  void apply(Choice& choice, TokenEvent& event);
  void share_scores(Choice& first);
  void share_end(const Choice& first);
  void end(Choice& choice, const TokenEvent& event);
  void fail(const Error& error);
  void fail_by(const std::exception_ptr& failure);
  void emit(const Json& chunk);

  Hub& hub_;
  const GenerateCall call_;
  const bool scores_once_;  ///< choices share the scores of their prompt
  const Dialect& dialect_;
  BufferAccount& account_;
  Signal changed_;
  std::vector<Choice> choices_;
  std::unordered_map<RequestId, std::size_t> choice_of_;
  std::deque<std::size_t> waiting_;  ///< choices that may be submitted; the others wait for their prompt's scores
  std::size_t ended_ = 0;
  bool heard_ = false;
  std::optional<Error> failure_;
  Generated generated_;
  std::uint64_t tokens_ = 0;  ///< that have come
  std::string output_;
  std::size_t being_written_ = 0;
  std::chrono::steady_clock::time_point taken_;  ///< when the client last read something, or had nothing to read
  std::optional<Bridge> bridge_;                 // last: its events use all the others
};

}  // namespace headwater::gateway
