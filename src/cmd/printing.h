#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "item/item.h"
#include "kfl/kfl.h"

namespace baleen::cmd {

enum class Format { kTable, kNdjson, kCount };

/// Says what failed on standard error; the exit code that goes with it.
int failed(const Error& error);

/// Compiles a filter from the command line, against all protocols and the macros given; prints every diagnostic to
/// standard error. Nothing when it does not compile.
std::optional<kfl::Filter> compile_filter(std::string_view text,
                                          std::span<const std::pair<std::string, std::string>> macros = {});

/// Prints items to standard output, as lines of a table, as JSON, or only their number by protocol at the end. One
/// thread.
class ItemPrinter {
 public:
  explicit ItemPrinter(Format format) : format_(format) { out_.reserve(kFlushAt * 2); }
  ~ItemPrinter() { flush(); }

  void print(const item::Item& item, const kfl::Filter& filter);
  /// The same from stored JSON; `json` is one line without its end.
  void print_json(std::string_view json);
  /// A row from a stored item's tree.
  void print_stored(const item::Value& item);
  void print_totals();
  void flush();
  /// Standard output was closed (a pager, head): nothing more need be made.
  bool closed() const { return closed_; }
  uint64_t printed() const { return printed_; }

 private:
  static constexpr size_t kFlushAt = 1 << 16;
  void row(std::string_view time, std::string_view protocol, std::string_view from, std::string_view to,
           std::string_view method, std::string_view summary, std::string_view status, std::string_view elapsed);

  Format format_;
  std::string out_;
  bool header_done_ = false;
  bool closed_ = false;
  uint64_t printed_ = 0;
  std::unordered_map<const item::Protocol*, uint64_t> counts_;
  const item::Protocol* last_ = nullptr;
  uint64_t* last_count_ = nullptr;
};

/// Reports how far long work has come, on a terminal only, at most a few times a second. One thread.
class Progress {
 public:
  explicit Progress(std::string_view what);
  ~Progress();
  /// `text` is a callable that makes a text, and is called only when one is to be shown.
  template <class Text>
  void update(Text&& text) {
    if (due()) show(text());
  }

 private:
  bool due();
  void show(std::string_view text);
  std::string what_;
  bool terminal_;
  bool shown_ = false;
  int64_t last_ms_ = 0;
};

}  // namespace baleen::cmd
