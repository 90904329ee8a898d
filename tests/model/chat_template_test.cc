#include "model/chat_template.h"

#include <gtest/gtest.h>

namespace headwater::model {
namespace {

using Messages = std::vector<ChatMessage>;

std::string render(std::string_view jinja, const Messages& messages) {
  const auto chat = ChatTemplate::recognise(jinja);
  if (!chat) return "error: " + chat.error().message;
  const auto text = (*chat)->render_text(messages);
  return text ? *text : "error: " + text.error().param + ": " + text.error().message;
}

const Messages kDialogue = {{"system", "S"}, {"user", " U "}, {"assistant", "A"}, {"user", "V"}};

TEST(ChatTemplate, RendersChatMl) {
  EXPECT_EQ(render("..<|im_start|>..", {{"user", "hi"}}), "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
  const char* with_default = "{{ '<|im_start|>system\\nBe kind<|im_end|>\\n' }}";
  EXPECT_EQ(render(with_default, {{"user", "hi"}}),
            "<|im_start|>system\nBe kind<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(render(with_default, {{"system", "S"}, {"user", "hi"}}),
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, RendersLlama3) {
  EXPECT_EQ(render("<|start_header_id|>", kDialogue),
            "<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n");
}

TEST(ChatTemplate, RendersGemmaWithTheSystemTextInTheFirstTurn) {
  EXPECT_EQ(render("<start_of_turn>", kDialogue),
            "<start_of_turn>user\nS\n\nU<end_of_turn>\n<start_of_turn>model\nA<end_of_turn>\n"
            "<start_of_turn>user\nV<end_of_turn>\n<start_of_turn>model\n");
}

TEST(ChatTemplate, RendersMistralWithAndWithoutSpaces) {
  EXPECT_EQ(render("'[INST] '", {{"user", "U"}, {"assistant", "A"}, {"user", "V"}}),
            "[INST] U [/INST] A</s>[INST] V [/INST]");
  EXPECT_EQ(render("'[INST]'", {{"system", "S"}, {"user", "U"}}), "[INST]S\n\nU[/INST]");
}

TEST(ChatTemplate, RefusesAnUnknownTemplateAndSaysWhatToPass) {
  const auto unknown = ChatTemplate::recognise("{{ messages }}");
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().message.find("model.chat_template"), std::string::npos);
  EXPECT_NE(unknown.error().message.find("chatml, llama3, gemma, mistral"), std::string::npos);
  EXPECT_FALSE(ChatTemplate::by_name("jinja").ok());
  for (const char* name : {"chatml", "llama3", "gemma", "mistral"}) {
    EXPECT_EQ((*ChatTemplate::by_name(name))->name(), name);
  }
}

TEST(ChatTemplate, NamesTheMessageWithAWrongRole) {
  for (const char* mark : {"<|im_start|>", "<|start_header_id|>", "<start_of_turn>", "[INST]"}) {
    EXPECT_EQ(render(mark, {{"user", "a"}, {"wizard", "b"}}).rfind("error: messages[1].role: ", 0), 0U) << mark;
    EXPECT_EQ(render(mark, {}).rfind("error: messages: ", 0), 0U) << mark;
  }
  EXPECT_EQ(render("<start_of_turn>", {{"user", "a"}, {"user", "b"}}).rfind("error: messages[1].role: ", 0), 0U);
}

}  // namespace
}  // namespace headwater::model
