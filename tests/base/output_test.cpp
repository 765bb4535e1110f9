#include "preimage/base/output.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <thread>

#include "folder.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"

namespace preimage::base {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string refusal(ExitCode code, const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  return "nothing was thrown";
}

std::string read_all(int fd) {
  std::string out;
  char buffer[256];
  for (ssize_t got; (got = ::read(fd, buffer, sizeof buffer)) > 0;)
    out.append(buffer, static_cast<size_t>(got));
  ::close(fd);
  return out;
}

TEST(Output, APlainFileIsReplacedWhole) {
  const tests::Folder folder;
  const auto path = folder.put("f", "old");
  ::chmod(path.c_str(), 0640);
  {
    OutputFile out(path);
    out.write("new");
    EXPECT_EQ(read_file(path), "old");
  }
  EXPECT_EQ(read_file(path), "old");  // never published
  write_output(path, "newer");
  EXPECT_EQ(read_file(path), "newer");
  EXPECT_EQ(fs::status(path).permissions(), fs::perms(0640));
  EXPECT_FALSE(fs::exists(folder / "f.tmp"));
}

TEST(Output, LinksAreFollowedAlsoToWhatIsNotThereYet) {
  const tests::Folder folder;
  folder.put("f", "old");
  fs::create_symlink("f", folder / "relative");
  fs::create_symlink(folder / "relative", folder / "chain");
  write_output(folder / "chain", "new");
  EXPECT_EQ(read_file(folder / "f"), "new");
  EXPECT_TRUE(fs::is_symlink(folder / "chain"));
  EXPECT_TRUE(fs::is_symlink(folder / "relative"));
  fs::create_symlink("later", folder / "dangling");
  write_output(folder / "dangling", "there");
  EXPECT_EQ(read_file(folder / "later"), "there");
  EXPECT_TRUE(fs::is_symlink(folder / "dangling"));
  fs::create_symlink("b", folder / "a");
  fs::create_symlink("a", folder / "b");
  EXPECT_THAT(refusal(ExitCode::io, [&] { write_output(folder / "a", "x"); }), HasSubstr("links"));
}

TEST(Output, DevicesPipesAndSocketsAreWrittenTo) {
  const tests::Folder folder;
  write_output("/dev/null", "gone");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  if (::mknod((folder / "null").c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0) {
    write_output(folder / "null", "gone");
    EXPECT_TRUE(fs::is_character_file(folder / "null"));
  }
  EXPECT_THAT(refusal(ExitCode::io, [&] { write_output("/dev/full", "x"); }),
              HasSubstr("No space left"));

  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  fs::create_symlink("fifo", folder / "link");
  std::string got;
  std::thread reader([&] { got = read_all(::open((folder / "fifo").c_str(), O_RDONLY)); });
  write_output(folder / "link", "through the pipe");
  reader.join();
  EXPECT_EQ(got, "through the pipe");
  EXPECT_TRUE(fs::is_fifo(folder / "fifo"));

  const int listening = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", (folder / "socket").c_str());
  ASSERT_EQ(::bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::listen(listening, 1);
  write_output(folder / "socket", "to the socket");
  EXPECT_EQ(read_all(::accept(listening, nullptr, nullptr)), "to the socket");
  ::close(listening);
}

// As `preimage ... --out /dev/stdout >> log` does.
TEST(Output, AnOpenDescriptorIsWrittenToAtItsPlace) {
  const tests::Folder folder;
  const int fd = ::open(folder.put("log", "before ").c_str(), O_WRONLY | O_APPEND);
  for (const auto& name : {str("/dev/fd/", fd), str("/proc/self/fd/", fd)}) write_output(name, "x");
  fs::create_symlink(str("/dev/fd/", fd), folder / "link");
  write_output(folder / "link", "y");
  ::close(fd);
  EXPECT_EQ(read_file(folder / "log"), "before xxy");
}

TEST(Output, InputAndOutputAreTwoFiles) {
  const tests::Folder folder;
  const auto path = folder.put("f", "x");
  fs::create_symlink("f", folder / "link");
  fs::create_hard_link(path, folder / "hard");
  for (const auto* name : {"f", "link", "hard", "./f"}) {
    EXPECT_THAT(refusal(ExitCode::bad_config,
                        [&] {
                          refuse_same_file(folder / name, {"", "/dev/null", path});
                        }),
                HasSubstr("is the same file as the input"));
  }
  refuse_same_file(folder / "other", {path});
  refuse_same_file("/dev/null", {"/dev/null"});
  const int out = ::open(path.c_str(), O_WRONLY | O_APPEND);
  EXPECT_THAT(
      refusal(ExitCode::bad_config, [&] { refuse_same_file(str("/dev/fd/", out), {path}); }),
      HasSubstr("same file"));
  ::close(out);
}

TEST(Output, WhatCannotBeWrittenIsSaidBefore) {
  const tests::Folder folder;
  EXPECT_THAT(refusal(ExitCode::io, [&] { require_writable(folder.path()); }),
              HasSubstr("is a folder"));
  EXPECT_THAT(refusal(ExitCode::io, [&] { require_writable(folder / "none" / "f"); }),
              HasSubstr("does not exist"));
  EXPECT_THAT(refusal(ExitCode::io, [&] { write_output("/dev/fd/999", "x"); }),
              HasSubstr("cannot be opened for writing"));
}

}  // namespace
}  // namespace preimage::base
