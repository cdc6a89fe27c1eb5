#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "worker/control.h"
#include "worker/dump_frames.h"

namespace baleen::worker {
namespace {

using nlohmann::json;

constexpr size_t kReadAtOnce = 256 << 10;

Result<DumpAnswer> answer_of(std::string_view line) try {
  const json j = json::parse(line);
  if (!j.value("ok", false)) {
    const json& error = j.at("error");
    return Error{error.value("code", "") == to_string(Code::kInvalid) ? Code::kInvalid : Code::kUnavailable,
                 error.at("message").get<std::string>()};
  }
  const json& r = j.at("result");
  return DumpAnswer{timestamp_from_ns(r.at("started_ns").get<int64_t>()),
                    timestamp_from_ns(r.at("kept_from_ns").get<int64_t>()), r.at("packets").get<uint64_t>(),
                    r.at("bytes").get<uint64_t>(), r.at("node").get<std::string>()};
} catch (const json::exception& e) {
  return Error{Code::kInternal, std::string("the worker's answer is not understood: ") + e.what()};
}

}  // namespace

void append_record(std::string& out, const DumpedPacket& p) {
  const DumpRecord record{to_ns(p.packet.time),
                          p.stream.number,
                          static_cast<uint32_t>(p.packet.bytes.size()),
                          p.packet.wire_length,
                          p.packet.interface,
                          static_cast<uint16_t>(p.packet.link),
                          static_cast<uint8_t>(p.stream.kind),
                          0};
  const size_t at = out.size();
  out.resize(at + record_size(record.captured));
  std::memcpy(out.data() + at, &record, sizeof record);
  if (record.captured != 0) std::memcpy(out.data() + at + sizeof record, p.packet.bytes.data(), record.captured);
}

bool next_record(std::string_view& records, DumpedPacket& packet) {
  DumpRecord r;
  if (records.size() < sizeof r) return false;
  std::memcpy(&r, records.data(), sizeof r);
  if (record_size(r.captured) > records.size()) return false;
  packet = {{r.stream, static_cast<item::StreamKind>(r.kind)},
            {timestamp_from_ns(r.time_ns), as_bytes(records.substr(sizeof r, r.captured)), r.wire_length, r.interface,
             static_cast<net::LinkType>(r.link)}};
  records.remove_prefix(record_size(r.captured));
  return true;
}

Result<DumpReader> DumpReader::open(const std::string& folder, const DumpRequest& request) {
  DumpReader reader;
  BALEEN_TRY(reader.connection_, connect_worker(folder));
  json j = {{"command", "dump"}, {"follow", request.follow}, {"filter", request.filter}};
  if (request.since != Timestamp::min()) j["since_ns"] = to_ns(request.since);
  if (request.until != Timestamp::max()) j["until_ns"] = to_ns(request.until);
  BALEEN_TRY(const std::string line, ask_connection(reader.connection_.get(), folder, j.dump(), &reader.buffer_));
  BALEEN_TRY(reader.answer_, answer_of(line));
  return reader;
}

Result<DumpReader::State> DumpReader::next(Duration timeout, const std::function<void(const DumpedPacket&)>& each) {
  while (true) {
    DumpFrame header{};
    if (buffer_.size() >= sizeof header) {
      std::memcpy(&header, buffer_.data(), sizeof header);
      if (header.size > kLargestDumpFrame) return Error{Code::kInternal, "the worker speaks another language"};
      if (buffer_.size() - sizeof header >= header.size) {
        const std::string frame = buffer_.substr(sizeof header, header.size);
        buffer_.erase(0, sizeof header + header.size);
        return take_frame(header.kind, frame, each);
      }
    }
    pollfd wanted{connection_.get(), POLLIN, 0};
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count();
    if (::poll(&wanted, 1, static_cast<int>(ms)) <= 0) return State::kWait;
    const size_t before = buffer_.size();
    buffer_.resize(before + kReadAtOnce);
    const ssize_t n = ::recv(connection_.get(), buffer_.data() + before, kReadAtOnce, MSG_DONTWAIT);
    buffer_.resize(before + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return State::kWait;
    if (n <= 0) return Error{Code::kIo, "the worker has ended"};
  }
}

Result<DumpReader::State> DumpReader::take_frame(uint32_t kind, std::string_view frame,
                                                 const std::function<void(const DumpedPacket&)>& each) try {
  DumpedPacket packet;
  switch (kind) {
    case kDumpPackets:
      while (next_record(frame, packet)) each(packet);
      return State::kPackets;
    case kDumpInterfaces:
      interfaces_.clear();
      for (const json& i : json::parse(frame))
        interfaces_.push_back({i.at("name").get<std::string>(), static_cast<net::LinkType>(i.at("link").get<int>())});
      return State::kPackets;
    case kDumpProgress: {
      const json j = json::parse(frame);
      progress_ = {j.at("packets").get<uint64_t>(), j.at("overwritten").get<uint64_t>(), j.at("live").get<bool>(),
                   j.at("ended").get<bool>()};
      return progress_.ended ? State::kEnd : State::kPackets;
    }
    default: return State::kPackets;  // of a newer worker
  }
} catch (const json::exception& e) {
  return Error{Code::kInternal, std::string("the worker speaks another language: ") + e.what()};
}

}  // namespace baleen::worker
