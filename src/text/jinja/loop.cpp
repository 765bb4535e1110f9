#include "jinja/loop.hpp"

namespace preimage::text::jinja {
namespace {

class Filtered : public Iterator {
 public:
  Filtered(IteratorPtr source, std::function<bool(const Value&)> test)
      : source_(std::move(source)), test_(std::move(test)) {}
  bool next(Value& value) override {
    while (source_->next(value)) {
      if (test_(value)) return true;
    }
    return false;
  }

 private:
  IteratorPtr source_;
  std::function<bool(const Value&)> test_;
};

class VectorIterator : public Iterator {
 public:
  explicit VectorIterator(std::vector<Value> values) : values_(std::move(values)) {}
  bool next(Value& value) override {
    if (at_ == values_.size()) return false;
    value = values_[at_++];
    return true;
  }

 private:
  std::vector<Value> values_;
  size_t at_ = 0;
};

// loop.cycle and loop.changed before they are called.
class LoopMethod : public Object {
 public:
  LoopMethod(std::shared_ptr<Loop> loop, bool cycle) : loop_(std::move(loop)), cycle_(cycle) {}
  std::string type_name() const override { return "method"; }
  bool callable() const override { return true; }
  uint32_t depth() const override { return loop_->depth(); }
  Value call(Runtime& runtime, Arguments arguments) override {
    runtime.charge(8);
    if (cycle_) return loop_->cycle(arguments.positional);
    return loop_->changed(make_tuple(std::move(arguments.positional)));
  }

 private:
  std::shared_ptr<Loop> loop_;
  bool cycle_;
};

}  // namespace

IteratorPtr make_filtered(IteratorPtr source, std::function<bool(const Value&)> test) {
  return std::make_shared<Filtered>(std::move(source), std::move(test));
}

Loop::Loop(const Value& items, IteratorPtr iterator, bool filtered, int64_t depth)
    : items_(items),
      iterator_(std::move(iterator)),
      filtered_(filtered),
      depth_(depth),
      nesting_(one_above(items.depth())) {}

bool Loop::advance(Value& item) {
  if (has_after_) {
    item = std::move(after_);
    has_after_ = false;
  } else if (ended_ || !iterator_->next(item)) {
    ended_ = true;
    return false;
  }
  ++index_;
  before_ = std::move(current_);
  current_ = item;
  return true;
}

const Value& Loop::peek() {
  if (!has_after_ && !ended_) {
    has_after_ = iterator_->next(after_);
    ended_ = !has_after_;
  }
  return after_;
}

int64_t Loop::count(Runtime& runtime) {
  if (length_ >= 0) return length_;
  const auto known = filtered_ ? std::nullopt : runtime.length(items_);
  if (known) return length_ = *known;
  std::vector<Value> rest;
  for (Value item; !ended_ && iterator_->next(item);) {
    runtime.charge(16);
    rest.push_back(item);
  }
  length_ = static_cast<int64_t>(rest.size()) + index_ + 1 + (has_after_ ? 1 : 0);
  if (!rest.empty()) iterator_ = std::make_shared<VectorIterator>(std::move(rest));
  return length_;
}

Value Loop::cycle(const std::vector<Value>& values) const {
  if (values.empty()) throw Failure("no items for cycling given");
  return values[static_cast<size_t>(index_) % values.size()];
}

Value Loop::changed(Value values) {
  if (ever_changed_ && equal(last_changed_, values)) return Value(false);
  ever_changed_ = true;
  last_changed_ = std::move(values);
  return Value(true);
}

bool Loop::attribute(Runtime& runtime, const std::string& name, Value& value) {
  if (name == "index" || name == "index0") {
    value = Value(index_ + (name == "index" ? 1 : 0));
  } else if (name == "first") {
    value = Value(index_ == 0);
  } else if (name == "last") {
    peek();
    value = Value(!has_after_);
  } else if (name == "length") {
    value = Value(count(runtime));
  } else if (name == "revindex" || name == "revindex0") {
    value = Value(count(runtime) - index_ - (name == "revindex" ? 0 : 1));
  } else if (name == "depth" || name == "depth0") {
    value = Value(depth_ + (name == "depth" ? 1 : 0));
  } else if (name == "previtem") {
    value = index_ == 0 ? Value::undefined("there is no previous item") : before_;
  } else if (name == "nextitem") {
    const Value& next = peek();
    value = has_after_ ? next : Value::undefined("there is no next item");
  } else if (name == "cycle" || name == "changed") {
    value = Value(ObjectPtr(std::make_shared<LoopMethod>(shared_from_this(), name == "cycle")));
  } else {
    return false;
  }
  return true;
}

Value Loop::call(Runtime& runtime, Arguments arguments) {
  const Bound bound("loop", std::move(arguments), {"iterable"}, 1);
  if (!recursion_) {
    throw Failure("The loop must have the 'recursive' marker to be called recursively.");
  }
  return runtime.result(recursion_(bound[0], depth_ + 1));
}

std::string Loop::repr() const {
  const int64_t size =
      items_.is_list() ? static_cast<int64_t>(items_.list().items.size()) : length_;
  return "<LoopContext " + std::to_string(index_ + 1) + "/" + std::to_string(size) + ">";
}

bool Loop::length(Runtime& runtime, int64_t& size) {
  size = count(runtime);
  return true;
}

}  // namespace preimage::text::jinja
