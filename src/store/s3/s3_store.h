#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "io/http_client.h"
#include "store/lifecycle.h"
#include "store/object_store.h"
#include "store/s3/answers.h"
#include "store/s3/credentials.h"
#include "store/upload_body.h"

namespace baleen::store::s3 {

/// A bucket of Amazon S3, or of what speaks like it (MinIO, Ceph, R2). Any thread.
///
/// Up to 16 MiB go in one PUT, more by parts, one after the other. The store refuses what was damaged on the way: each
/// body's SHA-256 is signed, and its CRC32C is sent where the store knows that. Parts that a store has shown to check
/// by their CRC32C go without the SHA-256 over TLS, as Amazon's own clients have it: it costs more than all else here.
/// The content's CRC32C is kept with the object ("x-amz-meta-baleen-crc32c"), too, for stores that keep none, so that
/// get() and put_once() can check it.
///
/// What differs from other stores: remove() looks first, since S3 does not say that there was nothing; a bucket in
/// another region than was said is found by the store's own word; only_if_absent is `If-None-Match: *`, and at an
/// endpoint that is not Amazon's we also look first, since older servers do not heed it. One that refuses it (501, as
/// S3 says of headers that it does not know) is asked without, after that look.
class S3Store : public ObjectStore, public LifecycleKeeper {
 public:
  struct Settings {
    std::string bucket, region;
    std::string endpoint;  // "https://host:port"; empty: Amazon's, by region
    bool path_style = false;
    bool requester_pays = false;
    std::optional<bool> sign_payload;  // of parts whose CRC32C the store checks; unset: when they go in the clear
    ObjectDefaults objects;
  };
  S3Store(Settings settings, io::HttpOptions http, std::unique_ptr<Credentials> credentials,
          std::function<Timestamp()> now);

  Result<ObjectFacts> put(std::string_view key, Bytes content, const PutOptions& options) override;
  Result<ObjectFacts> put_source(std::string_view key, const io::ByteSource& source,
                                 const PutOptions& options) override;
  Result<std::string> get(std::string_view key) override;
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override;
  Result<ObjectFacts> head(std::string_view key) override;
  Result<ListPage> list(const ListOptions& options) override;
  Result<> remove(std::string_view key) override;
  Result<LifecycleText> lifecycle() override;
  Result<> set_lifecycle(const LifecycleText& rules) override;
  std::string name() const override { return "s3://" + settings_.bucket; }
  std::string endpoint() const override { return io::without_secrets(base_url()); }
  std::string identity() const override { return keys_.identity(); }
  std::optional<std::chrono::seconds> clock_skew() const override;

 private:
  /// A request to the bucket: its URL is made from `key` and `query` when it is sent.
  struct Request {
    std::string method = "GET", key, query;
    io::HttpRequest http{};
    std::string payload_sha256{kEmptySha256};  // or kUnsigned
  };
  /// An upload by parts that has begun.
  struct Session {
    std::string upload_id;
    uint64_t part_bytes = 0;
    uint64_t size = 0;
    uint32_t crc32c = 0;
    bool checksums = false;  // parts have to have a CRC32C each, and the completion has to have all
    std::string to_text(const std::string& bucket, std::string_view key) const;
  };

  Result<io::HttpAnswer> send(Request request);
  Result<io::HttpAnswer> send_once(const Request& request, Keys* used);
  std::string base_url() const;
  std::string url_of(const Request& request) const;
  std::string region() const;
  bool adopt_region(const io::HttpAnswer& answer);
  bool adopt_clock(const io::HttpAnswer& answer);
  Timestamp time() const;

  Result<ObjectFacts> put_body(std::string_view key, const UploadBody& body, const PutOptions& options);
  Result<ObjectFacts> put_whole(std::string_view key, const UploadBody& body, const PutOptions& options);
  Result<ObjectFacts> put_parts(std::string_view key, const UploadBody& body, const PutOptions& options);
  Result<Session> begin(std::string_view key, const UploadBody& body, const PutOptions& options);
  io::Digests digests_of_content(bool checksums) const;
  static bool goes_by_parts(uint64_t size, const PutOptions& options);
  Error unexpected_content(std::string_view key) const;
  struct Resumed {
    std::optional<Session> session;
    std::map<uint32_t, Part> theirs;      // parts that the store has, by number
    std::optional<ObjectFacts> complete;  // all of it is there
  };
  Result<Resumed> resume(std::string_view key, const UploadBody& body, const std::string& text);
  std::optional<Session> resumable(std::string_view key, const UploadBody& body, const std::string& text) const;
  Result<std::vector<Part>> list_parts(std::string_view key, const std::string& upload_id);
  Result<Part> put_part(std::string_view key, const UploadBody& body, const PutOptions& options, const Session& session,
                        uint32_t number, const io::PartDigests& digests, bool with_hash);
  bool has_part(const UploadBody& body, const Session& session, Part& part) const;
  Result<ObjectFacts> complete(std::string_view key, const UploadBody& body, const PutOptions& options,
                               const Session& session, const std::vector<Part>& parts);
  void abort(std::string_view key, const std::string& upload_id);
  Result<io::HttpAnswer> send_once_only(Request request, std::string_view key);
  Result<io::HttpAnswer> send_with_checksum(Request request, const char* header, const std::string& value,
                                            const std::function<Result<io::HttpAnswer>(Request)>& send_it);
  void add_customer_key(Request& request) const;
  void describe(const UploadBody& body, const PutOptions& options, Request& request) const;
  Result<> absent(std::string_view key);

  std::string what(std::string_view verb, std::string_view key) const;
  Error refused(const io::HttpAnswer& answer, std::string_view verb, std::string_view key,
                std::string_view action) const;

  Settings settings_;
  std::function<Timestamp()> now_;
  io::HttpClient http_;
  KeyCache keys_;
  mutable std::mutex region_mutex_;
  std::string region_;
  std::atomic<int64_t> skew_s_{INT64_MIN};  // INT64_MIN: no answer has told it
  std::atomic<bool> sign_with_their_clock_{false};
  std::atomic<bool> knows_no_conditions_{false};  // it has refused If-None-Match with 501
  std::atomic<bool> wants_md5_{false};            // it has refused a part without Content-MD5
  std::atomic<bool> knows_no_checksums_{false};   // it has refused a checksum's header
  std::atomic<bool> checks_crcs_{false};          // it has said a body's CRC32C again
};

Result<std::unique_ptr<ObjectStore>> open(const Location& location, const OpenOptions& options);

}  // namespace baleen::store::s3
