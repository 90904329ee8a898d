#pragma once
// What rendering may take, so that no template holds a server up, and how it fails.
//
// Threading: one caller at a time.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <utility>

namespace headwater::model::jinja {

/// Ends a rendering or the reading of a template. It is caught where those begin (template.h) and never seen outside.
class Failure : public std::exception {
 public:
  enum class Kind : std::uint8_t {
    raised,   ///< by the template's raise_exception()
    mistake,  ///< what Python would have raised
    limit,    ///< of this server
    syntax,
  };
  Failure(Kind kind, std::string message) : kind(kind), message(std::move(message)) {}
  const char* what() const noexcept override { return message.c_str(); }

  Kind kind;
  std::string message;
  std::size_t line = 0;  ///< 0: not known yet
};

/// Throws what Python would have raised.
[[noreturn]] inline void fail(std::string message) { throw Failure(Failure::Kind::mistake, std::move(message)); }

struct Limits {
  std::uint64_t steps = 5'000'000;               ///< things evaluated; 32 bytes copied are one as well
  std::uint64_t bytes = 64 << 20;                ///< of all values at a time
  std::size_t output = 16 << 20;                 ///< bytes
  std::uint32_t depth = 2000;                    ///< of what is evaluated within each other
  static constexpr std::uint32_t kNested = 100;  ///< lists and dicts within each other
};

class Budget {
 public:
  explicit Budget(const Limits& limits) : limits_(limits), steps_left_(limits.steps) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  void step(std::uint64_t n = 1) {
    if (n > steps_left_) exceeded("takes more than " + std::to_string(limits_.steps) + " steps");
    steps_left_ -= n;
  }
  /// Before so many bytes are copied or looked through.
  void copy(std::size_t bytes) { step(bytes / 32); }
  /// Memory that is held until release().
  void hold(std::size_t bytes) {
    check(bytes);
    held_ += bytes;
  }
  void release(std::size_t bytes) { held_ -= bytes; }
  /// Before so much is made.
  void check(std::uint64_t bytes) const {
    if (bytes > limits_.bytes - held_) exceeded("needs more than " + std::to_string(limits_.bytes >> 20U) + " MiB");
  }
  std::uint64_t held() const { return held_; }
  const Limits& limits() const { return limits_; }

  [[noreturn]] static void exceeded(const std::string& what) {
    throw Failure(Failure::Kind::limit, "the template " + what + ", which is more than it may");
  }

  /// One more thing within another, for as long as it lives.
  class Level {
   public:
    explicit Level(Budget& budget) : budget_(budget) {
      if (budget.depth_ >= budget.limits_.depth) exceeded("nests calls and expressions deeply");
      ++budget.depth_;
    }
    ~Level() { --budget_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Budget& budget_;
  };

 private:
  const Limits limits_;
  std::uint64_t steps_left_;
  std::uint64_t held_ = 0;
  std::uint32_t depth_ = 0;
};

}  // namespace headwater::model::jinja
