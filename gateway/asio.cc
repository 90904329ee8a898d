#include "gateway/asio.h"

#include <spdlog/spdlog.h>

namespace headwater::gateway {

std::string describe(const std::exception_ptr& failure) noexcept {
  try {
    std::rethrow_exception(failure);
  } catch (const std::bad_alloc&) {
    return "no memory";  // short enough to need none
  } catch (const std::exception& error) {
    try {
      return error.what();
    } catch (...) {
      return "no memory";
    }
  } catch (...) {
    return "unknown";
  }
}

void log_failure(const std::exception_ptr& failure) noexcept {
  if (failure) spdlog::error("a connection was ended by an exception: {}", describe(failure));
}

void run_all(net::io_context& context) noexcept {
  for (;;) {
    try {
      context.run();
      return;
    } catch (...) {
      spdlog::error("an exception left a handler: {}", describe(std::current_exception()));
    }
  }
}

}  // namespace headwater::gateway
