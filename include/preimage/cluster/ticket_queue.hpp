// Dealing out the items 0..total-1 to ranks as they become free, in order, without a serving rank.
#pragma once

#include <cstdint>
#include <memory>

#include "preimage/cluster/communicator.hpp"

namespace preimage::cluster {

struct TicketRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t count() const { return end - begin; }
  bool empty() const { return begin >= end; }
};

class TicketQueue {
 public:
  virtual ~TicketQueue() = default;
  // Opens a queue of `total` items (the same on every rank). Collective.
  virtual void reset(int64_t total) = 0;
  // Up to `count` items that no other rank got; empty when none is left or the queue was closed.
  virtual TicketRange next(int64_t count) = 0;
  // From now on next() is empty on every rank. Any rank, any number of times.
  virtual void close() = 0;
  virtual bool closed() = 0;
  // Small shared counts, kept over resets; any rank changes and reads them at any time.
  enum class Counter { done, busy };
  virtual void add(Counter counter, int64_t value) = 0;
  virtual int64_t read(Counter counter) = 0;
};

// Tickets are an atomic counter in the memory of rank 0 (MPI_Fetch_and_op on a passive window).
// Between hosts the network card or rank 0's next MPI call serves it. Construction and destruction
// are collective; destruction during an exception leaves the window to MPI.
std::unique_ptr<TicketQueue> make_ticket_queue(const Communicator& comm);

// The same for one process without MPI.
std::unique_ptr<TicketQueue> make_local_ticket_queue();

}  // namespace preimage::cluster
