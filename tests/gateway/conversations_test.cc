#include "gateway/conversations.h"

#include <gtest/gtest.h>

namespace headwater::gateway {
namespace {

using std::chrono::milliseconds;
using Name = Conversations::Name;

const Conversations::Time kStart{};
const Name kChat{"alice", "chat"};

std::vector<ChatMessage> says(const std::string& text) { return {{"user", text}}; }

std::string said(const Result<std::vector<ChatMessage>>& messages) {
  if (!messages) return std::string(name_of(messages.error().code));
  std::string text;
  for (const ChatMessage& message : *messages) text += message.role.substr(0, 1) + ":" + message.content + " ";
  return text;
}

/// A whole turn.
std::string turn(Conversations& conversations, const Name& name, const std::string& text, milliseconds at = {}) {
  const auto messages = conversations.begin(name, says(text), {}, kStart + at);
  if (messages) conversations.finish(name, "yes", kStart + at);
  return said(messages);
}

TEST(Conversations, GoOnWithWhatHasBeenSaidAndAnswered) {
  Conversations conversations({});
  EXPECT_EQ(turn(conversations, kChat, "one"), "u:one ");
  EXPECT_EQ(turn(conversations, kChat, "two"), "u:one a:yes u:two ");
  EXPECT_EQ(turn(conversations, {"alice", "other"}, "three"), "u:three ");
  EXPECT_EQ(turn(conversations, {"bob", "chat"}, "four"), "u:four ") << "another tenant's name is another session";
  EXPECT_EQ(conversations.size(), 3U);
}

TEST(Conversations, ForgetATurnThatHasNotBeenAnswered) {
  Conversations conversations({});
  turn(conversations, kChat, "one");
  const std::uint64_t bytes = conversations.bytes();
  ASSERT_TRUE(conversations.begin(kChat, says("never mind"), {}, kStart).ok());
  conversations.abandon(kChat, kStart);
  EXPECT_EQ(conversations.bytes(), bytes);
  EXPECT_EQ(turn(conversations, kChat, "two"), "u:one a:yes u:two ");
  ASSERT_TRUE(conversations.begin({"alice", "new"}, says("x"), {}, kStart).ok());
  conversations.abandon({"alice", "new"}, kStart);
  EXPECT_EQ(conversations.size(), 1U) << "one without any answer is not kept";
}

TEST(Conversations, TakeOneTurnAtATime) {
  Conversations conversations({});
  ASSERT_TRUE(conversations.begin(kChat, says("one"), {}, kStart).ok());
  const auto second = conversations.begin(kChat, says("two"), {}, kStart);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::session_busy);
  EXPECT_EQ(second.error().param, "session");
}

TEST(Conversations, ExpireWhenNothingIsSaidForTheirTime) {
  Conversations conversations({.ttl = milliseconds(100)});
  turn(conversations, kChat, "one");
  turn(conversations, kChat, "two", milliseconds(99));
  EXPECT_EQ(turn(conversations, kChat, "three", milliseconds(198)), "u:one a:yes u:two a:yes u:three ");
  EXPECT_EQ(turn(conversations, kChat, "four", milliseconds(298)), "u:four ");

  ASSERT_TRUE(conversations.begin(kChat, says("five"), milliseconds(1000), kStart + milliseconds(300)).ok());
  turn(conversations, {"bob", "x"}, "y", milliseconds(5000));
  conversations.finish(kChat, "yes", kStart + milliseconds(5000));  // not while it is being answered
  EXPECT_EQ(turn(conversations, kChat, "six", milliseconds(5999)), "u:four a:yes u:five a:yes u:six ");
}

TEST(Conversations, HaveLimits) {
  Conversations conversations(
      {.conversations = 3, .per_tenant = 2, .messages = 3, .bytes = 40, .total_bytes = 60, .ttl = milliseconds(100)});
  turn(conversations, kChat, "one");
  EXPECT_EQ(turn(conversations, kChat, "two"), "u:one a:yes u:two ");
  EXPECT_EQ(turn(conversations, kChat, "three"), "invalid_request") << "too many messages";
  EXPECT_EQ(turn(conversations, {"alice", "b"}, std::string(37, 'x')), "invalid_request") << "too long";
  EXPECT_EQ(turn(conversations, {"alice", "b"}, "x"), "u:x ");
  EXPECT_EQ(turn(conversations, {"alice", "c"}, "x"), "overloaded") << "too many of one tenant";
  EXPECT_EQ(turn(conversations, {"bob", "a"}, std::string(30, 'x')), "overloaded") << "too much in all";
  EXPECT_EQ(turn(conversations, {"bob", "a"}, "xx"), "overloaded");
  EXPECT_EQ(turn(conversations, {"bob", "a"}, "x", milliseconds(100)), "u:x ");
  turn(conversations, {"carol", "a"}, "x", milliseconds(100));
  turn(conversations, {"dave", "a"}, "", milliseconds(100));
  EXPECT_EQ(turn(conversations, {"erin", "a"}, "", milliseconds(100)), "overloaded") << "too many of all";
}

TEST(Conversations, AbandonATurnWhoseRequestIsGone) {
  Conversations conversations({});
  ASSERT_TRUE(conversations.begin(kChat, says("one"), {}, std::chrono::steady_clock::now()).ok());
  { const Turn lost(conversations, kChat); }
  EXPECT_EQ(conversations.size(), 0U);
  ASSERT_TRUE(conversations.begin(kChat, says("one"), {}, std::chrono::steady_clock::now()).ok());
  {
    Turn answered(conversations, kChat);
    answered.add("y");
    answered.add("es");
    answered.finish();
  }
  EXPECT_EQ(said(conversations.begin(kChat, says("two"), {}, std::chrono::steady_clock::now())), "u:one a:yes u:two ");
}

TEST(Conversations, ForgetsOneThatIsEnded) {
  Conversations conversations({});
  const Conversations::Time now{};
  EXPECT_EQ(conversations.end({"alice", "chat"}, now).error().code, ErrorCode::not_found) << "there is none";
  ASSERT_TRUE(conversations.begin({"alice", "chat"}, {{"user", "one"}}, std::nullopt, now).ok());
  EXPECT_EQ(conversations.end({"alice", "chat"}, now).error().code, ErrorCode::session_busy);
  conversations.finish({"alice", "chat"}, "two", now);
  EXPECT_EQ(conversations.end({"bob", "chat"}, now).error().code, ErrorCode::not_found);
  EXPECT_EQ(conversations.size(), 1U);
  EXPECT_TRUE(conversations.end({"alice", "chat"}, now).ok());
  EXPECT_EQ(conversations.size() + conversations.bytes(), 0U);
}

TEST(Conversations, KnowsTheSessionsWhoseMessagesItDoesNotKeep) {
  Conversations conversations({.conversations = 2, .ttl = milliseconds(100)});
  conversations.note({"alice", "a"}, {}, kStart);
  EXPECT_EQ(conversations.end({"bob", "a"}, kStart).error().code, ErrorCode::not_found);
  EXPECT_TRUE(conversations.end({"alice", "a"}, kStart).ok());
  EXPECT_EQ(conversations.end({"alice", "a"}, kStart).error().code, ErrorCode::not_found);
  conversations.note({"alice", "a"}, {}, kStart);
  EXPECT_EQ(conversations.end({"alice", "a"}, kStart + milliseconds(100)).error().code, ErrorCode::not_found);
  conversations.note({"alice", "a"}, milliseconds(300), kStart);
  conversations.note({"alice", "b"}, milliseconds(200), kStart);
  conversations.note({"alice", "c"}, milliseconds(400), kStart);
  EXPECT_EQ(conversations.end({"alice", "b"}, kStart).error().code, ErrorCode::not_found) << "there was no room for it";
  EXPECT_TRUE(conversations.end({"alice", "a"}, kStart).ok());
}

}  // namespace
}  // namespace headwater::gateway
