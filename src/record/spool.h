#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "index/block.h"
#include "store/object_store.h"

namespace baleen::record {

/// Opens the store of a destination ("gs://bucket/prefix", a folder), retries included.
using OpenStore = std::function<Result<std::unique_ptr<store::ObjectStore>>(const store::Location&)>;

struct SpoolProgress {
  uint64_t waiting_blocks = 0, waiting_bytes = 0;
  uint64_t uploaded_blocks = 0, uploaded_bytes = 0;
  uint64_t failed_tries = 0, refused_blocks = 0;  // refused: something else lies under that name in the bucket
  std::string last_error;
};

/// A folder of finished blocks on their way to their buckets. What is in it when a process dies goes out with the next
/// one.
///
///   open/<block>/   being written: owner.json, packets.journal, items.journal
///   ready/<block>/  finished: owner.json, packets.pcapng, items.parquet, block.json
///   done/<block>/   uploaded, on its way out
///
/// Uploads: packets, items, then the record, each created only if absent; then the folder is removed. Names were
/// decided when the block was finished, so trying again makes nothing twice.
class Spool {
 public:
  /// Takes the folder's lock; kConflict when another process has it.
  static Result<std::unique_ptr<Spool>> open(const std::string& folder, OpenStore open_store);
  ~Spool();

  std::string new_folder();
  /// Folders under open/ that a process left behind.
  std::vector<std::string> left_open() const;
  /// Moves a finished block to ready/ and wakes the uploader.
  Result<> ready(const std::string& open_folder);
  void start();
  /// Uploads what waits until `deadline`, then ends the thread; what is left stays for the next start.
  void stop(Duration patience);
  SpoolProgress progress() const;

 private:
  Spool(std::string folder, OpenStore open_store) : folder_(std::move(folder)), open_store_(std::move(open_store)) {}
  void run();
  std::vector<std::string> waiting() const;
  Result<> upload(const std::string& folder);
  Result<store::ObjectStore*> store_for(const store::Location& location);
  void measure();

  std::string folder_;
  OpenStore open_store_;
  UniqueFd lock_;
  std::map<std::string, std::unique_ptr<store::ObjectStore>> stores_;  // by scheme and bucket; uploader thread
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  SpoolProgress progress_;
  bool stopping_ = false;
  bool idle_ = false;
  std::atomic<bool> cancel_{false};
  std::thread thread_;
  uint64_t next_folder_ = 0;
};

}  // namespace baleen::record
