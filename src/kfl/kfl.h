#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "item/item.h"

namespace baleen::kfl {

enum class Dialect : uint8_t { kAuto, kV1, kV2 };

/// One thing to say about a filter's text; byte positions into it.
struct Diagnostic {
  enum class Severity : uint8_t { kError, kWarning, kNote };
  Severity severity = Severity::kError;
  size_t begin = 0, end = 0;
  std::string message;     // what was found and what was expected
  std::string suggestion;  // corrected text or "did you mean", empty when there is none
};

/// "1:6: expected …" with the line of the text and a caret under it, one block for each diagnostic.
std::string render(std::string_view text, std::span<const Diagnostic> diagnostics);

/// What a filter is compiled against.
struct Options {
  Dialect dialect = Dialect::kAuto;
  std::span<const item::Protocol* const> protocols{};             // their Field tables
  std::span<const std::pair<std::string, std::string>> macros{};  // KFL v1, user-defined: name and text
  Timestamp now{};                   // what now() means; zero: the machine's clock at compile time
  Dialect ambiguous = Dialect::kV1;  // with kAuto: what is meant by text that could be either (`http`)
};

/// A compiled filter. Immutable: any number of threads may use one. Copies share.
class Filter {
 public:
  struct Program;
  Filter();  // the empty filter: everything matches
  explicit Filter(std::shared_ptr<const Program> program);
  ~Filter();
  Filter(const Filter&);
  Filter& operator=(const Filter&);

  /// Does not allocate. An error while evaluating means no match.
  bool matches(const item::Item& item) const;
  /// The same over an item's JSON (see item/json.h); gives the same answer.
  bool matches_json(const item::Value& root) const;
  /// What a filter makes of an item beyond yes and no.
  struct Answer {
    bool match = false;
    item::Value record;      // as the filter shows it: redacted where it redacts
    std::string_view error;  // why the evaluation failed, empty when it did not
  };
  /// `arena` keeps what the answer holds; the item, or the tree, is shared and must outlive it.
  Answer apply(const item::Item& item, Arena& arena) const;
  Answer apply_json(const item::Value& root, Arena& arena) const;

  /// limit(n) of KFL v1; zero when there is none.
  uint64_t limit() const;
  /// Whether the filter changes what is shown (redact()).
  bool redacts() const;
  std::string_view text() const;
  Dialect dialect() const;
  /// For this folder: null for the empty filter.
  const Program* program() const { return program_.get(); }

 private:
  std::shared_ptr<const Program> program_;
};

struct Compiled {
  std::optional<Filter> filter;      // nothing when there is an error
  Dialect dialect = Dialect::kAuto;  // which one it was read as
  std::string why;                   // by what the dialect was recognised: "it has \"and\""; empty when it was given
  std::vector<Diagnostic> diagnostics;
};

/// Never fails otherwise than by diagnostics: all of them, in the order of the text.
Compiled compile(std::string_view text, const Options& options = {});

}  // namespace baleen::kfl
