#pragma once
// Every accepted request that has not ended: the place where "exactly one terminal event, and nothing
// after it" is enforced. The plain class inside the frontend actor. Threading: one caller at a time.

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "schedule/step.h"

namespace headwater::schedule {

class RequestLedger {
 public:
  struct Entry {
    RequestPtr request;
    TimeNs deadline = 0;  ///< 0: none
    bool tokenized = false;
    bool has_token = false;
    std::uint32_t prompt_tokens = 0;
    std::uint32_t completion_tokens = 0;
    double ttft_ms = 0;
    std::uint64_t next_seq = 0;
  };

  void open(RequestPtr request);
  const Entry* find(RequestId id) const;

  void on_tokenized(RequestId id, std::uint32_t prompt_tokens);

  enum class Verdict : std::uint8_t {
    drop,  ///< the request has ended, or never was
    deliver,
    first_token,  ///< deliver; the first one with a token
    ended,        ///< deliver; the request is forgotten
  };
  /// Numbers the event and adds times and usage. `event` is changed only if it is to be delivered.
  Verdict apply(TokenEvent& event, TimeNs now);

  /// Ends a request from here. Nothing: it has ended already.
  std::optional<TokenEvent> end(RequestId id, TokenEvent::Kind kind, Error error, TimeNs now);

  /// Ids of the requests for which `wanted` holds, oldest first.
  std::vector<RequestId> select(const std::function<bool(const Entry&)>& wanted) const;

  std::size_t size() const { return entries_.size(); }

 private:
  std::unordered_map<RequestId, Entry> entries_;
};

}  // namespace headwater::schedule
