#include "kernels/cpu/weight_stream.h"

namespace headwater::kernels::cpu {

void WeightStream::ask_beyond(std::size_t bytes) {
  const std::size_t left = now_.end - next_;
  ahead_ += left;
  prefetch(now_.end);
  if (move_on()) ask(bytes - left);
}

}  // namespace headwater::kernels::cpu
