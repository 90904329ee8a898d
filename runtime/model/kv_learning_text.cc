#include "model/kv_learning_text.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "model/tokenizer.h"

namespace headwater::model {
namespace {

constexpr std::string_view kText =
    R"(The lighthouse keeper wrote one line a day. Most of them say only how the wind stood and how much oil was burned, and
yet whoever reads a whole year of them knows when the children were ill. In March 1893 the ink froze twice. "Nothing to
report," he noted, "but a great many geese." Nobody had asked him for the geese.

#include <vector>

double median(std::vector<double> values) {
  if (values.empty()) return 0.0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];  // the upper one of two
}

def read_lines(path, limit=100):
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n") for _, line in zip(range(limit), file)]

{"order": 20417, "paid": false, "items": [{"name": "oil, 5 l", "price": 12.75}, {"name": "wick", "price": 0.9}], "note": null}

Question: a train leaves at 14:20 and travels 150 km at 60 km/h. When does it arrive?
A. 16:20  B. 16:50  C. 17:20  D. 16:30
Answer: B. 150 / 60 = 2.5 hours, and 14:20 plus two and a half hours is 16:50.

To change a wheel:
1. Park on firm ground and pull the brake.
2. Loosen the nuts by half a turn, before the car is raised.
3. Raise it, take off the wheel, put on the other.
- Do not tighten the nuts fully until it stands on the ground again.

Les mouettes suivent le bateau jusqu'au port. Der Leuchtturm wurde 1911 auf elektrisches Licht umgestellt.
El faro ya no tiene guardián. Маяк виден за двадцать миль. 灯台の光は十五秒ごとに回る。灯塔建于一百年前。
)";

/// Fewer tokens are no language's.
constexpr std::uint32_t kLeastVocabulary = 1000;

std::vector<TokenId> text_tokens(const GgufFile* file, std::uint32_t vocab_size) {
  if (file == nullptr || vocab_size < kLeastVocabulary) return {};
  const auto tokenizer = Tokenizer::load(*file);
  if (!tokenizer) return {};
  std::vector<TokenId> ids = (*tokenizer)->encode(kText, {});
  if ((*tokenizer)->adds_bos()) ids.insert(ids.begin(), (*tokenizer)->bos());
  const bool known =
      std::ranges::all_of(ids, [&](TokenId id) { return id >= 0 && static_cast<std::uint32_t>(id) < vocab_size; });
  return known ? ids : std::vector<TokenId>();
}

}  // namespace

std::vector<TokenId> learning_tokens(const GgufFile* file, std::uint32_t vocab_size, std::uint32_t n) {
  constexpr std::size_t kPiece = 64;
  const std::vector<TokenId> text = text_tokens(file, vocab_size);
  const std::size_t n_pieces = (n + kPiece - 1) / kPiece;
  const std::size_t step = n_pieces > 1 && text.size() > n ? (text.size() - kPiece) / (n_pieces - 1) : kPiece;
  std::vector<TokenId> tokens(n);
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t place = i / kPiece * step + i % kPiece;
    tokens[i] = text.empty() ? static_cast<TokenId>((i * 104729U + 7U) % vocab_size) : text[place % text.size()];
  }
  return tokens;
}

}  // namespace headwater::model
