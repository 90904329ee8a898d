#pragma once
// Cuts text into the words that byte pair encoding works on. Each model family trained with its own rules,
// which a GGUF file names in tokenizer.ggml.pre.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "headwater/result.h"

namespace headwater::model {

/// Threading: immutable; any number of threads may call split() at once.
class Pretokenizer {
 public:
  /// A name of pretokenizer_rules(), such as "smollm" or "qwen2". Error: lists the known.
  static Result<std::shared_ptr<const Pretokenizer>> by_name(std::string_view name);
  ~Pretokenizer();

  /// Calls `word` for each piece in order; together the pieces are the text. Bytes that are not UTF-8 are pieces of
  /// their own.
  void split(std::string_view text, const std::function<void(std::string_view)>& word) const;

  /// The same pieces one after the other, as they are asked for.
  class Cursor {
   public:
    /// `rules` and `text` outlive it.
    Cursor(const Pretokenizer& rules, std::string_view text);
    ~Cursor();
    Cursor(Cursor&&) noexcept;
    /// The next piece; empty: there is no more.
    std::string_view next();

   private:
    struct Level;

    bool open_run();

    const Pretokenizer* rules_;
    std::string_view rest_;      ///< no run of valid UTF-8 has been opened in it yet
    std::string_view invalid_;   ///< what comes after the run that is open
    std::vector<Level> levels_;  ///< the pieces that are being cut, one a stage
  };

  /// A word that is a token as a whole is taken without merging.
  bool whole_words_first() const { return whole_words_first_; }
  /// BOS goes in front unless the file says otherwise.
  bool adds_bos() const { return adds_bos_; }

 private:
  struct Pattern;
  Pretokenizer() = default;

  std::vector<std::unique_ptr<const Pattern>> stages_;  ///< each cuts the pieces of the one before
  bool whole_words_first_ = false;
  bool adds_bos_ = false;
};

}  // namespace headwater::model
