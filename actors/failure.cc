#include "actors/failure.h"

#include <spdlog/spdlog.h>

#include <cstdlib>
#include <new>

namespace headwater::actors {
namespace {

const std::string kNoMemory = "no memory left";

std::string words_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception of an unknown type";
  }
}

bool no_memory(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::bad_alloc&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

caf::error error_of(const std::exception_ptr& thrown) {
  return caf::make_error(caf::sec::runtime_error, no_memory(thrown) ? kNoMemory : words_of(thrown));
}

bool lacked_memory(const caf::error& reason) { return to_string(reason).find(kNoMemory) != std::string::npos; }

Error failure_of(const std::exception_ptr& thrown, const std::string& who) {
  if (no_memory(thrown))
    return {ErrorCode::unavailable, "the server has no memory left for this request; try later", ""};
  return {ErrorCode::stage_failed, who + " failed: " + words_of(thrown) + "; send the request again", ""};
}

void end_process(const std::string& reason) {
  spdlog::critical("{}; no request can be answered any more, so the process ends", reason);
  spdlog::default_logger_raw()->flush();
  std::_Exit(EXIT_FAILURE);
}

}  // namespace headwater::actors
