#pragma once
// Whether the system lets this process start the threads that it is about to. Libraries that start their own do not all
// survive a refusal (CAF's actor_system hangs or aborts), so that has to be found before they are asked.

namespace headwater::kernels {

/// Starts up to `n` threads side by side, and ends them. Gives how many the system let it start.
unsigned startable_threads(unsigned n);

}  // namespace headwater::kernels
