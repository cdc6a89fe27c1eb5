#include "cmd/matching_streams.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace baleen::cmd {
namespace {

constexpr item::Origin kPast{"pcapdump", "", ""};
constexpr size_t kAtOnce = 1 << 20;

}  // namespace

MatchingStreams::MatchingStreams(kfl::Filter filter, dissect::tls::KeyLog& key_log)
    : filter_(std::move(filter)), dissectors_(dissect::select_dissectors({})) {
  dissect::add_what_is_asked(filter_.text(), dissectors_);
  dissect::EngineOptions options;
  options.protocols = dissectors_.protocols;
  options.l4 = dissectors_.l4;
  options.origin = &kPast;
  options.source = item::CaptureSource::kAfPacket;
  options.tell_packets = true;
  options.settings.key_log = &key_log;
  engine_.reset(new dissect::Engine(options, *this));  // nobody else may see that we are its observer
}

MatchingStreams::~MatchingStreams() = default;

void MatchingStreams::add(const worker::DumpedPacket& packet) {
  packet_of_ = packet.stream.number;
  const record::RecordedPacket& p = packet.packet;
  engine_->on_packet({p.time, p.bytes, p.wire_length, p.interface, p.link});
}

void MatchingStreams::finish() { engine_->finish(); }

void MatchingStreams::on_packet(dissect::StreamRef stream, const net::Packet&, const net::Decoded&) {
  numbers_[stream.number] = packet_of_;
}

void MatchingStreams::on_item(item::ItemRef item) {
  const auto number = numbers_.find(item->stream);
  if (number == numbers_.end() || number->second == record::kNoStream) return;
  if (!filter_.matches(*item)) return;
  ++items_;
  if (matching_.insert(number->second).second && on_decided) on_decided(number->second, true);
}

void MatchingStreams::on_stream_end(dissect::StreamRef stream, dissect::StreamEnd) {
  const auto number = numbers_.find(stream.number);
  if (number == numbers_.end()) return;
  if (on_decided && !matching_.contains(number->second)) on_decided(number->second, false);
  numbers_.erase(number);
}

Result<SpooledPackets> SpooledPackets::open() {
  SpooledPackets spooled;
  const std::string folder = std::filesystem::temp_directory_path();
  spooled.file_.reset(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!spooled.file_) {
    // Not every file system has files without a name.
    std::string name = folder + "/baleen-XXXXXX";
    spooled.file_.reset(::mkostemp(name.data(), O_CLOEXEC));
    if (!spooled.file_) return errno_error(folder, errno);
    ::unlink(name.c_str());
  }
  return spooled;
}

Result<> SpooledPackets::add(const worker::DumpedPacket& packet) {
  worker::append_record(buffer_, packet);
  return buffer_.size() < kAtOnce ? Result<>() : write_out();
}

Result<> SpooledPackets::write_out() {
  for (size_t at = 0; at < buffer_.size();) {
    const ssize_t n = ::write(file_.get(), buffer_.data() + at, buffer_.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("keeping packets until it is known which match (TMPDIR says where)", errno);
    at += static_cast<size_t>(n);
  }
  buffer_.clear();
  return {};
}

Result<> SpooledPackets::read(const std::function<Result<>(const worker::DumpedPacket&)>& each) {
  BALEEN_TRY_DO(write_out());
  if (::lseek(file_.get(), 0, SEEK_SET) < 0) return errno_error("reading kept packets", errno);
  std::string window;
  while (true) {
    const size_t before = window.size();
    window.resize(before + kAtOnce);
    const ssize_t n = ::read(file_.get(), window.data() + before, kAtOnce);
    window.resize(before + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("reading kept packets", errno);
    std::string_view records = window;
    worker::DumpedPacket packet;
    while (worker::next_record(records, packet)) BALEEN_TRY_DO(each(packet));
    window.erase(0, window.size() - records.size());
    if (n == 0) return {};
  }
}

void HeldPackets::add(const worker::DumpedPacket& packet) {
  const auto [entry, fresh] = streams_.try_emplace(packet.stream.number);
  Held& held = entry->second;
  if (fresh) held.turn = turns_.insert(turns_.end(), packet.stream.number);
  const size_t before = held.packets.size();
  worker::append_record(held.packets, packet);
  bytes_ += held.packets.size() - before;
  ++held.count;
  while (bytes_ > kLimit) {
    const auto oldest = streams_.find(turns_.front());
    given_up_ += oldest->second.count;
    (void)take(oldest->first);
  }
}

std::string HeldPackets::take(uint64_t stream) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return {};
  std::string packets = std::move(found->second.packets);
  bytes_ -= packets.size();
  turns_.erase(found->second.turn);
  streams_.erase(found);
  return packets;
}

}  // namespace baleen::cmd
