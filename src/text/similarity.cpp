#include "preimage/text/similarity.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "match_table.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::text {
namespace {

// A matrix of |table| columns is computed row by row, and 64 columns of a row at a time. Words of a
// row depend on those left of them through a carry alone, so a stripe of up to eight words goes
// down all rows with its state in registers, and leaves its carries to the next stripe.
constexpr int kStripe = 8;

struct Stripe {
  const uint64_t* masks;  // of the stripe's first word
  std::span<const int64_t> offsets;
  uint8_t* carries;  // one for each row: in from the left, out to the right
};

// Zeros of the state stand where the LCS of the rows so far and the columns up to there grows.
// `valid` [Words]: the columns that there are.
template <int Words>
int64_t lcs_stripe(const Stripe& stripe, const std::array<uint64_t, kStripe>& valid) {
  std::array<uint64_t, Words> state;
  state.fill(~uint64_t{0});
  for (size_t row = 0; row < stripe.offsets.size(); ++row) {
    const uint64_t* mask = stripe.masks + stripe.offsets[row];
    uint64_t carry = stripe.carries[row];
#pragma GCC unroll 8
    for (int w = 0; w < Words; ++w) {
      const uint64_t matched = state[w] & mask[w];
      const uint64_t sum = state[w] + matched, total = sum + carry;
      carry = static_cast<uint64_t>(sum < matched) | static_cast<uint64_t>(total < sum);
      state[w] = total | (state[w] - matched);
    }
    stripe.carries[row] = static_cast<uint8_t>(carry);
  }
  int64_t length = 0;
  for (int w = 0; w < Words; ++w) length += std::popcount(~state[w] & valid[w]);
  return length;
}

// A carry of the distance holds whether the difference between neighbours along the row is +1 (bit
// 0) or -1 (bit 1).

// Differences along columns are kept as two sets of bits. -> the sum of differences along the last
// row that the stripe's last column sees, `last` being its bit.
template <int Words>
int64_t distance_stripe(const Stripe& stripe, int last) {
  std::array<uint64_t, Words> up, down;
  up.fill(~uint64_t{0}), down.fill(0);
  int64_t change = 0;
  for (size_t row = 0; row < stripe.offsets.size(); ++row) {
    const uint64_t* mask = stripe.masks + stripe.offsets[row];
    uint64_t in_up = stripe.carries[row] & 1, in_down = stripe.carries[row] >> 1;
    uint64_t along_up = 0, along_down = 0;
#pragma GCC unroll 8
    for (int w = 0; w < Words; ++w) {
      const uint64_t match = mask[w] | in_down;
      const uint64_t diagonal = (((match & up[w]) + up[w]) ^ up[w]) | match | down[w];
      along_up = down[w] | ~(diagonal | up[w]);
      along_down = diagonal & up[w];
      const uint64_t shifted_up = along_up << 1 | in_up, shifted_down = along_down << 1 | in_down;
      in_up = along_up >> 63, in_down = along_down >> 63;
      up[w] = shifted_down | ~(diagonal | shifted_up);
      down[w] = shifted_up & diagonal;
    }
    stripe.carries[row] = static_cast<uint8_t>(in_up | in_down << 1);
    change +=
        static_cast<int64_t>(along_up >> last & 1) - static_cast<int64_t>(along_down >> last & 1);
  }
  return change;
}

// Calls function.operator()<Words>() for `words` in 1 .. kStripe.
template <int Words = kStripe, class Function>
int64_t with_words(int64_t words, const Function& function) {
  if constexpr (Words > 1) {
    if (words < Words) return with_words<Words - 1>(words, function);
  }
  return function.template operator()<Words>();
}

int64_t lcs_of(const MatchTable& table, std::span<const int64_t> offsets) {
  std::vector<uint8_t> carries(offsets.size(), 0);
  int64_t length = 0;
  for (int64_t first = 0; first < table.words(); first += kStripe) {
    const int64_t words = std::min<int64_t>(kStripe, table.words() - first);
    std::array<uint64_t, kStripe> valid;
    valid.fill(~uint64_t{0});
    if (first + words == table.words() && table.size() % 64 != 0)
      valid[static_cast<size_t>(words - 1)] = (uint64_t{1} << table.size() % 64) - 1;
    const Stripe stripe{table.masks() + first, offsets, carries.data()};
    length += with_words(words, [&]<int Words>() { return lcs_stripe<Words>(stripe, valid); });
  }
  return length;
}

int64_t distance_of(const MatchTable& table, std::span<const int64_t> offsets) {
  if (table.size() == 0) return std::ssize(offsets);
  std::vector<uint8_t> carries(offsets.size(), 1);  // the empty prefix: a row more, one more
  int64_t distance = table.size();
  for (int64_t first = 0; first < table.words(); first += kStripe) {
    const int64_t words = std::min<int64_t>(kStripe, table.words() - first);
    const bool ends = first + words == table.words();
    const Stripe stripe{table.masks() + first, offsets, carries.data()};
    const int last = static_cast<int>((table.size() - 1) % 64);
    const int64_t change =
        with_words(words, [&]<int Words>() { return distance_stripe<Words>(stripe, last); });
    if (ends) distance += change;
  }
  return distance;
}

std::vector<char32_t> code_points(std::string_view text) {
  if (base::first_invalid_utf8(text) == std::string_view::npos) return base::decode_utf8(text);
  return base::decode_utf8(base::replace_invalid_utf8(text));
}

// What begins and ends alike needs no matrix. -> places in front, places behind.
template <class Symbol>
size_t strip_common(std::span<const Symbol>& a, std::span<const Symbol>& b) {
  const size_t shorter = std::min(a.size(), b.size());
  size_t front = 0, behind = 0;
  while (front < shorter && a[front] == b[front]) ++front;
  while (behind < shorter - front && a[a.size() - 1 - behind] == b[b.size() - 1 - behind]) ++behind;
  a = a.subspan(front, a.size() - front - behind);
  b = b.subspan(front, b.size() - front - behind);
  return front + behind;
}

// The shorter of the two is made into the table.
template <class Symbol, class Function>
int64_t compare(std::span<const Symbol> a, std::span<const Symbol> b, const Function& function) {
  if (a.size() > b.size()) std::swap(a, b);
  const MatchTable table(a);
  return function(table, table.offsets(b));
}

template <class Symbol>
int64_t lcs(std::span<const Symbol> a, std::span<const Symbol> b) {
  const auto common = static_cast<int64_t>(strip_common(a, b));
  return common + (a.empty() || b.empty() ? 0 : compare(a, b, lcs_of));
}

template <class Symbol>
int64_t distance(std::span<const Symbol> a, std::span<const Symbol> b) {
  strip_common(a, b);
  return a.empty() || b.empty() ? std::max(std::ssize(a), std::ssize(b))
                                : compare(a, b, distance_of);
}

template <class Symbol>
double lcs_share(std::span<const Symbol> a, std::span<const Symbol> b) {
  const auto longer = std::max(a.size(), b.size());
  return longer == 0 ? 1 : static_cast<double>(lcs(a, b)) / static_cast<double>(longer);
}

using Points = std::span<const char32_t>;

}  // namespace

int64_t lcs_length(std::span<const int32_t> a, std::span<const int32_t> b) {
  return lcs(a, b);
}

int64_t lcs_length(std::span<const int64_t> a, std::span<const int64_t> b) {
  return lcs(a, b);
}

int64_t lcs_length(std::string_view a, std::string_view b) {
  const auto left = code_points(a), right = code_points(b);
  return lcs(Points(left), Points(right));
}

int64_t levenshtein(std::span<const int32_t> a, std::span<const int32_t> b) {
  return distance(a, b);
}

int64_t levenshtein(std::span<const int64_t> a, std::span<const int64_t> b) {
  return distance(a, b);
}

int64_t levenshtein(std::string_view a, std::string_view b) {
  const auto left = code_points(a), right = code_points(b);
  return distance(Points(left), Points(right));
}

double lcs_similarity(std::span<const int32_t> a, std::span<const int32_t> b) {
  return lcs_share(a, b);
}

double lcs_similarity(std::span<const int64_t> a, std::span<const int64_t> b) {
  return lcs_share(a, b);
}

double edit_similarity(std::string_view a, std::string_view b) {
  const auto left = code_points(a), right = code_points(b);
  const auto longer = std::max(left.size(), right.size());
  if (longer == 0) return 1;
  return 1 -
         static_cast<double>(distance(Points(left), Points(right))) / static_cast<double>(longer);
}

struct SequenceMatcher::Table : MatchTable {
  using MatchTable::MatchTable;
};

SequenceMatcher::SequenceMatcher(std::span<const int32_t> sequence)
    : table_(std::make_unique<const Table>(sequence)) {}

SequenceMatcher::SequenceMatcher(std::span<const int64_t> sequence)
    : table_(std::make_unique<const Table>(sequence)) {}

SequenceMatcher::SequenceMatcher(std::string_view text) {
  const auto points = code_points(text);
  table_ = std::make_unique<const Table>(Points(points));
}

SequenceMatcher::SequenceMatcher(SequenceMatcher&&) noexcept = default;
SequenceMatcher& SequenceMatcher::operator=(SequenceMatcher&&) noexcept = default;
SequenceMatcher::~SequenceMatcher() = default;

int64_t SequenceMatcher::size() const {
  return table_->size();
}

int64_t SequenceMatcher::lcs_length(std::span<const int32_t> other) const {
  return lcs_of(*table_, table_->offsets(other));
}

int64_t SequenceMatcher::lcs_length(std::span<const int64_t> other) const {
  return lcs_of(*table_, table_->offsets(other));
}

int64_t SequenceMatcher::lcs_length(std::string_view other) const {
  const auto points = code_points(other);
  return lcs_of(*table_, table_->offsets(Points(points)));
}

int64_t SequenceMatcher::levenshtein(std::span<const int32_t> other) const {
  return distance_of(*table_, table_->offsets(other));
}

int64_t SequenceMatcher::levenshtein(std::span<const int64_t> other) const {
  return distance_of(*table_, table_->offsets(other));
}

int64_t SequenceMatcher::levenshtein(std::string_view other) const {
  const auto points = code_points(other);
  return distance_of(*table_, table_->offsets(Points(points)));
}

}  // namespace preimage::text
