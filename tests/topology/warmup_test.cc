#include "topology/warmup.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/topology/check.h"

namespace headwater::topology {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

/// kSound with prompts.
std::string warmed(const std::string& list) {
  return with("cache: { cache_size_limit: 2GiB }", "cache: { warmup: " + list + " }");
}

class Warmup : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directory(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& text) const {
    const auto path = folder_ / name;
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("headwater_warmup_" + std::to_string(getpid()));
};

TEST_F(Warmup, ReadsTextsConversationsAndFiles) {
  const std::string file = write("prompt.txt", "Line one,\nline two.\n");
  const auto prompts = sound(warmed("[Once upon a time, { messages: [{ role: system, content: Be brief. }, "
                                    "{ role: user, content: Hello }] }, { file: " +
                                    file + " }]"))
                           .cache.warmup;
  ASSERT_EQ(prompts.size(), 3U);
  EXPECT_EQ(std::get<std::string>(prompts[0].prompt), "Once upon a time");
  EXPECT_EQ(prompts[0].name, "warmup[0]");
  const auto& messages = std::get<std::vector<ChatMessage>>(prompts[1].prompt);
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_EQ(messages[0].role, "system");
  EXPECT_EQ(messages[0].content, "Be brief.");
  EXPECT_EQ(messages[1].role, "user");
  EXPECT_EQ(std::get<std::string>(prompts[2].prompt), "Line one,\nline two.\n");
  EXPECT_EQ(prompts[2].name, "warmup[2] (" + file + ")");
}

TEST_F(Warmup, IsEmptyWhereNothingIsSaid) {
  EXPECT_TRUE(sound(kSound).cache.warmup.empty());
  EXPECT_TRUE(sound(warmed("[]")).cache.warmup.empty());
}

TEST_F(Warmup, SaysWhatAPromptMayBe) {
  EXPECT_THAT(report(warmed("Hello")), StartsWith("t.yaml:3:18: warmup is \"Hello\"; expected a list of at most 256 "
                                                  "prompts, each of them a text, { messages: "));
  EXPECT_THAT(report(warmed("[a, '']")),
              StartsWith("t.yaml:3:22: warmup[1] is the text \"\"; expected a text, { messages: "));
  EXPECT_THAT(report(warmed("[[a]]")), StartsWith("t.yaml:3:19: warmup[0] is a list; expected a text"));
  EXPECT_THAT(report(warmed("[{}]")), HasSubstr("warmup[0] needs either messages or a file"));
  EXPECT_THAT(report(warmed("[{ file: a, messages: [] }]")), HasSubstr("warmup[0] needs either messages or a file"));
  EXPECT_THAT(report(warmed("[{ fille: a }]")),
              HasSubstr("unknown key \"fille\" in warmup[0] (did you mean \"file\"? known: messages, file)"));
  std::string many = "[a";
  for (std::size_t i = 0; i < kMaxWarmupPrompts; ++i) many += ", a";
  EXPECT_THAT(report(warmed(many + "]")), HasSubstr("warmup is a list of 257; expected a list of at most 256"));
}

TEST_F(Warmup, SaysWhatIsWrongWithAMessage) {
  const auto said = [](const std::string& messages) { return report(warmed("[{ messages: " + messages + " }]")); };
  EXPECT_THAT(said("Hello"), HasSubstr("t.yaml:3:31: messages of warmup[0] is \"Hello\"; expected a list such as"));
  EXPECT_THAT(said("[]"), HasSubstr("messages of warmup[0] is an empty list"));
  EXPECT_THAT(said("[Hello]"), HasSubstr("a message of warmup[0] is \"Hello\"; expected a map with role, content"));
  EXPECT_THAT(said("[{ role: system }]"), HasSubstr("a message of warmup[0] needs a content"));
  EXPECT_THAT(said("[{ content: x }]"), HasSubstr("a message of warmup[0] needs a role"));
  EXPECT_THAT(said("[{ role: sytem, content: x }]"),
              HasSubstr("role is \"sytem\"; expected one of system, user, assistant; did you mean \"system\"?"));
  EXPECT_THAT(said("[{ role: user, content: '' }]"), HasSubstr("content is the text \"\"; expected text"));
}

TEST_F(Warmup, SaysWhatIsWrongWithAFile) {
  const auto said = [](const std::string& path) { return report(warmed("[a, { file: '" + path + "' }]")); };
  EXPECT_THAT(said((folder_ / "nowhere").string()),
              AllOf(StartsWith("t.yaml:3:30: file of warmup[1]: "), HasSubstr("nowhere\" is not there")));
  EXPECT_THAT(said(folder_.string()), HasSubstr("is not a file"));
  EXPECT_THAT(said("/dev/zero"), HasSubstr("is not a file"));
  EXPECT_THAT(said(write("empty", "")), HasSubstr("is empty; write the text of a prompt into it"));
  EXPECT_THAT(said(write("binary", "\xff\xfe")), HasSubstr("is not UTF-8 text"));
  EXPECT_THAT(said(write("long", std::string(kMaxWarmupBytes, 'x'))),
              HasSubstr("has more than the 16777215 bytes that are left of 16MiB for all warm-up prompts"));
  EXPECT_THAT(said(""), HasSubstr("file is the text \"\"; expected text"));
}

}  // namespace
}  // namespace headwater::topology
