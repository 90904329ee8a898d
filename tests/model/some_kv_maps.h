#pragma once
// Maps as a learning run would find them.

#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

#include "model/kv_balance.h"
#include "model/kv_maps.h"

namespace headwater::test {

inline model::LearntKvMaps some_kv_maps(const model::KvSizes& sizes, std::uint32_t seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  const std::size_t dim = sizes.head_dim;
  const auto moments = [&] {
    std::vector<double> sums(dim * dim);
    for (std::size_t token = 0; token < 2 * dim; ++token) {
      std::vector<double> x(dim);
      for (std::size_t i = 0; i < dim; ++i) x[i] = normal(random) * std::exp2(double(i % 5));
      for (std::size_t i = 0; i < dim * dim; ++i) sums[i] += x[i / dim] * x[i % dim] / (2 * double(dim));
    }
    return sums;
  };
  model::LearntKvMaps maps;
  maps.sizes = sizes;
  for (std::size_t head = 0; head < sizes.heads(); ++head) {
    const model::HeadMaps found = model::balance({std::vector<double>(dim, normal(random)), moments(), moments()});
    maps.centres.insert(maps.centres.end(), found.centre.begin(), found.centre.end());
    maps.keys.insert(maps.keys.end(), found.keys.begin(), found.keys.end());
    maps.queries.insert(maps.queries.end(), found.queries.begin(), found.queries.end());
    maps.scales.push_back(found.scale);
    maps.value_scales.push_back(model::value_scale(std::exp(normal(random))));
  }
  return maps;
}

}  // namespace headwater::test
