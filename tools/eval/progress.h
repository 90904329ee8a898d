#pragma once
// How far a long piece of work has come: a bar on a terminal, otherwise a line now and then.

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>

namespace headwater::eval {

class Progress {
 public:
  /// `seconds`: a clock. `unit`: what is counted, e.g. "tokens".
  Progress(std::ostream& out, bool terminal, std::uint64_t total, std::string unit, std::function<double()> seconds);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// What is being done, e.g. "quant policy 8".
  void label(std::string text) { label_ = std::move(text); }
  void advance(std::uint64_t n);
  /// Takes the bar away, so that something else can be printed; it comes back by itself.
  void clear();

 private:
  std::string bar(double now) const;
  std::string sentence(double now) const;
  std::string left(double now) const;

  std::ostream& out_;
  bool terminal_;
  std::uint64_t done_ = 0, total_;
  std::string unit_, label_;
  std::function<double()> seconds_;
  double began_, told_;
  bool drawn_ = false;
};

}  // namespace headwater::eval
