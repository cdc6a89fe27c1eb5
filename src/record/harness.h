#pragma once

// For tests: traffic with numbers in it, so that whatever comes out at the other end can be told apart and counted.

#include <compare>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "index/block.h"
#include "item/item.h"
#include "kfl/kfl.h"
#include "net/harness.h"
#include "record/flight_recorder.h"
#include "record/recorder.h"
#include "store/object_store.h"

namespace baleen::record {

/// A folder of its own; it goes with its owner.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

std::string read_whole(const std::string& path);
/// The packets file of a finished block's folder, put together if it has to be.
std::string packets_of(const std::string& folder);
void write_whole(const std::string& path, std::string_view content);
/// Files below `folder` (whole paths, sorted) whose names end so.
std::vector<std::string> files_below(const std::string& folder, std::string_view ending = {});

/// Which packet it is.
struct PacketName {
  uint64_t stream = 0, number = 0;
  auto operator<=>(const PacketName&) const = default;
};

/// A TCP segment of `stream` that carries its own name, `size` bytes of payload at least; later numbers are later.
net::OwnedPacket named_packet(PacketName name, size_t size = 0);
/// The name that named_packet() has put in.
PacketName name_of(std::string_view bytes);
/// What blocks call the stream: "000000000042.pcap".
std::string stream_file(uint64_t stream);
/// As the flight recorder hands it out. Borrows.
RecordedPacket recorded(const net::OwnedPacket& packet, uint32_t interface = 0);

/// HTTP call number `index` of `stream`, to "/s/<stream>/<index>".
item::ItemRef http_item(item::ItemPool& pool, uint64_t stream, uint64_t index, int status = 200);
/// What path an item's JSON has.
std::string path_of(std::string_view json);
/// A filter of the sample protocols, which must compile.
kfl::Filter filter(std::string_view text);

/// A packet as a file gives it back.
struct PacketRead {
  Timestamp time{};
  std::string bytes, interface;
  uint32_t wire_length = 0;
  uint16_t link = 0;
};
/// A pcapng's packets; a failed expectation when the file is damaged or ends in the middle of something.
std::vector<PacketRead> read_pcapng(std::string_view content);

/// All that a folder of recordings holds, each block verified: its objects are there with the size and CRC that the
/// record says, streams' ranges are valid files with as many packets as it says, the ledger balances.
struct Kept {
  std::map<PacketName, int> packets;  // how often
  std::map<std::string, int> items;   // by path
  std::vector<index::BlockRecord> blocks;
};
Kept read_kept(const std::string& folder);

/// A shard's side of a recorder: traffic that numbers itself.
class Shard {
 public:
  /// Its flight recorder lies in `folder`.
  Shard(const std::string& folder, RecorderOptions options, uint64_t flight_bytes = 8 << 20);

  void packets(uint64_t stream, uint64_t count, size_t size = 60, uint32_t wire_length = 0);
  void item(uint64_t stream, int status = 200);
  void end(uint64_t stream) { recorder_->stream_ended(stream); }

  uint64_t packets_of(uint64_t stream) const { return next_packet_.contains(stream) ? next_packet_.at(stream) : 0; }
  uint64_t items() const { return items_; }
  Recorder* operator->() { return recorder_.get(); }
  CaptureNumbers& numbers() { return numbers_; }
  const FlightRecorder& flight() const { return *flight_; }

 private:
  item::ItemPool pool_;  // outlives what holds its items
  CaptureNumbers numbers_;
  std::unique_ptr<FlightRecorder> flight_;
  std::unique_ptr<Recorder> recorder_;
  std::map<uint64_t, uint64_t> next_packet_, next_item_;
  uint64_t items_ = 0;
};

/// Of node "node-1", with stores as they are.
RecorderOptions recorder_options(std::string spool_folder, std::string run);

/// Nobody's writes make a file longer than `bytes` while this lives: the way in which a disk is full.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(uint64_t bytes);
  ~FileSizeLimit();
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  uint64_t before_;
};

/// Waits until `condition` holds; false when it does not within `patience`.
bool eventually(const std::function<bool()>& condition, Duration patience = std::chrono::seconds(20));

}  // namespace baleen::record
