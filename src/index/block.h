#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace baleen::index {

/// What became of everything, in numbers that must balance. Items and packets are counted from the start of the
/// program.
struct LossLedger {
  uint64_t items_seen = 0, items_stored = 0, items_not_matched = 0, items_dropped_queue = 0, items_in_flight = 0;
  uint64_t packets_captured = 0, packets_dropped_kernel = 0;
  uint64_t packets_stored = 0;            // of matched streams
  uint64_t packets_lost_recorder = 0;     // of matched streams: overwritten before they could be kept
  uint64_t packets_truncated = 0;         // stored, and cut by the snap length
  uint64_t items_failed = 0;              // matched, and the disk took no more
  uint64_t items_refused_spool = 0;       // matched, and the spool was at its limit
  uint64_t packets_matched = 0;           // of matched streams, whatever became of them
  uint64_t packets_in_flight = 0;         // of matched streams: what becomes of them is not decided
  uint64_t packets_failed = 0;            // of matched streams: the disk took no more
  uint64_t packets_refused_spool = 0;     // of matched streams: the spool was at its limit
  uint64_t packets_beyond_limit = 0;      // of matched streams: their recording was at its limit of bytes
  uint64_t streams_refused_spool = 0;     // matched, and begun while the spool was at its limit
  uint64_t packets_refused_recorder = 0;  // of all that were captured: the flight recorder had no place
  // Stored by this process or one before it, and dropped again to make room when the spool was at its limit.
  uint64_t blocks_dropped_spool = 0, bytes_dropped_spool = 0, items_dropped_spool = 0, packets_dropped_spool = 0;
  // Of those stored: what was changed before it reached the spool.
  uint64_t items_redacted = 0;
  uint64_t packets_redacted = 0;
  uint64_t packets_blanked = 0;  // of packets_redacted: whole payloads, because it was not known what is secret there
  // How streams came to be recorded without an item that matched, and what looking back has found.
  uint64_t streams_in_scope = 0;
  uint64_t streams_undissected = 0;
  uint64_t streams_dropped_queue = 0;  // that nobody understands, and the queue was full: they are not recorded for it
  uint64_t items_looked_back = 0;      // of items_seen: found in packets from before a recording began, so seen twice
  uint64_t packets_unseen = 0;         // overwritten before a scope, or looking back, could look at them
  bool items_balance() const {
    return items_seen == items_stored + items_not_matched + items_dropped_queue + items_in_flight + items_failed +
                             items_refused_spool;
  }
  bool packets_balance() const {
    return packets_matched == packets_stored + packets_in_flight + packets_lost_recorder + packets_failed +
                                  packets_refused_spool + packets_beyond_limit;
  }
  bool balances() const { return items_balance() && packets_balance(); }
  /// Adds every number of another run's.
  LossLedger& operator+=(const LossLedger& other);
  bool operator==(const LossLedger&) const = default;
};

/// How an object is encrypted (index/encryption.h).
struct ObjectEncryption {
  std::string salt;        // 16 bytes
  uint64_t text_size = 0;  // bytes before encryption
  bool operator==(const ObjectEncryption&) const = default;
};

/// The key of a block's objects, wrapped by a key of the user's.
struct BlockEncryption {
  std::string key_id, wrapped_key;  // the latter: 40 bytes; empty: nothing in the block is encrypted
  bool operator==(const BlockEncryption&) const = default;
};

/// Every number of a ledger with its name, as records, the control socket and metrics spell them.
std::vector<std::pair<std::string_view, uint64_t>> numbers(const LossLedger& ledger);

/// An object of a block as it was written.
struct ObjectRecord {
  std::string key;  // below the destination's prefix
  uint64_t size = 0;
  uint32_t crc32c = 0;
  std::optional<ObjectEncryption> encryption{};
  bool operator==(const ObjectRecord&) const = default;
};

/// Where a stream's packets lie in the packets object of a block: one contiguous range of whole pcapng blocks.
struct StreamPlace {
  std::string stream;  // "000000000042.pcap"
  uint64_t offset = 0, length = 0, packets = 0;
  bool operator==(const StreamPlace&) const = default;
};

/// Blocks of a recording that were dropped before their upload, as a later block of it tells. The same ones may be told
/// twice (a crash in between): `block` says which.
struct DroppedBlocks {
  std::string block;  // id of the first
  std::string cause;  // "spool limit"
  uint64_t blocks = 1, items = 0, packets = 0, bytes = 0;
  Timestamp first{}, last{};  // of their packets and items
  bool operator==(const DroppedBlocks&) const = default;
};

/// The record that commits a block: blocks/…/<block>.json. Written last; what it names is there, whole.
struct BlockRecord {
  static constexpr int kSchemaVersion = 2;  // what is read; 2 is only written of what is encrypted
  int schema_version = 1;
  std::string block, recording, node, cluster, run, filter;
  Timestamp first{}, last{};  // of its packets and items
  uint64_t items = 0, packets = 0;
  std::map<std::string, uint64_t> items_by_protocol;
  std::set<std::string> namespaces, pods,
      status_classes;  // zone map; a set beyond its limit is left empty and says nothing
  bool zone_map_complete = true;
  ObjectRecord packets_object, items_object;
  BlockEncryption encryption;
  uint64_t header_length =
      0;  // bytes of the packets object that stand before the first stream: sections and interfaces
  std::vector<StreamPlace> streams;
  LossLedger ledger;
  /// Of this recording, from the start of the run: how often each rule of redaction has cut something out, by its name.
  std::map<std::string, uint64_t> redactions;
  std::vector<DroppedBlocks> dropped;  // of the same node and recording, before this one

  std::string to_json() const;
  /// Reads every schema version ever released; names what it does not know only when it must understand it.
  static Result<BlockRecord> from_json(std::string_view text);
};

/// "20261123T120000.123456789Z-node-1-<run>-000042": sorts by time, unique over nodes, restarts and blocks.
std::string block_id(Timestamp first, std::string_view node, std::string_view run, uint64_t sequence);

/// Where the objects of a block lie: Hive-style folders, as in docs/design/recording-format.md.
struct BlockKeys {
  std::string packets, items, record;
};
BlockKeys block_keys(std::string_view recording, Timestamp first, std::string_view block);

/// "recording=<name>/blocks/date=2026-11-23/": what lists the records of a day, or of all days without one.
std::string records_prefix(std::string_view recording, std::string_view date = {});

}  // namespace baleen::index
