// Starts the program as a user does and keeps what it says.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "folder.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/process.hpp"
#include "preimage/base/str.hpp"

namespace preimage::app::tests {

namespace fs = std::filesystem;
using base::Json;

struct Ended {
  int code;
  std::string out, err;
};

// A folder of its own for each test.
class ProgramTest : public testing::Test {
 protected:
  std::string program_ = PREIMAGE_BINARY;

  std::string path(const std::string& name) const { return folder_ / name; }

  std::string put(const std::string& name, const std::string& text) const {
    return folder_.put(name, text);
  }
  std::string put_lines(const std::string& name, const std::vector<Json>& lines) const {
    std::string text;
    for (const auto& line : lines) text += line.dump() + "\n";
    return put(name, text);
  }
  static std::vector<Json> lines_of(const std::string& text) {
    std::vector<Json> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
    return lines;
  }
  std::string text_of(const std::string& name) const { return base::read_file(path(name)); }

  // A finetune job on a tiny model; nothing of it is computed unless it is run.
  Json finetune() const {
    return {
        {"method", "finetune"},
        {"finetune",
         {{"model", std::string(PREIMAGE_TEST_DATA) + "/lm/fixtures/qwen2_text"},
          {"text", put("text", "{\"text\":\"a b c\"}\n")},
          {"validation", put("valid", "{\"text\":\"a b\"}\n")},
          {"train", {{"steps", 2}, {"shard_tokens", 8}, {"micro_shards", 2}, {"context", 16}}}}},
        {"run", {{"device", "cpu"}, {"threads", 1}}}};
  }

  Ended preimage(const std::vector<std::string>& arguments, const std::string& input = "",
                 int ranks = 1) const {
    std::vector<std::string> argv;
    if (ranks > 1) argv = {"mpirun", "-n", base::str(ranks)};
    argv.push_back(program_);
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    put("stdin", input);
    const int in = ::open(path("stdin").c_str(), O_RDONLY | O_CLOEXEC);
    const int out = create("stdout"), err = create("stderr");
    const pid_t pid = base::start_process(
        {.argv = argv,
         .environment = {"OMPI_MCA_rmaps_base_oversubscribe=1", "OMPI_ALLOW_RUN_AS_ROOT=1",
                         "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1", "OMP_NUM_THREADS=1"},
         .stdin_fd = in,
         .stdout_fd = out,
         .stderr_fd = err});
    const auto end = base::wait_process(pid);
    for (const int fd : {in, out, err}) ::close(fd);
    return {end.exit_code, text_of("stdout"), text_of("stderr")};
  }

  // Every wrong input: this code, and one line of "preimage: ..." that holds `text`.
  void expect_refused(const std::vector<std::string>& arguments, int code, const std::string& text,
                      const std::string& input = "") const {
    const auto ended = preimage(arguments, input);
    const auto shown = base::join(arguments, " ");
    EXPECT_EQ(ended.code, code) << shown << "\n" << ended.err;
    EXPECT_THAT(ended.err, testing::StartsWith("preimage: ")) << shown;
    EXPECT_THAT(ended.err, testing::HasSubstr(text)) << shown;
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << shown << "\n"
                                                                       << ended.err;
    EXPECT_EQ(ended.out, "") << shown;
  }

 private:
  int create(const std::string& name) const {
    return ::open(path(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  }
  preimage::tests::Folder folder_;
};

}  // namespace preimage::app::tests
