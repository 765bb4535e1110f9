// The life of MPI in one process. Exactly one Session exists, made first in main() and destroyed
// last.
#pragma once

#include <functional>
#include <string>

#include "preimage/base/error.hpp"
#include "preimage/cluster/communicator.hpp"

namespace preimage::cluster {

class Session {
 public:
  // Starts MPI; works alone too, without mpirun (one rank). MPI errors become exceptions
  // afterwards.
  Session(int& argc, char**& argv);
  // Ends MPI; every rank must come here. When an exception passes through, the rank aborts the
  // whole job instead of waiting for others that will never come.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const Communicator& world() const { return world_; }
  int local_rank() const { return local_rank_; }    // among the ranks of this host
  int local_count() const { return local_count_; }  // ranks of this host
  const std::string& host() const { return host_; }
  std::string library_version() const;  // "Open MPI v4.1.4, ..."

  // Ends all ranks at once; mpirun returns `code`. Alone it is a plain exit. Never returns.
  [[noreturn]] void abort(int code) const;

 private:
  int exceptions_at_start_;
  Communicator world_;
  std::string host_;
  int local_rank_ = 0;
  int local_count_ = 1;
};

// An error that every rank throws alike, at the same place: the ranks leave in an orderly way and
// only rank 0 speaks.
class CollectiveError : public base::Error {
 public:
  using base::Error::Error;
};

// Runs `action` on rank 0 only and gives its text to all ranks. When it throws, every rank throws
// the same CollectiveError. Collective. The way to read inputs and to refuse a bad config.
std::string on_root(const Communicator& comm, const std::function<std::string()>& action);

// Runs `action` on every rank; when any throws base::Error, every rank throws the CollectiveError
// of the lowest such rank. Collective: `action` must not contain a collective that others would
// miss.
void together(const Communicator& comm, const std::function<void()>& action);

// The top of a ranked program: runs `body` and returns the exit code of the process. A
// CollectiveError is reported by rank 0 and its code returned on every rank; anything else is
// reported by the rank where it happened ("rank 3 on host: text") and aborts all ranks with its
// code. `report` gets the text.
int run_ranked(const Session& session, const std::function<int()>& body,
               const std::function<void(base::ExitCode, const std::string&)>& report);

}  // namespace preimage::cluster
