#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kfl/kfl.h"

namespace baleen::kfl {

/// Gathers what there is to say about a text; keeps the first 50.
class Diagnoser {
 public:
  using Fix = std::optional<Diagnostic::Fix>;
  void error(size_t begin, size_t end, std::string message, std::string suggestion = {}, Fix fix = {}) {
    add({Diagnostic::Severity::kError, begin, end, std::move(message), std::move(suggestion), std::move(fix)});
  }
  void warning(size_t begin, size_t end, std::string message, std::string suggestion = {}, Fix fix = {}) {
    add({Diagnostic::Severity::kWarning, begin, end, std::move(message), std::move(suggestion), std::move(fix)});
  }
  /// An error counts as one even where it is not kept.
  void add(Diagnostic d) {
    errors_ += d.severity == Diagnostic::Severity::kError;
    if (all_.size() < kMost) all_.push_back(std::move(d));
  }
  bool failed() const { return errors_ != 0; }
  std::vector<Diagnostic> take();  // in the order of the text
  std::vector<Diagnostic>& all() { return all_; }

 private:
  static constexpr size_t kMost = 50;
  std::vector<Diagnostic> all_;
  size_t errors_ = 0;
};

/// A token as it is shown in messages: quoted, shortened, "<EOF>" when empty.
std::string shown(std::string_view token);

}  // namespace baleen::kfl
