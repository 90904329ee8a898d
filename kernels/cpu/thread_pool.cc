#include "kernels/cpu/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace headwater::kernels::cpu {
namespace {

/// How long a thread spins for the next operation. A step's operations follow each other within microseconds; a pause
/// between steps may be longer, and then the cores belong to the rest of the server.
constexpr std::chrono::microseconds kSpin{50};
/// Looks at the tasks between two looks at the clock.
constexpr int kLooks = 64;

thread_local WeightStream weights;
thread_local unsigned index_of_thread = 0;

void wait() {
  if (!weights.ask_idly()) __builtin_ia32_pause();
}

constexpr unsigned kHalf = 32;
std::uint32_t next(std::uint64_t ticket) { return static_cast<std::uint32_t>(ticket); }
std::uint32_t end(std::uint64_t ticket) { return static_cast<std::uint32_t>(ticket >> kHalf); }

}  // namespace

WeightStream& thread_weights() { return weights; }
unsigned ThreadPool::this_thread() { return index_of_thread; }

ThreadPool::ThreadPool(unsigned threads, const std::vector<CpuList>& places) : shares_(threads) {
  try {
    for (unsigned i = 1; i < threads; ++i) {
      workers_.emplace_back([this, i, place = i < places.size() ? places[i] : CpuList()] {
        (void)set_affinity(place);
        work_until_stopped(i);
      });
    }
  } catch (...) {
    stop();  // a thread that is destroyed while it runs ends the process
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  stopped_ = true;
  ++operations_;
  operations_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

bool ThreadPool::Share::has_tasks() const {
  const std::uint64_t now = ticket.load(std::memory_order_relaxed);
  return next(now) < end(now);
}

bool ThreadPool::has_tasks() const { return std::ranges::any_of(shares_, &Share::has_tasks); }

void ThreadPool::take_tasks_of(Share& share) {
  std::uint32_t n_done = 0;
  while (share.has_tasks()) {
    const std::uint64_t ticket = share.ticket.fetch_add(1, std::memory_order_acq_rel);
    if (next(ticket) >= end(ticket)) break;
    try {
      call_(context_, next(ticket));
    } catch (...) {
      if (!failed_.exchange(true)) error_ = std::current_exception();
    }
    ++n_done;
  }
  if (n_done > 0) done_.fetch_add(n_done, std::memory_order_release);
}

void ThreadPool::take_tasks(std::size_t thread) {
  for (std::size_t i = 0; i < shares_.size(); ++i) take_tasks_of(shares_[(thread + i) % shares_.size()]);
}

void ThreadPool::share(std::size_t n_tasks, Call call, const void* context) {
  call_ = call;
  context_ = context;
  done_.store(0, std::memory_order_relaxed);
  for (std::size_t i = 0; i < shares_.size(); ++i) {
    const std::uint64_t first = share_begin(n_tasks, i);
    const std::uint64_t last = share_begin(n_tasks, i + 1);
    shares_[i].ticket.store(last << kHalf | first, std::memory_order_release);
  }
  // Ordered against a thread that counts itself among the sleepers and then looks at operations_ once more.
  ++operations_;
  if (sleepers_.load() > 0) operations_.notify_all();
  take_tasks(0);
  for (int i = 0; done_.load(std::memory_order_acquire) < n_tasks; ++i) {
    if (i < 32768) {
      wait();
    } else {
      std::this_thread::yield();  // the core of a thread that has a task is taken; perhaps it needs this one
    }
  }
  if (failed_.exchange(false)) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::work_until_stopped(std::size_t thread) {
  index_of_thread = static_cast<unsigned>(thread);
  while (!stopped_) {
    const std::uint32_t seen = operations_.load();
    take_tasks(thread);
    const auto spin_end = std::chrono::steady_clock::now() + kSpin;
    do {
      for (int i = 0; i < kLooks && !has_tasks(); ++i) wait();
    } while (!has_tasks() && std::chrono::steady_clock::now() < spin_end);
    if (has_tasks() || stopped_) continue;
    ++sleepers_;
    operations_.wait(seen);
    --sleepers_;
  }
}

}  // namespace headwater::kernels::cpu
