// time limit: 180 s
// Every program of attacks/ (index.json says which verdicts are right and which row of the attack
// table it belongs to), and what is true afterwards. PREIMAGE_ATTACK_REPEATS=5 asks each five
// times.
#include <cstdlib>
#include <map>

#include "preimage/base/sha256.hpp"
#include "sandbox/opened.hpp"

namespace preimage::sandbox::tests {
namespace {

const fs::path kFolder = fs::path(PREIMAGE_TEST_DATA) / "sandbox/attacks";

struct Attack {
  std::string name;
  std::vector<std::string> verdicts;
  std::string absent;  // text that must not appear in what comes out
  Request request;
};

std::vector<Attack> corpus() {
  std::vector<Attack> attacks;
  const auto index = base::read_json(kFolder / "index.json");
  for (const auto& [name, entry] : index.items()) {
    Attack attack{name, entry.at("verdicts"), entry.value("absent", ""), {}};
    // A hundred thousand brackets are not worth a file.
    attack.request =
        request(entry.contains("generated") ? std::string(100'000, '(')
                                            : base::read_file(kFolder / (name + ".py")));
    attack.request.id = name;
    attacks.push_back(std::move(attack));
  }
  return attacks;
}

// The names, sizes and contents below a folder, as one hash.
std::string fingerprint(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    files[entry.path().string()] =
        entry.is_regular_file() ? base::sha256_hex_of_file(entry.path()) : "";
  }
  std::string text;
  for (const auto& [name, hash] : files) text += name + hash;
  return base::sha256_hex(text);
}

class Attacks : public testing::Test {
 protected:
  static PoolOptions options() {
    auto options = quick_options();
    options.limits.cpu_s = 1;  // touching 512 MB takes a good part of it
    options.limits.wall_s = 3;
    options.limits.memory_mb = 512;
    options.workers = 2;
    options.slots = 8;
    return options;
  }

  // A slot that ran an attack still runs others as if nothing had been.
  void expect_canary(Opened& opened, const std::string& after) {
    const auto record =
        opened.judge(request("import os\nassert not os.listdir('.')\n"
                             "def f(x): return x + 1\n"));
    EXPECT_EQ(record.verdict, Verdict::pass) << after << ": " << record.detail;
  }

  // Until only the zygotes are left.
  static size_t settled(pid_t supervisor, size_t baseline) {
    size_t count = 0;
    for (int i = 0; i < 100; ++i) {
      count = descendants(supervisor).size();
      if (count <= baseline) break;
      ::usleep(20'000);
    }
    return count;
  }
};

TEST_F(Attacks, EachGetsItsVerdictAndLeavesNothingBehind) {
  ::setenv("PREIMAGE_PLANTED", "PREIMAGE_PLANTED_SECRET", 1);
  const char* repeats_text = std::getenv("PREIMAGE_ATTACK_REPEATS");
  const int repeats = repeats_text ? std::atoi(repeats_text) : 1;
  const auto marker = fingerprint(kFolder);
  Opened opened(options());
  const pid_t supervisor = opened.supervisor.pid();
  // All slots open, by programs that sleep: then the counts below stand still.
  for (int i = 0; i < 8; ++i)
    opened.pool.submit(request("import time\ntime.sleep(0.5)\ndef f(x): return x + 1\n"));
  while (opened.pool.pending()) EXPECT_EQ(opened.pool.next()->verdict, Verdict::pass);
  const size_t processes = settled(supervisor, 18), descriptors = open_descriptors(supervisor);
  const auto resident = resident_kb(supervisor);

  const auto attacks = corpus();
  ASSERT_GE(attacks.size(), 60u);
  std::map<uint64_t, const Attack*> of_ticket;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (const auto& attack : attacks) {
      auto asked = attack.request;
      asked.seed = static_cast<uint64_t>(repeat);
      of_ticket[opened.pool.submit(std::move(asked))] = &attack;
    }
  }
  size_t records = 0;
  while (opened.pool.pending()) {
    const auto record = opened.pool.next().value();
    ++records;
    const auto& attack = *of_ticket.at(record.ticket);
    EXPECT_THAT(attack.verdicts, testing::Contains(std::string(name(record.verdict))))
        << attack.name << ": " << record.detail;
    if (attack.absent.empty()) continue;
    EXPECT_THAT(record.output + record.detail, testing::Not(testing::HasSubstr(attack.absent)))
        << attack.name;
  }
  EXPECT_EQ(records, of_ticket.size());
  expect_canary(opened, "all attacks");
  EXPECT_EQ(settled(supervisor, processes), processes);
  EXPECT_EQ(open_descriptors(supervisor), descriptors);
  EXPECT_LT(resident_kb(supervisor), resident + (20 << 10));
  EXPECT_EQ(fingerprint(kFolder), marker);
}

// One slot, so that the next program runs where the last attack did; and one with a neighbour that
// must not feel it.
TEST_F(Attacks, TheNextProgramInTheSlotAndANeighbourAreUnharmed) {
  auto single = options();
  single.workers = 1;
  single.slots = 2;
  Opened opened(single);
  for (const char* name : {"fork_bomb_stubborn", "daemon", "thread_left", "memory_swallowed",
                           "fill_many_files", "delete_folder", "poison_folder", "kill_all",
                           "shared_memory", "keyring_write", "patch_builtins", "os_exit"}) {
    auto attack = request(base::read_file(kFolder / (std::string(name) + ".py")));
    const auto ticket = opened.pool.submit(std::move(attack));
    const auto beside = opened.pool.submit(request("def f(x): return x + 1\n"));
    while (opened.pool.pending()) {
      const auto record = opened.pool.next().value();
      if (record.ticket == beside) {
        EXPECT_EQ(record.verdict, Verdict::pass) << name;
      }
      EXPECT_TRUE(record.ticket == beside || record.ticket == ticket);
    }
    expect_canary(opened, name);
  }
}

pid_t descendant_named(pid_t root, const std::string& name) {
  for (const pid_t pid : descendants(root)) {
    std::string found;
    std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm") >> std::ws, found);
    if (found == name) return pid;
  }
  return 0;
}

// A judge that was asked, but began only when its run had been ended, harms no other run.
TEST_F(Attacks, AJudgeThatComesLateSpoilsNoOtherProgram) {
  auto single = options();
  single.workers = 1;
  single.slots = 1;
  single.confirm_timeouts = false;
  Opened opened(single);
  const auto ok = request("def f(x): return x + 1\n");
  EXPECT_EQ(opened.judge(ok).verdict, Verdict::pass);
  const pid_t judges = descendant_named(opened.supervisor.pid(), "judge-slot");
  ASSERT_GT(judges, 0);
  // Nobody takes the place of the judge of the first, which ends with it, until the second is over.
  ::kill(judges, SIGSTOP);
  EXPECT_EQ(opened.judge(request("import os\nos._exit(0)\n")).verdict, Verdict::no_verdict);
  const auto ticket = opened.pool.submit(request("x = 0\nwhile True: x += 1\n"));
  ::usleep(2'000'000);  // its CPU time is up by then
  ::kill(judges, SIGCONT);
  const auto ended = opened.pool.next().value();
  EXPECT_EQ(ended.ticket, ticket);
  EXPECT_EQ(ended.verdict, Verdict::timeout) << ended.detail;
  for (int i = 0; i < 4; ++i) {
    const auto record = opened.judge(ok);
    EXPECT_EQ(record.verdict, Verdict::pass) << record.detail;
    EXPECT_EQ(record.runs, 1);
  }
}

TEST_F(Attacks, KillingTheClientEndsEverything) {
  std::vector<pid_t> below;
  {
    Opened opened(options());
    opened.pool.submit(request("import time\ntime.sleep(100)\n"));
    ::usleep(200'000);
    below = descendants(opened.supervisor.pid());
    EXPECT_GE(below.size(), 4u);
  }
  for (int i = 0; i < 100; ++i) {
    std::erase_if(below, [](pid_t pid) { return ::kill(pid, 0) != 0; });
    if (below.empty()) break;
    ::usleep(20'000);
  }
  EXPECT_TRUE(below.empty());
}

}  // namespace
}  // namespace preimage::sandbox::tests
