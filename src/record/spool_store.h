#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/temporary_folder.h"
#include "io/byte_source.h"
#include "record/block_writer.h"
#include "store/object_store.h"

namespace baleen::record {

/// What waits in a spool for its buckets, as these will have it: a store that is only read, without a prefix. It knows
/// the blocks that were there when it was opened, of all destinations; what is uploaded meanwhile is kNotFound. Those
/// that were still open, written by a worker or left by one that crashed, are finished in a temporary folder, with what
/// their journals had (which takes room there: a block for each recording, at most). Any thread, and beside the process
/// that owns the spool.
class SpoolStore final : public store::ObjectStore {
 public:
  /// The spool of this folder, which is one or a worker's data folder; empty when it is neither.
  static std::string spool_in(const std::string& folder);
  /// `encryption`: the keys of open blocks that are encrypted.
  static Result<std::unique_ptr<SpoolStore>> open(const std::string& spool, const Encryption& encryption = {});
  /// Open blocks that cannot be read, and why.
  const std::vector<Error>& unread() const { return unread_; }

  Result<store::ObjectFacts> put(std::string_view key, Bytes content, const store::PutOptions& options) override;
  Result<store::ObjectFacts> put_source(std::string_view key, const io::ByteSource& source,
                                        const store::PutOptions& options) override;
  Result<std::string> get(std::string_view key) override;
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override;
  Result<store::ObjectFacts> head(std::string_view key) override;
  Result<store::ListPage> list(const store::ListOptions& options) override;
  Result<> remove(std::string_view key) override;
  std::string name() const override { return folder_; }
  std::string local_path(std::string_view key) const override;

 private:
  struct Object {
    std::string folder;  // of its block
    const char* file;    // null: the packets, see open_packets()
    store::ObjectFacts facts;
  };
  explicit SpoolStore(std::string folder) : folder_(std::move(folder)) {}
  void add_block(const std::string& folder);
  Result<std::string> finish_copy(const std::string& folder, const Encryption& encryption);
  Result<const Object*> find(std::string_view key) const;
  Result<std::shared_ptr<const io::ByteSource>> open_object(const Object& object);

  std::string folder_;
  TemporaryFolder copies_;
  std::vector<Error> unread_;
  std::map<std::string, Object, std::less<>> objects_;  // by key
  std::mutex mutex_;
  std::string last_key_;  // a reader goes on where it was: its packets are not put in order again
  std::shared_ptr<const io::ByteSource> last_;
};

}  // namespace baleen::record
