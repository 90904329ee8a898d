#include "tools/cachesim/chart.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb/stb_easy_font.h>
#include <stb/stb_image_write.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>

namespace headwater::cachesim {
namespace {

constexpr int kWidth = 960, kHeight = 600;
constexpr int kLeft = 90, kRight = 230, kTop = 60, kBottom = 80;  // what surrounds the plot
constexpr int kLetter = 2;                                        // pixels for one of the font's

struct Colour {
  std::uint8_t red, green, blue;
};
constexpr Colour kWhite{255, 255, 255}, kBlack{30, 30, 30}, kGrey{220, 220, 220};
/// Told apart by people who see red and green alike. Source: Okabe and Ito, "Color universal design", 2008.
constexpr Colour kLines[] = {{0, 114, 178},   {230, 159, 0}, {86, 180, 233}, {213, 94, 0},
                             {204, 121, 167}, {0, 158, 115}, {0, 0, 0},      {240, 228, 66}};

class Canvas {
 public:
  Canvas() : pixels_(std::size_t{3} * kWidth * kHeight) { box(0, 0, kWidth, kHeight, kWhite); }

  void box(int x, int y, int width, int height, Colour colour) {
    for (int row = std::max(y, 0); row < std::min(y + height, kHeight); ++row) {
      for (int column = std::max(x, 0); column < std::min(x + width, kWidth); ++column) {
        std::uint8_t* pixel = &pixels_[3 * (static_cast<std::size_t>(row) * kWidth + static_cast<std::size_t>(column))];
        pixel[0] = colour.red;
        pixel[1] = colour.green;
        pixel[2] = colour.blue;
      }
    }
  }

  void line(double x0, double y0, double x1, double y1, Colour colour) {
    const int steps = std::max(static_cast<int>(std::max(std::abs(x1 - x0), std::abs(y1 - y0))), 1);
    for (int i = 0; i <= steps; ++i) {
      const double part = static_cast<double>(i) / steps;
      box(static_cast<int>(x0 + part * (x1 - x0)) - 1, static_cast<int>(y0 + part * (y1 - y0)) - 1, 3, 3, colour);
    }
  }

  /// `anchor`: how much of the text is left of x: 0, 0.5 or 1.
  void text(std::string text, double x, double y, double anchor, Colour colour) {
    std::erase_if(text, [](char c) { return c < ' ' || c > '~'; });
    struct Vertex {
      float x, y, z;
      std::uint8_t colour[4];
    };
    std::vector<Vertex> vertices(text.size() * 80 + 4);  // a letter has at most some 20 boxes of four corners
    const int boxes = stb_easy_font_print(0, 0, text.data(), nullptr, vertices.data(),
                                          static_cast<int>(vertices.size() * sizeof(Vertex)));
    const double left = x - anchor * kLetter * stb_easy_font_width(text.data());
    for (int i = 0; i < boxes; ++i) {
      const Vertex& from = vertices[static_cast<std::size_t>(4 * i)];
      const Vertex& to = vertices[static_cast<std::size_t>(4 * i + 2)];
      box(static_cast<int>(left + kLetter * from.x), static_cast<int>(y + kLetter * from.y),
          static_cast<int>(kLetter * (to.x - from.x)), static_cast<int>(kLetter * (to.y - from.y)), colour);
    }
  }

  std::string png() const {
    std::string bytes;
    stbi_write_png_to_func(
        [](void* to, void* data, int size) {
          static_cast<std::string*>(to)->append(static_cast<const char*>(data), static_cast<std::size_t>(size));
        },
        &bytes, kWidth, kHeight, 3, pixels_.data(), 3 * kWidth);
    return bytes;
  }

 private:
  std::vector<std::uint8_t> pixels_;
};

/// Where values are in the picture.
struct Scale {
  std::size_t ticks;
  double most;  ///< value at the upper edge
  double x(std::size_t tick) const {
    const double width = kWidth - kLeft - kRight;
    return kLeft + width * (static_cast<double>(tick) + 0.5) / static_cast<double>(ticks);
  }
  double y(double value) const { return kHeight - kBottom - value / most * (kHeight - kTop - kBottom); }
};

/// A round number that cuts what goes up to `most` into four to ten.
double grid_step(double most) {
  const double decade = std::pow(10, std::floor(std::log10(most)));
  for (const double step : {0.1, 0.2, 0.25, 0.5}) {
    if (most / (step * decade) <= 10) return step * decade;
  }
  return decade;
}

void draw_axes(Canvas& canvas, const Chart& chart, const Scale& scale, double step) {
  for (int i = 0; i * step <= scale.most * 1.001; ++i) {
    const double y = scale.y(i * step);
    canvas.box(kLeft, static_cast<int>(y), kWidth - kLeft - kRight, 1, i == 0 ? kBlack : kGrey);
    char label[32];
    std::snprintf(label, sizeof label, "%.3g", i * step);
    canvas.text(label, kLeft - 10, y - 7, 1, kBlack);
  }
  canvas.box(kLeft, kTop, 1, kHeight - kTop - kBottom, kBlack);
  for (std::size_t i = 0; i < chart.ticks.size(); ++i) {
    canvas.box(static_cast<int>(scale.x(i)), kHeight - kBottom, 1, 6, kBlack);
    canvas.text(chart.ticks[i], scale.x(i), kHeight - kBottom + 14, 0.5, kBlack);
  }
  canvas.text(chart.title, kLeft, 14, 0, kBlack);
  canvas.text(chart.y_label, 10, kTop - 22, 0, kBlack);
  canvas.text(chart.x_label, kLeft + (kWidth - kLeft - kRight) / 2.0, kHeight - 34, 0.5, kBlack);
}

}  // namespace

std::string png_of(const Chart& chart) {
  double most = 0;
  for (const Line& line : chart.lines) {
    for (const double value : line.values) most = std::max(most, value);
  }
  const double step = most > 0 ? grid_step(most) : 0.25;
  const Scale scale{chart.ticks.size(), most > 0 ? std::ceil(most / step - 1e-9) * step : 1};
  Canvas canvas;
  draw_axes(canvas, chart, scale, step);
  for (std::size_t l = 0; l < chart.lines.size(); ++l) {
    const Line& line = chart.lines[l];
    const Colour colour = kLines[l % std::size(kLines)];
    for (std::size_t i = 0; i < line.values.size(); ++i) {
      const double x = scale.x(i), y = scale.y(line.values[i]);
      if (i > 0) canvas.line(scale.x(i - 1), scale.y(line.values[i - 1]), x, y, colour);
      canvas.box(static_cast<int>(x) - 4, static_cast<int>(y) - 4, 9, 9, colour);
    }
    const int y = kTop + 26 * static_cast<int>(l);
    canvas.box(kWidth - kRight + 20, y + 4, 24, 5, colour);
    canvas.text(line.name, kWidth - kRight + 54, y, 0, kBlack);
  }
  return canvas.png();
}

}  // namespace headwater::cachesim
