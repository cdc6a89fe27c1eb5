#pragma once

#include <atomic>
#include <chrono>
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

namespace baleen::io {
class Bandwidth;
class ByteSource;
}  // namespace baleen::io

namespace baleen::store {

/// "gs://bucket/prefix", "file:///folder" or a plain path, taken apart. Azure's account may be named in three ways:
/// "azblob://container/prefix" (account from the environment), "azblob://container@account/prefix" and
/// "azblob://account.blob.core.windows.net/container/prefix"; the last two give the bucket "account/container".
struct Location {
  std::string scheme;  // "gs", "s3", "azblob", "file"
  std::string bucket;  // empty for file
  std::string prefix;  // without slashes at its ends for buckets; the folder for file
  static Result<Location> parse(std::string_view url);
  std::string to_string() const;
  /// What the keys of this location begin with in the store that open() gives: "prefix/", or nothing, as for any
  /// folder.
  std::string key_prefix() const;
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

  /// The content's checksum when the caller has it: an upload of anything else fails. Without it, it is computed.
  std::optional<uint32_t> crc32c;
  /// Where an upload by parts stands, opaque, from `on_session` of an earlier try: perhaps of a process that has died.
  /// A session that the store has forgotten is begun anew. It authorises the upload: keep it as a secret.
  std::string session;
  /// Called from the calling thread before the first byte of a part leaves, with the text to keep; empty once it is
  /// over.
  std::function<void(const std::string&)> on_session;
  /// Bytes of a part; zero is the store's choice. Rounded to what the store takes.
  uint64_t part_bytes = 0;

  std::string storage_class;  // as the store spells it: "NEARLINE", "STANDARD_IA", "Cool"; empty: the bucket's
  /// A customer-managed key, as the store names it; empty: the bucket's. Cloud Storage:
  /// projects/P/locations/L/keyRings/ R/cryptoKeys/K. S3: "AES256" (its own), "aws:kms" (the account's), or the key's
  /// ARN. Azure: an encryption scope.
  std::string encryption_key_name;
  const std::atomic<bool>* cancel = nullptr;  // true from any thread ends the upload within a second (kIo)
  io::Bandwidth* bandwidth = nullptr;         // shared with whom it shall be shared
};

/// What a store says of each object that it makes beside PutOptions, which go first, and of each request.
struct ObjectDefaults {
  std::string storage_class;        // as PutOptions'
  std::string encryption_key_name;  // as PutOptions'
  /// 32 bytes that the store encrypts each object with and does not keep: every reader has to bring them. A secret.
  std::string customer_key;
  std::map<std::string, std::string> metadata;
  std::map<std::string, std::string> tags;  // S3's and Azure's; Cloud Storage has none (kInvalid)
  std::chrono::milliseconds idle_timeout{60'000};
  std::chrono::milliseconds request_timeout{0};  // of a whole request, a part of an upload at most; zero: none

  PutOptions fill(PutOptions options) const;
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
  /// Uploads by parts, resumably; the source's CRC32C is checked against the store's.
  virtual Result<ObjectFacts> put_source(std::string_view key, const io::ByteSource& source,
                                         const PutOptions& options) = 0;
  /// The same for a file.
  Result<ObjectFacts> put_file(std::string_view key, const std::string& path, const PutOptions& options);
  virtual Result<std::string> get(std::string_view key) = 0;
  /// `length` bytes from `offset`; fewer at the object's end.
  virtual Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) = 0;
  virtual Result<ObjectFacts> head(std::string_view key) = 0;
  virtual Result<ListPage> list(const ListOptions& options) = 0;
  /// Removing what is not there is kNotFound.
  virtual Result<> remove(std::string_view key) = 0;

  /// "gs://bucket", for messages; never a secret.
  virtual std::string name() const = 0;
  /// The file that has the object, for stores whose objects are files; empty otherwise.
  virtual std::string local_path(std::string_view key) const { return {}; }
  /// Where requests go, for messages: "https://storage.googleapis.com", or a folder.
  virtual std::string endpoint() const { return {}; }
  /// Whose credentials are in use and where they came from, for messages; never a secret. Empty when there are none.
  virtual std::string identity() const { return {}; }
  /// The other side's clock minus ours, when an answer has told it.
  virtual std::optional<std::chrono::seconds> clock_skew() const { return std::nullopt; }
};

/// put() and put_source() with only_if_absent where "it is there already, and it is this very content" is a success:
/// what a writer needs that may have died between the upload and its note of it. kConflict when something else is
/// there.
Result<ObjectFacts> put_once(ObjectStore& store, std::string_view key, Bytes content, PutOptions options);
Result<ObjectFacts> put_source_once(ObjectStore& store, std::string_view key, const io::ByteSource& source,
                                    PutOptions options);

/// The CRC-32C of a whole file, and its size.
struct FileSum {
  uint64_t size = 0;
  uint32_t crc32c = 0;
};
Result<FileSum> sum_file(const std::string& path);
/// The CRC-32C of a whole source.
Result<uint32_t> sum_of(const io::ByteSource& source);

/// Opens the store that a location names, with credentials from the environment unless `options` bring some.
/// The location's prefix is not part of the store: keys are full names.
struct OpenOptions {
  std::string gcs_service_account_json;  // the key file's text
  std::string gcs_user_project;          // who pays for requests to a requester-pays bucket

  std::string s3_region, s3_access_key, s3_secret_key, s3_session_token, s3_profile;
  std::optional<bool> s3_path_style;        // unset: for a custom endpoint, and for names with a dot
  std::string s3_role_arn, s3_external_id;  // a role that is assumed with whatever credentials there are
  std::optional<bool> s3_sign_payload;      // of parts whose CRC32C the store checks; unset: when not over TLS
  bool s3_requester_pays = false;           // we pay for requests to a requester-pays bucket

  std::string azure_account, azure_key, azure_sas, azure_connection_string;

  std::string endpoint;  // in place of the service's own: "http://127.0.0.1:9000"
  std::string proxy;     // empty: http_proxy, https_proxy, no_proxy
  std::string ca_file;   // PEM; empty: SSL_CERT_FILE, then the system's
  ObjectDefaults objects;

  std::function<Timestamp()> now;  // for tests; empty: the machine's clock
};
Result<std::unique_ptr<ObjectStore>> open(const Location& location, const OpenOptions& options = {});

}  // namespace baleen::store
