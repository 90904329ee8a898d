#include "kernels/cpu/weight_stream.h"

namespace headwater::kernels::cpu {

void WeightStream::ask_beyond(std::size_t bytes) {
  const std::size_t left = now_.end - next_;
  ahead_ += left;
  prefetch(now_.end);
  if (then_.begin == then_.end) return;
  now_ = then_;
  then_ = {};
  next_ = now_.begin;
  ask(bytes - left);
}

}  // namespace headwater::kernels::cpu
