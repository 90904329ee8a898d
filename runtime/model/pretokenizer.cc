#include "model/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdexcept>
#include <utility>

#include "model/utf8.h"

namespace headwater::model {
namespace {

// White space as Unicode lists it. PCRE2's \s takes U+180E as well, which has not been white space since Unicode 6.3.
#define SPACES R"(\x09-\x0D\x20\x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})"
#define SPACE "[" SPACES "]"
#define LAST_SPACES SPACE "+(?![^" SPACES "])"
#define LLAMA3(digits)                                                                                              \
  R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)" digits "| ?[^" SPACES R"(\p{L}\p{N}]+[\r\n]*|)" SPACE \
  R"(*[\r\n]+|)" LAST_SPACES "|" SPACE "+"

// Sources: openai/gpt-2 encoder.py; the tokenizer.json files of SmolLM2, Llama 3 and Qwen 2.
constexpr const char* kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^)" SPACES R"(\p{L}\p{N}]+|)" LAST_SPACES "|" SPACE "+";
constexpr const char* kDigit = R"(\p{N})";
constexpr const char* kLlama3 = LLAMA3(R"(\p{N}{1,3})");
constexpr const char* kQwen2 = LLAMA3(R"(\p{N})");

struct Known {
  std::string_view name;
  std::vector<const char*> stages;
  bool whole_words_first;
  bool adds_bos;
};

const std::vector<Known>& known() {
  static const std::vector<Known> list = {
      {"smollm", {kDigit, kGpt2}, false, false},
      {"gpt-2", {kGpt2}, false, false},
      {"llama-bpe", {kLlama3}, true, true},
      {"qwen2", {kQwen2}, false, false},
  };
  return list;
}

/// Other names of the same rules.
std::string_view usual_name(std::string_view name) {
  if (name == "gpt2") return "gpt-2";
  if (name == "llama3" || name == "llama-v3") return "llama-bpe";
  return name;
}

/// More backtracking than any text needs that these patterns meet; what is beyond is cut by force.
constexpr std::uint32_t kMatchLimit = 10'000'000;

}  // namespace

struct Pretokenizer::Pattern {
  pcre2_code* code = nullptr;

  explicit Pattern(const char* text) {
    int error = 0;
    PCRE2_SIZE at = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text), PCRE2_ZERO_TERMINATED,
                         PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK, &error, &at, nullptr);
    if (code == nullptr) throw std::logic_error(std::string("a pre-tokenizer's pattern is malformed: ") + text);
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where there is no JIT, the interpreter serves
  }
  ~Pattern() { pcre2_code_free(code); }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
};

Pretokenizer::~Pretokenizer() = default;

Result<std::shared_ptr<const Pretokenizer>> Pretokenizer::by_name(std::string_view name) {
  std::string names;
  for (const Known& candidate : known()) {
    if (candidate.name == usual_name(name)) {
      std::shared_ptr<Pretokenizer> made(new Pretokenizer);
      for (const char* stage : candidate.stages) made->stages_.push_back(std::make_unique<Pattern>(stage));
      made->whole_words_first_ = candidate.whole_words_first;
      made->adds_bos_ = candidate.adds_bos;
      return std::shared_ptr<const Pretokenizer>(std::move(made));
    }
    names += (names.empty() ? "" : ", ") + std::string(candidate.name);
  }
  return Error{ErrorCode::invalid_model, "unknown pre-tokenizer \"" + printable(name) + "\" (known: " + names + ")",
               ""};
}

void Pretokenizer::split(std::string_view text, const std::function<void(std::string_view)>& word) const {
  Cursor cursor(*this, text);
  for (std::string_view piece = cursor.next(); !piece.empty(); piece = cursor.next()) word(piece);
}

/// What a stage is cutting.
struct Pretokenizer::Cursor::Level {
  template <class T>
  using Freed = std::unique_ptr<T, void (*)(T*)>;

  std::string_view text;
  std::size_t at = 0;
  std::string_view found;  ///< a match that comes after the piece before it
  Freed<pcre2_match_data> match{pcre2_match_data_create(1, nullptr), pcre2_match_data_free};
  Freed<pcre2_match_context> limits{pcre2_match_context_create(nullptr), pcre2_match_context_free};

  Level() { pcre2_set_match_limit(limits.get(), kMatchLimit); }

  void open(std::string_view piece) {
    text = piece;
    at = 0;
    found = {};
  }
  /// The next piece; empty: there is no more.
  std::string_view next(const pcre2_code* code) {
    if (!found.empty()) return std::exchange(found, {});
    if (at == text.size()) return {};
    const int matches = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                    PCRE2_NO_UTF_CHECK, match.get(), limits.get());
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match.get());
    // No match, or one given up: the rest is one piece. An empty match would not move on.
    const bool matched = matches >= 0 && range[1] > range[0];
    const std::size_t begin = matched ? range[0] : text.size();
    const std::size_t end = matched ? range[1] : text.size();
    const std::string_view before = text.substr(at, begin - at);
    found = text.substr(begin, end - begin);
    at = end;
    return before.empty() ? std::exchange(found, {}) : before;
  }
};

Pretokenizer::Cursor::Cursor(const Pretokenizer& rules, std::string_view text)
    : rules_(&rules), rest_(text), levels_(rules.stages_.size()) {}
Pretokenizer::Cursor::~Cursor() = default;
Pretokenizer::Cursor::Cursor(Cursor&&) noexcept = default;

/// Gives the first stage the next run of valid UTF-8. False: there is none.
bool Pretokenizer::Cursor::open_run() {
  if (rest_.empty()) return false;
  std::size_t valid = 0;
  std::size_t invalid = 0;
  while (valid < rest_.size()) {
    const Utf8Step step = utf8_step(rest_.substr(valid));
    if (!step.valid) {
      invalid = step.length;
      break;
    }
    valid += step.length;
  }
  levels_.front().open(rest_.substr(0, valid));
  invalid_ = rest_.substr(valid, invalid);
  rest_.remove_prefix(valid + invalid);
  return true;
}

std::string_view Pretokenizer::Cursor::next() {
  for (std::size_t stage = levels_.size() - 1;;) {
    const std::string_view piece = levels_[stage].next(rules_->stages_[stage]->code);
    if (!piece.empty()) {
      if (stage + 1 == levels_.size()) return piece;
      levels_[++stage].open(piece);
    } else if (stage > 0) {
      --stage;
    } else if (!invalid_.empty()) {
      return std::exchange(invalid_, {});
    } else if (!open_run()) {
      return {};
    }
  }
}

}  // namespace headwater::model
