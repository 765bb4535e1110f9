#include "supervisor/server.hpp"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "preimage/base/error.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "protocol.hpp"
#include "supervisor/scheduler.hpp"
#include "walls/self_test.hpp"
#include "walls/subordinate.hpp"

namespace preimage::sandbox {
namespace {

using base::Json;

int usable_processors() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

std::string kernel() {
  utsname names{};
  return ::uname(&names) == 0 ? names.release : "?";
}

class Server {
 public:
  explicit Server(int socket) : socket_(socket), stream_(socket) {}

  int run() {
    Json message;
    if (!stream_.receive(message)) return 0;  // never opened
    try {
      open(options_of(message));
      events_.add(socket_, [this] { talk(); });
      stream_.put({{"opened", description_}});
      talk();  // and what came together with the first message
      while (!gone_) {
        const int timeout = scheduler_->step();
        events_.wait(timeout);
      }
    } catch (const base::Error& error) {
      stream_.put({{"error", error.what()}, {"code", static_cast<int>(error.code())}});
    } catch (const std::exception& error) {
      stream_.put({{"error", std::string("bug: ") + error.what()},
                   {"code", static_cast<int>(base::ExitCode::bug)}});
    }
    stream_.send_all();
    return 0;
  }

 private:
  void open(PoolOptions options) {
    if (options.workers <= 0) options.workers = usable_processors();
    if (options.slots <= 0) options.slots = 16 * options.workers;
    // Two users of each role's range are its zygote's and one spare.
    options.slots = std::clamp(options.slots, options.workers + 1, 500);
    const auto python = find_python(options.python);
    const bool subordinate = options.level == Level::full && enter_subordinate_users();
    scheduler_ = std::make_unique<Scheduler>(
        events_, SchedulerOptions{.level = options.level,
                                  .limits = options.limits,
                                  .walls = options.walls,
                                  .python = python,
                                  .workers = options.workers,
                                  .slots = options.slots,
                                  .confirm_timeouts = options.confirm_timeouts,
                                  .done = [this](Record record) { done(std::move(record)); }});
    if (options.self_test) test_walls();
    const double factor = options.calibrate ? calibrate(options.workers) : 1;
    auto limits = options.limits;
    limits.cpu_s *= factor;
    limits.wall_s *= factor;
    scheduler_->set_limits(limits);
    description_ = {{"level", options.level == Level::full ? "full" : "user"},
                    {"subordinate_users", subordinate},
                    {"python", python.executable},
                    {"python_version", python.version},
                    {"int_max_str_digits", 0},
                    {"hash_seed", 0},
                    {"kernel", kernel()},
                    {"cgroup", options.walls.cgroup ? scheduler_->cgroup().version : "off"},
                    {"cpu_counted_by", scheduler_->cgroup().counts_cpu ? "cgroup" : "/proc"},
                    {"probes", options.self_test ? static_cast<int>(probes().size()) : 0},
                    {"calibration", factor},
                    {"cpu_s", limits.cpu_s},
                    {"wall_s", limits.wall_s},
                    {"memory_mb", limits.memory_mb},
                    {"output_kb", limits.output_kb},
                    {"processes", limits.processes},
                    {"workers", options.workers},
                    {"slots", options.slots},
                    {"confirm_timeouts", options.confirm_timeouts}};
  }

  // All of these before the client hears that it is open.
  std::vector<Record> run_own(std::vector<Request> requests) {
    own_.assign(requests.size(), {});
    for (size_t i = 0; i < requests.size(); ++i) {
      requests[i].seed = 1;
      scheduler_->submit(i, std::move(requests[i]));
    }
    while (!scheduler_->idle()) events_.wait(scheduler_->step());
    return std::move(own_);
  }

  void test_walls() {
    std::vector<Request> requests;
    for (const auto& probe : probes()) requests.push_back(request_for(probe));
    const auto records = run_own(std::move(requests));
    for (size_t i = 0; i < records.size(); ++i) require_held(probes()[i], records[i]);
  }

  // How many times as long as where the limits were chosen, with as much company as programs will
  // have: a processor may be half of a core. The middle one of three rounds; never below one.
  double calibrate(int workers) {
    std::vector<double> seconds;
    for (int round = 0; round < 3; ++round) {
      std::vector<Request> at_once(static_cast<size_t>(workers), calibration_request());
      for (const auto& record : run_own(std::move(at_once))) {
        if (record.verdict != Verdict::pass) {
          throw base::unavailable_error("sandbox: the calibration program did not pass: " +
                                        std::string(name(record.verdict)) + ": " + record.detail);
        }
        seconds.push_back(record.cpu_s);
      }
    }
    std::sort(seconds.begin(), seconds.end());
    return std::max(1.0, seconds[seconds.size() / 2] / kReferenceCpuS);
  }

  // Sends and hears what can be now. While the client does not read, records wait here, and
  // programs run on.
  void talk() {
    gone_ = !stream_.exchange();
    events_.also_when_writable(socket_, !stream_.all_sent());
    for (Json message; stream_.next(message);) {
      auto request = request_of(message.at("request"));
      // The program's own number: equal programs are asked in the same order.
      const auto digest =
          base::sha256(base::str(request.seed, ":", request.id, ":", request.program));
      request.seed = 0;
      for (size_t i = 0; i < 8; ++i) request.seed = request.seed << 8 | digest[i];
      scheduler_->submit(message.at("ticket"), std::move(request));
    }
  }

  void done(Record record) {
    if (description_.is_null()) {
      own_.at(record.ticket) = std::move(record);
    } else {
      stream_.put({{"record", to_message(record)}});
      events_.also_when_writable(socket_, true);
    }
  }

  int socket_;
  MessageStream stream_;
  Events events_;
  std::unique_ptr<Scheduler> scheduler_;
  Json description_;
  std::vector<Record> own_;
  bool gone_ = false;
};

}  // namespace

int serve(int socket) {
  // Orphans of a slot whose zygote was killed come here and are reaped, not left to the host.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  ::signal(SIGPIPE, SIG_IGN);
  return Server(socket).run();
}

}  // namespace preimage::sandbox
