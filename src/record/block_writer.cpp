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
#include "store/object_store.h"

// Journals are streams of records that each begin with their size, so that a torn tail (a crash in the middle of a
// write) is recognised and cut off. A packets record: size, time, wire length, interface, link, length of the stream's
// name, name, bytes.

namespace baleen::record {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBuffer = 1 << 20;
constexpr size_t kBufferLimit = 8 << 20;  // of a journal, in memory, while the disk takes nothing
constexpr size_t kPacketHeader = 4 + 8 + 4 + 4 + 2 + 2;
constexpr size_t kZoneMapLimit = 1000;

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

/// A whole file in memory without reading it; the kernel brings what is looked at.
class MappedFile {
 public:
  static Result<std::unique_ptr<MappedFile>> open(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat facts;
    if (!fd || ::fstat(fd.get(), &facts) != 0) return errno_error(path, errno);
    auto file = std::make_unique<MappedFile>();
    file->size_ = static_cast<size_t>(facts.st_size);
    if (file->size_ == 0) return file;
    void* memory = ::mmap(nullptr, file->size_, PROT_READ, MAP_PRIVATE, fd.get(), 0);
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

/// What a block's record says about its items.
void note(const index::ItemRow& row, index::BlockRecord& record) {
  ++record.items_by_protocol[row.protocol];
  for (const std::string* name_space : {&row.src_namespace, &row.dst_namespace})
    if (!name_space->empty()) record.namespaces.insert(*name_space);
  for (const std::string* pod : {&row.src_pod, &row.dst_pod})
    if (!pod->empty()) record.pods.insert(*pod);
  if (row.status >= 100 && row.status < 1000) record.status_classes.insert(fmt::format("{}xx", row.status / 100));
}

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

}  // namespace

Result<std::unique_ptr<BlockWriter>> BlockWriter::create(const std::string& folder, const BlockOwner& owner) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) return Error{Code::kIo, fmt::format("{}: {}", folder, failed.message())};
  std::unique_ptr<BlockWriter> writer(new BlockWriter(folder, owner));
  BALEEN_TRY_DO(write_file(folder + "/owner.json", owner_json(owner).dump()));
  BALEEN_TRY_DO(writer->open_journals());
  BALEEN_TRY_DO(sync_folder(folder));
  BALEEN_TRY_DO(sync_folder(fs::path(folder).parent_path().string()));
  return writer;
}

Result<std::unique_ptr<BlockWriter>> BlockWriter::recover(const std::string& folder) try {
  std::ifstream in(folder + "/owner.json");
  if (!in) return Error{Code::kNotFound, folder + " holds no block"};
  const auto j = nlohmann::json::parse(in);
  BlockOwner owner{j.at("recording"),      j.at("filter"), j.at("destination"), j.at("node"),
                   j.value("cluster", ""), j.at("run"),    j.at("sequence")};
  std::unique_ptr<BlockWriter> writer(new BlockWriter(folder, std::move(owner)));
  BALEEN_TRY_DO(writer->open_journals());  // makes one that is not there
  BALEEN_TRY_DO(writer->load_journals());
  return writer;
} catch (const nlohmann::json::exception& e) {
  return Error{Code::kInvalid, fmt::format("{}/owner.json: {}", folder, e.what())};
}

bool BlockWriter::is_finished(const std::string& folder) { return fs::exists(folder + "/block.json"); }

Result<> BlockWriter::open_journals() {
  for (auto [fd, name] : {std::pair{&packets_fd_, "packets.journal"}, std::pair{&items_fd_, "items.journal"}}) {
    const std::string path = folder_ + "/" + name;
    fd->reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!*fd) return errno_error(path, errno);
  }
  return {};
}

Result<> BlockWriter::load_journals() {
  const std::string packets_path = folder_ + "/packets.journal", items_path = folder_ + "/items.journal";
  {
    BALEEN_TRY(const auto journal, MappedFile::open(packets_path));
    uint64_t at = 0;
    JournalPacket packet;
    for (uint32_t size = 0; at < journal->bytes().size() && read_packet(journal->bytes(), at, packet, size);
         at += size) {
      const auto [number, fresh] =
          stream_numbers_.try_emplace(std::string(packet.stream), static_cast<uint32_t>(stream_names_.size()));
      if (fresh) {
        stream_names_.emplace_back(packet.stream);
        places_.emplace_back();
      }
      places_[number->second].push_back({at, size});
      first_ = std::min(first_, packet.record.time);
      last_ = std::max(last_, packet.record.time);
      truncated_ += packet.record.wire_length > packet.record.bytes.size() ? 1 : 0;
      packet_bytes_ += packet.record.bytes.size();
      ++packets_;
    }
    packets_written_ = at;
  }
  if (::truncate(packets_path.c_str(), static_cast<off_t>(packets_written_)) != 0)
    return errno_error(packets_path, errno);
  {
    BALEEN_TRY(const auto journal, MappedFile::open(items_path));
    ByteReader r(journal->bytes());
    index::ItemRow row;
    while (r.remaining() >= 4) {
      const uint32_t size = r.le32();
      if (size > r.remaining() || !index::read_row(r.text(size), row)) break;
      items_written_ = r.position();
      first_ = std::min(first_, timestamp_from_ns(row.time_ns));
      last_ = std::max(last_, timestamp_from_ns(row.time_ns));
      ++items_;
    }
  }
  if (::truncate(items_path.c_str(), static_cast<off_t>(items_written_)) != 0) return errno_error(items_path, errno);
  return {};
}

Result<> BlockWriter::write_out(std::string& buffer, int fd, uint64_t& written) {
  if (buffer.empty()) return {};
  const Result<> outcome = write_all(fd, buffer, folder_);
  disk_full_ = !outcome;
  if (!outcome) {
    // Cut off what was written of it: the journal stays a row of whole records, and the buffer is tried again.
    if (::ftruncate(fd, static_cast<off_t>(written)) != 0) return errno_error(folder_, errno);
    return outcome;
  }
  written += buffer.size();
  buffer.clear();
  return {};
}

/// For one more record. A disk that takes nothing is asked again by flush(), not by every record.
Result<> BlockWriter::make_room(std::string& buffer, int fd, uint64_t& written) {
  if (buffer.size() < kBuffer) return {};
  if (!disk_full_ && write_out(buffer, fd, written)) return {};
  if (buffer.size() < kBufferLimit) return {};
  return Error{Code::kIo, folder_ + ": the disk takes nothing, and memory has its limit"};
}

Result<> BlockWriter::add_packet(const std::string& stream, const RecordedPacket& packet) {
  BALEEN_TRY_DO(make_room(packet_buffer_, packets_fd_.get(), packets_written_));
  const auto [number, fresh] = stream_numbers_.try_emplace(stream, static_cast<uint32_t>(stream_names_.size()));
  if (fresh) {
    stream_names_.push_back(stream);
    places_.emplace_back();
  }
  const auto size = static_cast<uint32_t>(kPacketHeader + stream.size() + packet.bytes.size());
  places_[number->second].push_back({packets_written_ + packet_buffer_.size(), size});
  put(packet_buffer_, size);
  put(packet_buffer_, to_ns(packet.time));
  put(packet_buffer_, packet.wire_length);
  put(packet_buffer_, packet.interface);
  put(packet_buffer_, static_cast<uint16_t>(packet.link));
  put(packet_buffer_, static_cast<uint16_t>(stream.size()));
  packet_buffer_ += stream;
  packet_buffer_ += as_text(packet.bytes);
  packet_bytes_ += packet.bytes.size();
  truncated_ += packet.wire_length > packet.bytes.size() ? 1 : 0;
  ++packets_;
  first_ = std::min(first_, packet.time);
  last_ = std::max(last_, packet.time);
  return {};
}

Result<> BlockWriter::add_item(const item::Item& item) { return add_row(index::row_from(item)); }

Result<> BlockWriter::add_row(const index::ItemRow& row) {
  BALEEN_TRY_DO(make_room(item_buffer_, items_fd_.get(), items_written_));
  index::append_row(row, item_buffer_);
  ++items_;
  first_ = std::min(first_, timestamp_from_ns(row.time_ns));
  last_ = std::max(last_, timestamp_from_ns(row.time_ns));
  return {};
}

Result<> BlockWriter::flush() {
  BALEEN_TRY_DO(write_out(packet_buffer_, packets_fd_.get(), packets_written_));
  return write_out(item_buffer_, items_fd_.get(), items_written_);
}

std::vector<UniqueFd> BlockWriter::journals() const {
  std::vector<UniqueFd> copies;
  for (const UniqueFd* fd : {&packets_fd_, &items_fd_})
    if (UniqueFd copy(::fcntl(fd->get(), F_DUPFD_CLOEXEC, 0)); copy) copies.push_back(std::move(copy));
  return copies;
}

Result<> BlockWriter::sync() {
  BALEEN_TRY_DO(flush());
  if (::fdatasync(packets_fd_.get()) != 0 || ::fdatasync(items_fd_.get()) != 0) return errno_error(folder_, errno);
  return {};
}

Result<index::BlockRecord> BlockWriter::finish(const std::vector<InterfaceName>& interfaces,
                                               const index::LossLedger& ledger) {
  BALEEN_TRY_DO(sync());
  index::BlockRecord record;
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
  record.packets_object.key = keys.packets;
  record.items_object.key = keys.items;
  BALEEN_TRY_DO(write_packets(interfaces, record));
  BALEEN_TRY_DO(write_items(record));
  BALEEN_TRY_DO(write_file(folder_ + "/block.json", record.to_json()));
  BALEEN_TRY_DO(sync_folder(folder_));
  ::unlink((folder_ + "/packets.journal").c_str());
  ::unlink((folder_ + "/items.journal").c_str());
  return record;
}

/// Stream after stream, so that one range holds all of a stream's packets in this block.
Result<> BlockWriter::write_packets(const std::vector<InterfaceName>& interfaces, index::BlockRecord& record) {
  BALEEN_TRY(const auto journal, MappedFile::open(folder_ + "/packets.journal"));
  const std::string path = folder_ + "/packets.pcapng", temporary = path + ".part";
  const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return errno_error(temporary, errno);
  std::string buffer;
  uint32_t crc = 0;
  const auto flush = [&]() -> Result<> {
    crc = crc32c(as_bytes(buffer), crc);
    BALEEN_TRY_DO(write_all(fd.get(), buffer, temporary));
    buffer.clear();
    return {};
  };
  codec::pcap::PcapngWriter writer(buffer);
  writer.section({.application = "baleen"});
  // One interface of the file for each pair of interface and link type that packets have.
  std::unordered_map<uint64_t, uint32_t> ids;
  JournalPacket packet;
  uint32_t size = 0;
  for (const auto& places : places_) {
    for (const Place& place : places) {
      if (!read_packet(journal->bytes(), place.offset, packet, size))
        return Error{Code::kInternal, folder_ + ": the packets journal is not what was written"};
      const uint64_t key = uint64_t{packet.record.interface} << 16 | packet.record.link;
      if (ids.contains(key)) continue;
      const uint32_t n = packet.record.interface;
      ids[key] = writer.interface(
          {.link = packet.record.link, .name = n < interfaces.size() ? interfaces[n].name : fmt::format("if{}", n)});
    }
  }
  record.header_length = writer.offset();
  for (size_t stream = 0; stream < places_.size(); ++stream) {
    const uint64_t begin = writer.offset();
    for (const Place& place : places_[stream]) {
      read_packet(journal->bytes(), place.offset, packet, size);
      packet.record.interface = ids[uint64_t{packet.record.interface} << 16 | packet.record.link];
      writer.packet(packet.record);
      if (buffer.size() >= kBuffer) BALEEN_TRY_DO(flush());
    }
    record.streams.push_back({stream_names_[stream], begin, writer.offset() - begin, places_[stream].size()});
  }
  BALEEN_TRY_DO(flush());
  if (::fsync(fd.get()) != 0) return errno_error(temporary, errno);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return errno_error(path, errno);
  record.packets_object.size = writer.offset();
  record.packets_object.crc32c = crc;
  return {};
}

/// The rows in order of time out of the journal, which has them in the order in which they were taken in.
Result<> BlockWriter::write_rows(const std::string& path, index::BlockRecord& record) {
  BALEEN_TRY(const auto journal, MappedFile::open(folder_ + "/items.journal"));
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
  const std::string path = folder_ + "/items.parquet", temporary = path + ".part";
  BALEEN_TRY_DO(write_rows(temporary, record));
  if (record.namespaces.size() > kZoneMapLimit || record.pods.size() > kZoneMapLimit) {
    record.namespaces.clear();
    record.pods.clear();
    record.zone_map_complete = false;
  }
  {
    const UniqueFd fd(::open(temporary.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd || ::fsync(fd.get()) != 0) return errno_error(temporary, errno);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return errno_error(path, errno);
  BALEEN_TRY(const store::FileSum sum, store::sum_file(path));
  record.items_object.size = sum.size;
  record.items_object.crc32c = sum.crc32c;
  return {};
}

}  // namespace baleen::record
