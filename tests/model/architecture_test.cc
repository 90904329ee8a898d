#include "model/architecture.h"

#include <gtest/gtest.h>

#include "tests/support/tiny_gguf.h"

namespace headwater::model {
namespace {

std::uint64_t weight_bytes(const test::TinyOptions& options, const kernels::Backend& backend) {
  const test::TemporaryFile path(test::tiny_llama(options).bytes());
  return Architecture::weight_bytes(**GgufFile::open(path.path()), backend);
}

TEST(Architecture, AnEmbeddingThatIsTheOutputMatrixTooCountsOnce) {
  const auto backend = kernels::make_cpu_backend(1);
  const kernels::HostTensor embedding{nullptr, kernels::DType::q8_0, test::tiny_tokens().size(), 64};
  const std::uint64_t whole = backend->table_bytes(embedding, false);
  const std::uint64_t scales = backend->table_bytes(embedding, true);
  ASSERT_LT(scales, whole / 10);
  const std::uint64_t tied = weight_bytes({.tied = true, .type = embedding.type}, *backend);
  const std::uint64_t apart = weight_bytes({.tied = false, .type = embedding.type}, *backend);
  EXPECT_EQ(apart - tied, whole - scales);
}

TEST(Architecture, AFloatEmbeddingThatIsTheOutputMatrixTooCountsTwice) {
  const auto backend = kernels::make_cpu_backend(1);
  EXPECT_EQ(weight_bytes({.tied = true}, *backend), weight_bytes({.tied = false}, *backend));
}

/// The whole file for a moment, beside what is made of it, but only while nothing else is there.
TEST(Architecture, AnEmbeddingIsUnderWayBeforeTheLayers) {
  const auto backend = kernels::make_cpu_backend(1);
  const kernels::HostTensor embedding{nullptr, kernels::DType::q8_0, test::tiny_tokens().size(), 64};
  const std::uint64_t file = backend->table_bytes(embedding, false);
  const std::uint64_t loaded = backend->matrix_bytes(embedding) + backend->table_bytes(embedding, true);
  const test::TinyOptions small = {.layers = 1, .ffn = 32, .type = embedding.type};
  const std::uint64_t few = weight_bytes(small, *backend);
  EXPECT_EQ(few, loaded + file + loaded) << "the layer takes less than what was under way";
  const std::uint64_t many = weight_bytes({.layers = 4, .ffn = 32, .type = embedding.type}, *backend);
  const std::uint64_t more = weight_bytes({.layers = 5, .ffn = 32, .type = embedding.type}, *backend);
  const std::uint64_t layer = more - many;
  EXPECT_LT(many, loaded + 5 * layer) << "the embedding's file is given back by then";
}

}  // namespace
}  // namespace headwater::model
