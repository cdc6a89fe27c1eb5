// BlockWriter: how a block is finished. Its journals become what the spool hands to the bucket.

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <tuple>
#include <unordered_set>

#include "base/crc32c.h"
#include "codec/pcap/writer.h"
#include "index/parquet.h"
#include "record/block_writer.h"
#include "record/item_block.h"
#include "store/object_store.h"

namespace baleen::record {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBuffer = 1 << 20;

/// Where the items journal has a row, and what rows are sorted by.
struct RowPlace {
  int64_t time_ns, index;
  std::string_view stream, bytes;
  bool operator<(const RowPlace& other) const {
    return std::tie(time_ns, stream, index) < std::tie(other.time_ns, other.stream, other.index);
  }
};

}  // namespace

bool BlockWriter::is_finished(const std::string& folder) { return fs::exists(folder + "/block.json"); }

Result<index::BlockRecord> BlockWriter::finish(const std::vector<InterfaceName>& interfaces,
                                               const index::LossLedger& ledger, PacketsAs packets) {
  BALEEN_TRY_DO(compose(interfaces, ledger, packets));
  return seal();
}

Result<> BlockWriter::compose(const std::vector<InterfaceName>& interfaces, const index::LossLedger& ledger,
                              PacketsAs packets) {
  BALEEN_TRY_DO(flush());  // the journals stay until what is made of them is on the disk
  unsynced_.clear();
  index::BlockRecord& record = record_ = {};
  record.recording = owner_.recording;
  record.filter = owner_.filter;
  record.node = owner_.node;
  record.cluster = owner_.cluster;
  record.run = owner_.run;
  record.first = first_;
  record.last = last_;
  record.packets = packets_;
  record.items = items_;
  record.ledger = ledger;
  record.redactions = redactions_;
  record.block = index::block_id(first_, owner_.node, owner_.run, owner_.sequence);
  const index::BlockKeys keys = index::block_keys(owner_.recording, first_, record.block);
  if (key_) record.encryption = key_->encryption;
  record.packets_object.key = keys.packets;
  record.items_object.key = keys.items;
  PacketsOrder order;
  BALEEN_TRY_DO(order_packets(interfaces, record, order));
  keeps_journal_ = packets == PacketsAs::kOrder && !copies_packets();
  BALEEN_TRY_DO(keeps_journal_ ? write_order(order, record) : write_packets(order, record));
  return write_items(record);
}

Result<index::BlockRecord> BlockWriter::seal() {
  if (keeps_journal_) BALEEN_TRY_DO(sync(packet_journal_));
  if (keeps_journal_ && *sync_failed_) return Error{Code::kIo, folder_ + ": an earlier sync of its journal has failed"};
  for (const auto& [path, fd] : unsynced_) {
    if (::fsync(fd.get()) != 0) return errno_error(path, errno);
    if (::rename((path + ".part").c_str(), path.c_str()) != 0) return errno_error(path, errno);
  }
  unsynced_.clear();
  record_.dropped = dropped_;
  BALEEN_TRY_DO(write_file(folder_ + "/block.json", record_.to_json()));
  BALEEN_TRY_DO(sync_folder(folder_));
  if (!keeps_journal_) ::unlink(packet_journal_.path().c_str());
  ::unlink(item_journal_.path().c_str());
  return record_;
}

/// Stream after stream, so that one range holds all of a stream's packets in this block. What no packet needs stands
/// behind them: who asks for a stream does not read it.
Result<> BlockWriter::order_packets(const std::vector<InterfaceName>& interfaces, index::BlockRecord& record,
                                    PacketsOrder& order) {
  std::optional<JournalText> text;  // only where something is put into a packet's block
  order.add(packets_head(interfaces));
  record.header_length = order.size();
  for (size_t stream = 0; stream < places_.size(); ++stream) {
    const uint64_t begin = order.size();
    const std::vector<PacketPlace>& places = places_[stream];
    const std::string_view comment = labels_.comment(stream_names_[stream]);
    for (const PacketPlace& place : places) {
      if (&place != &places.front() || comment.empty()) {
        order.add(place);
        continue;
      }
      if (!text) {
        BALEEN_TRY(text, JournalText::open(folder_, packet_journal_.name(), key()));
      }
      BALEEN_TRY_DO(order_first(text->bytes(), place, comment, order));
    }
    record.streams.push_back({stream_names_[stream], begin, order.size() - begin, places.size()});
  }
  order.add(packets_tail());
  return {};
}

/// A stream's first packet has the comment: its block is a longer one, around the same bytes.
Result<> BlockWriter::order_first(Bytes journal, const PacketPlace& place, std::string_view comment,
                                  PacketsOrder& order) const {
  constexpr size_t kLengths = 8;  // type and length of the block
  codec::pcap::PacketRecord packet;
  if (place.offset + place.size > journal.size() ||
      !read_packet_block(journal.subspan(place.offset, place.size), packet))
    return Error{Code::kInternal, folder_ + ": the packets journal is not what was written"};
  packet.comment = comment;
  std::string block;
  codec::pcap::PcapngWriter(block, 0, packet.interface + 1).packet(packet);
  const auto same = static_cast<uint32_t>(place.size - kLengths - 4);  // up to the options, which there are none of
  const std::string_view whole = block;
  order.add(whole.substr(0, kLengths));
  order.add(PacketPlace{place.offset + kLengths, same, crc32c(as_bytes(whole.substr(kLengths, same)))});
  order.add(whole.substr(kLengths + same));
  return {};
}

/// The section, its interfaces, and the secrets that decrypt what follows.
std::string BlockWriter::packets_head(const std::vector<InterfaceName>& names) const {
  std::string out;
  codec::pcap::PcapngWriter writer(out);
  writer.section({.application = "baleen"});
  for (const InterfaceOf& i : interfaces_)
    writer.interface({.link = static_cast<uint16_t>(i.link),
                      .name = i.interface < names.size() ? names[i.interface].name : fmt::format("if{}", i.interface)});
  if (!secrets_.empty()) writer.secrets(as_bytes(secrets_));
  return out;
}

/// Names, and what was counted. The kernel counts what it drops of all interfaces together: it stands with the first
/// one, so that sums are right.
std::string BlockWriter::packets_tail() const {
  std::string out;
  codec::pcap::PcapngWriter writer(out, 0, static_cast<uint32_t>(interfaces_.size()));
  labels_.write_names(writer);
  for (uint32_t i = 0; i < interfaces_.size(); ++i) {
    codec::pcap::InterfaceStatistics counted{.time = last_, .delivered = interfaces_[i].packets};
    if (capture_ && i == 0) {
      counted.received = capture_->captured + capture_->dropped;
      counted.os_dropped = capture_->dropped;
    }
    writer.statistics(i, counted);
  }
  return out;
}

Result<> BlockWriter::write_order(const PacketsOrder& order, index::BlockRecord& record) {
  const std::string path = folder_ + "/packets.order", temporary = path + ".part";
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return errno_error(temporary, errno);
  BALEEN_TRY_DO(write_all(fd.get(), order.text(), temporary));
  record.packets_object.size = order.size();
  record.packets_object.crc32c = order.crc32c();
  unsynced_.emplace_back(path, std::move(fd));
  return {};
}

Result<> BlockWriter::write_packets(const PacketsOrder& order, index::BlockRecord& record) {
  BALEEN_TRY(const auto text, JournalText::open(folder_, packet_journal_.name(), key()));
  BALEEN_TRY(const auto packets, OrderedPackets::of(text.bytes(), as_bytes(order.text()), order.size()));
  ObjectFile file(key_ ? std::optional(index::ObjectCipher::fresh(key_->key, record.block, "packets")) : std::nullopt);
  const std::string path = folder_ + "/packets.pcapng";
  ::unlink((folder_ + "/packets.order").c_str());  // of an earlier try, whose journal goes now
  BALEEN_TRY_DO(file.open(path));
  std::vector<uint8_t> piece(kBuffer);
  std::string buffer;
  for (uint64_t at = 0; at < packets->size();) {
    BALEEN_TRY(const size_t n, packets->read(at, piece));
    at += n;
    buffer += as_text(Bytes(piece.data(), n));
    BALEEN_TRY_DO(file.write(buffer));
  }
  BALEEN_TRY_DO(file.write(buffer, true));
  unsynced_.emplace_back(path, file.finish(record.packets_object));
  return {};
}

/// The rows in order of time out of the journal, which has them in the order in which they were taken in.
Result<> BlockWriter::write_rows(const std::string& path, index::BlockRecord& record) {
  BALEEN_TRY(const auto text, JournalText::open(folder_, item_journal_.name(), key()));
  std::vector<RowPlace> places;
  places.reserve(items_);
  std::unordered_set<std::string> streams;
  index::ItemRow row;
  ByteReader r(text.bytes());
  while (r.remaining() >= 4) {
    const std::string_view bytes = r.text(r.le32());
    if (!r.ok() || !index::read_row(bytes, row))
      return Error{Code::kInternal, folder_ + ": the items journal is not what was written"};
    note(row, record);
    places.push_back({row.time_ns, row.index, *streams.insert(row.stream).first, bytes});
  }
  std::sort(places.begin(), places.end());
  auto next = places.begin();
  return index::write_parquet(
      path, [&](index::ItemRow& out) { return next != places.end() && index::read_row((next++)->bytes, out); },
      record.streams, record.packets_object.key);
}

Result<> BlockWriter::write_items(index::BlockRecord& record) {
  const bool encrypted = key_ && encrypt_items_;
  const std::string path = folder_ + "/items.parquet", temporary = path + ".part";
  // What is to be encrypted is in memory until it is.
  const UniqueFd memory(encrypted ? ::memfd_create("items", MFD_CLOEXEC) : -1);
  if (encrypted && !memory) return errno_error("memfd_create", errno);
  const std::string rows = encrypted ? fmt::format("/proc/self/fd/{}", memory.get()) : temporary;
  BALEEN_TRY_DO(write_rows(rows, record));
  limit_zone_map(record);
  if (encrypted) {
    BALEEN_TRY(const auto plain, MappedFile::open(rows));
    ObjectFile file(index::ObjectCipher::fresh(key_->key, record.block, "items"));
    BALEEN_TRY_DO(file.open(path));
    const std::string_view all = as_text(plain->bytes());
    std::string buffer;
    for (size_t at = 0; at < all.size(); at += kBuffer) {
      buffer += all.substr(at, kBuffer);
      BALEEN_TRY_DO(file.write(buffer));
    }
    BALEEN_TRY_DO(file.write(buffer, true));
    unsynced_.emplace_back(path, file.finish(record.items_object));
    return {};
  }
  UniqueFd fd(::open(temporary.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error(temporary, errno);
  BALEEN_TRY(const store::FileSum sum, store::sum_file(temporary));
  record.items_object.size = sum.size;
  record.items_object.crc32c = sum.crc32c;
  unsynced_.emplace_back(path, std::move(fd));
  return {};
}

}  // namespace baleen::record
