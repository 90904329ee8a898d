#pragma once
// What is known of a KV head from a learning run: means and second moments over its tokens, as queries and keys are
// before rotary embedding. Sums run in the order of the tokens.

#include <cstdint>
#include <span>
#include <vector>

namespace headwater::model {

/// Rows of queries, keys and values, [n_rows][n_heads + 2 * n_kv_heads, head_dim].
struct QkvRows {
  std::span<const float> numbers;
  std::uint32_t n_rows = 0;
  std::uint32_t n_heads = 0;
  std::uint32_t n_kv_heads = 0;
  std::uint32_t head_dim = 0;
};

struct HeadStatistics {
  std::vector<double> key_mean;  ///< [head_dim]
  std::vector<double> keys;      ///< [head_dim, head_dim]: second moments about zero; empty: not asked for
  std::vector<double> queries;   ///< likewise, of all query heads of the group together
  double value_square = 0;       ///< mean of the values' squared numbers
};

/// Leaves out the first `skipped` rows, fewer than all. Anything that is not finite stays so.
HeadStatistics head_statistics(const QkvRows& rows, std::uint32_t kv_head, std::uint32_t skipped, bool with_moments);

}  // namespace headwater::model
