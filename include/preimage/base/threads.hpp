// How many threads a process gets.
#pragma once

#include <vector>

namespace preimage::base {

// Processors of this process's affinity mask; never empty.
std::vector<int> affinity();

// Cores this process may use: its affinity mask, limited by the CPU quota of its control groups.
int usable_cores();

// `asked` threads; 0: OMP_NUM_THREADS, or `cores` divided among the `processes` that share them.
int thread_count(int asked, int cores, int processes);

// Throws ExitCode::bad_config for far more threads than the cores carry: a slip of the pen.
// `asked` as above, for the name of the setting that gave `threads`.
void refuse_many_threads(int threads, int cores, int asked);

}  // namespace preimage::base
