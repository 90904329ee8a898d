#pragma once
// A thread that waits for a device, so that nobody else does. A call to the system that never returns keeps this thread
// and nothing more: whoever owns it goes without it.

#include <chrono>
#include <functional>
#include <memory>

namespace headwater::cache {

/// Threading: post() and the destructor from one thread. Jobs run on the device's, one after the other.
class DeviceThread {
 public:
  /// What is left to do with a job's outcome. It is called on the device's thread, never after the destructor began.
  using Done = std::function<void()>;
  using Job = std::function<Done()>;

  /// `patience`: how long the destructor waits for the job that runs.
  explicit DeviceThread(std::chrono::milliseconds patience = std::chrono::seconds(2));
  /// Jobs that have not begun are dropped. One that outlasts the patience is left alone: it ends when the device
  /// answers, or with the process. So a job must own what it uses.
  ~DeviceThread();
  DeviceThread(const DeviceThread&) = delete;
  DeviceThread& operator=(const DeviceThread&) = delete;

  void post(Job job);

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::chrono::milliseconds patience_;
};

}  // namespace headwater::cache
