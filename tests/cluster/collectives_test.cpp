// ranks: 1 2 3 5
#include "ranked_main.hpp"

#include <ATen/ATen.h>

#include <set>

#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/placement.hpp"
#include "preimage/cluster/tensor_reduce.hpp"
#include "preimage/cluster/ticket_queue.hpp"

namespace preimage::cluster {
namespace {

using tests::world;

TEST(Communicator, BroadcastGivesTheRootsBytes) {
  const std::string text("root\0bytes", 10);
  EXPECT_EQ(world().broadcast(world().root() ? text : "other"), text);
  EXPECT_EQ(world().broadcast(""), "");
}

TEST(Communicator, AllGatherKeepsRankOrderAndUnequalLengths) {
  const auto parts =
      world().all_gather(std::string(static_cast<size_t>(world().rank()) * 1000, 'x'));
  EXPECT_EQ(parts.size(), static_cast<size_t>(world().size()));
  for (size_t r = 0; r < parts.size(); ++r) EXPECT_EQ(parts[r], std::string(r * 1000, 'x'));
}

TEST(Communicator, ReducesIntegers) {
  const int64_t n = world().size();
  EXPECT_EQ(world().all_reduce_sum(world().rank() + 1), n * (n + 1) / 2);
  EXPECT_EQ(world().all_reduce_max(-world().rank()), 0);
  EXPECT_TRUE(world().any(world().rank() == world().size() - 1));
  EXPECT_FALSE(world().any(false));
}

TEST(Communicator, SplitOrdersByRank) {
  const auto part = world().split(world().rank() % 2);
  EXPECT_EQ(part.rank(), world().rank() / 2);
  EXPECT_EQ(part.size(), (world().size() + 1 - world().rank() % 2) / 2);
  EXPECT_EQ(part.all_reduce_sum(1), part.size());
}

TEST(Communicator, AloneNeedsNoMpi) {
  const auto one = alone();
  EXPECT_EQ(one.size(), 1);
  EXPECT_EQ(one.split(3).all_gather("x"), std::vector<std::string>{"x"});
}

TEST(Session, ErrorOnRootIsThrownByEveryRank) {
  try {
    on_root(world(), []() -> std::string { throw base::config_error("job.json:3: bad\nkey"); });
    ADD_FAILURE() << "nothing thrown";
  } catch (const CollectiveError& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_config);
    EXPECT_STREQ(error.what(), "job.json:3: bad\nkey");
  }
  EXPECT_EQ(on_root(world(), [] { return std::string("fine\nhere"); }), "fine\nhere");
}

TEST(Session, ErrorOfOneRankIsThrownByEveryRank) {
  const int bad = world().size() - 1;
  try {
    together(world(), [&] {
      if (world().rank() == bad) throw base::data_error("shard 3 is corrupt");
    });
    ADD_FAILURE() << "nothing thrown";
  } catch (const CollectiveError& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_data);
    EXPECT_STREQ(error.what(), "shard 3 is corrupt");
  }
  together(world(), [] {});
}

TEST(Session, KnowsItsHost) {
  EXPECT_LT(tests::ranked_session()->local_rank(), tests::ranked_session()->local_count());
  EXPECT_NE(tests::ranked_session()->library_version().find("MPI"), std::string::npos);
}

TEST(Placement, DividesTheCoresAndRefusesAMissingGpu) {
  const auto& session = *tests::ranked_session();
  const auto placed = place(session, {.device = "cpu"});
  EXPECT_GE(placed.threads, 1);
  EXPECT_LE(placed.threads * world().size(), std::max(usable_cores(), world().size()));
  EXPECT_EQ(place(session, {.device = "cpu", .threads = 3}).threads, 3);
  EXPECT_EQ(describe(world(), placed).size(), static_cast<size_t>(world().size()));
  if (gpu_count() == 0) {
    EXPECT_THROW(place(session, {.device = "cuda"}), CollectiveError);
  } else if (world().size() > gpu_count()) {
    EXPECT_THROW(place(session, {.device = "cuda"}), CollectiveError);
    EXPECT_TRUE(place(session, {.device = "cuda", .share_gpu = true}).device.is_cuda());
  }
}

std::set<int64_t> take_all(TicketQueue& queue, int64_t count) {
  std::set<int64_t> mine;
  for (TicketRange range; !(range = queue.next(count)).empty();) {
    for (int64_t i = range.begin; i < range.end; ++i) mine.insert(i);
  }
  return mine;
}

TEST(TicketQueue, EveryItemGoesToExactlyOneRank) {
  const auto queue = make_ticket_queue(world());
  int64_t dealt = 0;
  for (const int64_t total : {int64_t{1000}, int64_t{3}, int64_t{0}}) {
    queue->reset(total);
    const auto mine = take_all(*queue, 7);
    queue->add(TicketQueue::Counter::done, static_cast<int64_t>(mine.size()));
    EXPECT_EQ(world().all_reduce_sum(static_cast<int64_t>(mine.size())), total);
    int64_t sum = 0;
    for (const int64_t item : mine) sum += item;
    EXPECT_EQ(world().all_reduce_sum(sum), total * (total - 1) / 2);
    dealt += total;
    EXPECT_EQ(queue->read(TicketQueue::Counter::done), dealt);
    EXPECT_EQ(queue->read(TicketQueue::Counter::busy), 0);
    world().barrier();
  }
}

TEST(TicketQueue, ClosingByAnyRankEndsItForAll) {
  const auto queue = make_ticket_queue(world());
  queue->reset(1 << 20);
  EXPECT_FALSE(queue->closed());
  world().barrier();
  if (world().rank() == world().size() - 1) {
    queue->next(1);
    queue->close();
    queue->close();
  }
  world().barrier();
  EXPECT_TRUE(queue->closed());
  EXPECT_TRUE(queue->next(1).empty());
  queue->reset(2);
  EXPECT_FALSE(queue->closed());
  EXPECT_EQ(world().all_reduce_sum(static_cast<int64_t>(take_all(*queue, 1).size())), 2);
}

// The same tree, written the plain way, over all shards.
at::Tensor serial_tree(const std::vector<at::Tensor>& shards, size_t begin, size_t end) {
  if (end - begin == 1) return shards[begin];
  size_t half = 1;
  while (half * 2 < end - begin) half *= 2;
  return serial_tree(shards, begin, begin + half) + serial_tree(shards, begin + half, end);
}

std::vector<at::Tensor> random_shards(int64_t count, int64_t n) {
  std::vector<at::Tensor> out;
  for (int64_t s = 0; s < count; ++s) {
    const base::RandomStream stream(7, base::str("shard ", s), "values");
    auto values = at::empty({n}, at::kFloat);
    for (int64_t i = 0; i < n; ++i) {
      values.data_ptr<float>()[i] = static_cast<float>(stream.normal(static_cast<uint64_t>(i)));
    }
    out.push_back(values);
  }
  return out;
}

TEST(TreeSum, BitsEqualTheSerialTreeForAnyNumberOfRanks) {
  for (const int64_t shards : {1, 2, 3, 5, 7, 8, 13, 16}) {
    for (const int64_t n : {1, 3, 1001}) {
      const auto values = random_shards(shards, n);
      TreeSum sum(world(), shards);
      // Backwards, to show that the order of adding does not matter.
      for (int64_t s = sum.owned().end - 1; s >= sum.owned().begin; --s)
        sum.add(s, values[s].clone());
      const auto total = sum.finish(values[0]);
      EXPECT_TRUE(at::equal(total, serial_tree(values, 0, values.size())))
          << shards << " shards of " << n;
    }
  }
}

TEST(TreeSum, LongVectorsGoInSeveralRounds) {
  const int64_t n = (int64_t{1} << 20) * world().size() + 12345;
  std::vector<at::Tensor> values;
  for (int64_t s = 0; s < 6; ++s)
    values.push_back(at::arange(n, at::kFloat).mul_(0.1 * (s + 1)).sin_());
  TreeSum sum(world(), 6);
  for (int64_t s = sum.owned().begin; s < sum.owned().end; ++s) sum.add(s, values[s].clone());
  EXPECT_TRUE(at::equal(sum.finish(values[0]), serial_tree(values, 0, 6)));
}

TEST(TreeSum, RefusesForeignAndMissingShards) {
  TreeSum sum(world(), world().size());
  EXPECT_THROW(sum.add(world().size(), at::zeros({2})), base::Error);
  EXPECT_THROW(sum.finish(at::zeros({2})), base::Error);
}

TEST(Broadcast, TensorOfTheRoot) {
  auto tensor = at::full({3, 5}, world().rank() + 1.0, at::kDouble);
  broadcast(world(), tensor);
  EXPECT_TRUE(at::equal(tensor, at::ones({3, 5}, at::kDouble)));
}

}  // namespace
}  // namespace preimage::cluster
