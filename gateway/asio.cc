#include "gateway/asio.h"

#include <spdlog/spdlog.h>

namespace headwater::gateway {

void log_failure(const std::exception_ptr& failure) {
  if (!failure) return;
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    spdlog::error("a connection was ended by a bug: {}", error.what());
  }
}

}  // namespace headwater::gateway
