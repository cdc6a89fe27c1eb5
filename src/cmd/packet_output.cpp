#include "cmd/packet_output.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>

namespace baleen::cmd {
namespace {

constexpr size_t kFlushAt = 1 << 20;

}  // namespace

Result<PacketOutput> PacketOutput::open(const std::string& path, Format format) {
  PacketOutput out;
  out.path_ = path == "-" ? "standard output" : path;
  out.format_ = format;
  if (path == "-") {
    out.fd_ = STDOUT_FILENO;
  } else {
    // What was captured is nobody else's business.
    out.file_.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!out.file_) return errno_error(path, errno);
    out.fd_ = out.file_.get();
  }
  if (format == Format::kPcap) {
    out.pcap_ =
        std::make_unique<codec::pcap::PcapWriter>(*out.buffer_, static_cast<uint16_t>(net::LinkType::kEthernet));
  } else {
    out.pcapng_ = std::make_unique<codec::pcap::PcapngWriter>(*out.buffer_);
    codec::pcap::Section section;
    section.application = "baleen";
    out.pcapng_->section(section);
  }
  BALEEN_TRY_DO(out.flush());
  return out;
}

uint32_t PacketOutput::number_of(const record::RecordedPacket& packet,
                                 const std::vector<record::InterfaceName>& interfaces) {
  for (const Known& k : known_)
    if (k.interface == packet.interface && k.link == packet.link) return k.number;
  codec::pcap::Interface i;
  i.link = static_cast<uint16_t>(packet.link);
  i.name = packet.interface < interfaces.size() ? interfaces[packet.interface].name
                                                : fmt::format("interface {}", packet.interface);
  known_.push_back({packet.interface, packet.link, pcapng_->interface(i)});
  return known_.back().number;
}

Result<> PacketOutput::add(const record::RecordedPacket& packet, const std::vector<record::InterfaceName>& interfaces) {
  codec::pcap::PacketRecord record;
  record.time = packet.time;
  record.wire_length = packet.wire_length;
  record.link = static_cast<uint16_t>(packet.link);
  record.bytes = packet.bytes;
  if (pcapng_) {
    record.interface = number_of(packet, interfaces);
    pcapng_->packet(record);
  } else {
    record.bytes = form_.of(packet.bytes, packet.link);
    record.wire_length += static_cast<uint32_t>(record.bytes.size() - packet.bytes.size());
    pcap_->packet(record);
  }
  ++packets_;
  return buffer_->size() < kFlushAt ? Result<>() : flush();
}

Result<> PacketOutput::flush() {
  for (size_t at = 0; at < buffer_->size() && !closed_;) {
    const ssize_t n = ::write(fd_, buffer_->data() + at, buffer_->size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE) {
      closed_ = true;
      break;
    }
    if (n < 0) {
      const Error error = errno_error(path_, errno);
      // What is there ends with a whole packet: the front of this buffer may not.
      if (file_ && ::ftruncate(fd_, static_cast<off_t>(written_)) == 0)
        ::lseek(fd_, static_cast<off_t>(written_), SEEK_SET);
      return error;
    }
    at += static_cast<size_t>(n);
  }
  written_ += buffer_->size();
  buffer_->clear();
  return {};
}

}  // namespace baleen::cmd
