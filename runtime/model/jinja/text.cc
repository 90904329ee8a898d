#include "model/jinja/text.h"

#include <algorithm>

namespace headwater::model::jinja {

std::size_t Text::run_at(std::size_t at) const {
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), at,
                                      [](std::size_t place, const Run& run) { return place < run.begin; });
  return after == runs_.begin() ? 0 : static_cast<std::size_t>(after - runs_.begin()) - 1;
}

void Text::append(std::string_view bytes, Origin origin) {
  if (bytes.empty()) return;
  const Origin last = runs_.empty() ? first_ : runs_.back().origin;
  if (bytes_.empty()) {
    first_ = origin;
  } else if (last != origin) {
    if (runs_.empty()) runs_.push_back({0, first_});
    runs_.push_back({bytes_.size(), origin});
  }
  bytes_ += bytes;
}

void Text::append(const Text& other, std::size_t begin, std::size_t end) {
  other.each_stretch(begin, end, [this](std::string_view bytes, Origin origin) { append(bytes, origin); });
}

Text Text::part(std::size_t begin, std::size_t end) const {
  Text part;
  part.append(*this, begin, end);
  return part;
}

Origin Text::origin_at(std::size_t at) const { return runs_.empty() ? first_ : runs_[run_at(at)].origin; }

Origin Text::origin() const {
  // Neighbours differ.
  if (runs_.empty()) return empty() ? Origin::written : first_;
  return Origin::data;
}

}  // namespace headwater::model::jinja
