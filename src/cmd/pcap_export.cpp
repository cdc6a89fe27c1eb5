#include "cmd/pcap_export.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "codec/pcap/writer.h"

namespace baleen::cmd {

Result<PcapExport> PcapExport::open() {
  PcapExport out;
  const std::string folder = std::filesystem::temp_directory_path().string();
  out.file_.reset(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!out.file_) {  // a file system without nameless files
    std::string name = folder + "/baleen-XXXXXX";
    out.file_.reset(::mkostemp(name.data(), O_CLOEXEC));
    if (!out.file_) return errno_error(name, errno);
    ::unlink(name.c_str());
  }
  return out;
}

Result<> PcapExport::add(std::string_view pcapng) {
  window_ += pcapng;
  std::array<codec::pcap::PacketRecord, 256> records;
  size_t begin = 0;
  for (;;) {
    const auto step = reader_.read(as_bytes(window_).subspan(begin), records);
    for (const codec::pcap::PacketRecord& r : std::span(records).first(step.packets)) {
      places_.push_back({to_ns(r.time), written_, static_cast<uint32_t>(r.bytes.size()), r.wire_length});
      if (std::find(links_.begin(), links_.end(), r.link) == links_.end()) links_.push_back(r.link);
      for (size_t at = 0; at < r.bytes.size();) {
        const ssize_t n =
            ::pwrite(file_.get(), r.bytes.data() + at, r.bytes.size() - at, static_cast<off_t>(written_ + at));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return errno_error("temporary file", errno);
        at += static_cast<size_t>(n);
      }
      written_ += r.bytes.size();
    }
    begin += step.consumed;
    if (step.kind == codec::pcap::Reader::Kind::kFailed) return reader_.error();
    if (step.kind == codec::pcap::Reader::Kind::kNeed) break;
  }
  window_.erase(0, begin);
  return {};
}

Result<> PcapExport::write(ByteSink& sink) {
  if (links_.size() > 1)
    return Error{
        Code::kInvalid,
        fmt::format("the packets are of {} link types, and a pcap file holds one: use -o pcapng", links_.size())};
  std::stable_sort(places_.begin(), places_.end(),
                   [](const Place& a, const Place& b) { return a.time_ns < b.time_ns; });
  std::string out, bytes;
  codec::pcap::PcapWriter writer(out, links_.empty() ? uint16_t{1} : links_.front());
  for (const Place& place : places_) {
    bytes.resize(place.length);
    if (::pread(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(place.offset)) !=
        static_cast<ssize_t>(bytes.size()))
      return errno_error("temporary file", errno);
    writer.packet(
        {.time = timestamp_from_ns(place.time_ns), .bytes = as_bytes(bytes), .wire_length = place.wire_length});
    sink.write(out);
    out.clear();
    if (sink.closed()) break;
  }
  sink.write(out);
  return sink.flush();
}

}  // namespace baleen::cmd
