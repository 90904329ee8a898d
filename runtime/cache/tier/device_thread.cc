#include "cache/tier/device_thread.h"

#include <pthread.h>

#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace headwater::cache {

struct DeviceThread::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Job> jobs;
  bool closing = false, ended = false;

  void run();
};

void DeviceThread::State::run() {
  // Nor does a limit on the size of files end the process (SIGXFSZ): a write then says EFBIG.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  std::unique_lock lock(mutex);
  for (;;) {
    changed.wait(lock, [this] { return closing || !jobs.empty(); });
    if (closing) break;
    Job job = std::move(jobs.front());
    jobs.pop_front();
    lock.unlock();
    Done done = job();
    lock.lock();
    if (!closing) done();
    lock.unlock();
    done = nullptr;
    job = nullptr;  // what it owns goes here, and not where somebody holds the lock
    lock.lock();
  }
  ended = true;
  changed.notify_all();
}

DeviceThread::DeviceThread(std::chrono::milliseconds patience)
    : state_(std::make_shared<State>()), patience_(patience) {
  std::thread([state = state_] { state->run(); }).detach();
}

DeviceThread::~DeviceThread() {
  std::deque<Job> dropped;
  std::unique_lock lock(state_->mutex);
  state_->closing = true;
  dropped.swap(state_->jobs);
  state_->changed.notify_all();
  state_->changed.wait_for(lock, patience_, [this] { return state_->ended; });
}

void DeviceThread::post(Job job) {
  const std::lock_guard lock(state_->mutex);
  state_->jobs.push_back(std::move(job));
  state_->changed.notify_all();
}

}  // namespace headwater::cache
