#include "record/packet_labels.h"

#include <arpa/inet.h>

#include <algorithm>
#include <vector>

namespace baleen::record {
namespace {

constexpr size_t kOverhead = 32;  // of a name's record, or of an option, and of what holds them here

/// Sixteen or four bytes; nothing for anything else.
std::string address_of(const std::string& text) {
  unsigned char bytes[16];
  if (::inet_pton(AF_INET, text.c_str(), bytes) == 1) return {reinterpret_cast<char*>(bytes), 4};
  if (::inet_pton(AF_INET6, text.c_str(), bytes) == 1) return {reinterpret_cast<char*>(bytes), 16};
  return {};
}

/// Names go into other people's tools: control characters do not.
bool is_plain(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

struct End {
  const std::string &name_space, &service, &pod, &name, &ip;
  bool known() const { return !name_space.empty() || !service.empty() || !pod.empty(); }
  std::string text() const {
    const std::string* const best = !pod.empty() ? &pod : !service.empty() ? &service : !name.empty() ? &name : &ip;
    return name_space.empty() ? *best : name_space + "/" + *best;
  }
};

}  // namespace

void PacketLabels::note(const index::ItemRow& row) {
  if (row.stream == last_stream_) return;  // its items have the same two ends
  name(row.src_ip, row.src_name);
  name(row.dst_ip, row.dst_name);
  const End src{row.src_namespace, row.src_service, row.src_pod, row.src_name, row.src_ip};
  const End dst{row.dst_namespace, row.dst_service, row.dst_pod, row.dst_name, row.dst_ip};
  if (!src.known() && !dst.known()) return;  // a later item may know them
  last_stream_ = row.stream;
  if (comments_.contains(row.stream)) return;
  std::string text = src.text() + " -> " + dst.text();
  const size_t size = text.size() + row.stream.size() + kOverhead;
  if (!is_plain(text) || bytes_ + size > kMostBytes) return;
  comments_.emplace(row.stream, std::move(text));
  bytes_ += size;
}

void PacketLabels::name(const std::string& address, const std::string& name) {
  if (name.empty() || name == address || !is_plain(name)) return;
  std::string bytes = address_of(address);
  const size_t size = bytes.size() + name.size() + kOverhead;
  if (bytes.empty() || bytes_ + size > kMostBytes) return;
  if (names_.emplace(std::move(bytes), name).second) bytes_ += size;
}

std::string_view PacketLabels::comment(const std::string& stream) const {
  const auto found = comments_.find(stream);
  return found == comments_.end() ? std::string_view() : found->second;
}

void PacketLabels::write_names(codec::pcap::PcapngWriter& writer) const {
  std::vector<codec::pcap::Name> names;
  names.reserve(names_.size());
  for (const auto& [address, name] : names_) names.push_back({as_bytes(address), name});
  writer.names(names);
}

}  // namespace baleen::record
