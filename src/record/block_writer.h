#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "index/block.h"
#include "index/encryption.h"
#include "index/item_row.h"
#include "item/item.h"
#include "record/flight_recorder.h"
#include "record/journal.h"
#include "record/packet_labels.h"
#include "record/packets_journal.h"
#include "record/packets_order.h"

namespace baleen::record {

/// What an open block belongs to; written down beside its journals, so that a crash loses none of it.
struct BlockOwner {
  std::string recording, filter, destination, node, cluster, run;
  uint64_t sequence = 0;
};

/// With what blocks are encrypted, before they reach the spool.
struct Encryption {
  std::shared_ptr<const index::KeyRing> keys;  // the first encrypts, all decrypt what a crash has left; null: none
  bool items = false;                          // items, too, not only packets
};

/// A capture interface as packets files name it.
struct InterfaceName {
  std::string name;
  net::LinkType link = net::LinkType::kEthernet;
};

/// What becomes of a block's packets when it is finished.
enum class PacketsAs {
  kOrder,  // packets.journal and packets.order, which open_packets() reads; with a key, or after an error, as kFile
  kFile,   // packets.pcapng
};

/// A block while it is written: two journals (packets, items) in a folder of the spool, appended and synced, so that
/// whatever was promised survives kill -9 and power loss. finish() makes of them what the spool hands to the bucket.
class BlockWriter {
 public:
  /// Makes `folder` (below the spool's open/).
  static Result<std::unique_ptr<BlockWriter>> create(const std::string& folder, const BlockOwner& owner,
                                                     const Encryption& encryption = {});
  /// Whether finish() has done its work in `folder`.
  static bool is_finished(const std::string& folder);
  /// Takes up what a crashed process left; what its journals hold in whole records is kept.
  /// What was encrypted needs its key.
  static Result<std::unique_ptr<BlockWriter>> recover(const std::string& folder, const Encryption& encryption = {});

  /// An error means that it was not added: the disk takes nothing, and what waits for it in memory has reached its
  /// limit. Below that limit what the disk does not take now is tried again by flush().
  Result<> add_packet(const std::string& stream, const RecordedPacket& packet);
  Result<> add_item(const item::Item& item);
  /// The same for a row that is made already.
  Result<> add_row(const index::ItemRow& row);
  /// What the capture counted since the block before this one, dropped ones not among the captured: the packets file
  /// says it. Without it the file says only how many packets it has.
  void set_capture(uint64_t captured, uint64_t dropped) { capture_ = {captured, dropped}; }
  /// What the block's record will say of redaction.
  void set_redactions(std::map<std::string, uint64_t> redactions) { redactions_ = std::move(redactions); }
  /// Secrets of the TLS session with that client random, as lines of a key log: the packets file carries them before
  /// its packets, so that any tool can decrypt these. Those beyond kMostSecrets sessions are left out.
  bool has_secrets(Bytes client_random) const { return sessions_.contains(std::string(as_text(client_random))); }
  Result<> add_secrets(Bytes client_random, std::string_view lines);
  static constexpr size_t kMostSecrets = 1 << 16;
  uint64_t label_bytes() const { return labels_.bytes(); }
  uint64_t secret_bytes() const { return secrets_.size() + sessions_.size() * 64; }
  /// What was added is in the journals when this returns: it survives the process.
  Result<> flush();
  /// Whether its packets become a file of their own, whatever is asked for: then they take the disk's room twice.
  bool copies_packets() const { return key_.has_value() || *sync_failed_; }
  /// What encryption adds to the journals, and to the objects that are made from them; 0 without it.
  uint64_t encryption_bytes() const;
  /// flush(), and the disk has it: it survives the machine.
  Result<> sync();
  /// The journals once more, for a thread that syncs them while this one goes on. Without descriptors it does nothing.
  class Syncer {
   public:
    /// The disk has what flush() had brought to the journals when this was made. After an error nobody knows what of
    /// them it has, and no later sync tells: the block's packets become a file of their own.
    Result<> sync() const;
    /// The disk begins with it, and nobody waits.
    void order() const { order_writing(files_); }

   private:
    friend class BlockWriter;
    std::vector<UniqueFd> files_;
    std::shared_ptr<std::atomic<bool>> failed_;
  };
  std::shared_ptr<const Syncer> syncer() const;

  uint64_t packet_bytes() const { return packet_bytes_; }
  uint64_t item_bytes() const { return item_journal_.size(); }
  /// What flush() has brought to the journals' files.
  uint64_t flushed_bytes() const { return packet_journal_.on_disk() + item_journal_.on_disk(); }
  /// What was added and no flush() has brought to the disk: lost, if the block goes now.
  uint64_t unwritten_packets() const { return packet_journal_.unwritten(); }
  uint64_t unwritten_items() const { return item_journal_.unwritten(); }
  uint64_t packets() const { return packets_; }
  /// Of recover(): packets that are not what they were when they were written. They are left out.
  uint64_t damaged_packets() const { return damaged_packets_; }
  /// What is known of what it saw: the rest went with its process.
  index::LossLedger ledger_of_recovered() const;
  uint64_t items() const { return items_; }
  bool empty() const { return packets_ == 0 && items_ == 0; }
  /// By a clock that nobody sets.
  Duration age() const { return std::chrono::steady_clock::now() - opened_; }
  const BlockOwner& owner() const { return owner_; }
  const std::string& folder() const { return folder_; }
  size_t streams() const { return stream_names_.size(); }

  /// What seal() puts into the record beside the ledger: blocks that were dropped before this one.
  void tell_dropped(std::vector<index::DroppedBlocks> dropped) { dropped_ = std::move(dropped); }

  /// Writes what becomes of the packets, items.parquet and block.json into the folder and syncs them; journals that are
  /// not part of it go. Returns the record. It is compose() and seal(), which two threads may do, one after the other,
  /// so that one block is composed while the disk takes another: nothing is finished before seal() has done its work.
  /// What fails may begin anew.
  Result<index::BlockRecord> finish(const std::vector<InterfaceName>& interfaces, const index::LossLedger& ledger,
                                    PacketsAs packets = PacketsAs::kFile);
  Result<> compose(const std::vector<InterfaceName>& interfaces, const index::LossLedger& ledger, PacketsAs packets);
  Result<index::BlockRecord> seal();

 private:
  BlockWriter(std::string folder, BlockOwner owner)
      : folder_(std::move(folder)), owner_(std::move(owner)), opened_(std::chrono::steady_clock::now()) {}
  const io::Key256* key() const { return key_ ? &key_->key : nullptr; }
  Result<> open_journals();
  Result<> load_journals();
  Result<> load_packets();
  Result<> load_items();
  Result<> rewrite_old_journal(Bytes old);
  bool note_record(const JournalRecord& record);
  bool is_damaged_packet(Bytes journal, uint64_t at) const;
  uint32_t stream_number(const std::string& stream);
  uint32_t interface_number(uint32_t interface, net::LinkType link);
  PacketPlace append(uint32_t number, std::string_view content);
  Result<> sync(Journal& journal);
  void note_packet(uint32_t stream, const codec::pcap::PacketRecord& packet, const PacketPlace& place);
  void note_row(const index::ItemRow& row);

  Result<> order_packets(const std::vector<InterfaceName>& interfaces, index::BlockRecord& record, PacketsOrder& order);
  Result<> order_first(Bytes journal, const PacketPlace& place, std::string_view comment, PacketsOrder& order) const;
  std::string packets_head(const std::vector<InterfaceName>& interfaces) const;
  std::string packets_tail() const;
  Result<> write_packets(const PacketsOrder& order, index::BlockRecord& record);
  Result<> write_order(const PacketsOrder& order, index::BlockRecord& record);
  Result<> write_items(index::BlockRecord& record);
  Result<> write_rows(const std::string& path, index::BlockRecord& record);

  std::string folder_;
  BlockOwner owner_;
  std::chrono::steady_clock::time_point opened_;
  std::optional<index::BlockKey> key_;  // nothing: nothing is encrypted
  bool encrypt_items_ = false;          // in the bucket, too; journals always, when there is a key
  Journal packet_journal_{"packets.journal"}, item_journal_{"items.journal"};
  std::vector<index::DroppedBlocks> dropped_;
  uint64_t packet_bytes_ = 0, packets_ = 0, items_ = 0, damaged_packets_ = 0;
  std::string secrets_;                       // lines of a key log
  std::unordered_set<std::string> sessions_;  // client randoms of those lines
  std::vector<std::string> stream_names_;     // by number in this block, in the order of their first packet
  std::unordered_map<std::string, uint32_t> stream_numbers_;
  struct InterfaceOf {
    uint32_t interface;  // the capture's
    net::LinkType link;
    uint64_t packets = 0;
  };
  std::vector<InterfaceOf> interfaces_;  // by number in the packets file
  uint32_t last_interface_ = 0;
  std::map<std::string, uint64_t> redactions_;
  PacketLabels labels_;
  struct Capture {
    uint64_t captured, dropped;
  };
  std::optional<Capture> capture_;
  index::BlockRecord record_;   // of what was composed
  bool keeps_journal_ = false;  // which is part of what was composed
  std::shared_ptr<std::atomic<bool>> sync_failed_ = std::make_shared<std::atomic<bool>>(false);  // of a journal
  std::vector<std::pair<std::string, UniqueFd>> unsynced_;  // what was composed, and its names to be
  std::vector<std::vector<PacketPlace>> places_;            // of each stream, in the packets journal
  Timestamp first_ = Timestamp::max(), last_ = Timestamp::min();
};

}  // namespace baleen::record
