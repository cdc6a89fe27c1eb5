#pragma once

#include <string>
#include <string_view>

namespace baleen::index {

/// JSON with null for the numbers that it does not have (RFC 8259 6): DuckDB writes NaN, Infinity and -Infinity for
/// them, in lists and structures, too. The text comes in pieces, cut anywhere; one thread.
class StrictJson {
 public:
  /// The piece as it is to be, but for a word at its end, which comes with the next one. A view until the next call.
  std::string_view next(std::string_view piece) {
    out_.clear();
    for (const char c : piece) {
      if (in_string_) {
        in_string_ = escaped_ || c != '"';
        escaped_ = !escaped_ && c == '\\';
        out_ += c;
      } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-') {
        word_ += c;
      } else {
        end_word();
        in_string_ = c == '"';
        out_ += c;
      }
    }
    return out_;
  }
  /// What is left at the end. A view until the next call.
  std::string_view finish() {
    out_.clear();
    end_word();
    return out_;
  }

 private:
  void end_word() {
    const bool no_number = word_ == "NaN" || word_ == "Infinity" || word_ == "-Infinity";
    out_ += no_number ? "null" : word_;
    word_.clear();
  }

  std::string out_, word_;
  bool in_string_ = false, escaped_ = false;
};

}  // namespace baleen::index
