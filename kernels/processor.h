#pragma once
// The processor that kernels are chosen for, and HEADWATER_CPU, which names a lower kind than the machine's.

#include <string>
#include <vector>

namespace headwater::kernels {

/// Why what HEADWATER_CPU names cannot be had, a sentence with what this machine has; "": it can, or it names nothing.
/// Until somebody asks, and where nobody does, a wrong name is as good as none. For any thread.
std::string wrong_processor();

/// What does some work.
struct KernelChoice {
  std::string work;    ///< indented where it is a part or a special case of what stands before it
  std::string kernel;  ///< its instruction set, or the library that has chosen
};

/// Which kernels compute in this process, and why those.
struct ProcessorReport {
  std::string kind;     ///< "avx512_vnni"
  std::string machine;  ///< the highest kind that this machine could be
  bool forced = false;  ///< HEADWATER_CPU names one
  std::vector<KernelChoice> kernels{};

  /// "avx512_vnni", "avx2 (HEADWATER_CPU; the machine is avx512_vnni)".
  std::string processor() const;
};
/// For any thread.
ProcessorReport processor_report();

}  // namespace headwater::kernels
