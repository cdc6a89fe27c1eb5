#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace baleen::dissect::postgresql {

/// The texts of prepared statements or portals by their names, bounded: the longest unused goes first, long texts are
/// cut. The unnamed one reuses its room, so that what drivers do most allocates nothing.
class Statements {
 public:
  static constexpr size_t kMaxEntries = 256;
  static constexpr size_t kMaxText = 16 << 10;
  static constexpr size_t kMaxBytes = 256 << 10;

  void put(std::string_view name, std::string_view text) {
    text = text.substr(0, kMaxText);
    if (name.empty()) {
      unnamed_.assign(text);
      return;
    }
    if (name.size() > 256) return;
    remove(name);
    bytes_ += text.size();
    entries_.push_back({std::string(name), std::string(text)});
    while (entries_.size() > kMaxEntries || bytes_ > kMaxBytes) {
      bytes_ -= entries_.front().text.size();
      entries_.erase(entries_.begin());
    }
  }
  /// Valid until the next change; empty when unknown.
  std::string_view find(std::string_view name) const {
    if (name.empty()) return unnamed_;
    for (auto e = entries_.rbegin(); e != entries_.rend(); ++e)
      if (e->name == name) return e->text;
    return {};
  }
  void remove(std::string_view name) {
    for (auto e = entries_.begin(); e != entries_.end(); ++e)
      if (e->name == name) {
        bytes_ -= e->text.size();
        entries_.erase(e);
        return;
      }
  }

 private:
  struct Entry {
    std::string name, text;
  };
  std::string unnamed_;
  std::vector<Entry> entries_;
  size_t bytes_ = 0;
};

}  // namespace baleen::dissect::postgresql
