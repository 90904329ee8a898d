#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/kernel_table.h"
#include "tests/kernels/weights.h"

namespace headwater::kernels {
namespace {

std::string path(Precision precision, const std::vector<HostTensor>& parts, MatrixUse use = {MatrixRole::output}) {
  return make_cpu_backend(1, precision)->matrix_path(parts, use).text();
}

TEST(CpuBackend, SaysHowAMatrixIsComputed) {
  const HostTensor four{nullptr, DType::q4_k, 896, 896};
  const HostTensor six{nullptr, DType::q6_k, 128, 896};
  const HostTensor plain{nullptr, DType::f16, 128, 896};
  EXPECT_EQ(path(Precision::fast, {four}), "whole numbers (Q4_K)");
  EXPECT_EQ(path(Precision::fast, {four, four, six}), "whole numbers (Q4_K + Q6_K)");
  const std::string floats = path(Precision::fast, {plain});  // what the processor has
  EXPECT_TRUE(floats == "bfloat16" || floats == "float16 weights" || floats == "float32") << floats;
  EXPECT_EQ(path(Precision::exact, {four, six}), floats) << "what was asked for needs no reason";
  EXPECT_EQ(path(Precision::fast, {four, plain}), floats + ", since weights in F16 are part of it");
  EXPECT_EQ(path(Precision::fast, {{nullptr, DType::q8_0, 64, 65536}}),
            floats + ", since it has 65536 columns, more than 32768");
}

TEST(CpuBackend, ComputesAllButLogitsInEightBitsWhereThatIsFaster) {
  const std::string eight = cpu::kernel_table().grouped_pays ? "8-bit groups (Q4_K)" : "whole numbers (Q4_K)";
  const std::string sixteen = "whole numbers (Q4_K)";
  const HostTensor in{nullptr, DType::q4_k, 4096, 256};
  const HostTensor back{nullptr, DType::q4_k, 256, 4096};
  EXPECT_EQ(path(Precision::fast, {in, in}, {MatrixRole::gate_up}), eight);
  EXPECT_EQ(path(Precision::fast, {back}, {MatrixRole::down}), eight);
  EXPECT_EQ(path(Precision::fast, {back}, {MatrixRole::attention_out}), eight);
  EXPECT_EQ(path(Precision::fast, {in}, {MatrixRole::qkv}), eight);
  EXPECT_EQ(path(Precision::fast, {in}, {MatrixRole::output}), sixteen);
  EXPECT_EQ(path(Precision::balanced, {in, in}, {MatrixRole::gate_up}), sixteen);
}

TEST(CpuBackend, TheFirstAndTheLastLayerHaveSixteenBits) {
  const HostTensor in{nullptr, DType::q4_k, 4096, 256};
  const HostTensor back{nullptr, DType::q4_k, 256, 4096};
  const MatrixUse gate_up{MatrixRole::gate_up, Activation::silu, true};
  EXPECT_EQ(path(Precision::fast, {in, in}, gate_up), "whole numbers (Q4_K)");
  EXPECT_EQ(path(Precision::fast, {back}, {MatrixRole::down, Activation::silu, true}), "whole numbers (Q4_K)");
  EXPECT_EQ(path(Precision::fast, {back}, {MatrixRole::attention_out, Activation::silu, true}), "whole numbers (Q4_K)");
}

TEST(CpuBackend, ANarrowModelWithGatesOfGeluHasSixteenBits) {
  const std::string eight = cpu::kernel_table().grouped_pays ? "8-bit groups (Q4_K)" : "whole numbers (Q4_K)";
  for (const std::uint64_t width : {1280, 1536}) {
    const std::string wanted = width < 1536 ? "whole numbers (Q4_K)" : eight;
    const HostTensor in{nullptr, DType::q4_k, 4096, width};
    const HostTensor back{nullptr, DType::q4_k, width, 4096};
    EXPECT_EQ(path(Precision::fast, {in, in}, {MatrixRole::gate_up, Activation::gelu}), wanted);
    EXPECT_EQ(path(Precision::fast, {in}, {MatrixRole::qkv, Activation::gelu}), wanted);
    EXPECT_EQ(path(Precision::fast, {back}, {MatrixRole::down, Activation::gelu}), wanted);
    EXPECT_EQ(path(Precision::fast, {back}, {MatrixRole::attention_out, Activation::gelu}), wanted);
  }
}

TEST(CpuBackend, NamesTheNumericsThatItHas) {
  const auto numerics = [](Precision precision) { return make_cpu_backend(1, precision)->numerics(); };
  EXPECT_EQ(numerics(Precision::fast) != numerics(Precision::balanced), cpu::kernel_table().grouped_pays)
      << "a machine that computes the same in both shares what is cached";
  EXPECT_NE(numerics(Precision::exact), numerics(Precision::balanced));
}

TEST(CpuBackend, ATableThatSharesItsMatrixTakesItsScalesAlone) {
  const auto fast = make_cpu_backend(1);
  const auto exact = make_cpu_backend(1, Precision::exact);
  const HostTensor table{nullptr, DType::q6_k, 1000, 1536};
  const std::uint64_t file = 1000 * row_bytes(DType::q6_k, 1536);
  EXPECT_EQ(fast->table_bytes(table, false), file);
  EXPECT_EQ(fast->table_bytes(table, true), 1000U * 6 * 18);
  EXPECT_EQ(exact->table_bytes(table, true), file) << "a matrix in bfloat16 has no codes to share";
  EXPECT_LE(fast->matrix_bytes(table) + fast->table_bytes(table, true), file * 3 / 2);
}

TEST(CpuBackend, LooksUpTheFilesValuesInTheMatrixOfTheOutput) {
  const auto backend = make_cpu_backend(2);
  const Weights weights = make_weights(DType::q6_k, 40, 512, 1);
  const auto output = backend->load_matrix({&weights.tensor, 1}, {MatrixRole::output});
  const auto table = backend->load_table(weights.tensor, output.get());
  const std::vector<std::int32_t> tokens = {39, 0, 17};
  const auto out = backend->allocate(tokens.size() * 512);
  backend->embed(*table, tokens, *out);
  const std::span<float> got = backend->read(*out, tokens.size() * 512);
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i], weights.values[static_cast<std::size_t>(tokens[i / 512]) * 512 + i % 512]) << i;
  }
}

}  // namespace
}  // namespace headwater::kernels
