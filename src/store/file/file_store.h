#pragma once

#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "store/object_store.h"

namespace baleen::store::file {

/// A folder that is laid out exactly as a bucket: an object is a file, its key the path. Any thread, any number of
/// processes.
///
/// put() is atomic and durable: a temporary file, fsync, rename (or link, for only_if_absent), fsync of the folder. A
/// reader sees the whole object or none, and after a power cut too. Temporary files lie in ".baleen-tmp" of the folder.
///
/// What differs from a bucket: keys have no empty, "." or ".." parts, no part is longer than 255 bytes, and "a" and
/// "a/b" cannot both exist. Metadata, content type and CRC are extended attributes ("user.baleen.*") where the file
/// system has them, and are forgotten where it does not; storage class and encryption key are not used.
class FileStore : public ObjectStore {
 public:
  /// The folder need not exist: the first put() makes it.
  static Result<std::unique_ptr<ObjectStore>> open(const std::string& folder);

  Result<ObjectFacts> put(std::string_view key, Bytes content, const PutOptions& options) override;
  Result<ObjectFacts> put_source(std::string_view key, const io::ByteSource& source,
                                 const PutOptions& options) override;
  Result<std::string> get(std::string_view key) override;
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override;
  Result<ObjectFacts> head(std::string_view key) override;
  Result<ListPage> list(const ListOptions& options) override;
  Result<> remove(std::string_view key) override;
  std::string name() const override;
  std::string local_path(std::string_view key) const override;

 private:
  explicit FileStore(std::string folder) : folder_(std::move(folder)) {}
  template <class Write>
  Result<ObjectFacts> put_with(std::string_view key, const PutOptions& options, Write write);
  Result<UniqueFd> open_object(std::string_view key, int flags) const;
  Result<> place(const std::string& temporary, std::string_view key, bool only_if_absent) const;

  std::string folder_;
};

/// kInvalid for a key that cannot be a path inside a folder.
Result<> check_key(std::string_view key);

Result<std::unique_ptr<ObjectStore>> open(const Location& location, const OpenOptions& options);

}  // namespace baleen::store::file
