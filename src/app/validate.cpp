#include <cstdio>
#include <iostream>
#include <set>

#include "job_arguments.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/placement.hpp"
#include "registry.hpp"

namespace preimage::app {
namespace {

using base::str;

// What a worker reaches where nobody says: products of a 7B model on a data-centre GPU in bfloat16,
// or of a small one on two CPU cores in float32.
constexpr double kGpuTflops = 400, kCpuTflops = 0.1;

run::Estimate total_of(const run::Job& job) {
  run::Estimate total;
  std::set<std::string> notes;
  for (const auto& combination : job.combinations) {
    const auto one = combination.experiment->estimate();
    total.units += one.units;
    total.ranks = std::max(total.ranks, one.ranks);
    total.model_calls += one.model_calls;
    total.tokens += one.tokens;
    total.flop += one.flop;
    total.bytes_per_worker = std::max(total.bytes_per_worker, one.bytes_per_worker);
    for (const auto& note : one.notes) {
      if (notes.insert(note).second) total.notes.push_back(note);
    }
  }
  return total;
}

std::string rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

}  // namespace

int validate(const ValidateArguments& arguments) {
  const auto job = run::load_job(arguments.job.request, make_experiment);
  const auto total = total_of(job);
  require_ranks(arguments.job, std::max(total.units, total.ranks));
  const bool gpu = job.combinations.front().run.device == "cuda" || cluster::gpu_count() > 0;
  const double tflops = arguments.tflops > 0                                  ? arguments.tflops
                        : gpu && job.combinations.front().run.device != "cpu" ? kGpuTflops
                                                                              : kCpuTflops;
  const double worker_seconds = total.flop / (tflops * 1e12);
  const auto line = [](const char* name, const std::string& text) {
    std::printf("  %-18s%s\n", name, text.c_str());
  };
  std::printf("%s: valid\n", arguments.job.request.job.c_str());
  line("method", job.method);
  if (!job.sweep.empty())
    line("combinations", str(job.combinations.size(), " of ", job.sweep.size(), " swept fields"));
  line("units", str(total.units));
  line("model calls", rounded(total.model_calls));
  line("tokens", rounded(total.tokens));
  line("FLOP", rounded(total.flop));
  line("memory per worker", base::human_bytes(static_cast<uint64_t>(total.bytes_per_worker)));
  line("worker hours",
       str(rounded(worker_seconds / 3600), " at ", rounded(tflops), " TFLOP/s a worker",
           arguments.tflops > 0 ? "" : " (a guess; measure and give --tflops)"));
  line("estimated time",
       str(base::human_seconds(worker_seconds / arguments.job.ranks), " with ", arguments.job.ranks,
           arguments.job.ranks == 1 ? " worker" : " workers", " (-n)"));
  for (const auto& note : total.notes) line("note", note);
  if (job.combinations.front().run.device == "cuda" && cluster::gpu_count() == 0) {
    line("note", "run.device is cuda, but this program finds no GPU on this machine");
  }
  return 0;
}

}  // namespace preimage::app
