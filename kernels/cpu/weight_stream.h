#pragma once
// What a thread asks memory for before it needs it.
//
// One sequence is bound by how fast weights come from memory, and memory is slow to answer and quick to stand idle: at
// the ends of operations, while a thread waits for another, while attention is computed. So each thread has one stream
// of weights through all matrices, and asks for it at the rate at which it uses it, some way ahead, from one matrix
// into the next; and when it has nothing to do, it gets further ahead.

#include <cstddef>
#include <cstdint>

// Files for different instruction sets include this: what is inline here must be inlined (see product.h).

namespace headwater::kernels::cpu {

class WeightStream {
 public:
  static constexpr std::size_t kLine = 64;
  /// How far ahead of its use a thread asks: so long does memory need to answer.
  static constexpr std::size_t kAhead = 16384;
  /// And at most: what the second-level cache has room for, beside the weights in use and the rest of a step.
  static constexpr std::size_t kFurthest = std::size_t{256} << 10U;

  /// Addresses; what lies between is read in order.
  struct Range {
    std::uintptr_t begin = 0, end = 0;
  };

  /// The thread will now read `now`, and `then` afterwards. What it has asked for of `now` already counts.
  [[gnu::always_inline]] void enter(Range now, Range then) {
    if (next_ < now.begin || next_ > now.end) next_ = now.begin;
    now_ = now;
    then_ = then;
    ahead_ = next_ - now.begin;
    if (ahead_ < kAhead) ask(kAhead - ahead_);
  }

  /// Asks for so many bytes more, whole lines.
  [[gnu::always_inline]] void ask(std::size_t bytes) {
    if (next_ + bytes > now_.end) return ask_beyond(bytes);
    ahead_ += bytes;
    prefetch(next_ + bytes);
  }

  /// For a thread that has nothing else to do: one line more. False if it is far enough ahead.
  [[gnu::always_inline]] bool ask_idly() {
    if (move_on()) ahead_ = 0;  // what is left of now_ others have taken
    if (ahead_ >= kFurthest || next_ >= now_.end) return false;
    ask(kLine);
    return true;
  }

  /// The thread begins with so many bytes. What it should ask for itself meanwhile: as many, to stay as far ahead, or,
  /// if it is further than it must be, half of them: it asks at the rate of memory, and computes at twice that.
  [[gnu::always_inline]] Range use(std::size_t bytes) {
    ahead_ -= bytes < ahead_ ? bytes : ahead_;
    if (ahead_ > kAhead) bytes = bytes / (2 * kLine) * kLine;
    const Range asked = {next_, next_ + bytes};
    if (asked.end > now_.end) {
      ask_beyond(bytes);
      return {};
    }
    next_ += bytes;
    ahead_ += bytes;
    return asked;
  }

 private:
  [[gnu::always_inline]] void prefetch(std::uintptr_t until) {
    std::uintptr_t at = next_;
    for (; at < until; at += kLine) __builtin_prefetch(reinterpret_cast<const void*>(at), 0, 2);
    next_ = at;
  }
  /// To what is read after now_; false if that is not known.
  [[gnu::always_inline]] bool move_on() {
    if (then_.begin == then_.end) return false;
    now_ = then_;
    then_ = {};
    next_ = now_.begin;
    return true;
  }
  [[gnu::noinline]] void ask_beyond(std::size_t bytes);

  std::uintptr_t next_ = 0;  ///< the first byte that has not been asked for
  Range now_, then_;         ///< next_ is within now_
  std::size_t ahead_ = 0;    ///< bytes that have been asked for and not used
};

/// Asks for what a thread should ask for while it computes a panel, bit by bit.
class PanelStream {
 public:
  /// at_once: bytes of an ask().
  [[gnu::always_inline]] PanelStream(WeightStream& stream, std::size_t panel_bytes, std::size_t at_once)
      : left_(stream.use(panel_bytes)), at_once_(at_once) {}

  /// For a panel during which ask() is called `asks` times.
  [[gnu::always_inline]] static std::size_t at_once(std::size_t panel_bytes, std::size_t asks) {
    return (panel_bytes / WeightStream::kLine + asks - 1) / asks * WeightStream::kLine;
  }

  [[gnu::always_inline]] void ask() {
    const std::uintptr_t until = left_.begin + at_once_ < left_.end ? left_.begin + at_once_ : left_.end;
    for (; left_.begin < until; left_.begin += WeightStream::kLine) prefetch(left_.begin);
  }
  /// The same for a number of lines that is known beforehand. Of the last it may ask for more than it should.
  template <int kLines>
  [[gnu::always_inline]] void ask() {
    if (left_.begin >= left_.end) return;
#pragma GCC unroll 16
    for (int i = 0; i < kLines; ++i) prefetch(left_.begin + i * WeightStream::kLine);
    left_.begin += kLines * WeightStream::kLine;
  }

 private:
  [[gnu::always_inline]] static void prefetch(std::uintptr_t line) {
    __builtin_prefetch(reinterpret_cast<const void*>(line), 0, 2);
  }

  WeightStream::Range left_;
  std::size_t at_once_;
};

}  // namespace headwater::kernels::cpu
