#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/ring.h"
#include "base/task_thread.h"
#include "index/block.h"
#include "item/item.h"
#include "kfl/kfl.h"
#include "record/block_writer.h"
#include "record/flight_recorder.h"
#include "record/look_back.h"
#include "record/redaction.h"
#include "record/scope.h"
#include "record/spool.h"
#include "record/stream_redactor.h"

namespace baleen::record {

/// What a recording holds so far. Shared by whoever counts and whoever looks; outlives changes of the recordings.
struct Tally {
  std::atomic<uint64_t> items{0}, streams{0}, packets{0}, bytes{0};  // bytes: of packets
};

/// A native recording: items that match, and the whole L4 streams that hold them.
struct Recording {
  std::string name;
  kfl::Filter filter;
  std::string destination;                       // "gs://bucket/prefix" or a folder
  std::shared_ptr<Tally> tally;                  // null: nobody counts, and there are no limits
  uint64_t limit_items = 0, limit_bytes = 0;     // 0: none
  std::shared_ptr<const Redaction> redaction{};  // null: everything is kept as it was
  bool by_filter = true;                         // false: no item matches by itself
  bool asks_recordings = false;                  // its filter may ask for others, by record("name"): it is asked last
  Scope scope{};                                 // streams that are kept whole with all their items, matched or not
  bool undissected = false;                      // streams that no dissector understands
  Duration look_back{0};    // what the flight recorders have of so long before it begins is recorded, too
  std::string beginning{};  // looks back once for each: the same recording under the same word goes on
  /// At a limit it takes no more items; what their streams have until it ends is kept, up to the limit of bytes.
  bool is_full() const {
    return is_full_of_bytes() ||
           (tally && limit_items != 0 && tally->items.load(std::memory_order_relaxed) >= limit_items);
  }
  bool is_full_of_bytes() const {
    return tally && limit_bytes != 0 && tally->bytes.load(std::memory_order_relaxed) >= limit_bytes;
  }
};

struct RecorderOptions {
  std::string spool_folder;
  std::string node, cluster, run;
  uint64_t block_bytes = 64 << 20;
  Duration block_age = std::chrono::minutes(5);
  size_t ring_items = 1 << 16;  // a power of two
  SpoolOptions spool;           // with its limit; blocks are kept below a sixteenth of it
  OpenStore open_store;
  Encryption encryption{};
  /// The secrets of the TLS session with that client random, as lines of a key log; they are kept with the packets of
  /// the streams that were decrypted. Empty: they are not.
  std::function<std::string(Bytes client_random)> secrets_of;
  dissect::EngineOptions engine{};  // with which is dissected what Recording::look_back asks for
};

/// Numbers of the data path, read by the recorder for the ledger.
struct CaptureNumbers {
  std::atomic<uint64_t> packets{0}, dropped_by_kernel{0};
};

/// Turns matching items into blocks on a thread of its own. The shard's side is offer() and stream_ended(): they
/// filter, push to a ring and never wait.
///
/// Nothing on that thread waits for a disk: on three threads more journals are synced, closed blocks are composed, and
/// composed ones are brought to the disk.
///
/// A stream that has matched is followed: a few times a second its new packets are copied from the flight recorder to
/// the open block's journal, from its first packet that is still there, until it ends or the recording stops.
class Recorder {
 public:
  /// `flights` are the shards' flight recorders; stream n belongs to flights[n % size]. They outlive the recorder.
  static Result<std::unique_ptr<Recorder>> open(RecorderOptions options, std::vector<const FlightRecorder*> flights,
                                                const CaptureNumbers* numbers);
  ~Recorder();

  static constexpr size_t kMostRecordings = 32;
  /// Replaces the recordings in force, between two items; at most kMostRecordings. Those that are gone are closed and
  /// uploaded. Any thread.
  void set_recordings(std::vector<Recording> recordings);
  void set_interfaces(std::vector<InterfaceName> interfaces);

  // Shard thread (one at a time).
  void offer(const item::ItemRef& item);
  void stream_ended(uint64_t stream);
  /// No dissector understands it.
  void stream_undissected(StreamKey stream);
  /// The shard takes its next packets: from them on the recordings of this moment are in force for its items. A shard
  /// that never says so gives each item to those of the item's moment. Any shard's thread.
  void at_batch(size_t shard);
  /// The shard has taken every packet that came before `time`. Any shard's thread.
  void caught_up(size_t shard, Timestamp time) {
    caught_up_[shard].store(time.time_since_epoch().count(), std::memory_order_release);
  }

  /// So that whoever changes the recordings knows what a change covers: packets that came before the call are taken,
  /// under the recordings of before it; and the recordings set last are in force in every shard. Each waits for at most
  /// `patience`, and says whether it is so. Any thread but a shard's.
  bool wait_until_caught_up(Duration patience) const;
  bool wait_until_in_force(Duration patience) const;

  /// Waits until what was offered so far is taken in and the streams' packets are copied, and until few closed blocks
  /// wait to be finished: for input that can wait.
  void settle();

  /// Takes in what was offered, closes all blocks, uploads for at most `patience`. What is left stays in the spool.
  void stop(Duration patience);

  struct Status {
    index::LossLedger ledger;
    SpoolProgress spool;
    uint64_t streams = 0;
    uint64_t looking_back = 0;  // recordings that have not yet everything of the time before they began
    uint64_t write_errors = 0;
    uint64_t finishing_blocks = 0;                // closed, and not yet in the spool
    uint64_t unrecovered_blocks = 0;              // left open by a process before, and not readable: they stay there
    std::map<std::string, SpoolWaiting> waiting;  // by recording
    std::string last_error;
  };
  Status status() const;

 private:
  struct Event {
    item::ItemRef item;
    uint32_t recordings = 0;  // bit i: recordings i of its generation match
    uint64_t generation = 0;
    StreamKey stream{};  // of what is no item
    enum class Kind : uint8_t { kItem, kStreamEnd, kUndissected } kind = Kind::kItem;
  };
  struct Followed {
    std::string name;
    Cursor cursor;
    bool refused = false;  // it began while the spool was at its limit: its packets are only counted
    bool whole = false;    // all its items are wanted: it is in the scope
    std::optional<std::chrono::steady_clock::time_point> until;  // after its end: late packets
    std::unique_ptr<StreamRedactor> redactor;                    // with Recording::redaction
  };
  /// Where reading of streams stood when they were no longer followed: an item that comes late, or after a change of
  /// the pattern, reads nothing twice. The newest ones.
  struct Left {
    Cursor cursor;
    bool over = false;  // the stream has ended
    bool whole = false;
  };
  using Cursors = std::map<uint64_t, Left>;
  /// Where each shard stood when a generation came into force there.
  struct Boundary {
    Timestamp time{};           // when it was made
    std::vector<Place> begins;  // where the shards stood then
    std::vector<std::optional<Place>> ends;
    bool is_known() const {
      return std::all_of(ends.begin(), ends.end(), [](const auto& end) { return end.has_value(); });
    }
  };
  struct LeftOver {
    Cursors streams;
    std::shared_ptr<Boundary> boundary;
  };
  struct Open {
    Recording recording;
    std::unique_ptr<BlockWriter> block;
    std::unique_ptr<RedactionTally> redacted = std::make_unique<RedactionTally>();  // outlives the streams
    std::array<uint64_t, 3> counted{};                                              // of `redacted`, in the ledger
    uint64_t reserved = 0;  // of the spool's limit, for the block
    uint64_t synced = 0;    // of the block's flushed bytes: those whose sync has been ordered
    uint64_t ordered = 0;   // those, and those that the disk has been told to begin with
    std::optional<std::chrono::steady_clock::time_point> unsynced;  // since when there are others
    std::map<uint64_t, Followed> streams;
    Cursors ended;
    std::vector<Place> scanned;           // with a scope: up to where packets were asked, for each shard
    uint64_t looks_back_from_before = 0;  // items of generations before this one are found by looking back
  };
  enum class Outcome { kStored, kFailed, kRefused, kBeyondLimit };  // the last of packets only
  struct Closed {
    std::shared_ptr<BlockWriter> block;
    index::LossLedger ledger;
  };
  struct Generation {
    uint64_t number = 0;
    std::vector<Recording> recordings;
    std::shared_ptr<Boundary> boundary;  // under the mutex
  };
  /// A look back that is to be made, or is being made.
  struct Looking {
    std::string name, beginning;
    Duration length{0};
    std::shared_ptr<Boundary> boundary;
    std::shared_ptr<Boundary> before;  // when it ended the last time, what came before that it has; or null
  };
  /// An item that was found by looking back.
  struct Found {
    std::string name, beginning;
    item::ItemRef item;
  };

  Recorder(RecorderOptions options, std::vector<const FlightRecorder*> flights, const CaptureNumbers* numbers);
  static void name_recordings(item::Item& item, const Generation& generation, uint32_t mask);
  Result<> recover();
  void run();
  bool take_events();
  void adopt_until(uint64_t generation);
  void adopt(const std::shared_ptr<const Generation>& generation);
  void take_item_event(const Event& event);
  void stream_over(uint64_t stream);
  void note_undissected(StreamKey stream);
  Followed& follow(Open& open, StreamKey stream, bool whole);
  Outcome take_item(Open& open, const item::Item& item);
  void take_outcome(std::optional<Outcome> outcome);
  void scan(Open& open, size_t shard, size_t most_bytes);
  bool is_in_scope(Open& open, uint64_t stream);
  bool is_wanted(Open& open, const item::Item& item);
  void begin_open(Open& open, const Generation& generation, std::shared_ptr<Boundary> before);
  void look_back_when_known(bool last);
  void look(const LookBack& what, const Looking& looking);
  bool take_found();
  Outcome take_packet(Open& open, const Followed& stream, const RecordedPacket& packet);
  std::unique_ptr<StreamRedactor> redactor_for(Open& open, bool blind);
  Result<> add_item(Open& open, BlockWriter& block, const item::Item& item);
  bool afford(Open& open, uint64_t more);
  void relieve_spool();
  void end_stream(Open& open, uint64_t number, const Followed& stream);
  std::shared_ptr<const Generation> newest_generation() const;
  void count(Outcome outcome, const RecordedPacket& packet);
  void follow_streams(Open& open, bool last_turn);
  void count_redactions(Open& open);
  void close_block(Open& open);
  void finish_blocks();
  void count_unwritten();
  size_t finishing() const;
  void count_unfinished();
  Result<> compose_block(const Closed& closed);
  void seal_block(const Closed& closed);
  void sync_later(Open& open);
  void sync_journals(const BlockWriter& block);
  bool is_full(const BlockWriter& block) const;
  void check_age(Open& open);
  BlockWriter* block_of(Open& open, bool& refused);
  void failed(const Error& error);
  index::LossLedger ledger() const;

  RecorderOptions options_;
  std::vector<const FlightRecorder*> flights_;
  const CaptureNumbers* numbers_;
  std::unique_ptr<Spool> spool_;
  Ring<Event> ring_;
  std::shared_ptr<const Generation> generation_;           // the newest one; under the mutex
  std::atomic<uint64_t> newest_{0};                        // number of generation_
  std::vector<std::shared_ptr<const Generation>> pinned_;  // by shard, its thread's; null: generation_
  std::atomic<bool> shards_pin_{false};
  std::vector<std::atomic<int64_t>> caught_up_;           // by shard: time since the epoch in ns
  std::vector<std::shared_ptr<Boundary>> boundaries_;     // that are not known; under the mutex
  std::deque<std::shared_ptr<const Generation>> coming_;  // in their order, not yet adopted; under the mutex
  // Shard's numbers.
  std::atomic<uint64_t> items_seen_{0}, items_not_matched_{0}, items_dropped_{0};
  // Recorder's numbers.
  std::atomic<uint64_t> items_stored_{0}, items_failed_{0}, items_refused_{0}, packets_matched_{0}, packets_stored_{0},
      packets_lost_{0}, packets_failed_{0}, packets_refused_{0}, packets_truncated_{0}, streams_{0},
      streams_refused_{0}, streams_scope_{0}, streams_undissected_{0}, streams_dropped_{0}, items_looked_back_{0},
      packets_unseen_{0}, packets_beyond_limit_{0}, write_errors_{0}, items_redacted_{0}, packets_redacted_{0},
      packets_blanked_{0};
  bool spool_is_full_ = false;                 // in this turn; recorder thread
  std::map<std::string, Open> open_;           // by name; recorder thread
  std::map<std::string, uint64_t> sequences_;  // by name, over all changes of the recordings; recorder thread
  struct Captured {
    uint64_t packets = 0, dropped = 0;
  };
  std::map<std::string, Captured> captured_;  // likewise: when the last block was closed
  std::map<std::string, LeftOver> left_;      // by name and destination, of recordings that are gone; recorder thread
  std::map<uint64_t, item::StreamKind> undissected_;  // the newest ones; recorder thread
  std::unordered_set<uint64_t> over_;                 // streams that have ended, the newest ones; recorder thread
  std::deque<uint64_t> over_order_;
  std::vector<Looking> looking_;                               // not yet begun; recorder thread
  std::set<std::pair<std::string, std::string>> looked_back_;  // recordings and their beginnings; recorder thread
  std::deque<Found> found_;                                    // under found_mutex_; at most kMostFound
  std::mutex found_mutex_;
  std::condition_variable found_taken_;
  bool taking_found_ = false;  // under found_mutex_: some are being taken in
  std::atomic<uint64_t> looking_back_{0};
  std::atomic<bool> give_up_looking_{false};
  std::vector<Closed> closed_;           // and not yet composed; finisher's thread
  std::vector<Closed> unsealed_;         // whose sealing failed; under the mutex
  std::atomic<uint64_t> unfinished_{0};  // those that could not be finished
  uint64_t unrecovered_ = 0;             // see Status; set before the thread begins
  uint64_t adopted_ = 0;
  std::shared_ptr<const Generation> in_force_;
  mutable std::mutex mutex_;
  std::vector<InterfaceName> interfaces_;
  std::string last_error_;
  std::map<std::string, std::chrono::steady_clock::time_point> logged_;  // errors that are in the log, and since when
  std::atomic<uint64_t> turns_{0};
  std::atomic<bool> hurry_{false};
  std::atomic<bool> stopping_{false};
  TaskThread syncer_{"bl-sync"}, sealer_{"bl-seal"}, finisher_{"bl-finish"}, looker_{"bl-lookback"};
  std::thread thread_;
};

}  // namespace baleen::record
