#include "model/architecture.h"

#include <gtest/gtest.h>

#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

std::uint64_t weight_bytes(const test::TinyOptions& options, const kernels::Backend& backend) {
  const test::TemporaryFile path(test::tiny_llama(options).bytes());
  return Architecture::weight_bytes(**GgufFile::open(path.path()), backend);
}

/// The embedding is the largest tensor, so what is under way at most is the file's bytes of it and what becomes of
/// them.
TEST(Architecture, AnEmbeddingThatIsTheOutputMatrixTooCountsOnce) {
  const auto backend = kernels::make_cpu_backend(1);
  const kernels::HostTensor embedding{nullptr, kernels::DType::q8_0, test::tiny_tokens().size(), 64};
  const std::uint64_t whole = backend->table_bytes(embedding, false);
  const std::uint64_t scales = backend->table_bytes(embedding, true);
  ASSERT_LT(scales, whole / 10);
  const std::uint64_t tied = weight_bytes({.tied = true, .type = embedding.type}, *backend);
  const std::uint64_t apart = weight_bytes({.tied = false, .type = embedding.type}, *backend);
  EXPECT_EQ(apart - tied, whole - 2 * scales);
}

TEST(Architecture, AFloatEmbeddingThatIsTheOutputMatrixTooCountsTwice) {
  const auto backend = kernels::make_cpu_backend(1);
  const kernels::HostTensor embedding{nullptr, kernels::DType::f32, test::tiny_tokens().size(), 64};
  const std::uint64_t table = backend->table_bytes(embedding, true);
  EXPECT_EQ(table, embedding.rows * embedding.cols * 4);
  const std::uint64_t tied = weight_bytes({.tied = true, .type = embedding.type}, *backend);
  const std::uint64_t apart = weight_bytes({.tied = false, .type = embedding.type}, *backend);
  EXPECT_EQ(tied - apart, backend->matrix_bytes(embedding)) << "under way at once, as one tensor makes both";
}

}  // namespace
}  // namespace headwater::model
