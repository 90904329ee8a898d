#include "topology/warmup.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "model/utf8.h"
#include "topology/values.h"

namespace headwater::topology {
namespace {

constexpr const char* kForms = "a text, { messages: [{ role: system, content: TEXT }] } or { file: PATH }";

/// The text of a file of at most `most` bytes. Error: a sentence without the place.
Result<std::string> read_text(const std::string& path, std::size_t most) {
  const auto wrong = [&](const std::string& what) {
    return Error{ErrorCode::invalid_file, quote(path) + " " + what, "warmup"};
  };
  std::error_code failed;
  if (!std::filesystem::is_regular_file(path, failed)) return wrong(failed ? "is not there" : "is not a file");
  std::ifstream file(path, std::ios::binary);
  if (!file) return wrong("cannot be opened: " + std::string(std::strerror(errno)));
  std::string text(most + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (file.bad()) return wrong("cannot be read");
  if (text.empty()) return wrong("is empty; write the text of a prompt into it");
  if (text.size() > most) {
    return wrong("has more than the " + std::to_string(most) + " bytes that are left of " + size_text(kMaxWarmupBytes) +
                 " for all warm-up prompts");
  }
  if (!model::valid_utf8(text)) return wrong("is not UTF-8 text");
  return text;
}

class Reader {
 public:
  explicit Reader(Problems& problems) : problems_(problems) {}

  void add(const Node& node) {
    WarmupPrompt prompt;
    prompt.name = "warmup[" + std::to_string(number_++) + "]";
    if (node.kind == Node::Kind::broken) return;
    if (node.is_map()) {
      if (!read_map(node, prompt)) return;
    } else if (node.kind == Node::Kind::scalar && !node.text.empty()) {
      prompt.prompt = node.text;
      bytes_ += node.text.size();
    } else {
      return problems_.at(node, prompt.name + " is " + describe(node) + "; expected " + kForms);
    }
    if (bytes_ > kMaxWarmupBytes) {
      problems_.at(node, prompt.name + " takes the warm-up prompts over " + size_text(kMaxWarmupBytes) +
                             " in all; leave some out");
    }
    prompts_.push_back(std::move(prompt));
  }

  std::vector<WarmupPrompt> finish() && { return std::move(prompts_); }

 private:
  bool read_map(const Node& node, WarmupPrompt& prompt) {
    const Section section(&node, prompt.name, {"messages", "file"}, problems_);
    const Node* messages = section.find("messages");
    const Node* file = section.find("file");
    if ((messages == nullptr) == (file == nullptr)) {
      problems_.at(node, prompt.name + " needs either messages or a file; expected " + kForms);
      return false;
    }
    return file != nullptr ? read_file(section, *file, prompt) : read_messages(*messages, prompt);
  }

  bool read_file(const Section& section, const Node& node, WarmupPrompt& prompt) {
    const std::string path = section.text("file");
    if (path.empty()) return false;  // reported
    auto text = read_text(path, kMaxWarmupBytes - std::min(bytes_, kMaxWarmupBytes));
    if (!text) {
      problems_.at(node, "file of " + prompt.name + ": " + text.error().message);
      return false;
    }
    bytes_ += text->size();
    prompt.name += " (" + path + ")";
    prompt.prompt = std::move(*text);
    return true;
  }

  bool read_messages(const Node& list, WarmupPrompt& prompt) {
    if (list.kind == Node::Kind::broken) return false;
    if (list.kind != Node::Kind::sequence || list.items.empty()) {
      const bool empty = list.kind == Node::Kind::sequence;
      problems_.at(list, "messages of " + prompt.name + " is " + (empty ? "an empty list" : describe(list)) +
                             "; expected a list such as [{ role: system, content: TEXT }]");
      return false;
    }
    std::vector<ChatMessage> messages;
    for (const Node& item : list.items) {
      const Section section(&item, "a message of " + prompt.name, {"role", "content"}, problems_);
      if (!item.is_map()) continue;
      for (const char* key : {"role", "content"}) {
        if (section.find(key) == nullptr) problems_.at(item, "a message of " + prompt.name + " needs a " + key);
      }
      const ArgSpec role{.name = "role",
                         .type = ArgType::choice,
                         .fallback = std::string("system"),
                         .choices = {"system", "user", "assistant"}};
      messages.push_back({std::get<std::string>(section.read(role)), section.text("content")});
      bytes_ += messages.back().content.size();
    }
    prompt.prompt = std::move(messages);
    return true;
  }

  Problems& problems_;
  std::vector<WarmupPrompt> prompts_;
  std::size_t number_ = 0, bytes_ = 0;
};

}  // namespace

std::vector<WarmupPrompt> read_warmup(const Node* list, Problems& problems) {
  if (list == nullptr || list->kind == Node::Kind::broken) return {};
  if (list->kind != Node::Kind::sequence || list->items.size() > kMaxWarmupPrompts) {
    const bool many = list->kind == Node::Kind::sequence;
    problems.at(*list, "warmup is " + (many ? "a list of " + std::to_string(list->items.size()) : describe(*list)) +
                           "; expected a list of at most " + std::to_string(kMaxWarmupPrompts) +
                           " prompts, each of them " + kForms);
    return {};
  }
  Reader reader(problems);
  for (const Node& item : list->items) reader.add(item);
  return std::move(reader).finish();
}

}  // namespace headwater::topology
