#pragma once
// How many threads compute where nobody says so, and on which CPUs.
//
// Threads of an operation wait for each other, and spin while they do. So one more than there are cores makes all of
// them slower, and one more than a quota pays for makes all of them wait, again and again, for the rest of a period.
// Two threads of one core (SMT) share what computes and what memory answers it: one has nearly all of it.

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cpu_affinity.h"

namespace headwater::kernels {

/// Where that is read from.
struct CpuSources {
  std::string root;  ///< stands before /proc and /sys; empty but in tests
  CpuList allowed;   ///< the process's affinity, which a cpuset of control groups bounds as well

  /// This process's. Where the system does not tell its affinity, as many CPUs as there are.
  static CpuSources own();
};

struct ComputeCpus {
  unsigned threads = 1;         ///< by default: one a core, and no more than the quota pays for
  unsigned cpus = 1;            ///< that the process may use
  unsigned cores = 1;           ///< those of them that are no other's sibling; all, where there are only two CPUs
  double quota = 0;             ///< CPUs' worth of time a period; 0: none that is less than `cpus`
  std::string quota_of;         ///< the control group with the quota
  std::vector<CpuList> nodes;   ///< the CPUs of each NUMA node that has any; at least one node
  std::vector<unsigned> order;  ///< the node of each CPU: of one a core, node after node, then of siblings likewise

  /// Those asked for; 0: as many as by default.
  unsigned resolve(std::uint32_t asked) const { return asked > 0 ? asked : threads; }

  /// Where each of `n` threads should stay: on its node, threads of a node one after the other. Empty: anywhere, since
  /// there is one node, or the first has room for all. Which one has, the system knows better.
  std::vector<CpuList> places(unsigned n) const;

  /// "3 threads (of 8 CPUs; quota 3.5 CPUs of control group /a; SMT siblings left out)", for those asked for.
  std::string describe(std::uint32_t asked) const;

  /// What is wrong with as many as were asked for, a sentence; "": nothing.
  std::string warning(std::uint32_t asked) const;
};

/// Files that are missing or wrong count as if they said nothing.
ComputeCpus compute_cpus(const CpuSources& sources);

/// This process's, as they were when somebody asked first. For any thread.
const ComputeCpus& own_compute_cpus();

}  // namespace headwater::kernels
