#pragma once
// Threads for what would hold up sockets.

#include <thread>
#include <vector>

#include "gateway/asio.h"

namespace headwater::gateway {

/// Threading: every member may be called from any thread, join() from one.
class WorkerPool {
 public:
  explicit WorkerPool(int threads) : work_(context_.get_executor()) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run_all(context_); });
  }
  ~WorkerPool() { join(); }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  net::io_context::executor_type get_executor() { return context_.get_executor(); }

  /// Ends when all that was given is done.
  void join() {
    work_.reset();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  net::io_context context_;
  net::executor_work_guard<net::io_context::executor_type> work_;
  std::vector<std::thread> threads_;
};

/// Runs `work` in a pool; the caller goes on, on its own strand, when it is done. An exception of `work` comes out
/// here. REQUIRES: what `work` refers to outlives the await.
template <class Work>
Awaitable<void> run_in(WorkerPool& pool, Work& work) {
  co_await net::co_spawn(
      pool.get_executor(),
      [&work]() -> Awaitable<void> {
        work();
        co_return;
      },
      net::use_awaitable);
}

}  // namespace headwater::gateway
