#include "model/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "model/pretokenizer_rules.h"
#include "model/utf8.h"

namespace headwater::model {
namespace {

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
  for (const PretokenizerRules& rules : pretokenizer_rules()) {
    if (std::ranges::find(rules.names, name) != rules.names.end()) {
      std::shared_ptr<Pretokenizer> made(new Pretokenizer);
      for (const char* stage : rules.stages) made->stages_.push_back(std::make_unique<Pattern>(stage));
      made->whole_words_first_ = rules.whole_words_first;
      made->adds_bos_ = rules.adds_bos;
      return std::shared_ptr<const Pretokenizer>(std::move(made));
    }
    for (const std::string_view known : rules.names) names += (names.empty() ? "" : ", ") + std::string(known);
  }
  return Error{ErrorCode::invalid_model, "unknown pre-tokenizer \"" + printable(name) + "\", expected one of " + names,
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
