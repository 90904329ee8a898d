#include "kernels/processor.h"

#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/kernel_table.h"

namespace headwater::kernels {

std::string wrong_processor() {
  const std::string& wrong = cpu::cpu_choice().wrong;
  return wrong.empty() ? "" : "HEADWATER_CPU: " + wrong;
}

std::string ProcessorReport::processor() const {
  return forced ? kind + " (HEADWATER_CPU; the machine is " + machine + ")" : kind;
}

ProcessorReport processor_report() {
  const cpu::CpuChoice& choice = cpu::cpu_choice();
  return {std::string(cpu::name(choice.kind)), std::string(cpu::name(choice.machine)), choice.forced,
          cpu::describe_kernels()};
}

}  // namespace headwater::kernels
