// One place where a program runs: a zygote for the program and one for its judge, each in
// namespaces of its own, and what goes on there now.
#pragma once

#include <cmath>
#include <memory>
#include <optional>
#include <string>

#include "preimage/sandbox/pool.hpp"
#include "supervisor/events.hpp"
#include "supervisor/zygote.hpp"
#include "walls/cgroup.hpp"

namespace preimage::sandbox {

// How one run ended: what the judge said, and what was seen from outside.
struct Run {
  Verdict verdict = Verdict::infra;
  std::string detail;
  bool retry = false;                                      // INFRA that another run may cure
  bool proved = false;                                     // the time-out needs no second run
  double cpu_s = 0, wall_s = 0, waited_s = 0, rss_mb = 0;  // of Record
  std::string output;
  base::Json facts = nullptr;
};

// A program on its way to a verdict.
struct Job {
  uint64_t ticket = 0;
  Request request;
  int runs = 0;
  bool alone = false;                    // a time-out's second run
  std::optional<Verdict> first_verdict;  // of an earlier run that did not count
  std::optional<Run> passed;             // the run of which this one is the repetition
};

class Slot {
 public:
  struct Options {
    int index = 0;                   // from 0; decides the uids
    const Limits* limits = nullptr;  // those of the scheduler, which may change them
    bool use_cgroup = true;
    bool count_cpu = false;  // by the control group; else as far as /proc tells
    Events* events = nullptr;
    std::function<void(Slot&)> ended;  // the run is over, take() it
  };
  // Opens namespaces in both zygotes. Throws ExitCode::unavailable, also where there is no control
  // group that counts and there has to be one.
  Slot(const Options& options, const Zygote& candidates, const Zygote& judges);
  ~Slot();

  bool idle() const { return !job_; }
  bool broken() const { return broken_; }  // a zygote is gone: open another slot
  int programs() const { return programs_; }

  void start(Job job);
  struct Ended {
    Job job;
    Run run;
  };
  Ended take();
  const Job& job() const { return *job_; }

  // Hears what its judge says as it comes. Most runs are over before that could matter: what was
  // said is read at their end.
  void listen();

  // Ends the run from outside, unless its verdict is there already.
  void stop(Verdict verdict, const std::string& detail);

  // Ends a program that goes on though its judge has said all; by must_end_s() it has to.
  void end_if_over(double now);
  double must_end_s() const { return must_end_s_; }

  // The program's process on the host; 0 where none was forked yet, and between programs.
  pid_t program();
  pid_t judge() const { return judge_pid_; }  // that judges it, on the host
  double started_s() const { return started_s_; }
  bool over() const { return over_s_ > 0; }  // the verdict is there; processes may still be ending
  // CPU time of all processes of this run's program, ended ones included, as its control group
  // counts it; nothing where none does.
  std::optional<double> counted_cpu_s();
  // What its judge has spent on it, and how long it was kept from computing.
  double judge_cpu_s() const;
  double judge_delay_s();  // since the first time that this was asked, in this run
  bool decided() const { return decided_; }
  // What the supervisor has seen of the run so far.
  struct Watch {
    double cpu_s = 0;          // of all its processes
    double main_s = 0;         // of its first thread
    double delay_s = 0;        // for which that waited for a processor
    double judge_delay_s = 0;  // for which its judge did
    int threads = 0;           // of all its processes
    double next_look_s = 0;    // monotonic
    bool background = false;   // no longer among those that compute at once
    bool idle_class = false;   // runs only when nobody else wants the processor
    bool promoted = false;     // and again like the others
    pid_t proof = 0;           // that looks for a loop without end
    bool proof_tried = false;
    double proof_begin_s = 0;                               // monotonic
    double proof_s = 0;                                     // by the clock, once it has ended
    double delay_before_proof_s = 0, delay_in_proof_s = 0;  // parts of delay_s
    double proof_cost_s = 0;  // of its CPU time, which is no fault of the program's
    bool proved = false;      // a second run would show nothing else
  };
  Watch watch;
  // The kernel has killed a process of this run for want of memory.
  bool killed_for_memory();

 private:
  struct Side {
    Descriptor control;
    pid_t zygote = 0;
    Descriptor judge;  // a pidfd of the process that judges
    bool running = false;
  };
  void open(Side& side, const Zygote& zygote);
  void close_run();
  void hear(Side& side);
  void hear_ended(Side& side, const base::Json& message);
  void hear_died(int status);
  void hear_output();
  void hear_verdict();
  void hear_held();
  void end_candidate();
  void end_judge();
  void finish_when_over();
  double group_cpu_s() const;
  void new_judge(pid_t pid);
  Run conclude();
  Verdict verdict_of_death(std::string& detail) const;

  Options options_;
  std::unique_ptr<Cgroup> cgroup_;
  Side candidate_, judge_;
  bool broken_ = false;
  int programs_ = 0;

  std::optional<Job> job_;
  Descriptor output_, verdicts_;
  pid_t program_ = 0, judge_pid_ = 0;
  double started_s_ = 0, over_s_ = 0;  // monotonic; 0: not over
  double judge_delay_before_s_ = 0, judge_cpu_before_s_ = 0;
  double group_cpu_before_s_ = 0, group_cpu_s_ = 0;  // between runs nothing is added
  bool decided_ = false;
  bool listens_ = false;
  bool held_ = false;  // the judge had seen every test hold before the run was stopped
  double held_s_ = 0, held_cpu_s_ = INFINITY;  // when they had, and what it had used by then
  bool judge_killed_ = false;                  // its death has not been heard of yet
  double must_end_s_ = INFINITY;
  std::optional<Verdict> stopped_;
  std::string stop_detail_;
  std::string said_;  // by the judge, or the facts of an observed program
  std::string tail_;  // of the output
  std::string marker_window_;
  bool marker_seen_ = false;
  int64_t written_ = 0;
  int status_ = 0;                               // wait status of the program
  int judge_status_ = 0;                         // its exit code, or minus the signal
  std::optional<bool> file_written_;             // of an observed program
  double cpu_s_ = 0, rss_mb_ = 0, lived_s_ = 0;  // of the program's process
  int64_t oom_kills_ = 0;                        // of the cgroup before the run
  bool oom_seen_ = false;
};

}  // namespace preimage::sandbox
