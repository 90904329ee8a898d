#include "model/text_stream.h"

#include <algorithm>
#include <utility>

#include "model/utf8.h"

namespace headwater::model {
namespace {

/// Moves whole characters from `bytes` to the end of `text`; only an incomplete one stays. Invalid bytes become U+FFFD.
void decode(std::string& bytes, std::string& text, bool at_end) {
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const Utf8Step step = utf8_step(rest);
    if (step.incomplete && !at_end) break;
    text += step.valid ? rest.substr(0, step.length) : kReplacement;
    rest.remove_prefix(step.length);
  }
  bytes.erase(0, bytes.size() - rest.size());
}

}  // namespace

TextStream::TextStream(std::vector<std::string> stop) : stop_(std::move(stop)) {
  for (const std::string& text : stop_) longest_stop_ = std::max(longest_stop_, text.size());
}

TextStream::Delta TextStream::push(std::string_view bytes, bool may_stop) {
  incomplete_ += bytes;
  decode(incomplete_, held_, false);
  if (!may_stop) passed_ = held_.size();
  Delta delta;
  std::size_t first = std::string::npos;
  std::size_t first_end = std::string::npos;
  for (const std::string& stop : stop_) {
    const std::size_t at = held_.find(stop, passed_ < stop.size() ? 0 : passed_ - stop.size() + 1);
    if (at == std::string::npos) continue;
    const std::size_t end = at + stop.size();
    if (end > first_end || (end == first_end && at >= first)) continue;
    first = at;
    first_end = end;
    delta.stop_match = stop;
  }
  if (first != std::string::npos) {
    delta.text = held_.substr(0, first);
    delta.stopped = true;
    return delta;
  }
  const std::size_t ready = held_.size() - possible_stop();
  delta.text = held_.substr(0, ready);
  held_.erase(0, ready);
  passed_ -= std::min(passed_, ready);
  return delta;
}

std::size_t TextStream::possible_stop() const {
  for (std::size_t length = std::min(held_.size(), longest_stop_); length > 0; --length) {
    const std::string_view tail = std::string_view(held_).substr(held_.size() - length);
    // A whole one that ended too early to count may still be the beginning of a longer one.
    const auto may_become = [&](const std::string& stop) { return stop.size() > length && stop.starts_with(tail); };
    if (std::ranges::any_of(stop_, may_become)) return length;
  }
  return 0;
}

std::string TextStream::flush() {
  decode(incomplete_, held_, true);
  passed_ = 0;
  return std::exchange(held_, {});
}

}  // namespace headwater::model
