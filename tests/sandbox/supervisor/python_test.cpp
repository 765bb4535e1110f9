#include "supervisor/python.hpp"

#include <cstdlib>

#include "preimage/base/process.hpp"
#include "sandbox/opened.hpp"

namespace preimage::sandbox::tests {
namespace {

using testing::HasSubstr;

// Set while it lives, and for the supervisors that start meanwhile.
struct Variable {
  Variable(const char* variable, const std::string& value) : name(variable) {
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { ::unsetenv(name); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  const char* name;
};

struct Folder {
  Folder() : path(fs::temp_directory_path() / ("preimage-python-" + std::to_string(::getpid()))) {
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  fs::path path;
};

std::string advice_for(const std::string& python) {
  auto options = quick_options();
  options.python = python;
  try {
    Opened opened(options);
    ADD_FAILURE() << "it opened";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::unavailable);
    return error.what();
  }
  return "";
}

void write_script(const fs::path& path, const std::string& text) {
  std::ofstream(path) << "#!/bin/sh\n" << text << "\n";
  fs::permissions(path, fs::perms::owner_all);
}

// Copies of what the interpreter loads, in a folder that comes first: a module of a cluster, conda.
void copy_loaded(const fs::path& folder) {
  for (const auto& library : find_python("python3").loaded) {
    const auto name = fs::path(library).filename().string();
    if (!name.starts_with("ld-") && !name.starts_with("libc."))
      fs::copy_file(library, folder / name, fs::copy_options::skip_existing);
  }
}

TEST(Python, LibrariesOfTheUsersEnvironmentDoNotFollowIt) {
  const Folder folder;
  copy_loaded(folder.path);
  const Variable first("LD_LIBRARY_PATH", folder.path.string());
  for (const auto& library : find_python("python3").loaded)
    EXPECT_THAT(library, testing::Not(HasSubstr(folder.path.string())));
  for (const auto level : {available_level(), Level::user}) {
    auto options = quick_options();
    options.level = level;
    Opened opened(options);
    const auto record = opened.judge(request("import zlib, hashlib\ndef f(x): return x + 1\n"));
    EXPECT_EQ(record.verdict, Verdict::pass) << record.detail;
  }
}

TEST(Python, NothingOfItsHomeAndPathIsTaken) {
  const Variable home("PYTHONHOME", "/nonexistent"), path("PYTHONPATH", "/nonexistent");
  Opened opened;
  EXPECT_EQ(opened.judge(request("def f(x): return x + 1\n")).verdict, Verdict::pass);
}

// One that does not start without the path of its libraries, as a cluster's modules bring it.
TEST(Python, AnInterpreterThatNeedsItsPathKeepsIt) {
  const Folder folder;
  copy_loaded(folder.path);
  const auto script = folder.path / "python";
  write_script(script,
               "[ \"$LD_LIBRARY_PATH\" ] || { echo no libraries >&2; exit 127; }\n"
               "exec " +
                   find_python("python3").executable + " \"$@\"");
  EXPECT_THAT(advice_for(script), HasSubstr("exit code 127; it said: no libraries; the sandbox"));
  const Variable first("LD_LIBRARY_PATH", folder.path.string());
  auto options = quick_options();
  options.python = script;
  Opened opened(options);
  const auto record = opened.judge(request("import zlib, hashlib\ndef f(x): return x + 1\n"));
  EXPECT_EQ(record.verdict, Verdict::pass) << record.detail;
}

TEST(Python, WhatItSaysInsideTheWallsIsTold) {
  const Folder folder;
  const auto found = find_python("python3");
  const Json answer = {{"executable", found.executable},
                       {"version", found.version},
                       {"recent", true},
                       {"name", found.name},
                       {"stdlib", folder.path.string()},  // in which there is no module
                       {"dynload", ""},
                       {"loaded", found.loaded}};
  const auto script = folder.path / "python";
  write_script(script, "echo '" + answer.dump() + "'");
  const auto advice = advice_for(script);
  EXPECT_THAT(advice, HasSubstr("did not start inside the walls; it said: "));
  EXPECT_THAT(advice, HasSubstr("encodings"));
}

}  // namespace
}  // namespace preimage::sandbox::tests
