#include "record/block_writer.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <tuple>
#include <unordered_set>

#include "base/crc32c.h"
#include "codec/pcap/writer.h"
#include "index/parquet.h"
#include "io/crypto.h"
#include "record/item_block.h"
#include "store/object_store.h"

// Journals are streams of records that each begin with their size, so that a torn tail (a crash in the middle of a
// write) is recognised and cut off. A packets record: size, time, wire length, interface, link, length of the stream's
// name, name, bytes. One of link type kSecrets has lines of a TLS key log for bytes, and no stream.

namespace baleen::record {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBuffer = 1 << 20;
constexpr size_t kBufferLimit = 8 << 20;  // of a journal, in memory, while the disk takes nothing
constexpr size_t kPacketHeader = 4 + 8 + 4 + 4 + 2 + 2;
constexpr uint16_t kSecrets = 0xFFFF;  // no link type of a packet (LINKTYPE_ numbers end far below)

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

Result<> sync_folder(const std::string& folder) {
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return errno_error(folder, errno);
  return {};
}

Result<> write_all(int fd, std::string_view bytes, const std::string& what) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(what, errno);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

/// A file that is there whole and synced, or not at all.
Result<> write_file(const std::string& path, std::string_view content) {
  const std::string temporary = path + ".part";
  const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return errno_error(temporary, errno);
  BALEEN_TRY_DO(write_all(fd.get(), content, temporary));
  if (::fsync(fd.get()) != 0) return errno_error(temporary, errno);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return errno_error(path, errno);
  return {};
}

/// A whole file in memory, as the kernel has it.
class MappedFile {
 public:
  static Result<std::unique_ptr<MappedFile>> open(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat facts;
    if (!fd || ::fstat(fd.get(), &facts) != 0) return errno_error(path, errno);
    auto file = std::make_unique<MappedFile>();
    file->size_ = static_cast<size_t>(facts.st_size);
    if (file->size_ == 0) return file;
    // All of it will be read, and not in its order: faults would come one by one.
    void* memory = ::mmap(nullptr, file->size_, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd.get(), 0);
    if (memory == MAP_FAILED) return errno_error(path, errno);
    file->memory_ = static_cast<const uint8_t*>(memory);
    return file;
  }
  MappedFile() = default;
  MappedFile(const MappedFile&) = delete;
  ~MappedFile() {
    if (memory_ != nullptr) ::munmap(const_cast<uint8_t*>(memory_), size_);
  }
  Bytes bytes() const { return {memory_, size_}; }

 private:
  const uint8_t* memory_ = nullptr;
  size_t size_ = 0;
};

struct JournalPacket {
  std::string_view stream;
  codec::pcap::PacketRecord record;
};

/// Takes the record at `at` apart; false when it is not whole.
bool read_packet(Bytes journal, uint64_t at, JournalPacket& out, uint32_t& size) {
  ByteReader r(journal.subspan(at));
  size = r.le32();
  const Timestamp time = timestamp_from_ns(static_cast<int64_t>(r.le64()));
  const uint32_t wire = r.le32(), interface = r.le32();
  const uint16_t link = r.le16(), name = r.le16();
  if (!r.ok() || size < kPacketHeader + name || size > journal.size() - at) return false;
  out.stream = r.text(name);
  out.record = {};
  out.record.time = time;
  out.record.bytes = r.bytes(size - kPacketHeader - name);
  out.record.wire_length = wire;
  out.record.interface = interface;
  out.record.link = link;
  return r.ok();
}

constexpr size_t kPrefetch = 4;  // packets ahead

/// A stream's packets lie far apart in the journal: each begins with a wait for memory otherwise.
void prefetch(Bytes journal, uint64_t at, uint32_t size) {
  constexpr uint32_t kLine = 64, kMost = 8 * kLine;  // from there on the processor has seen where it goes
  for (uint32_t line = 0; line < std::min(size, kMost); line += kLine) __builtin_prefetch(journal.data() + at + line);
}

/// A key for pairs of an interface and a link type.
constexpr uint64_t interface_link(uint32_t interface, uint16_t link) { return uint64_t{interface} << 16 | link; }

/// Where the items journal has a row, and what rows are sorted by.
struct RowPlace {
  int64_t time_ns, index;
  std::string_view stream, bytes;
  bool operator<(const RowPlace& other) const {
    return std::tie(time_ns, stream, index) < std::tie(other.time_ns, other.stream, other.index);
  }
};

nlohmann::json owner_json(const BlockOwner& o) {
  return {{"recording", o.recording}, {"filter", o.filter}, {"destination", o.destination}, {"node", o.node},
          {"cluster", o.cluster},     {"run", o.run},       {"sequence", o.sequence}};
}

constexpr size_t kFrameHead = 4 + 12;

io::Key256 journal_key(const io::Key256& block_key) {
  return io::hmac_sha256(block_key, as_bytes(std::string_view("baleen journal key 1")));
}

std::string frame_associated(std::string_view name, uint64_t at) { return fmt::format("{} {}", name, at); }

/// A file of the block while it is written: as it is, or in sealed chunks.
class ObjectFile {
 public:
  explicit ObjectFile(std::optional<index::ObjectCipher> cipher) : cipher_(std::move(cipher)) {}
  Result<> open(const std::string& path) {
    path_ = path;
    fd_.reset(::open((path + ".part").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    return fd_ ? Result<>() : Result<>(errno_error(path + ".part", errno));
  }
  /// Takes what can be written of `text`.
  Result<> write(std::string& text, bool last = false) {
    if (!cipher_) {
      BALEEN_TRY_DO(put_out(text));
      text.clear();
      return {};
    }
    std::string_view rest = text;
    std::string sealed;
    // The last chunk says that it is the last: so one is held back until that is known.
    while (rest.size() > index::ObjectCipher::kChunk || last) {
      const std::string_view piece = rest.substr(0, index::ObjectCipher::kChunk);
      rest.remove_prefix(piece.size());
      cipher_->seal(chunk_++, last && rest.empty(), piece, sealed);
      text_size_ += piece.size();
      if (last && rest.empty()) break;
    }
    text.erase(0, text.size() - rest.size());
    return put_out(sealed);
  }
  /// What the block's record says of it. The file is neither synced nor under its name yet.
  UniqueFd finish(index::ObjectRecord& record) {
    record.size = size_;
    record.crc32c = crc_;
    record.encryption.reset();
    if (cipher_) {
      cipher_->set_text_size(text_size_);
      record.encryption = cipher_->encryption();
    }
    return std::move(fd_);
  }

 private:
  Result<> put_out(std::string_view bytes) {
    crc_ = crc32c(as_bytes(bytes), crc_);
    size_ += bytes.size();
    BALEEN_TRY_DO(write_all(fd_.get(), bytes, path_));
    if (size_ - ordered_ < kOrderAfter) return {};
    // The disk begins while the rest is made: the sync at the end waits for little. Only it counts.
    (void)::sync_file_range(fd_.get(), static_cast<off_t>(ordered_), static_cast<off_t>(size_ - ordered_),
                            SYNC_FILE_RANGE_WRITE);
    ordered_ = size_;
    return {};
  }
  std::optional<index::ObjectCipher> cipher_;
  std::string path_;
  UniqueFd fd_;
  static constexpr uint64_t kOrderAfter = 8 << 20;
  uint64_t size_ = 0, text_size_ = 0, chunk_ = 0;
  uint64_t ordered_ = 0;  // bytes whose writing to the disk has begun
  uint32_t crc_ = 0;
};

}  // namespace

/// A journal's records: mapped as they lie, or decrypted into memory (blocks are small).
class BlockWriter::JournalText {
 public:
  static Result<JournalText> open(const BlockWriter& block, const Journal& journal) {
    JournalText out;
    BALEEN_TRY(out.file_, MappedFile::open(block.folder_ + "/" + journal.name));
    const Bytes file = out.file_->bytes();
    out.on_disk_ = file.size();
    if (!block.key_) return out;
    out.encrypted_ = true;
    out.on_disk_ = 0;
    const io::Key256 key = journal_key(block.key_->key);
    ByteReader r(file);
    while (r.remaining() >= kFrameHead) {
      const uint64_t size = r.le32();
      io::Nonce96 nonce;
      const Bytes n = r.bytes(nonce.size());
      std::copy(n.begin(), n.end(), nonce.begin());
      if (size + io::kGcmTag > r.remaining()) break;
      const std::string_view sealed = r.text(static_cast<size_t>(size + io::kGcmTag));
      if (!io::gcm_open(key, nonce, frame_associated(journal.name, out.text_.size()), sealed, out.text_)) break;
      out.on_disk_ = r.position();
    }
    return out;
  }
  Bytes bytes() const { return encrypted_ ? as_bytes(text_) : file_->bytes(); }
  /// Of the file, that are whole frames.
  uint64_t on_disk() const { return on_disk_; }
  bool encrypted() const { return encrypted_; }

 private:
  std::unique_ptr<MappedFile> file_;
  std::string text_;
  uint64_t on_disk_ = 0;
  bool encrypted_ = false;
};

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
  BALEEN_TRY_DO(write_file(folder + "/owner.json", facts.dump()));
  BALEEN_TRY_DO(writer->open_journals());
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

bool BlockWriter::is_finished(const std::string& folder) { return fs::exists(folder + "/block.json"); }

Result<> BlockWriter::open_journals() {
  for (Journal* journal : {&packet_journal_, &item_journal_}) {
    const std::string path = folder_ + "/" + journal->name;
    journal->fd.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!journal->fd) return errno_error(path, errno);
  }
  return {};
}

Result<> BlockWriter::load_journals() {
  const auto cut_off = [this](Journal& journal, const JournalText& text) -> Result<> {
    journal.on_disk = text.encrypted() ? text.on_disk() : journal.written;
    const std::string path = folder_ + "/" + journal.name;
    return ::truncate(path.c_str(), static_cast<off_t>(journal.on_disk)) == 0 ? Result<>()
                                                                              : Result<>(errno_error(path, errno));
  };
  {
    BALEEN_TRY(const auto text, JournalText::open(*this, packet_journal_));
    const auto* journal = &text;
    uint64_t at = 0;
    JournalPacket packet;
    for (uint32_t size = 0; at < journal->bytes().size() && read_packet(journal->bytes(), at, packet, size);
         at += size) {
      if (packet.record.link == kSecrets) {
        secrets_ += as_text(packet.record.bytes);
        continue;
      }
      const codec::pcap::PacketRecord& r = packet.record;
      note_packet({r.time, r.bytes, r.wire_length, r.interface, static_cast<net::LinkType>(r.link)},
                  std::string(packet.stream), {at, size});
    }
    packet_journal_.written = at;
    packet_journal_.records = packets_;
    BALEEN_TRY_DO(cut_off(packet_journal_, text));
  }
  {
    BALEEN_TRY(const auto text, JournalText::open(*this, item_journal_));
    const auto* journal = &text;
    ByteReader r(journal->bytes());
    index::ItemRow row;
    while (r.remaining() >= 4) {
      const uint32_t size = r.le32();
      if (size > r.remaining() || !index::read_row(r.text(size), row)) break;
      item_journal_.written = r.position();
      note_row(row);
    }
    item_journal_.records = items_;
    BALEEN_TRY_DO(cut_off(item_journal_, text));
  }
  return {};
}

/// What waits, sealed. Each with a nonce of its own: what the disk did not take is sealed anew.
std::string BlockWriter::framed(const Journal& journal) const {
  std::string out;
  put(out, static_cast<uint32_t>(journal.buffer.size()));
  io::Nonce96 nonce;
  io::fill_random(nonce);
  out.append(nonce.begin(), nonce.end());
  io::gcm_seal(journal_key(key_->key), nonce, frame_associated(journal.name, journal.written), journal.buffer, out);
  return out;
}

Result<> BlockWriter::write_out(Journal& journal) {
  if (journal.buffer.empty()) return {};
  const std::string sealed = key_ ? framed(journal) : std::string();
  const std::string& bytes = key_ ? sealed : journal.buffer;
  const Result<> outcome = write_all(journal.fd.get(), bytes, folder_);
  disk_full_ = !outcome;
  if (!outcome) {
    // Cut off what was written of it: the journal stays a row of whole records, and the buffer is tried again.
    if (::ftruncate(journal.fd.get(), static_cast<off_t>(journal.on_disk)) != 0) return errno_error(folder_, errno);
    return outcome;
  }
  journal.on_disk += bytes.size();
  journal.records = &journal == &packet_journal_ ? packets_ : items_;
  journal.written += journal.buffer.size();
  journal.buffer.clear();
  return {};
}

/// For one more record. A disk that takes nothing is asked again by flush(), not by every record.
Result<> BlockWriter::make_room(Journal& journal) {
  if (journal.buffer.size() < kBuffer) return {};
  if (!disk_full_ && write_out(journal)) return {};
  if (journal.buffer.size() < kBufferLimit) return {};
  return Error{Code::kIo, folder_ + ": the disk takes nothing, and memory has its limit"};
}

Result<> BlockWriter::add_packet(const std::string& stream, const RecordedPacket& packet) {
  BALEEN_TRY_DO(make_room(packet_journal_));
  const auto size = static_cast<uint32_t>(kPacketHeader + stream.size() + packet.bytes.size());
  note_packet(packet, stream, {packet_journal_.written + packet_journal_.buffer.size(), size});
  put(packet_journal_.buffer, size);
  put(packet_journal_.buffer, to_ns(packet.time));
  put(packet_journal_.buffer, packet.wire_length);
  put(packet_journal_.buffer, packet.interface);
  put(packet_journal_.buffer, static_cast<uint16_t>(packet.link));
  put(packet_journal_.buffer, static_cast<uint16_t>(stream.size()));
  packet_journal_.buffer += stream;
  packet_journal_.buffer += as_text(packet.bytes);
  return {};
}

/// Counts a packet whose record lies, or will lie, at `place` in the journal.
void BlockWriter::note_packet(const RecordedPacket& packet, const std::string& stream, Place place) {
  const auto [number, fresh] = stream_numbers_.try_emplace(stream, static_cast<uint32_t>(stream_names_.size()));
  if (fresh) {
    stream_names_.push_back(stream);
    places_.emplace_back();
  }
  places_[number->second].push_back(place);
  const uint64_t key = interface_link(packet.interface, static_cast<uint16_t>(packet.link));
  if (key != last_interface_link_) interface_links_.try_emplace(key, static_cast<uint32_t>(interface_links_.size()));
  last_interface_link_ = key;
  packet_bytes_ += packet.bytes.size();
  truncated_ += packet.wire_length > packet.bytes.size() ? 1 : 0;
  ++packets_;
  first_ = std::min(first_, packet.time);
  last_ = std::max(last_, packet.time);
}

Result<> BlockWriter::add_secrets(Bytes client_random, std::string_view lines) {
  if (lines.empty() || sessions_.size() >= kMostSecrets) return {};
  BALEEN_TRY_DO(make_room(packet_journal_));
  put(packet_journal_.buffer, static_cast<uint32_t>(kPacketHeader + lines.size()));
  packet_journal_.buffer.append(8 + 4 + 4, '\0');  // time, wire length, interface
  put(packet_journal_.buffer, kSecrets);
  put(packet_journal_.buffer, uint16_t{0});
  packet_journal_.buffer += lines;
  secrets_ += lines;
  sessions_.emplace(as_text(client_random));
  return {};
}

Result<> BlockWriter::add_item(const item::Item& item) { return add_row(index::row_from(item, owner_.recording)); }

Result<> BlockWriter::add_row(const index::ItemRow& row) {
  BALEEN_TRY_DO(make_room(item_journal_));
  index::append_row(row, item_journal_.buffer);
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
  BALEEN_TRY_DO(write_out(packet_journal_));
  return write_out(item_journal_);
}

uint64_t BlockWriter::encryption_bytes() const {
  if (!key_) return 0;
  uint64_t text = 0, frames = 0;
  for (const Journal* journal : {&packet_journal_, &item_journal_}) {
    text += journal->written + journal->buffer.size();
    frames += journal->on_disk - journal->written + kFrameHead + io::kGcmTag;
  }
  return frames + (text / index::ObjectCipher::kChunk + 2) * io::kGcmTag;
}

std::vector<UniqueFd> BlockWriter::journals() const {
  std::vector<UniqueFd> copies;
  for (const UniqueFd* fd : {&packet_journal_.fd, &item_journal_.fd})
    if (UniqueFd copy(::fcntl(fd->get(), F_DUPFD_CLOEXEC, 0)); copy) copies.push_back(std::move(copy));
  return copies;
}

Result<> BlockWriter::sync() {
  BALEEN_TRY_DO(flush());
  if (::fdatasync(packet_journal_.fd.get()) != 0 || ::fdatasync(item_journal_.fd.get()) != 0)
    return errno_error(folder_, errno);
  return {};
}

Result<index::BlockRecord> BlockWriter::finish(const std::vector<InterfaceName>& interfaces,
                                               const index::LossLedger& ledger) {
  BALEEN_TRY_DO(compose(interfaces, ledger));
  return seal();
}

Result<> BlockWriter::compose(const std::vector<InterfaceName>& interfaces, const index::LossLedger& ledger) {
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
  BALEEN_TRY_DO(write_packets(interfaces, record));
  return write_items(record);
}

Result<index::BlockRecord> BlockWriter::seal() {
  for (const auto& [path, fd] : unsynced_) {
    if (::fsync(fd.get()) != 0) return errno_error(path, errno);
    if (::rename((path + ".part").c_str(), path.c_str()) != 0) return errno_error(path, errno);
  }
  unsynced_.clear();
  record_.dropped = dropped_;
  BALEEN_TRY_DO(write_file(folder_ + "/block.json", record_.to_json()));
  BALEEN_TRY_DO(sync_folder(folder_));
  ::unlink((folder_ + "/packets.journal").c_str());
  ::unlink((folder_ + "/items.journal").c_str());
  return record_;
}

/// The kernel counts what it drops of all interfaces together: it stands with the first one, so that sums are right.
void BlockWriter::write_statistics(codec::pcap::PcapngWriter& writer, std::span<const uint64_t> packets) const {
  for (uint32_t i = 0; i < packets.size(); ++i) {
    codec::pcap::InterfaceStatistics counted{.time = last_, .delivered = packets[i]};
    if (capture_ && i == 0) {
      counted.received = capture_->captured + capture_->dropped;
      counted.os_dropped = capture_->dropped;
    }
    writer.statistics(i, counted);
  }
}

/// Stream after stream, so that one range holds all of a stream's packets in this block. What no packet needs stands
/// behind them: who asks for a stream does not read it.
Result<> BlockWriter::write_packets(const std::vector<InterfaceName>& interfaces, index::BlockRecord& record) {
  BALEEN_TRY(const auto text, JournalText::open(*this, packet_journal_));
  ObjectFile file(key_ ? std::optional(index::ObjectCipher::fresh(key_->key, record.block, "packets")) : std::nullopt);
  BALEEN_TRY_DO(file.open(folder_ + "/packets.pcapng"));
  std::string buffer;
  codec::pcap::PcapngWriter writer(buffer);
  writer.section({.application = "baleen"});
  // One interface of the file for each pair of interface and link type that packets have.
  std::vector<uint64_t> pairs(interface_links_.size());
  for (const auto& [pair, id] : interface_links_) pairs[id] = pair;
  for (const uint64_t pair : pairs) {
    const auto n = static_cast<uint32_t>(pair >> 16);
    writer.interface({.link = static_cast<uint16_t>(pair),
                      .name = n < interfaces.size() ? interfaces[n].name : fmt::format("if{}", n)});
  }
  if (!secrets_.empty()) writer.secrets(as_bytes(secrets_));
  record.header_length = writer.offset();
  const Bytes all = text.bytes();
  const Error damaged{Code::kInternal, folder_ + ": the packets journal is not what was written"};
  JournalPacket packet;
  uint32_t size = 0, id = 0;
  uint64_t last_pair = UINT64_MAX;
  std::vector<uint64_t> packets_of(pairs.size());
  for (size_t stream = 0; stream < places_.size(); ++stream) {
    const uint64_t begin = writer.offset();
    const std::vector<Place>& places = places_[stream];
    for (size_t i = 0; i < places.size(); ++i) {
      if (i + kPrefetch < places.size()) prefetch(all, places[i + kPrefetch].offset, places[i + kPrefetch].size);
      if (!read_packet(all, places[i].offset, packet, size)) return damaged;
      const uint64_t pair = interface_link(packet.record.interface, packet.record.link);
      if (pair != last_pair) {
        const auto found = interface_links_.find(pair);
        if (found == interface_links_.end()) return damaged;
        last_pair = pair;
        id = found->second;
      }
      packet.record.interface = id;
      ++packets_of[id];
      if (i == 0) packet.record.comment = labels_.comment(stream_names_[stream]);
      writer.packet(packet.record);
      if (buffer.size() >= kBuffer) BALEEN_TRY_DO(file.write(buffer));
    }
    record.streams.push_back({stream_names_[stream], begin, writer.offset() - begin, places.size()});
  }
  labels_.write_names(writer);
  write_statistics(writer, packets_of);
  BALEEN_TRY_DO(file.write(buffer, true));
  unsynced_.emplace_back(folder_ + "/packets.pcapng", file.finish(record.packets_object));
  return {};
}

/// The rows in order of time out of the journal, which has them in the order in which they were taken in.
Result<> BlockWriter::write_rows(const std::string& path, index::BlockRecord& record) {
  BALEEN_TRY(const auto text, JournalText::open(*this, item_journal_));
  const auto* journal = &text;
  std::vector<RowPlace> places;
  places.reserve(items_);
  std::unordered_set<std::string> streams;
  index::ItemRow row;
  ByteReader r(journal->bytes());
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
