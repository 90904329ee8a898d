#pragma once
// A line chart as a PNG file's bytes.

#include <string>
#include <vector>

namespace headwater::cachesim {

struct Line {
  std::string name;
  std::vector<double> values;  ///< one for each of the chart's ticks, not negative
};

struct Chart {
  std::string title, x_label, y_label;
  std::vector<std::string> ticks;  ///< along x, from left to right, at equal distances
  std::vector<Line> lines;
};

/// Letters outside of ASCII are left out. REQUIRES: at least one tick and one line.
std::string png_of(const Chart& chart);

}  // namespace headwater::cachesim
