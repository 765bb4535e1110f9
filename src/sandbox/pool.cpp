#include "preimage/sandbox/pool.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <deque>

#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/process.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"
#include "protocol.hpp"

namespace preimage::sandbox {
namespace {

namespace fs = std::filesystem;
using base::Json;

fs::path beside_this_program() {
  std::error_code failed;
  return fs::read_symlink("/proc/self/exe", failed).parent_path() / "preimage-sandbox";
}

// The place of the first byte that is not UTF-8, for fields that a request must have as text.
void require_text(const std::string& id, const char* field, const std::string& text) {
  const auto at = base::first_invalid_utf8(text);
  if (at != std::string::npos) {
    throw base::data_error(base::str("program ", id, ": ", field,
                                     ": found a byte that is not UTF-8 at ", at,
                                     ", expected text"));
  }
}

// What goes to a slot's own process travels in one packet.
void require_short(const std::string& id, const char* field, const std::string& text) {
  constexpr size_t kMost = 4096;
  if (text.size() <= kMost) return;
  throw base::data_error(base::str("program ", id, ": observe: ", field, ": found ", text.size(),
                                   " bytes, expected at most ", kMost));
}

}  // namespace

Supervisor::Supervisor(pid_t pid, int socket) : pid_(pid), socket_(socket) {}

Supervisor::Supervisor(Supervisor&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      socket_(std::exchange(other.socket_, -1)),
      pool_(std::move(other.pool_)),
      pool_options_(std::move(other.pool_options_)) {}

Pool& Supervisor::pool(const PoolOptions& options) {
  const auto text = base::canonical(to_message(options));
  if (!pool_) {
    pool_ = std::make_unique<Pool>(*this, options);
    pool_options_ = text;
  } else if (text != pool_options_) {
    throw base::config_error(base::str(
        "the sandbox is open with ", pool_options_, ", found ", text,
        "; one sandbox serves a run, so its settings cannot be swept: run the job once for each"));
  }
  return *pool_;
}

Supervisor::~Supervisor() {
  pool_.reset();
  if (socket_ >= 0) ::close(socket_);  // it ends when its client is gone
  if (pid_ > 0) {
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
}

Supervisor start_supervisor(const fs::path& executable) {
  const auto path = executable.empty() ? beside_this_program() : executable;
  if (!fs::exists(path)) {
    throw base::unavailable_error("sandbox: " + path.string() +
                                  " is not there; build the target preimage-sandbox");
  }
  auto sockets = make_sockets(SOCK_STREAM);
  // Its own process group: Ctrl-C on a terminal ends it through us.
  const pid_t pid = base::start_process({.argv = {path.string()},
                                         .environment = {},
                                         .stdin_fd = sockets.second.get(),
                                         .own_process_group = true});
  const int socket = ::dup(sockets.first.get());
  if (socket < 0) throw base::errno_error("sandbox: dup failed", errno);
  ::fcntl(socket, F_SETFD, FD_CLOEXEC);
  return Supervisor(pid, socket);
}

struct Pool::State {
  explicit State(int client) : stream(client) {}

  [[noreturn]] static void fail(const Json& message) {
    throw base::Error(static_cast<base::ExitCode>(message.value("code", 69)),
                      message.at("error").get<std::string>());
  }

  void take(const Json& message) {
    if (message.contains("error")) fail(message);
    records.push_back(record_of(message.at("record")));
  }

  [[noreturn]] static void fail_ended(const char* when) {
    throw base::unavailable_error(std::string("sandbox: preimage-sandbox ended ") + when);
  }

  // Sends and takes in what can be now, after waiting for either. False when nobody is there any
  // more.
  bool talk(double timeout_s) {
    if (!stream.wait(timeout_s)) return true;
    const bool alive = stream.exchange();
    for (Json message; stream.next(message);) take(message);
    return alive;
  }

  MessageStream stream;
  Json description;
  std::deque<Record> records;
  uint64_t tickets = 0;
  size_t pending = 0;
};

Pool::Pool(Supervisor& supervisor, const PoolOptions& options)
    : state_(std::make_unique<State>(supervisor.socket())) {
  state_->stream.put(to_message(options));
  Json message;
  if (!state_->stream.receive(message)) State::fail_ended("while it was opened");
  if (message.contains("error")) State::fail(message);
  state_->description = message.at("opened");
}

Pool::~Pool() = default;

uint64_t Pool::submit(Request request) {
  auto& state = *state_;
  const uint64_t ticket = ++state.tickets;
  require_text(request.id, "setup", request.setup);
  require_text(request.id, "check", request.check);
  require_text(request.id, "entry_point", request.entry_point);
  for (const auto& test : request.assert_tests) require_text(request.id, "assert_tests", test);
  if (request.observe) {
    require_short(request.id, "file", request.observe->file);
    require_short(request.id, "file_marker", request.observe->file_marker);
  }
  const auto invalid = base::first_invalid_utf8(request.program);
  if (invalid != std::string::npos) {  // as Python says of such a source file
    Record record;
    record.ticket = ticket;
    record.id = request.id;
    record.verdict = record.first_verdict = Verdict::syntax;
    record.detail = base::str("not UTF-8 at byte ", invalid);
    state.records.push_back(std::move(record));
    ++state.pending;
    return ticket;
  }
  state.stream.put({{"ticket", ticket}, {"request", to_message(request)}});
  ++state.pending;
  do {
    if (!state.talk(state.stream.all_sent() ? 0 : -1)) State::fail_ended("unexpectedly");
  } while (!state.stream.all_sent());
  return ticket;
}

std::optional<Record> Pool::next(double timeout_s) {
  auto& state = *state_;
  if (state.pending == 0) return std::nullopt;
  const double end = base::monotonic_seconds() + timeout_s;
  while (state.records.empty()) {
    const double left = timeout_s < 0 ? -1 : std::max(0.0, end - base::monotonic_seconds());
    if (!state.talk(left) && state.records.empty()) State::fail_ended("unexpectedly");
    if (state.records.empty() && timeout_s >= 0 && base::monotonic_seconds() >= end)
      return std::nullopt;
  }
  auto record = std::move(state.records.front());
  state.records.pop_front();
  --state.pending;
  return record;
}

size_t Pool::pending() const {
  return state_->pending;
}

Json Pool::description() const {
  return state_->description;
}

}  // namespace preimage::sandbox
