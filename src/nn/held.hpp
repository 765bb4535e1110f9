// Keeps a C++ value in the saved data of an autograd function.
#pragma once

#include <ATen/core/ivalue.h>

namespace preimage::nn {

template <class T>
struct Held : torch::CustomClassHolder {
  explicit Held(T v) : value(std::move(v)) {}
  T value;
};

template <class T>
c10::IValue hold(T value) {
  return c10::IValue::make_capsule(c10::make_intrusive<Held<T>>(std::move(value)));
}

template <class T>
const T& held(const c10::IValue& saved) {
  return static_cast<const Held<T>*>(saved.toCapsule().get())->value;
}

}  // namespace preimage::nn
