#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "io/http_client.h"
#include "store/azure/credentials.h"
#include "store/object_store.h"
#include "store/upload_body.h"

namespace baleen::store::azure {

/// A container of Azure Blob Storage, with block blobs. Any thread.
///
/// Up to 16 MiB go in one Put Blob, more as blocks and a list of them. Each request's body is sent with its MD5, which
/// the store checks; the content's CRC32C is kept with the blob ("baleen_crc32c" of its metadata). A block's name holds
/// the size and sum of the whole content, so that a later try takes what is there of the same content only; the store
/// forgets blocks that were never listed after a week.
///
/// What differs from other stores: a list cannot begin in the middle, so start_offset leaves out what came over the
/// wire; names of metadata are identifiers, other characters become underscores.
class AzureStore : public ObjectStore {
 public:
  AzureStore(std::string container, Access access, io::HttpOptions http, ObjectDefaults objects,
             std::function<Timestamp()> now);

  Result<ObjectFacts> put(std::string_view key, Bytes content, const PutOptions& options) override;
  Result<ObjectFacts> put_source(std::string_view key, const io::ByteSource& source,
                                 const PutOptions& options) override;
  Result<std::string> get(std::string_view key) override;
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override;
  Result<ObjectFacts> head(std::string_view key) override;
  Result<ListPage> list(const ListOptions& options) override;
  Result<> remove(std::string_view key) override;
  std::string name() const override { return "azblob://" + container_ + "@" + access_.account; }
  std::string endpoint() const override { return io::without_secrets(access_.endpoint); }
  std::string identity() const override { return access_.identity; }
  std::optional<std::chrono::seconds> clock_skew() const override { return tokens_.skew(); }

 private:
  Result<io::HttpAnswer> send(io::HttpRequest request, std::string_view key, std::string query = {});
  Result<ObjectFacts> put_body(std::string_view key, const UploadBody& body, const PutOptions& options);
  Result<ObjectFacts> put_whole(std::string_view key, const UploadBody& body, const PutOptions& options);
  Result<ObjectFacts> put_blocks(std::string_view key, const UploadBody& body, const PutOptions& options);
  Result<> put_block(std::string_view key, const UploadBody& body, const PutOptions& options, const std::string& id,
                     uint64_t offset, uint64_t length, const io::Md5& md5);
  Result<ObjectFacts> put_list(std::string_view key, const UploadBody& body, const PutOptions& options,
                               const std::vector<std::string>& ids);
  void add_encryption(const PutOptions* options, io::HttpRequest& request) const;
  void describe(const UploadBody& body, const PutOptions& options, io::HttpRequest& request) const;
  std::string what(std::string_view verb, std::string_view key) const;
  Error refused(const io::HttpAnswer& answer, std::string_view verb, std::string_view key,
                std::string_view action) const;

  std::string container_;
  Access access_;
  ObjectDefaults objects_;
  std::function<Timestamp()> now_;
  io::HttpClient http_;
  TokenCache tokens_;  // without a source when a key or a signature is used: then it knows the clocks only
  std::atomic<bool> sign_with_their_clock_{false};
};

Result<std::unique_ptr<ObjectStore>> open(const Location& location, const OpenOptions& options);

}  // namespace baleen::store::azure
