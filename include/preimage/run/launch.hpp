// Supervising mpirun: restarts after a crash, and gives up in good order.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace preimage::run {

struct LaunchOptions {
  int ranks = 1;
  // The ranked program with its arguments: {"/usr/bin/preimage", "run", "job.json", "--out",
  // "DIR"}.
  // "--resume" is added from the second start on, or at once with `resume`.
  std::vector<std::string> command;
  std::filesystem::path out;  // the run's folder, as in `command`
  bool resume = false;
  std::vector<std::string> mpirun = {"mpirun"};  // with options of the user's own
  int restarts = 3;                              // without any new result in between
  double backoff_s = 1;                          // before the first restart; doubles each time
};

// Runs until the run is done, stopped, or cannot go on; returns its exit code, as state.json has
// it. A crash names the rank that died, so that a unit which was in flight there three times is
// left out. SIGINT and SIGTERM here stop the run in good order (SIGUSR2 to the ranks). Starts no
// thread and no MPI. Throws ExitCode::unavailable when mpirun cannot be started.
int launch(const LaunchOptions& options);

// What mpirun itself says when ranks end, kept away from the user, and whom it names.
class BannerFilter {
 public:
  // Takes bytes of mpirun's standard error; returns those to show.
  std::string pass(const std::string& bytes);
  // Text held back at the end that is no banner.
  std::string finish();
  const std::string& swallowed() const { return swallowed_; }
  // The rank that died by itself, or -1.
  int crashed_rank() const;

 private:
  std::string line_;
  bool inside_ = false;
  std::string swallowed_;
};

}  // namespace preimage::run
