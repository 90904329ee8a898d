#pragma once
// Memory that is kept back for when the system gives no more. What is small and goes on (a message, a list's node, a
// log line) is then served out of it, in places that no exception may leave; what is large throws std::bad_alloc, and
// fails its request. Threading: all from any thread.

#include <cstddef>

namespace headwater::kernels {

/// Sets `bytes` of addresses aside, untouched, and becomes the process's std::new_handler. To be called once, by the
/// program. Where so much is not to be had, it is taken later.
void keep_memory_reserve(std::size_t bytes);

/// Whether the reserve is whole, or none is kept. Takes back what was given up, where the system gives it; until then
/// nothing new should be begun.
bool memory_reserve_whole();

}  // namespace headwater::kernels
