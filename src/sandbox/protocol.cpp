#include "protocol.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "preimage/base/error.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::sandbox {

using base::Json;

namespace {

constexpr size_t kDetail = 1000;  // bytes
constexpr uint32_t kMaxMessage = 1u << 28;

bool uses_linked_nodes(const Request& request) {
  for (const char* word : {"ListNode", "TreeNode"}) {
    if (request.program.find(word) != std::string::npos) return true;
  }
  return false;
}

Json observation_json(const Observation& observe) {
  return {{"call", observe.call},
          {"stdout", observe.stdout_marker},
          {"file", observe.file},
          {"file_marker", observe.file_marker},
          {"attribute", observe.attribute}};
}

// A number of its own for each purpose: what the program knows of its seed says nothing about the
// order in which it will be asked.
uint64_t seed_for(const Job& job, const char* purpose) {
  const auto digest = base::sha256(base::str(job.request.seed, ":", purpose));
  uint64_t seed = 0;
  std::memcpy(&seed, digest.data(), sizeof seed);
  return seed;
}

// As JSON text; an array, where neither the order of keys nor large integers matter.
std::string tests_text(const Json& tests) {
  if (tests.is_null()) return "";
  return tests.is_string() ? tests.get<std::string>() : tests.dump();
}

std::string valid_text(std::string text) {
  text = base::replace_invalid_utf8(text);
  if (text.size() > kDetail) text = base::replace_invalid_utf8(text.substr(0, kDetail)) + "...";
  return text;
}

}  // namespace

Json candidate_job(const Job& job, const std::string& tag) {
  const auto& request = job.request;
  return {{"tag", tag},
          {"program", request.program},
          {"setup", request.observe ? request.setup : request.setup_for_program},
          {"seed", seed_for(job, "program")},
          {"linked", uses_linked_nodes(request)},
          {"observe", request.observe ? observation_json(*request.observe) : Json(nullptr)}};
}

Json judge_job(const Job& job, const std::string& tag) {
  const auto& request = job.request;
  return {{"tag", tag},
          {"entry_point", request.entry_point},
          {"setup", request.setup},
          {"setup_for_program", request.setup_for_program},
          {"strict", request.strict},
          {"ordered", request.ordered},
          {"seed", seed_for(job, job.runs > 1 ? "order again" : "order")},
          {"tests", request.tests},
          {"assert_tests", request.assert_tests},
          {"check", request.check}};
}

Said parse_verdict(const std::string& text) {
  // A judge that has seen every test hold says so before it asks some calls again (worker/judge.py:
  // ask_again): where the program ends over that, its tests have held all the same.
  const auto end = text.rfind('\n');
  const auto begin = end == 0 || end == text.npos ? 0 : text.rfind('\n', end - 1) + 1;
  const auto message = Json::parse(text.substr(begin), nullptr, /*allow_exceptions=*/false);
  if (!message.is_array() || message.size() != 2 || !message[0].is_string() ||
      !message[1].is_string()) {
    return {.detail = "the judge ended without a verdict", .retry = true};
  }
  const std::string word = message[0], detail = valid_text(message[1]);
  if (word == "HELD") return {.verdict = Verdict::pass};
  if (word == "GONE") return {.verdict = Verdict::no_verdict, .detail = detail, .gone = true};
  if (word == "PROCESSES")
    return {.verdict = Verdict::timeout, .detail = "its share of processes is used up: " + detail};
  // Broken tests are not our fault, but no program's either: not scored, and not retried.
  if (word == "BROKEN") return {.detail = "the tests cannot be run: " + detail};
  const auto verdict = verdict_named(word);
  if (!verdict) return {.detail = "the judge said " + word, .retry = true};
  return {.verdict = *verdict, .detail = detail};
}

bool tests_held(const std::string& text) {
  return text.starts_with("[\"HELD\"");
}

Json facts_of(const Job& job, const std::string& payload, const Seen& seen) {
  Json claimed = nullptr;
  const auto told = Json::parse(payload, nullptr, /*allow_exceptions=*/false);
  if (told.is_object()) {
    for (const char* name :
         {"loaded", "exception", "call_returned", "call_exception", "attribute"}) {
      const bool plain = told.contains(name) && told[name].is_primitive();
      claimed[name] = plain ? told[name] : Json(nullptr);
    }
  }
  const int status = seen.status;
  return {{"exit_code", WIFEXITED(status) ? Json(WEXITSTATUS(status)) : Json(nullptr)},
          {"signal", WIFSIGNALED(status) ? Json(WTERMSIG(status)) : Json(nullptr)},
          {"stdout_marker",
           job.request.observe->stdout_marker.empty() ? Json(nullptr) : Json(seen.marker)},
          {"file_written", seen.file_written ? Json(*seen.file_written) : Json(nullptr)},
          {"claimed", claimed}};
}

Json to_message(const Request& request) {
  return {{"id", request.id},
          {"program", request.program},
          {"entry_point", request.entry_point},
          {"setup", request.setup},
          {"setup_for_program", request.setup_for_program},
          {"tests", request.tests},
          {"assert_tests", request.assert_tests},
          {"check", request.check},
          {"strict", request.strict},
          {"ordered", request.ordered},
          {"seed", request.seed},
          {"observe", request.observe ? observation_json(*request.observe) : Json(nullptr)}};
}

Request request_of(const Json& message) {
  Request request;
  request.id = message.at("id");
  request.program = message.at("program");
  request.entry_point = message.at("entry_point");
  request.setup = message.at("setup");
  request.setup_for_program = message.value("setup_for_program", "");
  request.tests = tests_text(message.at("tests"));
  request.strict = message.value("strict", false);
  request.ordered = message.value("ordered", false);
  request.assert_tests = message.at("assert_tests").get<std::vector<std::string>>();
  request.check = message.at("check");
  request.seed = message.at("seed");
  if (const auto& observe = message.at("observe"); !observe.is_null()) {
    request.observe = Observation{observe.at("call"), observe.at("stdout"), observe.at("file"),
                                  observe.at("file_marker"), observe.at("attribute")};
  }
  return request;
}

Json to_message(const Record& record) {
  return {{"ticket", record.ticket},
          {"id", record.id},
          {"verdict", name(record.verdict)},
          {"detail", record.detail},
          {"cpu_s", record.cpu_s},
          {"wall_s", record.wall_s},
          {"waited_s", record.waited_s},
          {"max_rss_mb", record.max_rss_mb},
          {"runs", record.runs},
          {"first_verdict", name(record.first_verdict)},
          {"output", base::escape_text(record.output)},
          {"facts", record.facts}};
}

Record record_of(const Json& message) {
  Record record;
  record.ticket = message.at("ticket");
  record.id = message.at("id");
  record.verdict = verdict_named(message.at("verdict").get<std::string>()).value();
  record.detail = message.at("detail");
  record.cpu_s = message.at("cpu_s");
  record.wall_s = message.at("wall_s");
  record.waited_s = message.at("waited_s");
  record.max_rss_mb = message.at("max_rss_mb");
  record.runs = message.at("runs");
  record.first_verdict = verdict_named(message.at("first_verdict").get<std::string>()).value();
  record.output = base::unescape_text(message.at("output").get<std::string>());
  record.facts = message.at("facts");
  return record;
}

Json to_message(const PoolOptions& options) {
  const auto& walls = options.walls;
  return {{"level", options.level == Level::full ? "full" : "user"},
          {"cpu_s", options.limits.cpu_s},
          {"wall_s", options.limits.wall_s},
          {"memory_mb", options.limits.memory_mb},
          {"output_kb", options.limits.output_kb},
          {"processes", options.limits.processes},
          {"walls",
           {walls.network, walls.mount, walls.pid, walls.uid, walls.seccomp, walls.rlimits,
            walls.cgroup, walls.poll}},
          {"workers", options.workers},
          {"slots", options.slots},
          {"python", options.python},
          {"calibrate", options.calibrate},
          {"self_test", options.self_test},
          {"confirm_timeouts", options.confirm_timeouts}};
}

PoolOptions options_of(const Json& message) {
  PoolOptions options;
  options.level = message.at("level") == "full" ? Level::full : Level::user;
  options.limits.cpu_s = message.at("cpu_s");
  options.limits.wall_s = message.at("wall_s");
  options.limits.memory_mb = message.at("memory_mb");
  options.limits.output_kb = message.at("output_kb");
  options.limits.processes = message.at("processes");
  const auto& walls = message.at("walls");
  options.walls = {walls[0], walls[1], walls[2], walls[3], walls[4], walls[5], walls[6], walls[7]};
  options.workers = message.at("workers");
  options.slots = message.at("slots");
  options.python = message.at("python");
  options.calibrate = message.at("calibrate");
  options.self_test = message.at("self_test");
  options.confirm_timeouts = message.at("confirm_timeouts");
  return options;
}

void MessageStream::put(const Json& message) {
  const auto text = message.dump();
  if (text.size() >= kMaxMessage) {
    throw base::data_error(base::str("sandbox: a message of ", text.size(), " bytes, more than ",
                                     kMaxMessage, "; send fewer or smaller tests with a program"));
  }
  const auto size = static_cast<uint32_t>(text.size());
  if (sent_ > outgoing_.size() / 2) outgoing_.erase(0, std::exchange(sent_, 0));
  outgoing_.append(reinterpret_cast<const char*>(&size), sizeof size).append(text);
}

bool MessageStream::send_some() {
  while (!all_sent()) {
    const ssize_t sent = ::send(socket_, outgoing_.data() + sent_, outgoing_.size() - sent_,
                                MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      sent_ += static_cast<size_t>(sent);
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool MessageStream::read_some() {
  char buffer[1 << 16];
  ssize_t got;
  while ((got = ::recv(socket_, buffer, sizeof buffer, MSG_DONTWAIT)) < 0 && errno == EINTR) {
  }
  if (got < 0) return errno == EAGAIN;
  buffer_.append(buffer, static_cast<size_t>(got));
  return got > 0;
}

bool MessageStream::exchange() {
  const bool heard = send_some();
  return read_some() && heard;
}

bool MessageStream::wait(double timeout_s) const {
  pollfd either{socket_, static_cast<short>(all_sent() ? POLLIN : POLLIN | POLLOUT), 0};
  const int ms = timeout_s < 0 ? -1 : static_cast<int>(std::min(timeout_s, 1e6) * 1000);
  int ready;
  while ((ready = ::poll(&either, 1, ms)) < 0 && errno == EINTR) {
  }
  return ready > 0;
}

bool MessageStream::receive(Json& message) {
  bool alive = true;
  while (!next(message)) {
    if (!alive) return false;
    wait(-1);
    alive = exchange();
  }
  return true;
}

bool MessageStream::send_all() {
  while (!all_sent()) {
    wait(-1);
    if (!exchange()) return false;
  }
  return true;
}

bool MessageStream::next(Json& message) {
  uint32_t size = 0;
  if (buffer_.size() - begin_ < sizeof size) return false;
  std::memcpy(&size, buffer_.data() + begin_, sizeof size);
  if (size > kMaxMessage) throw base::unavailable_error("sandbox: a message of no known kind");
  if (buffer_.size() - begin_ - sizeof size < size) return false;
  const auto first = buffer_.begin() + static_cast<int64_t>(begin_ + sizeof size);
  message = Json::parse(first, first + size);
  begin_ += sizeof size + size;
  if (begin_ > (1 << 20) || begin_ == buffer_.size()) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  return true;
}

}  // namespace preimage::sandbox
