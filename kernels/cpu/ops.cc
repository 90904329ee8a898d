#include "kernels/cpu/ops.h"
#include "kernels/cpu/silu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/ops.cc"
#include <hwy/foreach_target.h>
// After foreach_target:
#include <hwy/highway.h>

#include <cmath>

#include "kernels/cpu/exp2-inl.h"

HWY_BEFORE_NAMESPACE();
namespace headwater::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;
using Vec = hn::Vec<Floats>;

/// The vector at x[i …], where only `n - i` values may be left: the rest is zero. By way of the stack, since masked
/// loads and stores of the older instruction sets touch what lies beyond the end.
HWY_INLINE Vec load_tail(Floats d, const float* x, std::size_t i, std::size_t n) {
  if (n - i >= hn::Lanes(d)) return hn::LoadU(d, x + i);
  HWY_ALIGN float lanes[hn::MaxLanes(d)] = {};
  for (std::size_t k = 0; i + k < n; ++k) lanes[k] = x[i + k];
  return hn::Load(d, lanes);
}
HWY_INLINE void store_tail(Floats d, Vec v, float* x, std::size_t i, std::size_t n) {
  if (n - i >= hn::Lanes(d)) {
    hn::StoreU(v, d, x + i);
    return;
  }
  HWY_ALIGN float lanes[hn::MaxLanes(d)];
  hn::Store(v, d, lanes);
  for (std::size_t k = 0; i + k < n; ++k) x[i + k] = lanes[k];
}

void RmsNorm(const float* x, const float* weight, float epsilon, std::size_t dim, float* out) {
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  Vec squares = hn::Zero(d);
  for (std::size_t i = 0; i < dim; i += lanes) {
    const Vec v = load_tail(d, x, i, dim);
    squares = hn::MulAdd(v, v, squares);
  }
  const float sum = hn::GetLane(hn::SumOfLanes(d, squares));
  const Vec scale = hn::Set(d, 1.0F / std::sqrt(sum / static_cast<float>(dim) + epsilon));
  for (std::size_t i = 0; i < dim; i += lanes) {
    const Vec scaled = hn::Mul(load_tail(d, x, i, dim), scale);
    store_tail(d, hn::Mul(scaled, load_tail(d, weight, i, dim)), out, i, dim);
  }
}

void Add(float* x, const float* y, std::size_t dim) {
  const Floats d;
  for (std::size_t i = 0; i < dim; i += hn::Lanes(d)) {
    store_tail(d, hn::Add(load_tail(d, x, i, dim), load_tail(d, y, i, dim)), x, i, dim);
  }
}

/// 1 / (1 + e^-x), of no x below silu::kLowest.
HWY_INLINE Vec logistic(Floats d, Vec x) {
  const Vec exp = Exp2(d, hn::Mul(x, hn::Set(d, silu::kMinusLog2E)));
  const Vec sum = hn::Add(exp, hn::Set(d, 1.0F));
  const Vec guess = hn::ApproximateReciprocal(sum);
  return hn::Mul(guess, hn::NegMulAdd(sum, guess, hn::Set(d, 2.0F)));
}

/// x, or `lowest` where that is greater. A NaN stays, which Max() does not promise everywhere.
HWY_INLINE Vec at_least(Floats d, float lowest, Vec x) {
  const Vec least = hn::Set(d, lowest);
  return hn::IfThenElse(hn::Lt(x, least), least, x);
}

/// silu(gate) * up, by the operations of silu_avx512.h, one for one: the same bits where both are run.
HWY_INLINE Vec silu_mul_lanes(Floats d, Vec gate, Vec up) {
  const Vec g = at_least(d, silu::kLowest, gate);
  return hn::Mul(hn::Mul(g, logistic(d, g)), up);
}

HWY_INLINE Vec gelu_mul_lanes(Floats d, Vec gate, Vec up) {
  constexpr float kTwice = 1.59576912F;    // 2 √(2/π)
  const Vec g = at_least(d, -9.9F, gate);  // as good as zero, and its power is a float yet
  const Vec slope = hn::MulAdd(hn::Mul(g, g), hn::Set(d, 0.044715F * kTwice), hn::Set(d, kTwice));
  return hn::Mul(hn::Mul(g, logistic(d, hn::Mul(g, slope))), up);
}

void GeluMul(const float* gate_up, std::size_t rows, std::size_t dim, float* out, std::size_t stride) {
  const Floats d;
  for (std::size_t r = 0; r < rows; ++r) {
    const float* gate = gate_up + r * 2 * dim;
    const float* up = gate + dim;
    for (std::size_t i = 0; i < dim; i += hn::Lanes(d)) {
      const Vec product = gelu_mul_lanes(d, load_tail(d, gate, i, dim), load_tail(d, up, i, dim));
      store_tail(d, product, out + r * stride, i, dim);
    }
  }
}

void SoftCap(float* x, float cap, std::size_t n) {
  const Floats d;
  for (std::size_t i = 0; i < n; i += hn::Lanes(d)) {
    // tanh(y) = 2 / (1 + e^-2y) - 1
    const Vec y = at_least(d, silu::kLowest, hn::Mul(load_tail(d, x, i, n), hn::Set(d, 2 / cap)));
    const Vec tanh = hn::MulSub(hn::Set(d, 2.0F), logistic(d, y), hn::Set(d, 1.0F));
    store_tail(d, hn::Mul(hn::Set(d, cap), tanh), x, i, n);
  }
}

void Multiply(float* x, float factor, std::size_t n) {
  const Floats d;
  const Vec by = hn::Set(d, factor);
  for (std::size_t i = 0; i < n; i += hn::Lanes(d)) store_tail(d, hn::Mul(load_tail(d, x, i, n), by), x, i, n);
}

void SiluMulRow(const float* gate, const float* up, std::size_t dim, float* out) {
  const Floats d;
  for (std::size_t i = 0; i < dim; i += hn::Lanes(d)) {
    store_tail(d, silu_mul_lanes(d, load_tail(d, gate, i, dim), load_tail(d, up, i, dim)), out, i, dim);
  }
}

void SiluMul(const float* gate_up, std::size_t rows, std::size_t dim, float* out, std::size_t stride) {
  for (std::size_t r = 0; r < rows; ++r)
    SiluMulRow(gate_up + r * 2 * dim, gate_up + (r * 2 + 1) * dim, dim, out + r * stride);
}

void ToBf16(const float* x, std::size_t n, std::uint16_t* out) {
  const hn::ScalableTag<std::uint32_t> d32;
  const hn::Rebind<std::uint16_t, decltype(d32)> d16;
  const Floats d;
  const std::size_t lanes = hn::Lanes(d);
  const auto half = hn::Set(d32, 0x7FFFU);
  const auto one = hn::Set(d32, 1U);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const Vec v = hn::LoadU(d, x + i);
    const auto bits = hn::BitCast(d32, v);
    const auto lowest_kept = hn::And(hn::ShiftRight<16>(bits), one);
    auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, half), lowest_kept));
    // Rounding could carry a NaN over to infinity: keep its upper half, and make sure it stays a NaN.
    const auto nan = hn::Or(hn::ShiftRight<16>(bits), hn::Set(d32, 0x40U));
    rounded = hn::IfThenElse(hn::RebindMask(d32, hn::IsNaN(v)), nan, rounded);
    hn::StoreU(hn::DemoteTo(d16, hn::BitCast(hn::RebindToSigned<decltype(d32)>(), rounded)), d16, out + i);
  }
  if (i < n) reference::to_bf16(x + i, n - i, out + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace headwater::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace headwater::kernels::cpu {

HWY_EXPORT(RmsNorm);
HWY_EXPORT(Add);
HWY_EXPORT(SiluMul);
HWY_EXPORT(GeluMul);
HWY_EXPORT(Multiply);
HWY_EXPORT(SoftCap);
HWY_EXPORT(ToBf16);

void rms_norm(const float* x, const float* weight, float epsilon, std::size_t dim, float* out) {
  HWY_DYNAMIC_DISPATCH(RmsNorm)(x, weight, epsilon, dim, out);
}
void add(float* x, const float* y, std::size_t dim) { HWY_DYNAMIC_DISPATCH(Add)(x, y, dim); }
void silu_mul(const float* gate_up, std::size_t rows, std::size_t dim, float* out, std::size_t stride) {
  HWY_DYNAMIC_DISPATCH(SiluMul)(gate_up, rows, dim, out, stride);
}
void gelu_mul(const float* gate_up, std::size_t rows, std::size_t dim, float* out, std::size_t stride) {
  HWY_DYNAMIC_DISPATCH(GeluMul)(gate_up, rows, dim, out, stride);
}
void soft_cap(float* x, float cap, std::size_t n) { HWY_DYNAMIC_DISPATCH(SoftCap)(x, cap, n); }
void multiply(float* x, float factor, std::size_t n) { HWY_DYNAMIC_DISPATCH(Multiply)(x, factor, n); }
void to_bf16(const float* x, std::size_t n, std::uint16_t* out) { HWY_DYNAMIC_DISPATCH(ToBf16)(x, n, out); }

}  // namespace headwater::kernels::cpu
#endif
