#include "preimage/base/file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "folder.hpp"
#include "preimage/base/error.hpp"

namespace preimage::base {
namespace {

using testing::HasSubstr;

class File : public testing::Test {
 protected:
  std::string refusal(const std::filesystem::path& path, uint64_t limit = UINT64_MAX) {
    try {
      read_file(path, limit);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_data);
      return error.what();
    }
    return "read";
  }
  tests::Folder folder_;
};

TEST_F(File, ReadsRegularFilesOnly) {
  const auto path = folder_ / "f";
  std::ofstream(path) << "abc";
  std::filesystem::create_symlink(path, folder_ / "link");
  EXPECT_EQ(read_file(folder_ / "link"), "abc");
  EXPECT_EQ(read_file(path, 3), "abc");
  EXPECT_THAT(refusal(path, 2), HasSubstr("3 B, the limit for this kind of file is 2 B"));
  ::mkfifo((folder_ / "fifo").c_str(), 0600);
  EXPECT_THAT(refusal(folder_ / "fifo"), HasSubstr("fifo: not a regular file"));
  EXPECT_THAT(refusal("/dev/zero"), HasSubstr("not a regular file"));
  EXPECT_THAT(refusal(folder_.path()), HasSubstr("not a regular file"));
  EXPECT_THAT(refusal(folder_ / "none"), HasSubstr("no such file"));
}

TEST_F(File, AtomicWriteReplaces) {
  const auto path = folder_ / "f";
  write_file_atomically(path, "one");
  write_file_atomically(path, std::string("\0two", 4));
  EXPECT_EQ(read_file(path), std::string("\0two", 4));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "f.tmp"));
  try {
    write_file_atomically(folder_ / "none" / "f", "x");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::io);
    EXPECT_THAT(error.what(), HasSubstr("No such file or directory"));
  }
}

TEST_F(File, AFullDiskChangesNothing) {
  const auto path = folder_ / "f", journal = folder_ / "j";
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{10, 10};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int errors = 0;
    write_file_atomically(path, "0123456789");
    try {
      write_file_atomically(path, "more than ten");
    } catch (const Error& error) {
      errors += error.code() == ExitCode::io;
    }
    AppendFile file(journal);
    file.append("line 1\n");
    try {
      file.append("line 2\n");  // three of its bytes find room
    } catch (const Error&) {
      ++errors;
    }
    file.append("3\n");
    _exit(errors);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 2);
  EXPECT_EQ(read_file(path), "0123456789");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "f.tmp"));
  EXPECT_EQ(read_file(journal), "line 1\n3\n");
}

}  // namespace
}  // namespace preimage::base
