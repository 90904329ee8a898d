#include "gateway/conversations.h"

namespace headwater::gateway {
namespace {

std::uint64_t bytes_of(const ChatMessage& message) {
  return message.role.size() + message.content.size() + message.more.size();
}

Error busy() {
  return {ErrorCode::session_busy, "a turn of this session is under way; wait for its end, or cancel it", "session"};
}

}  // namespace

Result<std::vector<ChatMessage>> Conversations::begin(const Name& name, const std::vector<ChatMessage>& turn,
                                                      std::optional<std::chrono::milliseconds> ttl, Time now) {
  const std::scoped_lock lock(mutex_);
  drop_expired(now);
  auto entry = conversations_.find(name);
  const bool is_new = entry == conversations_.end();
  if (auto room = check_room(name, is_new ? nullptr : &entry->second, turn); !room) return room.error();
  if (is_new) {
    entry = conversations_.try_emplace(name).first;
    ++per_tenant_[name.first];
  } else {
    ends_.erase({entry->second.ends, name});
  }
  Conversation& conversation = entry->second;
  conversation.busy = true;
  conversation.ttl = ttl.value_or(limits_.ttl);
  for (const ChatMessage& message : turn) add(conversation, message);
  return conversation.messages;
}

void Conversations::finish(const Name& name, std::string answer, Time now) {
  const std::scoped_lock lock(mutex_);
  const auto entry = conversations_.find(name);
  add(entry->second, {"assistant", std::move(answer)});
  entry->second.kept = entry->second.messages.size();
  rest(entry, now);
}

void Conversations::abandon(const Name& name, Time now) {
  const std::scoped_lock lock(mutex_);
  const auto entry = conversations_.find(name);
  Conversation& conversation = entry->second;
  for (; conversation.messages.size() > conversation.kept; conversation.messages.pop_back()) {
    conversation.bytes -= bytes_of(conversation.messages.back());
    bytes_ -= bytes_of(conversation.messages.back());
  }
  conversation.messages.empty() ? forget(entry) : rest(entry, now);
}

void Conversations::note(const Name& name, std::optional<std::chrono::milliseconds> ttl, Time now) {
  const std::scoped_lock lock(mutex_);
  drop_expired(now);
  forget_noted(name);
  if (noted_.size() >= limits_.conversations) forget_noted(Name(noted_ends_.begin()->second));
  const Time ends = now + ttl.value_or(limits_.ttl);
  noted_.emplace(name, ends);
  noted_ends_.emplace(ends, name);
}

Result<void> Conversations::end(const Name& name, Time now) {
  const std::scoped_lock lock(mutex_);
  drop_expired(now);
  const auto entry = conversations_.find(name);
  if (entry != conversations_.end() && entry->second.busy) return busy();
  const bool noted = forget_noted(name);
  if (entry == conversations_.end()) {
    if (noted) return {};
    return Error{ErrorCode::not_found, "there is no session of this name; it may have expired, or be another API key's",
                 "session"};
  }
  ends_.erase({entry->second.ends, name});
  forget(entry);
  return {};
}

std::size_t Conversations::size() const {
  const std::scoped_lock lock(mutex_);
  return conversations_.size();
}

std::uint64_t Conversations::bytes() const {
  const std::scoped_lock lock(mutex_);
  return bytes_;
}

Result<void> Conversations::check_room(const Name& name, const Conversation* known,
                                       const std::vector<ChatMessage>& turn) const {
  const auto refuse = [](ErrorCode code, const std::string& message) { return Error{code, message, "session"}; };
  if (known != nullptr && known->busy) return busy();
  const auto mine = per_tenant_.find(name.first);
  const bool crowded = mine != per_tenant_.end() && mine->second >= limits_.per_tenant;
  if (known == nullptr && (crowded || conversations_.size() >= limits_.conversations)) {
    return refuse(ErrorCode::overloaded, "there are as many sessions as this server keeps; wait for some to expire");
  }
  std::uint64_t bytes = 0;
  for (const ChatMessage& message : turn) bytes += bytes_of(message);
  const std::size_t messages = (known == nullptr ? 0 : known->messages.size()) + turn.size();
  if (messages > limits_.messages || (known == nullptr ? 0 : known->bytes) + bytes > limits_.bytes) {
    return refuse(ErrorCode::invalid_request, "the session would have more than " + std::to_string(limits_.messages) +
                                                  " messages or " + std::to_string(limits_.bytes) +
                                                  " bytes; begin another one, with a summary of this one");
  }
  if (bytes_ + bytes > limits_.total_bytes) {
    return refuse(ErrorCode::overloaded,
                  "the sessions of this server hold as much as it keeps; wait for some to expire");
  }
  return {};
}

void Conversations::drop_expired(Time now) {
  while (!ends_.empty() && ends_.begin()->first <= now) {
    const Name name = ends_.begin()->second;
    ends_.erase(ends_.begin());
    forget(conversations_.find(name));
  }
  while (!noted_ends_.empty() && noted_ends_.begin()->first <= now) forget_noted(Name(noted_ends_.begin()->second));
}

/// Whether there was one.
bool Conversations::forget_noted(const Name& name) {
  const auto found = noted_.find(name);
  if (found == noted_.end()) return false;
  noted_ends_.erase({found->second, name});
  noted_.erase(found);
  return true;
}

/// No turn is under way any more.
void Conversations::rest(Entry entry, Time now) {
  entry->second.busy = false;
  entry->second.ends = now + entry->second.ttl;
  ends_.insert({entry->second.ends, entry->first});
}

void Conversations::forget(Entry entry) {
  bytes_ -= entry->second.bytes;
  if (--per_tenant_.at(entry->first.first) == 0) per_tenant_.erase(entry->first.first);
  conversations_.erase(entry);
}

void Conversations::add(Conversation& conversation, ChatMessage message) {
  conversation.bytes += bytes_of(message);
  bytes_ += bytes_of(message);
  conversation.messages.push_back(std::move(message));
}

Turn::~Turn() {
  if (!finished_) conversations_.abandon(name_, std::chrono::steady_clock::now());
}

void Turn::finish() {
  finished_ = true;
  conversations_.finish(name_, std::move(answer_), std::chrono::steady_clock::now());
}

}  // namespace headwater::gateway
