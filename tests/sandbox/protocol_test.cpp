// time limit: 90 s
// Client and supervisor never wait for each other, whatever either sends, and whenever it reads.
#include "protocol.hpp"

#include <sys/socket.h>
#include <sys/stat.h>

#include <map>
#include <random>

#include "preimage/base/str.hpp"
#include "sandbox/opened.hpp"

namespace preimage::sandbox::tests {
namespace {

// Two ends that wait for each other would wait for ever: then the alarm ends this program.
class Protocol : public testing::Test {
 protected:
  void SetUp() override { ::alarm(60); }
  void TearDown() override { ::alarm(0); }
};

class Dice {
 public:
  explicit Dice(unsigned seed) : generator_(seed) {}
  // From 0 to `most`, small ones as likely as large ones.
  size_t size(size_t most) {
    const size_t limit = most >> (generator_() % 20);
    return generator_() % (limit + 1);
  }
  bool one_in(unsigned count) { return generator_() % count == 0; }
  void nap() {
    if (one_in(4)) ::usleep(static_cast<useconds_t>(generator_() % 2000));
  }

 private:
  std::mt19937 generator_;  // its numbers are the same everywhere
};

// In place of preimage-sandbox: records of random sizes, in any order, in random pieces, and it
// sends when it likes without looking whether the client wants to be heard.
constexpr char kFake[] = R"(#!/usr/bin/env python3
import json, os, random, socket, struct, time
dice = random.Random(os.environ["PREIMAGE_FUZZ_SEED"])
peer = socket.socket(fileno=0)
buffer, waiting, opened = b"", [], False
def size(most):
    return dice.randrange((most >> dice.randrange(20)) + 1)
def send(message):
    data = json.dumps(message).encode()
    data = struct.pack("=I", len(data)) + data
    while data:
        sent = peer.send(data[:1 + size(1 << 20)])
        data = data[sent:]
        if dice.randrange(8) == 0:
            time.sleep(dice.random() * 0.002)
def record(message):
    request = message["request"]
    return {"record": {"ticket": message["ticket"], "id": request["id"], "verdict": "PASS", "detail": "", "cpu_s": 0,
                       "wall_s": 0, "waited_s": 0, "max_rss_mb": 0, "runs": 1, "first_verdict": "PASS",
                       "output": "y" * size(1 << 20), "facts": {"program": len(request["program"])}}}
while True:
    part = peer.recv(1 + size(1 << 20))
    if not part:
        break
    buffer += part
    while len(buffer) >= 4 and len(buffer) - 4 >= struct.unpack_from("=I", buffer)[0]:
        end = 4 + struct.unpack_from("=I", buffer)[0]
        message, buffer = json.loads(buffer[4:end]), buffer[end:]
        if opened:
            waiting.append(message)
        else:
            opened = True
            send({"opened": {}})
        if message.get("ticket") == 60:  # the last: nobody sends any more
            while waiting:
                send(record(waiting.pop()))
    if waiting and dice.randrange(2):
        dice.shuffle(waiting)
        for _ in range(dice.randrange(len(waiting) + 1)):
            send(record(waiting.pop()))
)";

TEST_F(Protocol, AClientIsHeardByASupervisorThatSendsBeforeItReads) {
  const auto folder = fs::path(testing::TempDir()) / base::str("protocol-", ::getpid());
  fs::create_directories(folder);
  const auto fake = folder / "fake";
  std::ofstream(fake) << kFake;
  ::chmod(fake.c_str(), 0700);
  for (unsigned seed = 0; seed < 4; ++seed) {
    ::setenv("PREIMAGE_FUZZ_SEED", std::to_string(seed).c_str(), 1);
    Supervisor supervisor = start_supervisor(fake);
    Pool pool(supervisor, {});
    Dice dice(seed);
    std::map<uint64_t, size_t> sizes;  // of the programs under way
    const auto take = [&](double timeout_s) {
      const auto record = pool.next(timeout_s);
      if (!record) return;
      EXPECT_EQ(record->facts["program"], sizes.at(record->ticket)) << seed;
      sizes.erase(record->ticket);
    };
    for (int i = 0; i < 60; ++i) {
      Request request;
      request.program = std::string(dice.size(1 << 20), 'x');
      const size_t size = request.program.size();
      sizes[pool.submit(std::move(request))] = size;
      dice.nap();
      if (dice.one_in(3)) take(0);
    }
    while (pool.pending() > 0) take(-1);
    EXPECT_TRUE(sizes.empty());
  }
  fs::remove_all(folder);
}

// A client that speaks to the real supervisor by hand.
class Talker {
 public:
  Talker(unsigned seed, bool reads_meanwhile)
      : supervisor_(start_supervisor(executable())), dice_(seed), reads_(reads_meanwhile) {
    send(to_message(quick_options()));
    while (!heard_.contains("opened")) read(0);
  }

  void send(const Json& message) {
    const auto text = message.dump();
    const auto size = static_cast<uint32_t>(text.size());
    const auto bytes = std::string(reinterpret_cast<const char*>(&size), sizeof size) + text;
    for (size_t done = 0; done < bytes.size();) {
      const size_t part = std::min(bytes.size() - done, 1 + dice_.size(1 << 20));
      const ssize_t sent = ::send(supervisor_.socket(), bytes.data() + done, part, MSG_NOSIGNAL);
      ASSERT_GT(sent, 0);
      done += static_cast<size_t>(sent);
      dice_.nap();
      if (reads_ && dice_.one_in(4)) read(MSG_DONTWAIT);
    }
  }

  void read(int flags) {
    std::string part(1 + dice_.size(1 << 18), '\0');
    const ssize_t got = ::recv(supervisor_.socket(), part.data(), part.size(), flags);
    ASSERT_NE(got, 0) << "the supervisor ended";
    if (got > 0) buffer_.append(part, 0, static_cast<size_t>(got));
    for (uint32_t size; buffer_.size() >= sizeof size; buffer_.erase(0, sizeof size + size)) {
      std::memcpy(&size, buffer_.data(), sizeof size);
      if (buffer_.size() - sizeof size < size) break;
      const auto message = Json::parse(buffer_.substr(sizeof size, size));
      ASSERT_FALSE(message.contains("error")) << message.dump();
      if (message.contains("opened")) heard_ = message;
      if (message.contains("record")) records_.push_back(record_of(message.at("record")));
    }
  }

  const std::vector<Record>& records() const { return records_; }
  Dice& dice() { return dice_; }

 private:
  Supervisor supervisor_;
  Dice dice_;
  bool reads_;
  std::string buffer_;
  Json heard_;
  std::vector<Record> records_;
};

Request printing(size_t bytes) {
  return request(
      base::str("import os\nos.write(1, b'\\xff' * ", bytes, ")\ndef f(x): return x + 1\n"));
}

Request with_large_tests(size_t bytes) {
  auto asked = request("def f(x): return len(x) if isinstance(x, str) else x + 1\n");
  auto tests = base::Json::parse(asked.tests);
  tests.push_back({{"args", {std::string(bytes, 'c')}}, {"expected", bytes}});
  asked.tests = tests.dump();
  return asked;
}

// What hung for ever: records wait to be sent, and the client sends on without reading any.
TEST_F(Protocol, ASupervisorHearsAClientThatDoesNotRead) {
  Talker talker(1, false);
  uint64_t tickets = 0;
  const auto submit = [&](const Request& request) {
    talker.send({{"ticket", ++tickets}, {"request", to_message(request)}});
  };
  for (int i = 0; i < 60; ++i) submit(printing(5000));  // 20 KB each, in the socket's 200 KB
  ::usleep(1'000'000);                                  // they run, and nobody takes their records
  for (int i = 0; i < 10; ++i) submit(with_large_tests(800'000));
  while (talker.records().size() < tickets) talker.read(0);
  for (const auto& record : talker.records()) EXPECT_EQ(record.verdict, Verdict::pass);
}

TEST_F(Protocol, ASupervisorHearsMessagesOfAllSizesInAllPieces) {
  for (unsigned seed = 0; seed < 2; ++seed) {
    Talker talker(seed, true);
    uint64_t tickets = 0;
    for (int i = 0; i < 60; ++i) {
      const auto asked = talker.dice().one_in(2) ? printing(talker.dice().size(200'000))
                                                 : with_large_tests(talker.dice().size(1'000'000));
      talker.send({{"ticket", ++tickets}, {"request", to_message(asked)}});
    }
    std::set<uint64_t> answered;
    while (talker.records().size() < tickets) talker.read(0);
    for (const auto& record : talker.records()) {
      EXPECT_EQ(record.verdict, Verdict::pass) << record.detail;
      answered.insert(record.ticket);
    }
    EXPECT_EQ(answered.size(), tickets);
  }
}

}  // namespace
}  // namespace preimage::sandbox::tests
