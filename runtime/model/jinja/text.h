#pragma once
// Text that knows where each of its bytes comes from: whatever is done with it, a client's words stay a client's.
//
// Threading: as std::string.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headwater::model::jinja {

/// Special tokens are looked for in the template's own text alone.
enum class Origin : std::uint8_t {
  written,  ///< by the template's author
  data,     ///< from the conversation, or made of something that is
};

/// Of something made of both.
constexpr Origin either(Origin a, Origin b) { return a == Origin::data ? a : b; }

class Text {
 public:
  Text() = default;
  Text(std::string bytes, Origin origin) : bytes_(std::move(bytes)), first_(origin) {}

  const std::string& bytes() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  /// Bytes of memory.
  std::size_t cost() const { return bytes_.size() + runs_.size() * sizeof(Run); }

  void append(std::string_view bytes, Origin origin);
  void append(const Text& other) { append(other, 0, other.size()); }
  /// Bytes `begin` … `end` of another text. REQUIRES: begin <= end <= other.size().
  void append(const Text& other, std::size_t begin, std::size_t end);
  /// REQUIRES: begin <= end <= size().
  Text part(std::size_t begin, std::size_t end) const;

  /// REQUIRES: at < size().
  Origin origin_at(std::size_t at) const;
  /// data, where any of it is.
  Origin origin() const;

  /// Calls `use(bytes, origin)` for each stretch of one origin between `begin` and `end`, in order.
  template <class Use>
  void each_stretch(std::size_t begin, std::size_t end, Use use) const {
    const std::string_view all = bytes_;
    std::size_t run = run_at(begin);
    while (begin < end) {
      const std::size_t stop = run + 1 < runs_.size() ? std::min(runs_[run + 1].begin, end) : end;
      use(all.substr(begin, stop - begin), runs_.empty() ? first_ : runs_[run].origin);
      begin = stop;
      ++run;
    }
  }

 private:
  /// Goes on up to where the next begins.
  struct Run {
    std::size_t begin;
    Origin origin;
  };
  std::size_t run_at(std::size_t at) const;

  std::string bytes_;
  Origin first_ = Origin::written;  ///< of all, where there are no runs
  std::vector<Run> runs_;           ///< none: all of one origin; else the first begins at 0, and neighbours differ
};

}  // namespace headwater::model::jinja
