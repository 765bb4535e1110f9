// A group of ranks and its collectives. No MPI type appears here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace preimage::cluster {

// Every call below is collective: all ranks of the communicator make it, in the same order. A
// failing MPI call throws with MPI's own text.
class Communicator {
 public:
  struct Impl;  // holds the MPI handle; defined in src/cluster
  explicit Communicator(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

  int rank() const;
  int size() const;
  bool root() const { return rank() == 0; }

  void barrier() const;
  // Root's bytes on every rank.
  std::string broadcast(const std::string& bytes) const;
  // The bytes of every rank, in rank order, on every rank.
  std::vector<std::string> all_gather(const std::string& bytes) const;
  int64_t all_reduce_sum(int64_t value) const;
  int64_t all_reduce_max(int64_t value) const;
  bool any(bool value) const { return all_reduce_max(value ? 1 : 0) != 0; }

  // Ranks of equal `color` form a new communicator, ordered by their rank here.
  Communicator split(int color) const;

  Impl& impl() const { return *impl_; }

 private:
  std::shared_ptr<Impl> impl_;
};

// One rank that needs no MPI: for library use and tests in one process.
Communicator alone();

}  // namespace preimage::cluster
