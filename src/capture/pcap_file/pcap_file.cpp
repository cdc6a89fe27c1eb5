#include "capture/pcap_file/pcap_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <unordered_map>

#include "base/check.h"
#include "capture/pcap_file/unpack.h"

// The order of packets. Each file that is open has the records that it read last and a position in them; a heap holds
// the open files by the time of their next record, and the files not yet opened are sorted by the time of their first.
// The file on top gives packets for as long as none of the others, open or not, has an earlier one. A batch ends when
// it is full, or when a file has to read on, because that moves the bytes that earlier packets of the batch are views
// of.

namespace baleen::capture {

namespace {

namespace fs = std::filesystem;
using codec::pcap::PacketRecord;

constexpr size_t kBatch = 512;
constexpr size_t kBufferBytes = 256 << 10;  // it and the pages that it is read from stay in a second-level cache
constexpr size_t kMergeBuffers = 64 << 20;  // all files of a folder that are open together
constexpr size_t kSmallestBuffer = 64 << 10;
constexpr size_t kMostFiles = 100'000;
constexpr size_t kMostOpen = 512;
constexpr size_t kMostInterfaces = 1 << 16;
constexpr int kMostDepth = 3;  // of archives in archives

/// A file that is open: where it stands, and its interfaces among those of the source.
struct Stream {
  CaptureFile file;
  size_t position = 0;  // in file.records()
  std::vector<uint32_t> interfaces{};

  Timestamp time() const { return file.records()[position].time; }
};

/// A file of a folder that waits for its time.
struct Pending {
  Timestamp first;
  std::string path;
};

/// Whoever gave it such a name meant it to be read.
bool is_named_as_capture(fs::path path) {
  for (const char* packed : {".gz", ".zst", ".zstd"})
    if (path.extension() == packed) path = path.stem();
  constexpr std::string_view kExtensions[] = {".pcap", ".pcap3", ".pcapng", ".cap", ".dmp"};
  return std::find(std::begin(kExtensions), std::end(kExtensions), path.extension().string()) != std::end(kExtensions);
}

class Source : public PcapFileSource {
 public:
  explicit Source(PcapFileOptions options) : options_(std::move(options)), packets_(kBatch) {}

  Result<> open() {
    std::error_code ignored;
    if (options_.path != "-" && fs::is_directory(options_.path, ignored)) {
      if (options_.follow) return Error{Code::kInvalid, options_.path + " is a folder: only a file can be followed"};
      single_ = false;
      return list_folder();
    }
    if (options_.path != "-" && !options_.follow && Unpacked::is_archive(options_.path)) {
      single_ = false;
      BALEEN_TRY_DO(list_archive(options_.path, 1));
      return sort_pending();
    }
    BALEEN_TRY(CaptureFile file, CaptureFile::open(options_.path, options_.follow, kBufferBytes, &options_.events));
    add_stream(std::move(file));
    return {};
  }

  Result<PacketBatch> next_batch(Duration timeout) override {
    BALEEN_CHECK(!leased_);
    std::optional<std::chrono::steady_clock::time_point> deadline;  // once it is waited for
    size_t count = 0;
    while (!stop_.raised()) {
      if (failed_) return *failed_;
      const bool full = count == packets_.size();
      if (full || (count != 0 && somebody_must_read())) return lease(count);
      BALEEN_TRY(const bool later, read_on());
      if (heap_.empty() && pending_.empty() && !later) return PacketBatch(PacketBatch::State::kEnd);
      if (later) {
        const auto now = std::chrono::steady_clock::now();
        if (!deadline) deadline = now + timeout;
        const auto left = *deadline - now;
        if (left <= Duration::zero()) return PacketBatch(PacketBatch::State::kTimeout);
        waiting_.front()->file.input().wait(left, stop_);
        continue;
      }
      count = take_run(count);
    }
    return PacketBatch(PacketBatch::State::kEnd);
  }

  const std::vector<Interface>& interfaces() const override { return interfaces_; }
  Statistics statistics() override {
    Statistics all = statistics_;
    for (const auto* streams : {&waiting_, &heap_})
      for (const auto& stream : *streams)
        if (stream) all.dropped_by_writer += writer_drops(*stream);
    return all;
  }
  const std::vector<Error>& problems() const override { return problems_; }
  void stop() override { stop_.raise(); }
  void release() override { leased_ = false; }

 private:
  struct Later {
    bool operator()(const std::unique_ptr<Stream>& a, const std::unique_ptr<Stream>& b) const {
      return a->time() > b->time();
    }
  };

  Result<> list_folder();
  Result<> list_files(const std::string& folder, int depth);
  Result<> list_archive(const std::string& path, int depth);
  Result<> sort_pending();
  void add_stream(CaptureFile file) {
    ++statistics_.files;
    waiting_.push_back(std::make_unique<Stream>(Stream{std::move(file)}));
  }
  PacketBatch lease(size_t count) {
    leased_ = true;
    statistics_.packets += count;
    return {*this, std::span(packets_).first(count), ahead_};
  }
  bool somebody_must_read() const {
    return !waiting_.empty() ||
           (!pending_.empty() && (heap_.empty() || pending_.back().first <= heap_.front()->time()));
  }
  Result<bool> read_on();
  Result<bool> refill(std::unique_ptr<Stream>& stream);
  static uint64_t writer_drops(const Stream& stream);
  void close(const Stream& stream);
  size_t take_run(size_t count);
  void map_interfaces(Stream& stream);
  uint32_t interface_index(Interface interface);

  PcapFileOptions options_;
  Unpacked unpacked_;
  bool single_ = true;
  bool leased_ = false;
  StopEvent stop_;
  std::optional<Error> failed_;
  std::vector<Error> problems_;
  std::vector<Pending> pending_;                  // the latest first
  std::vector<std::unique_ptr<Stream>> waiting_;  // have to read on
  std::vector<std::unique_ptr<Stream>> heap_;     // have a record; the earliest on top
  std::vector<net::Packet> packets_;
  net::ReadAhead* ahead_ = nullptr;  // where all of them came from one file
  std::vector<Interface> interfaces_;
  std::unordered_map<std::string, uint32_t> interface_indices_;
  Statistics statistics_;
};

Result<> Source::list_folder() {
  BALEEN_TRY_DO(list_files(options_.path, 0));
  return sort_pending();
}

/// Finds the captures of a folder by looking into every file, and when each begins. `depth`: archives around it.
Result<> Source::list_files(const std::string& folder, int depth) {
  std::error_code failure;
  fs::recursive_directory_iterator entry(folder, fs::directory_options::skip_permission_denied, failure);
  for (; !failure && entry != fs::recursive_directory_iterator(); entry.increment(failure)) {
    if (!entry->is_regular_file(failure)) continue;
    if (pending_.size() >= kMostFiles)
      return Error{Code::kInvalid, fmt::format("{} has more than {} captures", options_.path, kMostFiles)};
    const std::string path = entry->path().string();
    auto file = CaptureFile::open(path, false, kSmallestBuffer, nullptr);
    if (!file) {
      problems_.push_back(std::move(file).error());
      continue;
    }
    auto state = file->advance();
    if (!state && file->reader().interfaces().empty() && file->reader().counters().sections == 0) {
      if (depth < kMostDepth && Unpacked::is_archive(path)) {
        BALEEN_TRY_DO(list_archive(path, depth + 1));
      } else {
        ++statistics_.skipped_files;
        if (is_named_as_capture(entry->path()))
          problems_.push_back({Code::kInvalid, path + ": no capture, or one that ends inside its header"});
      }
    } else if (!state) {
      ++statistics_.corrupt_files;
      problems_.push_back(std::move(state).error());
    } else if (*state == CaptureFile::State::kRecords) {
      pending_.push_back({file->records()[0].time, path});
    }
  }
  if (failure) return Error{Code::kIo, fmt::format("{}: {}", folder, failure.message())};
  return {};
}

/// The captures of a tar archive, which are read as those of a folder.
Result<> Source::list_archive(const std::string& path, int depth) {
  std::optional<Error> damage;
  BALEEN_TRY(const std::string folder, unpacked_.add(path, damage));
  if (damage) problems_.push_back(*std::move(damage));
  return list_files(folder, depth);
}

Result<> Source::sort_pending() {
  if (pending_.empty() && problems_.empty())
    return Error{Code::kInvalid,
                 fmt::format("{}: no packets in any of its {} files", options_.path, statistics_.skipped_files)};
  std::sort(pending_.begin(), pending_.end(),
            [](const Pending& a, const Pending& b) { return std::tie(a.first, a.path) > std::tie(b.first, b.path); });
  return {};
}

/// Gives every open file a record, and opens those whose time has come. True: one of them has nothing now.
Result<bool> Source::read_on() {
  for (;;) {
    while (!waiting_.empty()) {
      BALEEN_TRY(const bool later, refill(waiting_.back()));
      if (later) return true;
      waiting_.pop_back();
    }
    if (pending_.empty() || (!heap_.empty() && pending_.back().first > heap_.front()->time())) return false;
    if (heap_.size() >= kMostOpen) {
      failed_ =
          Error{Code::kInvalid, fmt::format("more than {} files of {} overlap in time", kMostOpen, options_.path)};
      return *failed_;
    }
    const std::string path = std::move(pending_.back().path);
    pending_.pop_back();
    const size_t buffer = std::clamp(kMergeBuffers / (heap_.size() + 1), kSmallestBuffer, kBufferBytes);
    auto file = CaptureFile::open(path, false, buffer, &options_.events);
    if (file) {
      add_stream(*std::move(file));
    } else {
      problems_.push_back(std::move(file).error());
    }
  }
}

/// Reads on in one file and puts it into the heap, or closes it at its end. True: nothing now.
Result<bool> Source::refill(std::unique_ptr<Stream>& stream) {
  auto state = stream->file.advance();
  map_interfaces(*stream);
  if (!state) {
    ++statistics_.corrupt_files;
    close(*stream);
    stream.reset();
    if (single_) {
      failed_ = state.error();
      return std::move(state).error();
    }
    problems_.push_back(std::move(state).error());
    return false;
  }
  switch (*state) {
    case CaptureFile::State::kLater: return true;
    case CaptureFile::State::kEnd:
      if (stream->file.cut())
        problems_.push_back({Code::kInvalid, stream->file.path() + ": the capture ends inside a packet"});
      close(*stream);
      stream.reset();
      return false;
    case CaptureFile::State::kRecords: break;
  }
  stream->position = 0;
  heap_.push_back(std::move(stream));
  std::push_heap(heap_.begin(), heap_.end(), Later());
  return false;
}

void Source::close(const Stream& stream) {
  if (stream.file.cut()) ++statistics_.dropped_cut;
  statistics_.dropped_by_writer += writer_drops(stream);
}

/// What the statistics blocks of the file have said so far.
uint64_t Source::writer_drops(const Stream& stream) {
  uint64_t drops = 0;
  for (const codec::pcap::Interface& one : stream.file.reader().interfaces())
    for (const uint64_t count : {one.statistics.dropped, one.statistics.os_dropped})
      if (count != codec::pcap::kNotCounted) drops += count;
  return drops;
}

/// Copies records of the earliest file to the batch until another file is earlier, or it or the batch is used up.
size_t Source::take_run(size_t count) {
  if (heap_.empty()) return count;
  std::pop_heap(heap_.begin(), heap_.end(), Later());
  std::unique_ptr<Stream> stream = std::move(heap_.back());
  heap_.pop_back();
  Timestamp limit = Timestamp::max();
  if (!heap_.empty()) limit = std::min(limit, heap_.front()->time());
  if (!pending_.empty()) limit = std::min(limit, pending_.back().first);
  net::ReadAhead* const ahead = stream->file.read_ahead();
  ahead_ = count == 0 || ahead == ahead_ ? ahead : nullptr;
  const auto records = stream->file.records();
  while (stream->position < records.size() && count < packets_.size() && records[stream->position].time <= limit) {
    const PacketRecord& record = records[stream->position++];
    net::Packet& packet = packets_[count++];  // member by member: see decode_plain_tcp()
    packet.time = record.time;
    packet.bytes = record.bytes;
    statistics_.bytes += record.bytes.size();
    packet.wire_length = record.wire_length;
    packet.interface = stream->interfaces[record.interface];
    packet.link = static_cast<net::LinkType>(record.link);
  }
  if (stream->position == records.size()) {
    waiting_.push_back(std::move(stream));
  } else {
    heap_.push_back(std::move(stream));
    std::push_heap(heap_.begin(), heap_.end(), Later());
  }
  return count;
}

/// Takes over what the file's reader learnt of interfaces.
void Source::map_interfaces(Stream& stream) {
  const auto& all = stream.file.reader().interfaces();
  while (stream.interfaces.size() < all.size()) {
    const codec::pcap::Interface& one = all[stream.interfaces.size()];
    const std::string name = one.name.empty() ? fs::path(stream.file.path()).filename().string() : one.name;
    stream.interfaces.push_back(interface_index({name, one.description, static_cast<net::LinkType>(one.link)}));
  }
}

/// The same interface of several files is one. Beyond the limit all are taken for the last.
uint32_t Source::interface_index(Interface interface) {
  std::string key = fmt::format("{}\n{}\n{}", static_cast<int>(interface.link), interface.name, interface.description);
  if (const auto known = interface_indices_.find(key); known != interface_indices_.end()) return known->second;
  if (interfaces_.size() >= kMostInterfaces) return static_cast<uint32_t>(interfaces_.size() - 1);
  const auto index = static_cast<uint32_t>(interfaces_.size());
  interface_indices_.emplace(std::move(key), index);
  interfaces_.push_back(std::move(interface));
  return index;
}

}  // namespace

Result<std::unique_ptr<PcapFileSource>> PcapFileSource::open(PcapFileOptions options) {
  auto source = std::make_unique<Source>(std::move(options));
  BALEEN_TRY_DO(source->open());
  return std::unique_ptr<PcapFileSource>(std::move(source));
}

}  // namespace baleen::capture
