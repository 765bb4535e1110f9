#include "preimage/cluster/ticket_queue.hpp"

#include <algorithm>
#include <exception>

#include "mpi_call.hpp"
#include "preimage/base/error.hpp"

namespace preimage::cluster {
namespace {

constexpr int64_t kClosed = int64_t{1} << 60;  // above every real ticket
enum Slot : MPI_Aint { kNext = 0, kDone = 1, kBusy = 2, kSlots = 3 };

Slot slot_of(TicketQueue::Counter counter) {
  return counter == TicketQueue::Counter::done ? kDone : kBusy;
}

class MpiTicketQueue : public TicketQueue {
 public:
  explicit MpiTicketQueue(const Communicator& comm)
      : comm_(comm), exceptions_at_start_(std::uncaught_exceptions()) {
    const MPI_Aint bytes = comm.root() ? kSlots * static_cast<MPI_Aint>(sizeof(int64_t)) : 0;
    check_mpi(MPI_Win_allocate(bytes, sizeof(int64_t), MPI_INFO_NULL, comm.impl().handle, &memory_,
                               &window_),
              "MPI_Win_allocate");
    check_mpi(MPI_Win_set_errhandler(window_, MPI_ERRORS_RETURN), "MPI_Win_set_errhandler");
    check_mpi(MPI_Win_lock_all(0, window_), "MPI_Win_lock_all");
    if (comm.root()) {
      for (const Slot slot : {kDone, kBusy}) fetch(slot, 0, MPI_REPLACE);
    }
    reset(0);
  }

  ~MpiTicketQueue() override {
    // Freeing is collective: others may never come while an error passes through this rank.
    if (std::uncaught_exceptions() > exceptions_at_start_) return;
    MPI_Win_unlock_all(window_);
    MPI_Win_free(&window_);
  }

  void reset(int64_t total) override {
    comm_.barrier();  // nobody still takes from the wave before
    total_ = total;
    if (comm_.root()) fetch(kNext, 0, MPI_REPLACE);
    comm_.barrier();
  }

  TicketRange next(int64_t count) override {
    base::check(count >= 0 && count < (int64_t{1} << 40), "a count of tickets is sane");
    const int64_t begin = fetch(kNext, count, MPI_SUM);
    return {std::min(begin, total_), std::min(begin + count, total_)};
  }

  // MAX, not REPLACE: closing twice or while others take changes nothing more.
  void close() override { fetch(kNext, kClosed, MPI_MAX); }
  bool closed() override { return fetch(kNext, 0, MPI_NO_OP) >= kClosed; }
  void add(Counter counter, int64_t value) override { fetch(slot_of(counter), value, MPI_SUM); }
  int64_t read(Counter counter) override { return fetch(slot_of(counter), 0, MPI_NO_OP); }

 private:
  int64_t fetch(Slot slot, int64_t value, MPI_Op op) {
    int64_t before = 0;
    check_mpi(MPI_Fetch_and_op(&value, &before, MPI_INT64_T, 0, slot, op, window_),
              "MPI_Fetch_and_op");
    check_mpi(MPI_Win_flush(0, window_), "MPI_Win_flush");
    return before;
  }

  Communicator comm_;
  int exceptions_at_start_;
  MPI_Win window_ = MPI_WIN_NULL;
  int64_t* memory_ = nullptr;  // of rank 0, owned by the window
  int64_t total_ = 0;
};

class LocalTicketQueue : public TicketQueue {
 public:
  void reset(int64_t total) override {
    total_ = total;
    next_ = 0;
    closed_ = false;
  }
  TicketRange next(int64_t count) override {
    const int64_t begin = closed_ ? total_ : next_;
    next_ = std::min(total_, begin + count);
    return {begin, next_};
  }
  void close() override { closed_ = true; }
  bool closed() override { return closed_; }
  void add(Counter counter, int64_t value) override { counts_[slot_of(counter)] += value; }
  int64_t read(Counter counter) override { return counts_[slot_of(counter)]; }

 private:
  int64_t total_ = 0;
  int64_t next_ = 0;
  int64_t counts_[kSlots] = {};
  bool closed_ = false;
};

}  // namespace

std::unique_ptr<TicketQueue> make_ticket_queue(const Communicator& comm) {
  if (comm.size() == 1) return make_local_ticket_queue();
  return std::make_unique<MpiTicketQueue>(comm);
}

std::unique_ptr<TicketQueue> make_local_ticket_queue() {
  return std::make_unique<LocalTicketQueue>();
}

}  // namespace preimage::cluster
