// What is dear to make and the same for several combinations of a sweep: models above all. Each is
// made once in a process and lives as long as somebody holds it; the one that was asked for last is
// kept, so that combinations which run one after another find it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <typeinfo>

namespace preimage::run {

class SharedObjects {
 public:
  // The object that `key` (with its type) stands for: everything that decides what `make` makes.
  template <class T>
  std::shared_ptr<const T> get(const std::string& key,
                               const std::function<std::shared_ptr<const T>()>& make) {
    auto& place = objects_[std::string(typeid(T).name()) + " " + key];
    auto found = std::static_pointer_cast<const T>(place.lock());
    if (!found) {
      last_.reset();  // its memory may be what the new one needs
      found = make();
      place = found;
    }
    last_ = found;
    return found;
  }

 private:
  std::map<std::string, std::weak_ptr<const void>> objects_;
  std::shared_ptr<const void> last_;
};

}  // namespace preimage::run
