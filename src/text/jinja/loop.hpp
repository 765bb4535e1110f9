// The special variable `loop`.
#pragma once

#include <functional>

#include "jinja/runtime.hpp"

namespace preimage::text::jinja {

// The values of `source` that pass `test`, which is asked as late as possible.
IteratorPtr make_filtered(IteratorPtr source, std::function<bool(const Value&)> test);

class Loop : public Object, public std::enable_shared_from_this<Loop> {
 public:
  using Recursion = std::function<std::string(const Value& items, int64_t depth)>;
  // `items` is what is iterated; `filtered`: `iterator` leaves some out.
  Loop(const Value& items, IteratorPtr iterator, bool filtered, int64_t depth);
  void set_recursion(Recursion recursion) { recursion_ = std::move(recursion); }

  bool advance(Value& item);  // to the next iteration; false at the end

  std::string type_name() const override { return "LoopContext"; }
  std::string repr() const override;
  bool attribute(Runtime& runtime, const std::string& name, Value& value) override;
  bool callable() const override { return true; }
  Value call(Runtime& runtime, Arguments arguments) override;
  bool length(Runtime& runtime, int64_t& size) override;
  uint32_t depth() const override { return nesting_; }

  Value cycle(const std::vector<Value>& values) const;
  Value changed(Value values);

 private:
  const Value& peek();  // the next item, or undefined with `has_after_` false
  int64_t count(Runtime& runtime);

  Value items_;
  IteratorPtr iterator_;
  bool filtered_;
  int64_t depth_ = 0, index_ = -1, length_ = -1;
  bool has_after_ = false, ended_ = false;
  Value before_, current_, after_, last_changed_;
  bool ever_changed_ = false;
  Recursion recursion_;
  uint32_t nesting_;
};

}  // namespace preimage::text::jinja
