#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kfl/kfl.h"

namespace baleen::kfl {

/// Gathers what there is to say about a text; keeps the first 50.
class Diagnoser {
 public:
  void error(size_t begin, size_t end, std::string message, std::string suggestion = {}) {
    ++errors_;
    add(Diagnostic::Severity::kError, begin, end, std::move(message), std::move(suggestion));
  }
  void warning(size_t begin, size_t end, std::string message, std::string suggestion = {}) {
    add(Diagnostic::Severity::kWarning, begin, end, std::move(message), std::move(suggestion));
  }
  void note(size_t begin, size_t end, std::string message, std::string suggestion = {}) {
    add(Diagnostic::Severity::kNote, begin, end, std::move(message), std::move(suggestion));
  }
  bool failed() const { return errors_ != 0; }
  std::vector<Diagnostic> take();  // in the order of the text
  std::vector<Diagnostic>& all() { return all_; }

 private:
  void add(Diagnostic::Severity severity, size_t begin, size_t end, std::string message, std::string suggestion) {
    if (all_.size() < 50) all_.push_back({severity, begin, end, std::move(message), std::move(suggestion)});
  }
  std::vector<Diagnostic> all_;
  size_t errors_ = 0;
};

/// A token as it is shown in messages: quoted, shortened, "<EOF>" when empty.
std::string shown(std::string_view token);

}  // namespace baleen::kfl
