#pragma once
// What becomes of an exception that no handler expected. Threading: all from any thread.

#include <caf/all.hpp>
#include <exception>
#include <string>

#include "headwater/result.h"

namespace headwater::actors {

/// As an actor's exception handler: the reason for its end, in the exception's words.
caf::error error_of(const std::exception_ptr& thrown);

/// Whether `reason` is what error_of() makes of a lack of memory.
bool lacked_memory(const caf::error& reason);

/// For a request that the exception has cost: "unavailable" for a lack of memory, else "stage_failed". `who`: "the
/// frontend".
Error failure_of(const std::exception_ptr& thrown, const std::string& who);

/// For what nobody is left to put right: says so, and ends the process with status 1.
[[noreturn]] void end_process(const std::string& reason);

}  // namespace headwater::actors
