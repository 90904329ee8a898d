#pragma once
// Panels of weights (see product.h) made by hand, and the shapes that product kernels are tried on.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "kernels/cpu/grouped_product.h"
#include "kernels/tensor.h"

namespace headwater::kernels::cpu {

/// Panels of any codes, and of numbers as great as they come; `extreme`: codes that make all weights as great.
struct Panels {
  static constexpr PanelFormat kAll[] = {PanelFormat::nibbles,          PanelFormat::nibbles_minus_8,
                                         PanelFormat::bytes_minus_128,  PanelFormat::sixes_minus_32,
                                         PanelFormat::sixes_and_offset, PanelFormat::sixes_two_factors};
  PanelFormat format;
  std::size_t groups, columns;
  std::vector<std::byte> bytes;

  Panels(PanelFormat format, std::size_t groups, std::size_t columns, bool extreme)
      : format(format), groups(groups), columns(columns) {
    const std::size_t panels = (columns + kPanel - 1) / kPanel;
    bytes.resize(panels * panel_bytes(format, groups) + 64);
    std::mt19937 random(static_cast<unsigned>(groups * columns));
    for (std::size_t p = 0; p < panels; ++p) {
      std::byte* const panel = data() + p * panel_bytes(format, groups);
      for (std::size_t i = 0; i < groups * code_bytes(format); ++i) {
        panel[i] = static_cast<std::byte>(extreme ? 0xFF : random());
      }
      const PanelView view = view_panel(format, panel, groups);
      const auto write = [&](const void* at, auto value) {
        std::memcpy(panel + (static_cast<const std::byte*>(at) - panel), &value, sizeof value);
      };
      for (std::size_t g = 0; g < groups; ++g) {
        for (std::size_t c = 0; c < kPanel; ++c) {
          const std::int16_t* numbers = view.numbers + g * n_numbers(format) + factor_place(format, c);
          write(numbers, number(greatest_factor(), format == PanelFormat::nibbles, extreme, random));
          if (!has_two_numbers(format)) continue;
          const bool two = format == PanelFormat::sixes_two_factors;
          write(numbers + to_second(format), number(two ? greatest_factor() : 15000, false, extreme, random));
        }
      }
      for (std::size_t c = 0; c < kPanel; ++c) write(view.steps + c, 0.001F + static_cast<float>(c));
    }
  }
  std::byte* data() { return bytes.data() + (64 - reinterpret_cast<std::uintptr_t>(bytes.data()) % 64) % 64; }

  /// The whole product as a task, without its rows. out: [n, columns].
  ProductTask task(float* out) {
    ProductTask task;
    task.format = format;
    task.panels = data();
    task.columns = task.out_stride = columns;
    task.end_panel = (columns + kPanel - 1) / kPanel;
    task.out = out;
    return task;
  }

 private:
  int greatest_factor() const {
    switch (format) {
      case PanelFormat::nibbles:
        return 2000;
      case PanelFormat::nibbles_minus_8:
        return 3875;
      case PanelFormat::bytes_minus_128:
        return 242;
      case PanelFormat::sixes_and_offset:
        return 500;
      case PanelFormat::sixes_minus_32:
      case PanelFormat::sixes_two_factors:
        break;
    }
    return 968;
  }
  static std::int16_t number(int greatest, bool positive, bool extreme, std::mt19937& random) {
    if (extreme) return static_cast<std::int16_t>(greatest);
    const int any = static_cast<int>(random() % static_cast<unsigned>(2 * greatest + 1)) - greatest;
    return static_cast<std::int16_t>(positive ? std::abs(any) : any);
  }
};

/// A matrix [rows, cols], and how many rows are multiplied with it.
struct Case {
  DType type;
  std::size_t rows, cols, n;
};

inline std::vector<Case> cases() {
  std::vector<Case> all;
  const auto add = [&](DType type, std::size_t rows, std::size_t cols) {
    for (const std::size_t n : {1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 31, 32, 48, 50}) {
      all.push_back({type, rows, cols, n});
    }
  };
  for (const DType type : {DType::q4_0, DType::q4_1, DType::q8_0, DType::q5_0, DType::q5_1, DType::iq4_nl}) {
    for (const auto& [rows, cols] :
         {std::pair<std::size_t, std::size_t>{1, 32}, {16, 64}, {17, 96}, {31, 576}, {48, 1536}}) {
      add(type, rows, cols);
    }
  }
  for (const DType type : {DType::q4_k, DType::q5_k, DType::q6_k, DType::iq4_xs}) {
    for (const auto& [rows, cols] : {std::pair<std::size_t, std::size_t>{1, 256}, {17, 768}, {48, 1536}}) {
      add(type, rows, cols);
    }
  }
  return all;
}

/// Runs a task, all of its `n` rows, with what it needs besides them.
inline void run_task(ProductKernel kernel, ProductTask task, std::size_t n) {
  const std::size_t opened = task.grouped == nullptr ? 0 : opened_bytes(task.grouped->groups);
  std::vector<std::byte> scratch(scratch_bytes(n) + opened + 64);
  WeightStream stream;
  task.end_row = n;
  task.weights = &stream;
  task.scratch = scratch.data() + (64 - reinterpret_cast<std::uintptr_t>(scratch.data()) % 64) % 64;
  kernel(task);
}

}  // namespace headwater::kernels::cpu
