#include "index/expire.h"

#include <set>

#include "base/units.h"
#include "index/block.h"

namespace baleen::index {
namespace {

constexpr Duration kMargin = std::chrono::hours(24);

/// The block's id in a key of ours: "recording=a/packets/date=…/hour=…/<id>.pcapng"; empty for anything else.
std::string_view id_in(std::string_view key, std::string_view recording_folder) {
  if (!key.starts_with(recording_folder)) return {};
  key.remove_prefix(recording_folder.size());
  const bool ours = (key.starts_with("packets/date=") && key.ends_with(".pcapng")) ||
                    (key.starts_with("items/date=") && key.ends_with(".parquet")) ||
                    (key.starts_with("blocks/date=") && key.ends_with(".json"));
  if (!ours) return {};
  const size_t begin = key.rfind('/') + 1;
  return key.substr(begin, key.rfind('.') - begin);
}

/// When a block begins, by its id: "20261123T120000.123456789Z-…".
std::optional<Timestamp> time_in(std::string_view id) {
  if (id.size() < 26 || id[8] != 'T' || id[15] != '.' || id[25] != 'Z') return std::nullopt;
  const std::string text(id);
  return parse_time(text.substr(0, 4) + "-" + text.substr(4, 2) + "-" + text.substr(6, 5) + ":" + text.substr(11, 2) +
                        ":" + text.substr(13, 13),
                    Timestamp{});
}

class Removal {
 public:
  Removal(store::ObjectStore& store, const std::string& prefix, const ExpireOptions& options)
      : store_(store), prefix_(prefix), options_(options) {}

  Expired run() {
    for (const std::string& folder : folders()) {
      objects_.clear();
      list(prefix_ + folder, [&](const store::ObjectFacts& object) {
        const std::string_view id = id_in(std::string_view(object.key).substr(prefix_.size()), folder);
        if (!id.empty()) objects_[std::string(id)].push_back(object.key);
      });
      for (const auto& [id, keys] : objects_) expire_block(id, keys);
    }
    return std::move(out_);
  }

 private:
  template <class Each>
  void list(const std::string& prefix, const Each& each) {
    store::ListOptions options;
    options.prefix = prefix;
    do {
      const auto page = store_.list(options);
      if (!page) return out_.problems.push_back(page.error());
      for (const store::ObjectFacts& object : page->objects) each(object);
      options.page_token = page->next_page_token;
    } while (!options.page_token.empty());
  }

  /// "recording=a/" of each recording.
  std::vector<std::string> folders() {
    if (!options_.recording.empty()) return {"recording=" + options_.recording + "/"};
    std::set<std::string> found;
    list(prefix_ + "recording=", [&](const store::ObjectFacts& object) {
      const std::string_view key = std::string_view(object.key).substr(prefix_.size());
      found.emplace(key.substr(0, key.find('/') + 1));
    });
    return {found.begin(), found.end()};
  }

  void expire_block(const std::string& id, const std::vector<std::string>& keys) {
    const auto begins = time_in(id);
    if (!begins || *begins >= options_.before) {
      out_.kept_blocks += record_of(keys) != nullptr ? 1 : 0;
      return;
    }
    const std::string* const key = record_of(keys);
    if (key == nullptr) {
      if (*begins + kMargin >= options_.before) return;
      for (const std::string& object : keys) out_.left_over_objects += remove(object) ? 1 : 0;
      return;
    }
    const auto text = store_.get(*key);
    if (!text) return out_.problems.push_back(text.error());
    const auto record = BlockRecord::from_json(*text);
    if (!record) return out_.problems.push_back(record.error().in(*key));
    if (record->last >= options_.before) {
      ++out_.kept_blocks;
      return;
    }
    if (!remove(*key)) return;
    ++out_.blocks;
    out_.items += record->items;
    out_.packets += record->packets;
    out_.bytes += record->packets_object.size + record->items_object.size;
    for (const std::string& object : keys)
      if (&object != key) remove(object);
  }

  static const std::string* record_of(const std::vector<std::string>& keys) {
    for (const std::string& key : keys)
      if (key.ends_with(".json")) return &key;
    return nullptr;
  }

  bool remove(const std::string& key) {
    if (options_.dry_run) return true;
    const auto removed = store_.remove(key);
    if (removed || removed.error().code == Code::kNotFound) return true;
    out_.problems.push_back(removed.error().in(key));
    return false;
  }

  store::ObjectStore& store_;
  const std::string& prefix_;
  const ExpireOptions& options_;
  std::map<std::string, std::vector<std::string>> objects_;  // by block's id
  Expired out_;
};

}  // namespace

Expired expire(store::ObjectStore& store, const std::string& prefix, const ExpireOptions& options) {
  return Removal(store, prefix, options).run();
}

}  // namespace baleen::index
