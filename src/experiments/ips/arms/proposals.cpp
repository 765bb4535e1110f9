#include "proposals.hpp"

#include "operators.hpp"
#include "preimage/base/str.hpp"

namespace preimage::ips {
namespace {

// A model that has said all it has to say is not asked for ever.
constexpr int64_t kBarrenBlocks = 8;

void fill(std::string& text, const std::string& place, const std::string& value) {
  const auto at = text.find(place);
  if (at != std::string::npos) text.replace(at, place.size(), value);
}

}  // namespace

std::string proposal_prompt(const std::string& pattern, const Target& target) {
  auto out = pattern;
  fill(out, "{tokens}", base::str(target.most_tokens));
  fill(out, "{code}", target.code);
  return out;
}

std::vector<Ask> Proposals::ask() {
  if (!ended_.empty()) return {};
  if (!pending_.empty()) return pending_;
  return {{.kind = Ask::Kind::propose, .first = drawn_, .count = options_.block}};
}

void Proposals::tell(const std::vector<Ask>& asked, const std::vector<Reply>& replies) {
  if (replies.empty() || asked[0].kind == Ask::Kind::evaluate) {
    pending_.clear();
    return;
  }
  drawn_ += std::ssize(*replies[0].texts);
  for (const auto& text : *replies[0].texts) {
    auto prompt = cut(inputs_.tokenizer, tidy(text), inputs_.target.most_tokens);
    if (prompt.empty() || !seen_.insert(folded(prompt)).second) continue;
    pending_.push_back({.text = std::move(prompt), .operation = "proposal"});
  }
  barren_ = pending_.empty() ? barren_ + 1 : 0;
  if (barren_ >= kBarrenBlocks) ended_ = "nothing new proposed";
}

void ProposalOptions::fields(base::Fields& f) {
  f.add("pattern", pattern,
        {.help = "what the model is shown, with {code} and {tokens}, the most that a prompt has"});
  f.add("stop", stop, {.help = "texts that end a proposal"});
  f.add("temperature", temperature, {.help = "of the samples", .min = 0.01, .max = 100});
  f.add("top_p", top_p, {.help = "nucleus", .min = 1e-6, .max = 1});
  f.add("block", block, {.help = "samples that are drawn, then tried, in turn", .min = 1});
}

}  // namespace preimage::ips
