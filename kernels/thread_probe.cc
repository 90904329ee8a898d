#include "kernels/thread_probe.h"

#include <atomic>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

namespace headwater::kernels {

unsigned startable_threads(unsigned n) {
  std::atomic<bool> ended{false};
  std::vector<std::thread> threads;
  try {
    threads.reserve(n);
    for (unsigned i = 0; i < n; ++i) threads.emplace_back([&ended] { ended.wait(false); });
  } catch (const std::system_error&) {
  } catch (const std::bad_alloc&) {
  }
  ended = true;
  ended.notify_all();
  for (std::thread& thread : threads) thread.join();
  return static_cast<unsigned>(threads.size());
}

}  // namespace headwater::kernels
