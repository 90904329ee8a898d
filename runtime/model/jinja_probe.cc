#include "model/jinja_probe.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "model/jinja_expression.h"

namespace headwater::model {
namespace {

using jinja::Dict;
using jinja::List;
using jinja::Run;
using jinja::Value;

constexpr std::size_t kMostTemplate = 256 << 10;
constexpr std::size_t kMostOutput = 1 << 20;
constexpr int kMostDepth = 64;

/// A piece of a template: text, {{ an expression }} or {% a statement %}.
struct Piece {
  enum class Kind { text, output, statement };
  Kind kind = Kind::text;
  std::string text;
};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

void trim_end(std::string& text) {
  while (!text.empty() && is_space(text.back())) text.pop_back();
}

/// Takes the blanks off that stand before a statement on its line (lstrip_blocks).
void trim_line(std::string& text) {
  std::size_t end = text.size();
  while (end > 0 && (text[end - 1] == ' ' || text[end - 1] == '\t')) --end;
  if (end == 0 || text[end - 1] == '\n') text.resize(end);
}

/// Where a tag ends that `close` closes; quotes hide it.
std::size_t find_close(std::string_view rest, std::string_view close) {
  char quote = '\0';
  for (std::size_t i = 2; i + 1 < rest.size(); ++i) {
    if (quote != '\0') {
      if (rest[i] == '\\')
        ++i;
      else if (rest[i] == quote)
        quote = '\0';
    } else if (close != "#}" && (rest[i] == '"' || rest[i] == '\'')) {
      quote = rest[i];
    } else if (rest.substr(i, 2) == close) {
      return i;
    }
  }
  return std::string_view::npos;
}

/// With the rules for white space that templates of models are written for: trim_blocks and lstrip_blocks.
std::vector<Piece> pieces_of(std::string_view rest, Run& run) {
  std::vector<Piece> pieces;
  std::string text;
  while (!rest.empty()) {
    const std::string_view open = rest.substr(0, 2);
    if (open != "{{" && open != "{%" && open != "{#") {
      text += rest.front();
      rest.remove_prefix(1);
      continue;
    }
    const std::string_view close = open == "{{" ? "}}" : open == "{%" ? "%}" : "#}";
    const std::size_t end = find_close(rest, close);
    if (end == std::string_view::npos) {
      run.stop("a tag without an end");
      return pieces;
    }
    std::string_view body = rest.substr(2, end - 2);
    rest.remove_prefix(end + 2);
    const bool cut_before = body.starts_with('-');
    const bool cut_after = body.ends_with('-');
    if (cut_before || body.starts_with('+')) body.remove_prefix(1);
    if (cut_after) body.remove_suffix(1);
    if (cut_before) trim_end(text);
    if (open != "{{" && !cut_before) trim_line(text);
    if (!text.empty()) pieces.push_back({Piece::Kind::text, std::exchange(text, {})});
    if (open == "{{") pieces.push_back({Piece::Kind::output, std::string(body)});
    if (open == "{%") pieces.push_back({Piece::Kind::statement, std::string(body)});
    if (cut_after) {
      while (!rest.empty() && is_space(rest.front())) rest.remove_prefix(1);
    } else if (open != "{{" && rest.starts_with('\n')) {
      rest.remove_prefix(1);
    }
  }
  if (!text.empty()) pieces.push_back({Piece::Kind::text, std::move(text)});
  return pieces;
}

std::string trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return std::string(text);
}

/// The first word of a statement; the rest stays.
std::string take_word(std::string& statement) {
  statement = trimmed(statement);
  const std::size_t end = std::min(statement.find_first_of(" \t\n\r"), statement.size());
  std::string word = statement.substr(0, end);
  statement = trimmed(std::string_view(statement).substr(end));
  return word;
}

class Renderer {
 public:
  Renderer(std::vector<Piece> pieces, Run& run) : pieces_(std::move(pieces)), next_(pieces_.size()), run_(run) {
    link_blocks();
    words_.resize(pieces_.size());
  }

  std::string whole() {
    run_from(0, pieces_.size(), 0);
    return std::move(out_);
  }

 private:
  /// Finds where each block goes on and ends.
  void link_blocks() {
    std::vector<std::size_t> open;  // the latest part of each block
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
      std::string statement = pieces_[i].kind == Piece::Kind::statement ? pieces_[i].text : "";
      const std::string word = words_.emplace_back(take_word(statement));
      const bool ends = word.starts_with("end") && word != "endset" && word != "endgeneration";
      if (ends || word == "elif" || word == "else") {
        if (open.empty()) return;  // what follows is in no block
        next_[open.back()] = i;
        open.back() = i;
      }
      if (ends) open.pop_back();
      if (word == "if" || word == "for" || word == "macro" || word == "filter" || word == "call") open.push_back(i);
    }
  }

  /// The elif, else or end after the part of a block that begins at `place`.
  std::size_t next_part(std::size_t place) {
    if (next_[place] == 0) run_.stop("a block without an end");
    return next_[place] == 0 ? pieces_.size() : next_[place];
  }
  std::size_t block_end(std::size_t place) {
    std::size_t part = next_part(place);
    while (part < pieces_.size() && !words_[part].starts_with("end")) part = next_part(part);
    return part;
  }

  void run_from(std::size_t first, std::size_t end, int depth) {
    if (depth > kMostDepth) run_.stop("blocks that are nested deeply");
    for (std::size_t i = first; i < end && !run_.stopped(); ++i) {
      if (--run_.steps_left < 0) run_.stop("a template without an end");
      const Piece& piece = pieces_[i];
      if (piece.kind == Piece::Kind::text) write(piece.text);
      if (piece.kind == Piece::Kind::output) write(jinja::printed(jinja::evaluate(piece.text, run_), run_));
      if (piece.kind == Piece::Kind::statement) i = statement(i, depth);
    }
  }

  void write(std::string_view text) {
    if (run_.stopped()) return;
    out_ += text;
    if (out_.size() > kMostOutput) run_.stop("a million bytes of text");
  }

  /// Gives the place of the last piece that belongs to it.
  std::size_t statement(std::size_t place, int depth) {
    std::string rest = pieces_[place].text;
    const std::string word = take_word(rest);
    if (word == "if") return branch(place, depth);
    if (word == "for") return loop(place, rest, depth);
    if (word == "set") {
      set(rest);
      return place;
    }
    if (word == "macro") return block_end(place);  // a call of it is not understood
    if (word != "generation" && word != "endgeneration") run_.stop("the statement \"" + word + "\"");
    return place;
  }

  std::size_t branch(std::size_t place, int depth) {
    const std::size_t last = block_end(place);
    for (std::size_t part = place; part < last && !run_.stopped();) {
      std::string condition = pieces_[part].text;
      const std::string word = take_word(condition);
      const std::size_t next = next_part(part);
      if (word == "else" || jinja::evaluate(condition, run_).truthy()) {
        run_from(part + 1, next, depth + 1);
        break;
      }
      part = next;
    }
    return last;
  }

  std::size_t loop(std::size_t place, const std::string& head, int depth) {
    const std::size_t last = block_end(place);
    const std::size_t in = head.find(" in ");
    const std::string name = trimmed(head.substr(0, in));
    if (run_.stopped() || in == std::string::npos || name.find(',') != std::string::npos || next_part(place) != last) {
      run_.stop("such a loop");
      return last;
    }
    const Value all = jinja::evaluate(std::string_view(head).substr(in + 4), run_);
    if (all.list() == nullptr) {
      if (!all.undefined()) run_.stop("a loop over what is no list");
      return last;
    }
    const List items = *all.list();
    const Dict outer = run_.names;
    for (std::size_t i = 0; i < items.size() && !run_.stopped(); ++i) {
      // What a loop sets is gone after each turn; namespaces are shared.
      run_.names = outer;
      run_.names[name] = items[i];
      Dict state = {{"index0", Value(static_cast<std::int64_t>(i))},
                    {"index", Value(static_cast<std::int64_t>(i + 1))},
                    {"first", Value(i == 0)},
                    {"last", Value(i + 1 == items.size())},
                    {"length", Value(static_cast<std::int64_t>(items.size()))}};
      if (i > 0) state["previtem"] = items[i - 1];
      if (i + 1 < items.size()) state["nextitem"] = items[i + 1];
      run_.names["loop"] = std::move(state);
      run_from(place + 1, last, depth + 1);
    }
    run_.names = outer;
    return last;
  }

  void set(const std::string& rest) {
    const std::size_t equals = rest.find('=');
    if (equals == std::string::npos) {
      run_.stop("a block that is set");
      return;
    }
    const std::string name = trimmed(rest.substr(0, equals));
    Value value = jinja::evaluate(std::string_view(rest).substr(equals + 1), run_);
    const std::size_t dot = name.find('.');
    if (dot == std::string::npos) {
      run_.names[name] = std::move(value);
      return;
    }
    const auto owner = run_.names.find(name.substr(0, dot));
    if (owner == run_.names.end() || owner->second.dict() == nullptr) {
      run_.stop("a member of what is no namespace");
      return;
    }
    (*owner->second.dict())[name.substr(dot + 1)] = std::move(value);
  }

  std::vector<Piece> pieces_;
  std::vector<std::string> words_;  ///< the keywords of statements
  std::vector<std::size_t> next_;   ///< of a part of a block: where the next begins; 0: nowhere
  Run& run_;
  std::string out_;
};

}  // namespace

ProbeResult probe_template(std::string_view jinja, std::span<const ChatMessage> messages, std::string_view bos,
                           std::string_view eos) {
  Run run;
  if (jinja.size() > kMostTemplate) return {std::nullopt, "a template of that size", false};
  List list;
  for (const ChatMessage& message : messages) {
    list.emplace_back(Dict{{"role", Value(message.role)}, {"content", Value(message.content)}});
  }
  run.names = {{"messages", Value(std::move(list))},   {"add_generation_prompt", Value(true)},
               {"bos_token", Value(std::string(bos))}, {"eos_token", Value(std::string(eos))},
               {"strftime_now", Value("a function")},  {"tools", Value(jinja::None{})},
               {"documents", Value(jinja::None{})}};
  std::string text = Renderer(pieces_of(jinja, run), run).whole();
  if (run.stopped()) return {std::nullopt, run.unknown, run.raised};
  return {std::move(text), "", false};
}

}  // namespace headwater::model
