#include "store/object_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/crc32c.h"
#include "base/unique_fd.h"
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
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error("open " + path, errno);
  FileSum sum;
  std::vector<uint8_t> buffer(256 * 1024);
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("read " + path, errno);
    if (n == 0) return sum;
    sum.crc32c = crc32c(Bytes(buffer.data(), static_cast<size_t>(n)), sum.crc32c);
    sum.size += static_cast<uint64_t>(n);
  }
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

Result<ObjectFacts> put_file_once(ObjectStore& store, std::string_view key, const std::string& path,
                                  PutOptions options) {
  options.only_if_absent = true;
  BALEEN_TRY(const FileSum sum, known_sum(path, options.crc32c));  // what is said and is wrong, the store finds out
  options.crc32c = sum.crc32c;
  auto result = store.put_file(key, path, options);
  if (result || result.error().code != Code::kConflict) return result;
  return accept_equal(store, key, sum, std::move(result).error());
}

}  // namespace baleen::store
