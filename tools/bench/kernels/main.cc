// Benchmarks of the kernels. HEADWATER_CPU=avx2 and the like measure those of a lower kind of processor.

#include <benchmark/benchmark.h>

#include <cstdio>

#include "kernels/processor.h"

int main(int argc, char** argv) {
  using namespace headwater;  // NOLINT
  if (const std::string wrong = kernels::wrong_processor(); !wrong.empty()) {
    std::fprintf(stderr, "bench_kernels: %s\n", wrong.c_str());
    return 2;
  }
  benchmark::AddCustomContext("processor", kernels::processor_report().processor());
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
