// Batch scripts for Slurm. The warning before the time limit goes to the script (B:), which hands
// it on to the supervisor; the run commits, exits with 75 and is put into the queue again.
#include <cstdio>
#include <iostream>
#include <regex>

#include "job_arguments.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/output.hpp"
#include "preimage/base/process.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/placement.hpp"
#include "registry.hpp"

namespace preimage::app {
namespace {

namespace fs = std::filesystem;
using base::str;

std::string quoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

void refuse_line_breaks(const SubmitArguments& arguments) {
  for (const auto& text : {arguments.time, arguments.partition, arguments.account,
                           arguments.job.request.out.string()}) {
    if (text.find_first_of("\r\n") != std::string::npos)
      throw base::config_error("submit: found a line break in an option");
  }
}

// What sbatch takes: minutes, minutes:seconds, hours:minutes:seconds, days-hours,
// days-hours:minutes, days-hours:minutes:seconds.
void require_time(const std::string& text) {
  static const std::regex forms(
      R"(\d+(:[0-5]\d)?|\d+:[0-5]\d:[0-5]\d|\d+-\d+(:[0-5]\d(:[0-5]\d)?)?|UNLIMITED|INFINITE)",
      std::regex::icase);
  if (std::regex_match(text, forms)) return;
  throw base::config_error("submit: --time " + text +
                           ": not a time of Slurm; write hours:minutes:seconds (04:00:00), "
                           "days-hours (2-12), or minutes (90)");
}

// A build without CUDA would wait in the queue for a GPU that it cannot use.
void require_gpu_build(const SubmitArguments& arguments, const run::Job& job) {
  if (cluster::built_with_cuda()) return;
  const bool by_job = job.combinations.front().run.device == "cuda";
  if (arguments.gpus == 0 && !by_job) return;
  throw base::config_error(
      str("submit: ", by_job ? "run.device is cuda" : str("--gpus ", arguments.gpus),
          ", but this preimage is built without CUDA; build it with the preset cuda, or leave the "
          "GPU out"));
}

std::string header(const SubmitArguments& arguments, const fs::path& out, size_t combinations) {
  const auto name = arguments.job.request.job.stem().string();
  std::string text = "#!/bin/bash\n";
  const auto add = [&](const std::string& line) { text += "#SBATCH " + line + "\n"; };
  add("--job-name=" + quoted("preimage-" + name));
  add(str("--ntasks=", arguments.job.ranks));
  add(str("--cpus-per-task=", arguments.cpus));
  if (arguments.gpus > 0) add(str("--gpus-per-task=", arguments.gpus));
  add("--time=" + arguments.time);
  if (!arguments.partition.empty()) add("--partition=" + arguments.partition);
  if (!arguments.account.empty()) add("--account=" + arguments.account);
  if (arguments.array) add(str("--array=0-", combinations - 1));
  add("--signal=B:USR2@240");
  add("--requeue");
  add("--open-mode=append");
  // Beside the run's folder, which is the run's alone.
  add("--output=" +
      quoted(out.string() + (arguments.array ? ".slurm-%A-%a.log" : ".slurm-%j.log")));
  return text;
}

// The settings of one task of an array: a sweep of one combination keeps its columns in the
// results.
std::string array_settings(const run::Job& job) {
  std::string text = "case \"$SLURM_ARRAY_TASK_ID\" in\n";
  for (size_t i = 0; i < job.combinations.size(); ++i) {
    text += str("  ", i, ") settings=(");
    for (const auto& [field, value] : job.combinations[i].sweep.items()) {
      text += "--set " + quoted("sweep." + field + "=[" + value.dump() + "]") + " ";
    }
    text += ") ;;\n";
  }
  return text + "esac\n";
}

// What the script does after the run: a stopped one is queued again, so often and not for ever, and
// the log says why.
constexpr const char* kRequeue = R"sh( "${settings[@]}" &
child=$!
trap 'kill -USR2 "$child"' USR2 TERM
while true; do
  wait "$child"
  code=$?
  kill -0 "$child" 2>/dev/null || break  # else a signal ended the wait, not the run
done
if [ "$code" -eq 75 ]; then
  job="${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_}${SLURM_ARRAY_TASK_ID:-$SLURM_JOB_ID}"
  before="${SLURM_RESTART_COUNT:-0}"
  reason="$("$preimage" status "$out" 2>/dev/null | sed -n 's/^  reason *//p')"
  if [ "$before" -ge "$limit" ]; then
    echo "preimage: job $job is not requeued: $limit requeues are spent (--requeues); ${reason:-stopped}"
  else
    echo "preimage: job $job is requeued, $((before + 1)) of $limit: ${reason:-stopped}"
    scontrol requeue "$job"
  fi
fi
exit "$code"
)sh";

std::string script_of(const SubmitArguments& arguments, const run::Job& job, const fs::path& out) {
  const auto& request = arguments.job.request;
  std::string text = header(arguments, out, job.combinations.size());
  text += "cd " + quoted(fs::current_path().string()) + " || exit 74\n";
  // What mpirun leaves the ranks after a SIGTERM of Slurm's own; it waits as long after a crash,
  // too.
  text += "export OMPI_MCA_odls_base_sigkill_timeout=${OMPI_MCA_odls_base_sigkill_timeout:-10}\n";
  text += "settings=()\n";
  if (arguments.array) text += array_settings(job);
  text += "preimage=" + quoted(fs::read_symlink("/proc/self/exe").string()) + "\n";
  text +=
      "out=" + quoted(out.string()) + (arguments.array ? "/\"$SLURM_ARRAY_TASK_ID\"" : "") + "\n";
  text += str("limit=", arguments.requeues, "\n");
  text += "\"$preimage\" launch " + quoted(request.job.string()) + " -n " +
          str(arguments.job.ranks) + " --oversubscribe --resume \\\n  --out \"$out\"";
  for (const auto& set : request.set) text += " \\\n  --set " + quoted(set);
  return text + kRequeue;
}

// Slurm does not make the folder of its log: the job would end without a word.
void make_log_folder(const fs::path& out) {
  std::error_code error;
  fs::create_directories(out.parent_path(), error);
  if (!error) return;
  throw base::io_error(out.parent_path().string() + ": cannot be created (" + error.message() +
                       ")");
}

int hand_to_sbatch(const fs::path& script) {
  const pid_t pid = base::start_process({.argv = {"sbatch", script.string()}});
  const auto end = base::wait_process(pid);
  if (end.exit_code == 0) return 0;
  throw base::unavailable_error(
      str("sbatch ", script.string(), ": ended with ", end.exit_code, "; see its message above"));
}

}  // namespace

int submit(SubmitArguments arguments) {
  if (!arguments.slurm) throw base::config_error("submit: say which batch system: --slurm");
  refuse_line_breaks(arguments);
  require_time(arguments.time);
  const auto job = run::load_job(arguments.job.request, make_experiment);
  if (arguments.array && job.sweep.empty())
    throw base::config_error(arguments.job.request.job.string() +
                             ": --array needs a \"sweep\" in the job");
  require_gpu_build(arguments, job);
  const auto out = fs::absolute(output_folder(arguments.job));
  make_log_folder(out);
  const auto script = script_of(arguments, job, out);
  if (arguments.submit && arguments.script.empty()) arguments.script = out.string() + ".sbatch";
  if (arguments.script.empty()) {
    std::cout << script;
    return 0;
  }
  base::refuse_same_file(arguments.script, {arguments.job.request.job.string()});
  base::write_output(arguments.script, script);
  std::cout << arguments.script << ": written"
            << (arguments.submit ? "" : "; hand it in with sbatch") << "\n";
  std::cout.flush();
  if (arguments.array)
    std::cout << "afterwards: preimage merge " << out.string() << "/* --out merged.h5\n";
  return arguments.submit ? hand_to_sbatch(arguments.script) : 0;
}

}  // namespace preimage::app
