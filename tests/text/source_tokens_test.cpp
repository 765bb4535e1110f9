#include "preimage/text/source_tokens.hpp"

#include <gtest/gtest.h>

namespace preimage::text {
namespace {

using Tokens = std::vector<std::string>;

Tokens js(std::string_view source) {
  return source_tokens(SourceLanguage::javascript, source);
}
Tokens rust(std::string_view source) {
  return source_tokens(SourceLanguage::rust, source);
}

TEST(SourceTokens, OfJavaScript) {
  EXPECT_EQ(js("const f=(a, b)=>a>>>1 ?? b;"), (Tokens{"const", "f", "=", "(", "a", ",", "b", ")",
                                                       "=>", "a", ">>>", "1", "??", "b", ";"}));
  EXPECT_EQ(js("x = a / b / c"), (Tokens{"x", "=", "a", "/", "b", "/", "c"}));
  EXPECT_EQ(js("x = /a[/]b\\/ /gi.test(y)"),
            (Tokens{"x", "=", "/a[/]b\\/ /gi", ".", "test", "(", "y", ")"}));
  EXPECT_EQ(js("return /a b/"), (Tokens{"return", "/a b/"}));
  EXPECT_EQ(js("f`a ${g(`b } ${c}`, '}')} d` + 'it\\'s  ' // e  f\n\n  #p"),
            (Tokens{"f", "`a ${g(`b } ${c}`, '}')} d`", "+", "'it\\'s  '", "// e  f", "\n", "#p"}));
  EXPECT_EQ(js("1.5e-3+.5 /* a\n b */ 0xFe"), (Tokens{"1.5e-3", "+", ".5", "/* a\n b */", "0xFe"}));
}

TEST(SourceTokens, OfRust) {
  EXPECT_EQ(rust("fn f<'a>(x: &'a str) -> char { 'x' }"),
            (Tokens{"fn", "f", "<", "'a", ">", "(", "x", ":", "&", "'a", "str", ")", "->", "char",
                    "{", "'x'", "}"}));
  EXPECT_EQ(rust("for i in 0..=9 {\n  v[i]+=1.5e3 as u8;\n}"),
            (Tokens{"for", "i", "in", "0", "..=", "9", "{", "v", "[", "i", "]", "+=", "1.5e3", "as",
                    "u8", ";", "}"}));
  EXPECT_EQ(rust("r#\"a \" b\"# b'\\n' '\\'' 'é' \"c  d\" /* /* x */ y */ #[inline]"),
            (Tokens{"r#\"a \" b\"#", "b'\\n'", "'\\''", "'é'", "\"c  d\"", "/* /* x */ y */", "#",
                    "[", "inline", "]"}));
}

TEST(SourceTokens, LayoutDoesNotCountAndTheRestDoes) {
  EXPECT_EQ(js("if (a) {\n\n  b()\n}\n"), js("if(a){\nb( )\n\n}"));
  EXPECT_NE(js("return\na"), js("return a"));  // JavaScript reads the break
  EXPECT_NE(js("a + +b"), js("a ++b"));
  EXPECT_NE(js("'a  b'"), js("'a b'"));
  EXPECT_NE(js("a // x"), js("a // y"));
  EXPECT_NE(js("(a)"), js("a"));
  EXPECT_EQ(rust("let a=1;\nlet b = 2;"), rust("let a = 1; let b=2;"));
  EXPECT_NE(rust("\"a\nb\""), rust("\"a b\""));
  EXPECT_NE(rust("&&a"), rust("& &a"));
}

TEST(SourceTokens, WhatIsNotClosedGoesToTheEnd) {
  EXPECT_EQ(js("a 'b c"), (Tokens{"a", "'b c"}));
  EXPECT_EQ(js("`a ${b"), (Tokens{"`a ${b"}));
  EXPECT_EQ(js("/* a"), (Tokens{"/* a"}));
  EXPECT_EQ(rust("r#\"a"), (Tokens{"r#\"a"}));
  EXPECT_EQ(rust("'"), (Tokens{"'"}));
  EXPECT_EQ(js("a \\"), (Tokens{"a", "\\"}));
}

}  // namespace
}  // namespace preimage::text
