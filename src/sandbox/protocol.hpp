// The texts that processes of the sandbox send each other.
#pragma once

#include <string>
#include <string_view>

#include "preimage/sandbox/pool.hpp"
#include "supervisor/descriptor.hpp"
#include "supervisor/slot.hpp"

namespace preimage::sandbox {

// To the program's process and to its judge's: the first holds no test, the second no program.
base::Json candidate_job(const Job& job, const std::string& tag);
base::Json judge_job(const Job& job, const std::string& tag);

struct Said {
  Verdict verdict = Verdict::infra;
  std::string detail;
  bool gone = false;   // the program ended before it answered: its wait status says more
  bool retry = false;  // the judge itself failed
};
// What a judge wrote at its end.
Said parse_verdict(const std::string& text);

// What was seen of an observed program: what it reports itself (`payload`, which may be anything),
// how it ended, what it printed.
base::Json facts_of(const Job& job, const std::string& payload, int status, bool marker_seen);

// Between the supervisor and its client.
base::Json to_message(const Request& request);
Request request_of(const base::Json& message);
base::Json to_message(const Record& record);
Record record_of(const base::Json& message);
base::Json to_message(const PoolOptions& options);
PoolOptions options_of(const base::Json& message);

// A stream of messages, each behind its length in four bytes.
class MessageStream {
 public:
  explicit MessageStream(int socket) : socket_(socket) {}
  // False when the peer is gone.
  bool send(const base::Json& message) const;
  // Reads what is there (waits for something unless the socket is non-blocking); false when the
  // peer is gone.
  bool fill();
  // The next whole message, if there is one.
  bool next(base::Json& message);

 private:
  int socket_;
  std::string buffer_;
  size_t begin_ = 0;
};

}  // namespace preimage::sandbox
