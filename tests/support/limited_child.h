#pragma once
// Work in a child process whose addresses are limited, as by `ulimit -v`.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "kernels/memory_limits.h"

namespace headwater::test {

/// Runs `work` in a child that may take `bytes` of addresses more than it has; gives its exit status, 200 for a signal.
template <class Work>
int with_addresses(std::uint64_t bytes, const Work& work) {
  const pid_t child = fork();
  if (child == 0) {
    kernels::MemorySources addresses;
    addresses.address_space = RLIM_INFINITY - 1;
    const auto limits = kernels::memory_limits(addresses);
    const auto& all = *std::ranges::find(limits, "ulimit -v", &kernels::MemoryLimit::whose);
    const rlim_t limit = all.limit - all.available + bytes;
    const rlimit both{limit, limit};
    setrlimit(RLIMIT_AS, &both);
    _exit(work());
  }
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kAddressesCanBeLimited = false;  // sanitizers take addresses of their own
#else
inline constexpr bool kAddressesCanBeLimited = true;
#endif

}  // namespace headwater::test
