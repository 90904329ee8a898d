#pragma once
// The messages of conversations that clients go on with by name, so that they send only what is new. Time is passed in.
//
// Threading: any thread.

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "headwater/request.h"
#include "headwater/result.h"

namespace headwater::gateway {

struct ConversationLimits {
  std::uint32_t conversations = 1024;        ///< of all tenants
  std::uint32_t per_tenant = 1024;           ///< of one
  std::uint32_t messages = 1024;             ///< of one conversation
  std::uint64_t bytes = 1 << 20;             ///< of one conversation
  std::uint64_t total_bytes = 64 << 20;      ///< of all
  std::chrono::milliseconds ttl{3'600'000};  ///< since the last turn, where a request does not say
};

class Conversations {
 public:
  using Time = std::chrono::steady_clock::time_point;
  /// Tenant and the name that it chose.
  using Name = std::pair<std::string, std::string>;

  explicit Conversations(ConversationLimits limits) : limits_(limits) {}

  /// All messages, with those of the new turn, which are kept once its answer is. One turn at a time. Errors:
  /// "session_busy"; "invalid_request": longer than a conversation may be; "overloaded": too many conversations.
  Result<std::vector<ChatMessage>> begin(const Name& name, const std::vector<ChatMessage>& turn,
                                         std::optional<std::chrono::milliseconds> ttl, Time now);
  /// The turn has been answered. REQUIRES: it was begun.
  void finish(const Name& name, std::string answer, Time now);
  /// A session whose messages its client keeps has been named: end() knows it for `ttl`. Of as many as there may be
  /// conversations; then the one is forgotten whose time is over first.
  void note(const Name& name, std::optional<std::chrono::milliseconds> ttl, Time now);
  /// Forgets a conversation. Errors: "session_busy"; "not_found".
  Result<void> end(const Name& name, Time now);
  /// The turn has failed: the conversation is as it was before. REQUIRES: it was begun.
  void abandon(const Name& name, Time now);

  std::size_t size() const;
  std::uint64_t bytes() const;  ///< of the contents of all messages

 private:
  struct Conversation {
    std::vector<ChatMessage> messages;
    std::size_t kept = 0;  ///< messages; those of a turn under way follow
    std::uint64_t bytes = 0;
    std::chrono::milliseconds ttl{};
    Time ends;  ///< while no turn is under way
    bool busy = false;
  };
  using Entry = std::map<Name, Conversation>::iterator;

  void drop_expired(Time now);
  bool forget_noted(const Name& name);
  void rest(Entry entry, Time now);
  void forget(Entry entry);
  void add(Conversation& conversation, ChatMessage message);
  Result<void> check_room(const Name& name, const Conversation* known, const std::vector<ChatMessage>& turn) const;

  const ConversationLimits limits_;
  mutable std::mutex mutex_;
  std::map<Name, Conversation> conversations_;
  std::map<std::string, std::uint32_t> per_tenant_;
  std::set<std::pair<Time, Name>> ends_;  ///< of those without a turn under way
  std::uint64_t bytes_ = 0;
  std::map<Name, Time> noted_;  ///< until when
  std::set<std::pair<Time, Name>> noted_ends_;
};

/// A turn under way: unless it is finished, its end abandons it.
class Turn {
 public:
  Turn(Conversations& conversations, Conversations::Name name)
      : conversations_(conversations), name_(std::move(name)) {}
  ~Turn();
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  void add(const std::string& text) { answer_ += text; }
  void finish();

 private:
  Conversations& conversations_;
  const Conversations::Name name_;
  std::string answer_;
  bool finished_ = false;
};

}  // namespace headwater::gateway
