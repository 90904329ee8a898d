#pragma once
// Threads that share the tasks of one operation after another.
//
// An operation of a small model takes some ten microseconds, so its threads are not put to sleep in between: they spin
// for a moment, and sleep only when nothing follows. Tasks are handed out one by one, so that a thread whose core is
// busy with something else holds up a task and not its half of the work. Each thread begins with its own share, the
// same part of every operation: rows that it has just written are in its cache. Who computes a task never shows in a
// result. A thread that waits asks memory for the weights that it will read (see weight_stream.h).

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#include "kernels/cpu/weight_stream.h"
#include "kernels/cpu_affinity.h"

namespace headwater::kernels::cpu {

/// What the calling thread reads of the weights.
WeightStream& thread_weights();

class ThreadPool {
 public:
  /// threads: at least 1; the caller of run() is one of them. places: where each stays, if the system lets it; empty:
  /// anywhere. The caller, who may be anybody's thread, stays as it is. Throws std::system_error where the system
  /// starts no more.
  explicit ThreadPool(unsigned threads, const std::vector<CpuList>& places = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  unsigned size() const { return static_cast<unsigned>(workers_.size()) + 1; }
  /// Which thread of its pool the calling one is: 0 for one that calls run().
  static unsigned this_thread();

  /// Calls work(0) … work(n_tasks - 1), side by side in any order, and returns when all are done. What the calls wrote
  /// is visible then. One caller at a time; work must not call run(). n_tasks < 2^31. Where calls throw, such as
  /// std::bad_alloc, one of the exceptions leaves run(), after all others have ended.
  template <class Work>
  void run(std::size_t n_tasks, const Work& work) {
    if (workers_.empty() || n_tasks < 2) {
      for (std::size_t i = 0; i < n_tasks; ++i) work(i);
      return;
    }
    share(
        n_tasks, [](const void* context, std::size_t task) { (*static_cast<const Work*>(context))(task); }, &work);
  }

  /// The first of n_tasks that belongs to a thread's share; of thread size(), n_tasks.
  std::size_t share_begin(std::size_t n_tasks, std::size_t thread) const { return n_tasks * thread / size(); }

  /// Calls work(first, end) for pieces of rows [0, n) that are worth handing out; a few rows are quicker done than
  /// shared.
  template <class Work>
  void run_rows(std::size_t n, const Work& work) {
    constexpr std::size_t kPiece = 4;
    run((n + kPiece - 1) / kPiece,
        [&](std::size_t piece) { work(piece * kPiece, piece * kPiece + kPiece < n ? piece * kPiece + kPiece : n); });
  }

 private:
  using Call = void (*)(const void* context, std::size_t task);

  /// Consecutive tasks: where they end in the upper half, the next one to take in the lower. Both in one word: whoever
  /// takes a task that exists knows that call_ and context_ belong to it, and stay until it is done.
  struct alignas(64) Share {
    std::atomic<std::uint64_t> ticket{0};
    bool has_tasks() const;
  };

  void stop();
  void share(std::size_t n_tasks, Call call, const void* context);
  /// Takes tasks until there are no more, from its own share first.
  void take_tasks(std::size_t thread);
  void take_tasks_of(Share& share);
  bool has_tasks() const;
  void work_until_stopped(std::size_t thread);

  std::vector<Share> shares_;  ///< one for each thread; the caller's is the first
  Call call_ = nullptr;
  const void* context_ = nullptr;
  alignas(64) std::atomic<std::uint32_t> done_{0};
  alignas(64) std::atomic<std::uint32_t> operations_{0};  ///< counts up at each; sleepers wait for it
  std::atomic<std::uint32_t> sleepers_{0};
  std::atomic<bool> stopped_{false};
  std::atomic<bool> failed_{false};
  std::exception_ptr error_;  ///< of the first task that threw
  std::vector<std::thread> workers_;
};

}  // namespace headwater::kernels::cpu
