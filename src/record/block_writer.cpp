#include "record/block_writer.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "io/crypto.h"

namespace baleen::record {
namespace {

namespace fs = std::filesystem;

nlohmann::json owner_json(const BlockOwner& o) {
  return {{"recording", o.recording}, {"filter", o.filter}, {"destination", o.destination}, {"node", o.node},
          {"cluster", o.cluster},     {"run", o.run},       {"sequence", o.sequence}};
}

}  // namespace

Result<std::unique_ptr<BlockWriter>> BlockWriter::create(const std::string& folder, const BlockOwner& owner,
                                                         const Encryption& encryption) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) return Error{Code::kIo, fmt::format("{}: {}", folder, failed.message())};
  std::unique_ptr<BlockWriter> writer(new BlockWriter(folder, owner));
  nlohmann::json facts = owner_json(owner);
  if (encryption.keys && !encryption.keys->empty()) {
    writer->key_ = index::new_block_key(encryption.keys->writer());
    writer->encrypt_items_ = encryption.items;
    facts["encryption"] = {{"key_id", writer->key_->encryption.key_id},
                           {"wrapped_key", io::base64(as_bytes(writer->key_->encryption.wrapped_key))},
                           {"items", encryption.items}};
  }
  BALEEN_TRY_DO(
      write_file(folder + "/owner.json", facts.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
  BALEEN_TRY_DO(writer->open_journals());
  writer->packet_journal_.buffer() = kPacketsMagic;
  BALEEN_TRY_DO(sync_folder(folder));
  BALEEN_TRY_DO(sync_folder(fs::path(folder).parent_path().string()));
  return writer;
}

Result<std::unique_ptr<BlockWriter>> BlockWriter::recover(const std::string& folder, const Encryption& encryption) try {
  std::ifstream in(folder + "/owner.json");
  if (!in) return Error{Code::kNotFound, folder + " holds no block"};
  const auto j = nlohmann::json::parse(in);
  BlockOwner owner{j.at("recording"),      j.at("filter"), j.at("destination"), j.at("node"),
                   j.value("cluster", ""), j.at("run"),    j.at("sequence")};
  std::unique_ptr<BlockWriter> writer(new BlockWriter(folder, std::move(owner)));
  if (const auto e = j.find("encryption"); e != j.end()) {
    index::BlockKey key;
    key.encryption.key_id = e->at("key_id");
    BALEEN_TRY(key.encryption.wrapped_key, io::base64_decode(e->at("wrapped_key").get<std::string>()));
    static const index::KeyRing kNone;
    const index::KeyRing& keys = encryption.keys ? *encryption.keys : kNone;
    auto unwrapped = keys.unwrap(key.encryption);
    if (!unwrapped) return std::move(unwrapped).error().in(folder);
    key.key = *unwrapped;
    writer->key_ = std::move(key);
    writer->encrypt_items_ = e->value("items", false);
  }
  BALEEN_TRY_DO(writer->open_journals());  // makes one that is not there
  BALEEN_TRY_DO(writer->load_journals());
  return writer;
} catch (const nlohmann::json::exception& e) {
  return Error{Code::kInvalid, fmt::format("{}/owner.json: {}", folder, e.what())};
}

Result<> BlockWriter::open_journals() {
  for (Journal* journal : {&packet_journal_, &item_journal_}) BALEEN_TRY_DO(journal->open(folder_, key()));
  return {};
}

Result<> BlockWriter::load_journals() {
  BALEEN_TRY_DO(load_packets());
  return load_items();
}

Result<> BlockWriter::load_packets() {
  BALEEN_TRY(const auto text, JournalText::open(folder_, packet_journal_.name(), key()));
  const Bytes journal = text.bytes();
  // Nothing has come yet, or the magic itself is torn.
  if (journal.size() < kPacketsMagic.size() && kPacketsMagic.starts_with(as_text(journal))) {
    BALEEN_TRY_DO(packet_journal_.cut_off(0, 0));
    packet_journal_.buffer() = kPacketsMagic;
    return {};
  }
  if (!as_text(journal).starts_with(kPacketsMagic)) return rewrite_old_journal(journal);
  uint64_t at = kPacketsMagic.size(), whole = at;
  for (JournalRecord record;;) {
    if (next_record(journal, at, record)) {
      if (!note_record(record)) break;
      whole = at;
    } else if (is_damaged_packet(journal, at)) {
      ++damaged_packets_;
      at += load_le32(&journal[at]);
    } else {
      break;
    }
  }
  return packet_journal_.cut_off(whole, text.on_disk(whole));
}

/// Whether a packet's record begins here whose content is not what its sum says, and a whole record follows: a disk has
/// lost bytes in the middle. What a crash tears has nothing behind it.
bool BlockWriter::is_damaged_packet(Bytes journal, uint64_t at) const {
  if (journal.size() - at < kRecordHead) return false;
  const uint32_t size = load_le32(&journal[at]), number = load_le32(&journal[at + 4]);
  if (size < kRecordHead || size > journal.size() - at || number >= stream_names_.size()) return false;
  JournalRecord following;
  uint64_t next = at + size;
  return next_record(journal, next, following);
}

index::LossLedger BlockWriter::ledger_of_recovered() const {
  index::LossLedger known;
  known.items_seen = known.items_stored = items_;
  known.packets_stored = packets_;
  known.packets_failed = damaged_packets_;
  known.packets_matched = packets_ + damaged_packets_;
  return known;
}

/// False when it cannot be one of ours.
bool BlockWriter::note_record(const JournalRecord& record) {
  ByteReader r(record.content);
  codec::pcap::PacketRecord packet;
  switch (record.number) {
    case kStreamName: {
      const auto number = static_cast<uint32_t>(stream_names_.size());
      stream_names_.emplace_back(as_text(record.content));
      places_.emplace_back();
      return stream_numbers_.try_emplace(stream_names_.back(), number).second;
    }
    case kInterface: {
      const uint32_t interface = r.le32();
      interfaces_.push_back({interface, static_cast<net::LinkType>(r.le16())});
      return r.ok();
    }
    case kSecrets: secrets_ += as_text(record.content); return true;
    default: break;
  }
  if (record.number >= stream_names_.size() || !read_packet_block(record.content, packet) ||
      packet.interface >= interfaces_.size())
    return false;
  note_packet(record.number, packet, record.place);
  return true;
}

/// What an older version has left, written as this one writes it.
Result<> BlockWriter::rewrite_old_journal(Bytes old) {
  const std::string path = packet_journal_.path(), anew = path + ".part";
  BALEEN_TRY_DO(packet_journal_.begin_anew(anew));
  packet_journal_.buffer() = kPacketsMagic;
  uint64_t at = 0;
  for (OldRecord r; next_old_record(old, at, r);) {
    if (r.secrets) {
      BALEEN_TRY_DO(packet_journal_.make_room());
      append(kSecrets, as_text(r.packet.bytes));
      secrets_ += as_text(r.packet.bytes);
      continue;
    }
    const codec::pcap::PacketRecord& p = r.packet;
    BALEEN_TRY_DO(add_packet(std::string(r.stream),
                             {p.time, p.bytes, p.wire_length, p.interface, static_cast<net::LinkType>(p.link)}));
  }
  BALEEN_TRY_DO(packet_journal_.sync());
  if (::rename(anew.c_str(), path.c_str()) != 0) return errno_error(path, errno);
  return sync_folder(folder_);
}

Result<> BlockWriter::load_items() {
  BALEEN_TRY(const auto text, JournalText::open(folder_, item_journal_.name(), key()));
  ByteReader r(text.bytes());
  index::ItemRow row;
  uint64_t whole = 0;
  while (r.remaining() >= 4) {
    const uint32_t size = r.le32();
    if (size > r.remaining() || !index::read_row(r.text(size), row)) break;
    whole = r.position();
    note_row(row);
  }
  return item_journal_.cut_off(whole, text.on_disk(whole));
}

/// REQUIRES: make_room() of the journal.
PacketPlace BlockWriter::append(uint32_t number, std::string_view content) {
  return append_record(packet_journal_.buffer(), packet_journal_.written(), number, content);
}

uint32_t BlockWriter::stream_number(const std::string& stream) {
  const auto [number, fresh] = stream_numbers_.try_emplace(stream, static_cast<uint32_t>(stream_names_.size()));
  if (fresh) {
    append(kStreamName, stream);
    stream_names_.push_back(stream);
    places_.emplace_back();
  }
  return number->second;
}

/// One interface of the file for each pair of interface and link type that packets have.
uint32_t BlockWriter::interface_number(uint32_t interface, net::LinkType link) {
  const auto is_it = [&](const InterfaceOf& i) { return i.interface == interface && i.link == link; };
  if (last_interface_ < interfaces_.size() && is_it(interfaces_[last_interface_])) return last_interface_;
  last_interface_ =
      static_cast<uint32_t>(std::find_if(interfaces_.begin(), interfaces_.end(), is_it) - interfaces_.begin());
  if (last_interface_ < interfaces_.size()) return last_interface_;
  std::string content;
  put(content, interface);
  put(content, static_cast<uint16_t>(link));
  append(kInterface, content);
  interfaces_.push_back({interface, link});
  return last_interface_;
}

Result<> BlockWriter::add_packet(const std::string& stream, const RecordedPacket& packet) {
  BALEEN_TRY_DO(packet_journal_.make_room());
  const uint32_t number = stream_number(stream);
  codec::pcap::PacketRecord record;
  record.time = packet.time;
  record.bytes = packet.bytes;
  record.wire_length = packet.wire_length;
  record.interface = interface_number(packet.interface, packet.link);
  note_packet(number, record, append_packet(packet_journal_.buffer(), packet_journal_.written(), number, record));
  packet_journal_.count();
  return {};
}

void BlockWriter::note_packet(uint32_t stream, const codec::pcap::PacketRecord& packet, const PacketPlace& place) {
  places_[stream].push_back(place);
  ++interfaces_[packet.interface].packets;
  packet_bytes_ += packet.bytes.size();
  ++packets_;
  first_ = std::min(first_, packet.time);
  last_ = std::max(last_, packet.time);
}

Result<> BlockWriter::add_secrets(Bytes client_random, std::string_view lines) {
  if (lines.empty() || sessions_.size() >= kMostSecrets) return {};
  BALEEN_TRY_DO(packet_journal_.make_room());
  append(kSecrets, lines);
  secrets_ += lines;
  sessions_.emplace(as_text(client_random));
  return {};
}

Result<> BlockWriter::add_item(const item::Item& item) { return add_row(index::row_from(item, owner_.recording)); }

Result<> BlockWriter::add_row(const index::ItemRow& row) {
  BALEEN_TRY_DO(item_journal_.make_room());
  index::append_row(row, item_journal_.buffer());
  item_journal_.count();
  note_row(row);
  return {};
}

void BlockWriter::note_row(const index::ItemRow& row) {
  ++items_;
  first_ = std::min(first_, timestamp_from_ns(row.time_ns));
  last_ = std::max(last_, timestamp_from_ns(row.time_ns));
  labels_.note(row);
}

Result<> BlockWriter::flush() {
  BALEEN_TRY_DO(packet_journal_.flush());
  return item_journal_.flush();
}

uint64_t BlockWriter::encryption_bytes() const {
  if (!key_) return 0;
  uint64_t text = 0, frames = 0;
  for (const Journal* journal : {&packet_journal_, &item_journal_}) {
    text += journal->size();
    frames += journal->on_disk() - journal->written() + Journal::kFrameHead + io::kGcmTag;
  }
  return frames + (text / index::ObjectCipher::kChunk + 2) * io::kGcmTag;
}

std::shared_ptr<const BlockWriter::Syncer> BlockWriter::syncer() const {
  const auto out = std::make_shared<Syncer>();
  out->failed_ = sync_failed_;
  for (const Journal* journal : {&packet_journal_, &item_journal_})
    if (UniqueFd copy(::fcntl(journal->fd(), F_DUPFD_CLOEXEC, 0)); copy) out->files_.push_back(std::move(copy));
  return out;
}

Result<> BlockWriter::Syncer::sync() const {
  for (const UniqueFd& fd : files_) {
    if (::fdatasync(fd.get()) == 0) continue;
    *failed_ = true;
    return errno_error("syncing a journal of the spool", errno);
  }
  return {};
}

Result<> BlockWriter::sync() {
  BALEEN_TRY_DO(flush());
  BALEEN_TRY_DO(sync(packet_journal_));
  return sync(item_journal_);
}

Result<> BlockWriter::sync(Journal& journal) {
  auto synced = journal.sync();
  if (!synced) *sync_failed_ = true;
  return synced;
}

}  // namespace baleen::record
