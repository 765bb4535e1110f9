#include "program.hpp"

#include <iostream>
#include <sstream>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/terminal.hpp"
#include "wrong_words.hpp"

namespace preimage::app {
namespace {

int fail(base::ExitCode code, const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    std::cerr << "preimage: " << base::visible_text(line) << "\n";
  return static_cast<int>(code);
}

}  // namespace

int run_command_line(CLI::App& app, const Program& program,
                     const std::function<std::string(const CLI::ParseError&)>& complaint) {
  if (const auto unknown = unknown_command(app, program.argc, program.argv); !unknown.empty()) {
    return fail(base::ExitCode::bad_config, unknown);
  }
  try {
    app.parse(program.argc, program.argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return fail(base::ExitCode::bad_config, complaint(error));
  } catch (const base::Error& error) {
    return fail(error.code(), error.what());
  } catch (const std::exception& error) {
    return fail(base::ExitCode::bug, std::string("bug: ") + error.what());
  }
  std::cout.flush();
  if (!std::cout) return fail(base::ExitCode::io, "standard output: cannot be written");
  return program.code;
}

}  // namespace preimage::app
