#pragma once

#include <memory>
#include <string>

#include "io/http_client.h"
#include "store/gcs/credentials.h"
#include "store/lifecycle.h"
#include "store/object_store.h"
#include "store/upload_body.h"

namespace baleen::store::gcs {

/// A bucket of Google Cloud Storage through its JSON API. Any thread.
///
/// Up to 8 MiB go in one multipart request, more through a resumable session: in one request too, unless part_bytes
/// says otherwise, since a cut request loses nothing that the session does not tell. The content's CRC32C is sent
/// ahead, checked by the store, and its answer is checked by us; an object that came out wrong is removed again.
class GcsStore : public ObjectStore, public LifecycleKeeper {
 public:
  struct Settings {
    std::string bucket;
    std::string endpoint;  // "https://storage.googleapis.com"
    std::string user_project;
    ObjectDefaults objects;
  };
  /// `credentials` may be null: then requests carry none, as an emulator wants it.
  GcsStore(Settings settings, io::HttpOptions http, std::unique_ptr<Credentials> credentials,
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
  std::string name() const override { return "gs://" + settings_.bucket; }
  std::string endpoint() const override { return io::without_secrets(settings_.endpoint); }
  std::string identity() const override { return tokens_.identity(); }
  std::optional<std::chrono::seconds> clock_skew() const override { return tokens_.skew(); }

 private:
  Result<io::HttpAnswer> send(io::HttpRequest request);
  void add_customer_key(io::HttpRequest& request) const;
  Result<ObjectFacts> put_body(std::string_view key, const UploadBody& body, const PutOptions& options);
  Result<ObjectFacts> put_multipart(std::string_view key, const UploadBody& body, const PutOptions& options);
  Result<ObjectFacts> put_resumable(std::string_view key, const UploadBody& body, const PutOptions& options);
  Result<std::string> begin_session(std::string_view key, const UploadBody& body, const PutOptions& options);
  Result<io::HttpAnswer> ask_session(const std::string& session, const UploadBody& body, const PutOptions& options);
  Result<ObjectFacts> finish(const io::HttpAnswer& answer, std::string_view key, const UploadBody& body);
  std::string upload_url(const char* type, const PutOptions& options) const;
  std::string bucket_url(std::string_view query) const;
  std::string object_url(std::string_view key, std::string_view query) const;
  std::string what(std::string_view verb, std::string_view key) const;
  Error refused(const io::HttpAnswer& answer, std::string_view verb, std::string_view key) const;

  Settings settings_;
  io::HttpClient http_;
  TokenCache tokens_;
};

Result<std::unique_ptr<ObjectStore>> open(const Location& location, const OpenOptions& options);

}  // namespace baleen::store::gcs
