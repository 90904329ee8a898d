#pragma once
// Where the time of a step goes: spans of named work, written as a trace that Perfetto and chrome://tracing show.
//
// Off, a span costs one load of a flag. On, it costs two readings of the clock and 32 bytes; a fixed number of spans is
// kept, and what comes after is counted and left out.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

namespace headwater::trace {

/// Begins to record. `spans`: how many are kept at most. Forgets what was recorded before.
void start(std::size_t spans = std::size_t{1} << 20U);

/// Ends recording and writes what was recorded to `path`. False: the file cannot be written.
bool write(const std::string& path);

/// Whether spans are being recorded.
inline std::atomic<bool> recording{false};

/// Records from construction to destruction, on the calling thread.
class Span {
 public:
  /// `name` must live for ever, such as a literal. `count`: rows, tokens or whatever explains the duration.
  explicit Span(const char* name, std::uint64_t count = 0) {
    if (recording.load(std::memory_order_relaxed)) begin(name, count);
  }
  ~Span() {
    if (name_ != nullptr) end();
  }
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;

 private:
  void begin(const char* name, std::uint64_t count);
  void end() const;

  const char* name_ = nullptr;
  std::uint64_t count_ = 0;
  std::int64_t began_ = 0;  ///< nanoseconds
};

/// Names the calling thread in traces; nothing where none is recorded.
void name_thread(const char* name);

}  // namespace headwater::trace
