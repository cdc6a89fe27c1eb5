#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"

namespace baleen::store {

/// "gs://bucket/prefix", "file:///folder" or a plain path, taken apart.
struct Location {
  std::string scheme;  // "gs", "s3", "azblob", "file"
  std::string bucket;  // empty for file
  std::string prefix;  // without leading slash for buckets; the folder for file
  static Result<Location> parse(std::string_view url);
  std::string to_string() const;
};

/// What a store says of an object.
struct ObjectFacts {
  std::string key;  // full name in the bucket
  uint64_t size = 0;
  std::optional<uint32_t> crc32c;
  Timestamp modified{};
  std::string etag, generation;  // for preconditions, as the store spells them
};

struct PutOptions {
  bool only_if_absent = false;  // kConflict when it is there already
  std::string content_type = "application/octet-stream";
  std::map<std::string, std::string> metadata;
  /// Called now and then with the bytes that the store has acknowledged; may be called from the calling thread only.
  std::function<void(uint64_t)> on_progress;
};

struct ListOptions {
  std::string prefix;
  std::string delimiter;     // "/" lists one level
  std::string start_offset;  // keys at or after this one
  std::string page_token;
  uint32_t page_size = 1000;
};
struct ListPage {
  std::vector<ObjectFacts> objects;
  std::vector<std::string> prefixes;
  std::string next_page_token;  // empty: that was the last
};

/// A bucket, or a folder laid out like one. Any thread. The error's code is the decision: kUnavailable and kTimeout may
/// be tried again, kNotFound and kConflict are answers, everything else is final. Retrying is what RetryingStore adds.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  virtual Result<ObjectFacts> put(std::string_view key, Bytes content, const PutOptions& options) = 0;
  /// Uploads a file by parts, resumably; the file's CRC32C is checked against the store's.
  virtual Result<ObjectFacts> put_file(std::string_view key, const std::string& path, const PutOptions& options) = 0;
  virtual Result<std::string> get(std::string_view key) = 0;
  /// `length` bytes from `offset`; fewer at the object's end.
  virtual Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) = 0;
  virtual Result<ObjectFacts> head(std::string_view key) = 0;
  virtual Result<ListPage> list(const ListOptions& options) = 0;
  /// Removing what is not there is kNotFound.
  virtual Result<> remove(std::string_view key) = 0;

  /// "gs://bucket", for messages; never a secret.
  virtual std::string name() const = 0;
};

/// Opens the store that a location names, with credentials from the environment unless `options` bring some.
/// The location's prefix is not part of the store: keys are full names.
struct OpenOptions {
  std::string gcs_service_account_json;  // the key file's text
};
Result<std::unique_ptr<ObjectStore>> open(const Location& location, const OpenOptions& options = {});

}  // namespace baleen::store
