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
#include "io/bandwidth.h"
#include "store/object_store.h"

namespace baleen::record {

/// Opens the store of a destination ("gs://bucket/prefix", a folder), retries included.
using OpenStore = std::function<Result<std::unique_ptr<store::ObjectStore>>(const store::Location&)>;

struct SpoolProgress {
  uint64_t waiting_blocks = 0, waiting_bytes = 0;  // refused ones included
  uint64_t uploaded_blocks = 0, uploaded_bytes = 0;
  uint64_t failed_tries = 0;
  uint64_t refused_blocks = 0;  // something else lies under that name in the bucket, or the block is damaged
  // What has come in since the start, what lay there included: added = uploaded + waiting + dropped.
  uint64_t added_blocks = 0, added_bytes = 0;
  uint64_t dropped_blocks = 0, dropped_bytes = 0, dropped_items = 0, dropped_packets = 0;  // to make room
  uint64_t limit_bytes = 0, reserved_bytes = 0;   // reserved: for blocks that are being written
  uint64_t uploading_blocks = 0, sent_bytes = 0;  // under way now, and what their buckets have acknowledged of them
  Duration upload_time{0};  // in which uploaded_bytes went out: overlaps once, tries that failed left out
  Timestamp oldest{};       // when the oldest block that waits was finished; 0: none waits
  std::string last_error;
};

/// Of one recording's blocks.
struct SpoolWaiting {
  uint64_t blocks = 0, bytes = 0;  // that wait, those under way included
  Timestamp oldest{};              // when its oldest block was finished
  uint64_t uploading_blocks = 0, sent_bytes = 0;
  uint64_t uploaded_blocks = 0, uploaded_bytes = 0;  // since the start
  uint64_t failed_tries = 0;
  std::string last_error;  // of its last try that failed; empty since the first that did not
};

/// What gives way when the spool is at its limit.
enum class WhenFull {
  kDropOldest,    // the oldest block that waits, unless it is being uploaded now
  kRefuseNewest,  // streams that begin: an eighth of the limit is kept for those that are followed already
};

struct SpoolOptions {
  /// A destination for which nothing waited gets its next block after a random part of it, so that nodes whose blocks
  /// close together do not upload in the same second. stop() does not wait for it, nor does a spool that is half full.
  Duration spread = std::chrono::seconds(10);
  /// Between tries: from the first to the longest, doubled each time, a random part of its half more or less.
  Duration first_pause = std::chrono::seconds(1), longest_pause = std::chrono::minutes(2);
  /// Files of the spool never take more, what is needed for finishing open blocks included.
  uint64_t limit_bytes = uint64_t{1} << 62;
  WhenFull when_full = WhenFull::kDropOldest;
  static constexpr uint64_t kSmallestLimit = 1 << 20;
  /// Uploads at the same time to one destination, so that one that is stuck holds up no other block, and no other
  /// destination. In all, kMostUploads.
  unsigned parallel = 3;
  static constexpr size_t kMostUploads = 64;
  uint64_t part_bytes = 0;                   // as store::PutOptions'
  std::shared_ptr<io::Bandwidth> bandwidth;  // shared by all uploads; null: no limit
};

/// What a later block of the same recording in the same place tells of blocks that were dropped.
struct Tombstone {
  std::string recording, destination, folder;  // folder: its name below ready/
  index::DroppedBlocks blocks;
  std::string newest{};  // id of the last that was merged into it; empty: none
};

/// A folder of finished blocks on their way to their buckets. What is in it when a process dies goes out with the next
/// one.
///
///   open/<block>/   being written: owner.json, packets.journal, items.journal
///   ready/<block>/  finished: owner.json, packets.journal and packets.order, or packets.pcapng (see open_packets()),
///                   items.parquet, block.json
///   done/<block>/   uploaded or dropped, on its way out
///   dropped.json    tombstones: what was dropped and that no later block has told yet
///
/// Beside a file whose upload has begun lies FILE.session: where it stands in the bucket, so that the next process goes
/// on there. Uploads by parts send from the file, a part at a time.
///
/// Uploads: packets, items, then the record, each created only if absent; then the folder is removed. Names were
/// decided when the block was finished, so trying again makes nothing twice. A block that is refused for good holds up
/// no other: it stays, and is tried again at the next start.
///
/// Several blocks go out at once, the least often tried and the oldest first, on threads that are started when there is
/// work for them. Each destination (a bucket, a folder) is a lane with a pause of its own after a failure: while it is
/// in trouble one upload at a time finds out whether it is back.
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
  /// Takes `bytes` more of the limit for a block that is written in `open_folder`; false when they are not to be had.
  /// Drops blocks when that is the policy: then it writes to the disk. What was taken is given back by ready() or
  /// release(). Any thread.
  bool reserve(const std::string& open_folder, uint64_t bytes);
  /// Whether streams that begin now are to be recorded. Any thread.
  bool takes_new_streams() const;
  /// The folder is gone. Any thread.
  void release(const std::string& open_folder);
  /// What a block of `recording` that is finished now has to tell. told() when its record is written. Any thread.
  std::vector<index::DroppedBlocks> to_tell(const std::string& recording, const std::string& destination) const;
  void told(const std::string& recording, const std::string& destination,
            const std::vector<index::DroppedBlocks>& dropped);
  /// Moves a finished block to ready/ and has it uploaded. Any thread.
  Result<> ready(const std::string& open_folder);
  void start();
  /// Tries at once what waits, for at most `patience`, then ends the threads; what is left stays for the next start.
  void stop(Duration patience);
  SpoolProgress progress() const;
  /// By recording; damaged blocks are under "". Any thread.
  std::map<std::string, SpoolWaiting> waiting() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Block {
    uint64_t bytes = 0;
    bool refused = false, uploading = false;
    uint64_t tries = 0;
    std::shared_ptr<std::atomic<uint64_t>> sent;  // acknowledged in this try
    std::string lane;
    Timestamp finished{};
    Tombstone tombstone;                     // if it were dropped
    std::vector<index::DroppedBlocks> told;  // what it would have told
  };
  using Blocks = std::map<std::string, Block>;
  struct Lane {
    size_t to_try = 0, uploading = 0;  // blocks that are not refused, those under way included; those under way
    Duration pause{0};                 // after the last failure; 0: all is well
    Clock::time_point not_before{}, failed{};
  };
  Spool(std::string folder, OpenStore open_store, const SpoolOptions& options)
      : folder_(std::move(folder)), open_store_(std::move(open_store)), options_(options) {}
  Block describe(const std::string& folder) const;
  void load_tombstones();
  void add_tombstone(Tombstone tombstone);
  void save_tombstones();
  void add_waiting(const std::string& folder, Block block);
  bool make_room(uint64_t bytes);
  bool is_pressed() const;
  bool drop_oldest();
  uint64_t used() const;

  // Uploads: spool_upload.cpp.
  void run();
  void add_thread();
  bool may_begin(const Lane& lane) const;
  Blocks::iterator choose(std::optional<Clock::time_point>& soonest);
  void note(const std::string& folder, const Result<>& outcome, bool refused, Clock::time_point begin);
  void slow_down(Lane& lane, Clock::time_point begin);
  Duration random_part(Duration whole);
  uint64_t to_try() const;
  Result<> upload(const std::string& folder, std::atomic<uint64_t>& sent, bool& refused);
  Result<store::ObjectStore*> store_for(const store::Location& location);

  std::string folder_;
  OpenStore open_store_;
  SpoolOptions options_;
  UniqueFd lock_;
  std::mutex stores_mutex_;
  std::map<std::string, std::unique_ptr<store::ObjectStore>> stores_;  // by lane
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::minstd_rand random_;
  Blocks waiting_;                            // by folder: exactly what lies under ready/
  std::map<std::string, Lane> lanes_;         // by scheme and bucket, or folder; "": of damaged blocks
  SpoolProgress progress_;                    // but for what waits
  std::map<std::string, uint64_t> reserved_;  // by folder below open/
  uint64_t waiting_bytes_ = 0, reserved_bytes_ = 0, tombstone_bytes_ = 0;
  bool hurried_ = false;  // is_pressed() at the last reservation
  std::vector<Tombstone> tombstones_;
  std::map<std::string, SpoolWaiting> tried_;  // by recording: what became of tries
  Clock::time_point uploaded_until_{};         // the end of the last upload that counts in upload_time
  bool started_ = false, stopping_ = false;
  std::atomic<bool> cancel_{false};
  std::vector<std::thread> threads_;
  size_t idle_threads_ = 0, uploading_ = 0;
  uint64_t next_folder_ = 0;
};

}  // namespace baleen::record
