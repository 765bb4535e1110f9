// main() of a GoogleTest executable that runs under mpirun: every rank runs the same tests, rank 0
// prints as usual, the others print only their failures. One failing rank fails the executable.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>

#include "preimage/cluster/session.hpp"

namespace preimage::tests {

inline cluster::Session*& ranked_session() {
  static cluster::Session* session = nullptr;
  return session;
}

// All ranks of this run. Collectives inside a test must be reached by all: use EXPECT, not ASSERT,
// between them.
inline const cluster::Communicator& world() {
  return ranked_session()->world();
}

class FailurePrinter : public testing::EmptyTestEventListener {
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "rank %d: %s:%d: %s\n", world().rank(),
                 result.file_name() ? result.file_name() : "?", result.line_number(),
                 result.summary());
  }
};

}  // namespace preimage::tests

int main(int argc, char** argv) {
  using namespace preimage;
  auto session = std::make_unique<cluster::Session>(argc, argv);
  tests::ranked_session() = session.get();
  testing::InitGoogleTest(&argc, argv);
  if (!session->world().root()) {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new tests::FailurePrinter);
  }
  const bool failed = RUN_ALL_TESTS() != 0;
  const bool any = session->world().any(failed);
  session.reset();
  return any ? 1 : 0;
}
