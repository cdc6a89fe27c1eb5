#include "worker/packet_files.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

#include "capture/pcap_file/pcap_file.h"
#include "codec/pcap/writer.h"
#include "item/json.h"
#include "net/ethernet_form.h"

namespace baleen::worker {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFlushAt = 1 << 20;
constexpr auto kEthernet = static_cast<uint16_t>(net::LinkType::kEthernet);

/// Packets on their way into a pcap file: a new one that appears under its name once it is whole, or one that grows.
class PcapOutput {
 public:
  enum class Mode { kNew, kAppend };
  PcapOutput(std::string path, Mode mode)
      : path_(std::move(path)),
        temporary_(mode == Mode::kNew ? path_ + "tmp" : path_),
        out_(temporary_, mode == Mode::kNew ? std::ios::binary : std::ios::binary | std::ios::app),
        writer_(buffer_, kEthernet) {
    if (mode == Mode::kAppend) buffer_.clear();  // the header is there
  }

  void add(Timestamp time, Bytes bytes, uint32_t wire_length, net::LinkType link) {
    const Bytes packet = form_.of(bytes, link);
    codec::pcap::PacketRecord record{};
    record.time = time;
    record.bytes = packet;
    record.wire_length =
        static_cast<uint32_t>(std::max<size_t>(packet.size(), wire_length + packet.size() - bytes.size()));
    writer_.packet(record);
    if (buffer_.size() > kFlushAt) flush();
  }
  Result<> finish() {
    flush();
    out_.close();
    if (!out_) return Error{Code::kIo, temporary_ + " cannot be written"};
    std::error_code failed;
    if (temporary_ != path_) fs::rename(temporary_, path_, failed);
    return failed ? Result<>(Error{Code::kIo, path_ + ": " + failed.message()}) : Result<>();
  }

 private:
  void flush() {
    out_.write(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    buffer_.clear();
  }
  std::string path_, temporary_, buffer_;
  std::ofstream out_;
  codec::pcap::PcapWriter writer_;
  net::EthernetForm form_;
};

bool number_of(const std::string& name, uint64_t& number) {
  const auto [end, ec] = std::from_chars(name.data(), name.data() + name.size(), number);
  return ec == std::errc() && end != name.data() && std::string_view(end).ends_with(".pcap") &&
         name.find('/') == std::string::npos;
}

bool has_capture(const std::string& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(folder, ignored))
    if (entry.is_regular_file(ignored) && entry.file_size(ignored) > 24) return true;
  return false;
}

}  // namespace

PacketFiles::PacketFiles(std::string folder, std::vector<const record::FlightRecorder*> flights, Duration keep,
                         uint64_t limit_bytes)
    : folder_(std::move(folder)), flights_(std::move(flights)), keep_(keep), limit_(limit_bytes) {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);  // of an earlier process: its streams are not ours
  fs::create_directories(folder_, ignored);
  thread_ = std::thread([this] { follow(); });
}

PacketFiles::~PacketFiles() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

/// REQUIRES: mutex_ is held. Appends what the stream has got since.
Result<> PacketFiles::grow(const std::string& name, Followed& stream) {
  uint64_t number = 0;
  if (!number_of(name, number)) return Error{Code::kInvalid, fmt::format("'{}' is no name of a stream", name)};
  const record::FlightRecorder& flight = *flights_[number % flights_.size()];
  const std::string path = folder_ + "/" + name;
  std::unique_ptr<PcapOutput> output;
  lost_ += flight.read(number, stream.cursor, [&](const record::RecordedPacket& p) {
    if (!output)
      output =
          std::make_unique<PcapOutput>(path, stream.bytes == 0 ? PcapOutput::Mode::kNew : PcapOutput::Mode::kAppend);
    output->add(p.time, p.bytes, p.wire_length, p.link);
    stream.bytes += p.bytes.size() + 16;
  });
  if (!output) return {};
  stream.grown = std::chrono::steady_clock::now();
  return output->finish();
}

void PacketFiles::follow() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    wake_.wait_for(lock, std::chrono::milliseconds(500));
    for (auto& [name, stream] : followed_) (void)grow(name, stream);  // a full disk shows in path() and snapshot()
    remove_old();
  }
}

/// REQUIRES: mutex_ is held.
void PacketFiles::remove_old() {
  uint64_t bytes = 0;
  for (const auto& [name, stream] : followed_) bytes += stream.bytes;
  const auto now = std::chrono::steady_clock::now();
  for (auto it = followed_.begin(); it != followed_.end();) {
    if (now - it->second.grown <= keep_ && bytes <= limit_) {
      ++it;
      continue;
    }
    bytes -= it->second.bytes;
    std::error_code ignored;
    fs::remove(folder_ + "/" + it->first, ignored);
    it = followed_.erase(it);
  }
}

Result<std::string> PacketFiles::stream(const std::string& name) {
  uint64_t number = 0;
  if (!number_of(name, number)) return Error{Code::kInvalid, fmt::format("'{}' is no name of a stream", name)};
  const std::lock_guard lock(mutex_);
  const auto known = followed_.find(name);
  if (known == followed_.end() && !flights_[number % flights_.size()]->knows(number))
    return Error{Code::kNotFound, fmt::format("the packets of {} are gone: they stay for tap.misc.pcapTTL", name)};
  Followed& stream = followed_[name];
  BALEEN_TRY_DO(grow(name, stream));
  return folder_ + "/" + name;
}

/// The file of a copied stream that has grown since, or the copy itself.
std::string PacketFiles::longest(const std::string& path) const {
  const std::string grown = folder_ + "/" + fs::path(path).filename().string();
  std::error_code missing;
  const auto copied = fs::file_size(path, missing);
  const auto now = fs::file_size(grown, missing);
  return !missing && now > copied ? grown : path;
}

Result<> PacketFiles::snapshot(const std::vector<std::string>& streams, const std::string& folder,
                               const std::string& output) {
  std::string source = folder;
  if (source.empty()) {
    // The streams themselves: those that were named, or all that are still known.
    std::vector<std::string> names = streams;
    if (names.empty())
      for (const record::FlightRecorder* flight : flights_)
        for (const record::StreamKey& key : flight->streams()) {
          char buffer[32];
          names.emplace_back(buffer, item::write_stream_name(key.number, key.kind, buffer));
        }
    for (const std::string& name : names) (void)stream(name);  // one that is gone is left out, as the reference does
    source = folder_;
  }
  // The files that are meant, each in its longest form, side by side in a folder that is read as one capture.
  const std::string chosen = output + ".streams";
  std::error_code failed;
  fs::create_directories(chosen, failed);
  if (failed) return Error{Code::kIo, fmt::format("{}: {}", chosen, failed.message())};
  {
    const std::lock_guard lock(mutex_);
    const auto choose = [&](const std::string& path) {
      const std::string name = fs::path(path).filename().string();
      if (const auto stream = followed_.find(name); stream != followed_.end()) (void)grow(name, stream->second);
      std::error_code missing;  // one that is gone is left out
      fs::copy_file(longest(path), chosen + "/" + name, missing);
    };
    if (streams.empty()) {
      for (const auto& entry : fs::directory_iterator(source, failed))
        if (entry.is_regular_file(failed)) choose(entry.path().string());
    } else {
      for (const std::string& name : streams) choose(source + "/" + fs::path(name).filename().string());
    }
  }
  source = chosen;
  PcapOutput merged(output, PcapOutput::Mode::kNew);
  Result<> outcome;
  if (has_capture(source)) {
    auto packets = capture::PcapFileSource::open({.path = source, .follow = false, .events = {}});
    while (packets) {
      auto batch = (*packets)->next_batch(std::chrono::seconds(1));
      if (!batch) {
        outcome = std::move(batch).error();
        break;
      }
      if (batch->state() == capture::PacketBatch::State::kEnd) break;
      for (const net::Packet& p : *batch) merged.add(p.time, p.bytes, p.wire_length, p.link);
    }
    if (!packets) outcome = std::move(packets).error();
  }
  fs::remove_all(chosen, failed);
  BALEEN_TRY_DO(merged.finish());
  return outcome;
}

}  // namespace baleen::worker
