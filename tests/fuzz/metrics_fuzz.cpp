// Any two byte strings can be compared.
#include "preimage/base/error.hpp"
#include "preimage/base/utf8.hpp"
#include "preimage/text/metrics.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace text = preimage::text;
  namespace base = preimage::base;
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const auto left = all.substr(0, size / 2), right = all.substr(size / 2);
  const double f1 = text::token_f1(left, right);
  base::check(f1 >= 0 && f1 <= 1, "F1 lies in [0, 1]");
  base::check(text::token_f1(right, left) == f1, "F1 is symmetric");
  base::check(text::exact_match(all, all), "a text equals itself");
  base::check(text::grade_answer(all, all) == text::Grade::pass, "and passes");
  base::check(base::first_invalid_utf8(text::trivia_normalize(all)) == all.npos,
              "the result is UTF-8");
  text::repeats_words(all);
  return 0;
}
