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

// Whether the judge has seen every test hold: nothing that happens later undoes that.
bool tests_held(const std::string& text);

// What was seen from outside of an observed program.
struct Seen {
  int status = 0;  // wait status
  bool marker = false;
  std::optional<bool> file_written;  // where one was asked for
};
// That, and under "claimed" what it reports itself (`payload`, which may be anything): it comes
// from the program's own process, and nothing keeps it from saying what it likes.
base::Json facts_of(const Job& job, const std::string& payload, const Seen& seen);

// Between the supervisor and its client.
base::Json to_message(const Request& request);
Request request_of(const base::Json& message);
base::Json to_message(const Record& record);
Record record_of(const base::Json& message);
base::Json to_message(const PoolOptions& options);
PoolOptions options_of(const base::Json& message);

// A stream of messages, each behind its length in four bytes. Sending never waits for the peer to
// read: both ends queue what the socket does not take, and whoever waits does so for both
// directions. Two ends that each wait until the other has read would wait for ever.
class MessageStream {
 public:
  explicit MessageStream(int socket) : socket_(socket) {}
  // Queues a message. Throws ExitCode::bad_data when it is too large for its length field.
  void put(const base::Json& message);
  // Sends what the socket takes now, reads what is there now; false when the peer is gone (what it
  // said before is still there for next()).
  bool exchange();
  // Waits at most `timeout_s` (< 0: for ever) until exchange() has something to do.
  bool wait(double timeout_s) const;
  bool all_sent() const { return sent_ == outgoing_.size(); }
  // The next whole message, if there is one.
  bool next(base::Json& message);
  // Waits for it; false when the peer is gone.
  bool receive(base::Json& message);
  // Waits until all is sent; false when the peer is gone. What comes meanwhile is kept.
  bool send_all();

 private:
  bool send_some();
  bool read_some();

  int socket_;
  std::string buffer_, outgoing_;
  size_t begin_ = 0, sent_ = 0;  // of what was taken from each
};

}  // namespace preimage::sandbox
