#include "store/object_store.h"

#include "base/crc32c.h"
#include "io/byte_source.h"
#include "io/crypto.h"
#include "io/http_client.h"
#include "store/upload_body.h"

namespace baleen::store {

#define BALEEN_STORE(scheme, folder)                                                               \
  namespace folder {                                                                               \
  Result<std::unique_ptr<ObjectStore>> open(const Location& location, const OpenOptions& options); \
  }
#include "store/stores.def"
#undef BALEEN_STORE

PutOptions ObjectDefaults::fill(PutOptions options) const {
  if (options.storage_class.empty()) options.storage_class = storage_class;
  if (options.encryption_key_name.empty()) options.encryption_key_name = encryption_key_name;
  options.metadata.insert(metadata.begin(), metadata.end());
  return options;
}

namespace {

/// A key that is to travel goes nowhere in the clear, but to this machine itself (a test, a tunnel).
Result<> check_customer_key(const Location& location, const OpenOptions& options) {
  if (options.objects.customer_key.empty()) return {};
  if (location.scheme == "file") return Error{Code::kInvalid, "a folder encrypts nothing: no customer key"};
  if (options.objects.customer_key.size() != 32)
    return Error{Code::kInvalid, "a customer key has 32 bytes (44 letters of base64)"};
  if (!options.objects.encryption_key_name.empty())
    return Error{Code::kInvalid, "a customer key and the name of a managed one: one of them"};
  const std::string& at = options.endpoint;
  if (at.starts_with("http://") && !at.starts_with("http://127.") && !at.starts_with("http://[::1]"))
    return Error{Code::kDenied, io::without_secrets(at) + ": a customer key travels over https only"};
  return {};
}

}  // namespace

Result<std::unique_ptr<ObjectStore>> open(const Location& location, const OpenOptions& options) {
  BALEEN_TRY_DO(check_customer_key(location, options));
#define BALEEN_STORE(name, folder) \
  if (location.scheme == #name) return folder::open(location, options);
#include "store/stores.def"
#undef BALEEN_STORE
  return Error{Code::kInvalid, "no store is called \"" + location.scheme + "\""};
}

Result<FileSum> sum_file(const std::string& path) {
  BALEEN_TRY(const auto file, io::open_source(path));
  BALEEN_TRY(const uint32_t crc, sum_of(*file));
  return FileSum{file->size(), crc};
}

Result<uint32_t> sum_of(const io::ByteSource& source) {
  BALEEN_TRY(const io::PartDigests all, io::digest_part(source, 0, source.size(), {.crc32c = true}));
  return all.crc32c;
}

Result<ObjectFacts> ObjectStore::put_file(std::string_view key, const std::string& path, const PutOptions& options) {
  BALEEN_TRY(const auto file, io::open_source(path));
  return put_source(key, *file, options);
}

namespace {

/// After kConflict: success if what is there is what we wanted to put.
Result<ObjectFacts> accept_equal(ObjectStore& store, std::string_view key, FileSum ours, Error conflict) {
  auto there = store.head(key);
  if (!there) return std::move(there).error().in("after \"" + conflict.message + "\"");
  std::optional<uint32_t> theirs = there->crc32c;
  if (there->size == ours.size && !theirs) {  // a store that keeps no CRC: read it
    BALEEN_TRY(const std::string content, store.get(key));
    theirs = crc32c(as_bytes(content));
  }
  if (there->size != ours.size || theirs != ours.crc32c) return std::move(conflict).in("other content is there");
  return there;
}

}  // namespace

Result<ObjectFacts> put_once(ObjectStore& store, std::string_view key, Bytes content, PutOptions options) {
  options.only_if_absent = true;
  if (!options.crc32c) options.crc32c = crc32c(content);
  auto result = store.put(key, content, options);
  if (result || result.error().code != Code::kConflict) return result;
  return accept_equal(store, key, FileSum{content.size(), *options.crc32c}, std::move(result).error());
}

Result<ObjectFacts> put_source_once(ObjectStore& store, std::string_view key, const io::ByteSource& source,
                                    PutOptions options) {
  options.only_if_absent = true;
  if (!options.crc32c) {  // what is said and is wrong, the store finds out
    BALEEN_TRY(options.crc32c, sum_of(source));
  }
  auto result = store.put_source(key, source, options);
  if (result || result.error().code != Code::kConflict) return result;
  return accept_equal(store, key, FileSum{source.size(), *options.crc32c}, std::move(result).error());
}

}  // namespace baleen::store
