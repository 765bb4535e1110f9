#include "preimage/base/terminal.hpp"

#include <gtest/gtest.h>

namespace preimage::base {
namespace {

TEST(Terminal, NothingActsOnATerminal) {
  EXPECT_EQ(visible_text("a\x1b[31m\tb\n\xc3\xa9"), "a\\x1b[31m\tb\n\xc3\xa9");
  EXPECT_EQ(visible_text("\xc2\x9b"
                         "31m\xe2\x80\xae\x7f\r"),
            "\\u009b31m\\u202e\\x7f\\x0d");
  EXPECT_EQ(visible_text("\xff"), "\xef\xbf\xbd");
}

}  // namespace
}  // namespace preimage::base
