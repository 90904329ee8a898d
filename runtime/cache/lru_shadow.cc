#include "cache/lru_shadow.h"

#include <algorithm>

namespace headwater::cache {

LruShadow::LruShadow(std::uint32_t capacity)
    : capacity_(capacity), span_(std::max<std::uint32_t>(capacity / 64, 1)), keys_(kSpans) {}

void LruShadow::use(std::uint64_t before, std::uint64_t now) {
  if (holds(before) && at(before / span_) > 0) {  // a key may be taken for another
    --at(before / span_);
    --held_;
  }
  while (last_ < now / span_) {
    ++last_;
    // A ring that is full drops its oldest span: what is used that seldom beside so many hits decides nothing.
    if (last_ - first_ >= kSpans) held_ -= at(first_++);
    at(last_) = 0;
  }
  ++at(last_);
  ++held_;
  while (held_ > capacity_ && first_ < last_) held_ -= at(first_++);
}

void LruShadow::reset() { *this = LruShadow(capacity_); }

}  // namespace headwater::cache
