#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "index/block.h"
#include "store/object_store.h"

namespace baleen::record {

/// Opens the store of a destination ("gs://bucket/prefix", a folder), retries included.
using OpenStore = std::function<Result<std::unique_ptr<store::ObjectStore>>(const store::Location&)>;

struct SpoolProgress {
  uint64_t waiting_blocks = 0, waiting_bytes = 0;  // refused ones included
  uint64_t uploaded_blocks = 0, uploaded_bytes = 0;
  uint64_t failed_tries = 0;
  uint64_t refused_blocks = 0;  // something else lies under that name in the bucket, or the block is damaged
  std::string last_error;
};

struct SpoolOptions {
  /// What was idle begins to upload after a random part of it, so that nodes whose blocks close together do not upload
  /// in the same second. stop() does not wait for it.
  Duration spread = std::chrono::seconds(10);
  /// Between tries: from the first to the longest, doubled each time, a random part of its half more or less.
  Duration first_pause = std::chrono::seconds(1), longest_pause = std::chrono::minutes(2);
};

/// A folder of finished blocks on their way to their buckets. What is in it when a process dies goes out with the next
/// one.
///
///   open/<block>/   being written: owner.json, packets.journal, items.journal
///   ready/<block>/  finished: owner.json, packets.pcapng, items.parquet, block.json
///   done/<block>/   uploaded, on its way out
///
/// Beside a file whose upload has begun lies FILE.session: where it stands in the bucket, so that the next process goes
/// on there. Uploads by parts send from the file, a part at a time.
///
/// Uploads: packets, items, then the record, each created only if absent; then the folder is removed. Names were
/// decided when the block was finished, so trying again makes nothing twice. A block that is refused for good holds up
/// no other: it stays, and is tried again at the next start.
class Spool {
 public:
  /// Takes the folder's lock; kConflict when another process has it.
  static Result<std::unique_ptr<Spool>> open(const std::string& folder, OpenStore open_store,
                                             const SpoolOptions& options = {});
  ~Spool();

  /// A name below open/ that nothing has. One thread.
  std::string new_folder();
  /// Folders under open/ that a process left behind.
  std::vector<std::string> left_open() const;
  /// Moves a finished block to ready/ and wakes the uploader. Any thread.
  Result<> ready(const std::string& open_folder);
  void start();
  /// Tries at once what waits, for at most `patience`, then ends the thread; what is left stays for the next start.
  void stop(Duration patience);
  SpoolProgress progress() const;

 private:
  struct Block {
    uint64_t bytes = 0;
    bool refused = false;
  };
  Spool(std::string folder, OpenStore open_store, const SpoolOptions& options)
      : folder_(std::move(folder)), open_store_(std::move(open_store)), options_(options) {}
  void run();
  void wait_for_work();
  bool try_all();
  void note(const std::string& folder, const Result<>& outcome, bool refused);
  Duration random_part(Duration whole);
  uint64_t to_try() const;
  Result<> upload(const std::string& folder, bool& refused);
  Result<store::ObjectStore*> store_for(const store::Location& location);

  std::string folder_;
  OpenStore open_store_;
  SpoolOptions options_;
  UniqueFd lock_;
  std::map<std::string, std::unique_ptr<store::ObjectStore>> stores_;  // by scheme and bucket; uploader thread
  std::minstd_rand random_;                                            // uploader thread
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Block> waiting_;  // by folder: exactly what lies under ready/
  SpoolProgress progress_;                // but for what waits
  bool stopping_ = false;
  std::atomic<bool> cancel_{false};
  std::thread thread_;
  uint64_t next_folder_ = 0;
};

}  // namespace baleen::record
