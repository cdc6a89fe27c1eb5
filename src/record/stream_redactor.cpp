#include "record/stream_redactor.h"

#include <algorithm>

#include "dissect/registry.h"

// The stream is dissected here a second time, alone and from its first packet on: the items of the shards may have been
// dropped, did not all match, and do not come with the packets. What counts is that nothing is let go that was not
// understood, so the engine's own counters decide. There is no position of a field in the stream to rely on: a secret's
// text is looked for in the bytes, and one that is not found where it must stand is taken for hidden in some encoding;
// then everything in hand is overwritten.

namespace baleen::record {
namespace {

constexpr size_t kMostKnown = 512;      // secrets that are remembered of a stream
constexpr uint32_t kWidest = 32 << 20;  // of sequence numbers in hand
constexpr size_t kTcpHeader = 20, kUdpHeader = 8;

/// RFC 1071: the sum of 16-bit words, folded.
uint32_t sum_of(Bytes bytes, uint32_t sum = 0) {
  size_t i = 0;
  for (; i + 1 < bytes.size(); i += 2) {
    sum += load_be16(&bytes[i]);
    sum = (sum & 0xFFFF) + (sum >> 16);
  }
  if (i < bytes.size()) sum += uint32_t{bytes[i]} << 8;
  while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
  return sum;
}

}  // namespace

/// Hears the private engine.
class StreamRedactor::Listener final : public dissect::EngineObserver {
 public:
  explicit Listener(const Redaction& redaction) : redaction_(redaction) {}
  void on_item(item::ItemRef item) override {
    ++items;
    fresh = true;
    redaction_.find(*item, secrets);
    clients.resize(secrets.size(), item->client.address);
  }
  uint64_t items = 0;
  bool fresh = false;  // since the packet before
  std::vector<Secret> secrets;
  std::vector<net::Endpoint> clients;  // of each secret's item
  std::deque<Secret> known;            // of the stream so far

 private:
  const Redaction& redaction_;
};

StreamRedactor::StreamRedactor(std::shared_ptr<const Redaction> redaction, RedactionTally& tally,
                               const RedactorLimits& limits, bool blind)
    : rules_(std::move(redaction)),
      redaction_(*rules_),
      tally_(tally),
      limits_(limits),
      blind_(blind),
      listener_(std::make_unique<Listener>(redaction_)) {
  dissect::EngineOptions options;
  options.protocols = dissect::registry();
  options.settings.body_cap = limits.stream_bytes;
  options.flow_limit = 4;
  options.l4_groups = 1;
  options.early_limit = limits.stream_bytes;
  options.pending_limit = 2 * limits.stream_bytes;
  // Time does not end it: its owner does.
  options.opening_idle = options.tcp_idle = options.udp_idle = options.closed_linger = std::chrono::hours(24 * 365);
  engine_ = std::make_unique<dissect::Engine>(options, *listener_);
}

StreamRedactor::~StreamRedactor() { tally_.held_bytes -= held_bytes_; }

/// Everything that says that not every byte was understood.
std::array<uint64_t, 16> StreamRedactor::troubles() const {
  using enum dissect::Counter;
  const dissect::EngineCounters& c = engine_->counters();
  return {c.unread_bytes,      c.gaps,
          c.stray_packets,     c.lost_tracks,
          c.evicted_flows,     c.pending_overflow,
          c.reused_ports,      c.tcp.refused_segments,
          c.of(kMalformed),    c.of(kMessageTooLong),
          c.of(kResyncs),      c.of(kBodyCapped),
          c.of(kDecodeFailed), c.of(kTooManyPending) + c.of(kEvictedItems),
          c.of(kGapBytes),     c.of(kUndecryptable) + c.tcp.bytes_after_end};
}

bool StreamRedactor::understood() { return troubles() == std::exchange(troubles_before_, troubles()); }

bool StreamRedactor::at_rest() const {
  return listener_->fresh && engine_->open_items() == 0 && engine_->pending_bytes() == 0 && engine_->early_bytes() == 0;
}

void StreamRedactor::add(const RecordedPacket& packet, const Emit& emit) {
  held_.emplace_back();
  Held& h = held_.back();
  h.facts = packet;
  h.bytes.assign(as_text(packet.bytes));
  h.facts.bytes = as_bytes(h.bytes);
  held_bytes_ += h.bytes.size();
  tally_.held_bytes += h.bytes.size();
  const net::Packet view{packet.time, h.facts.bytes, packet.wire_length, packet.interface, packet.link};
  net::Decoded d;
  const bool decoded = decoder_.decode(view, d) == net::DecodeStatus::kTransport;
  const bool tcp = decoded && d.tuple.transport == net::Transport::kTcp;
  const bool udp = decoded && d.tuple.transport == net::Transport::kUdp;
  if ((tcp || udp) && !d.defragmented) {
    const uint8_t* const begin = h.facts.bytes.data();
    const uint8_t* const end = begin + h.bytes.size();
    // A payload that is empty says nothing about where it would be.
    if (d.payload.data() >= begin && d.payload.data() + d.payload.size() <= end && !d.payload.empty()) {
      h.payload_at = static_cast<size_t>(d.payload.data() - begin);
      h.payload_size = d.payload.size();
      const size_t header = tcp ? kTcpHeader + d.tcp.options.size() : kUdpHeader;
      h.readable = h.payload_at >= header;
      h.header_at = h.payload_at - std::min(header, h.payload_at);
    } else {
      h.readable = d.payload.empty();
    }
    if (!any_) first_ = d.tuple.src;
    any_ = true;
    h.side = d.tuple.src == first_ ? 0 : 1;
    h.seq = d.tcp.seq + ((d.tcp.flags & net::tcp_flag::kSyn) != 0 ? 1 : 0);
    h.missing = d.payload_missing;
    h.tuple = d.tuple;
  }
  listener_->fresh = false;
  engine_->on_packet(view);
  if (at_rest()) {
    decide(understood(), emit);
  } else if (held_bytes_ > limits_.stream_bytes || tally_.held_bytes > limits_.all_bytes ||
             packet.time - held_.front().facts.time > limits_.age) {
    understood();
    decide(false, emit);
  }
}

void StreamRedactor::finish(const Emit& emit) {
  engine_->finish();
  decide(understood(), emit);
}

/// Puts the payloads of one direction together and adds to `bytes` how many there are that were not let go before;
/// false when that is not possible without doubt.
bool StreamRedactor::gather(Half& half, uint8_t side, uint64_t& bytes) {
  half.bytes.clear();
  half.there.clear();
  half.packets.clear();
  bool any = false;
  uint32_t low = half.next, high = half.next;
  for (size_t i = 0; i < held_.size(); ++i) {
    const Held& h = held_[i];
    if (!h.readable || h.payload_size == 0 || h.side != side) continue;
    if (h.missing != 0) return false;
    if (h.tuple.transport == net::Transport::kUdp) {
      half.packets.emplace_back(half.bytes.size(), i);
      half.bytes.append(h.bytes, h.payload_at, h.payload_size);
      bytes += h.payload_size;
      half.bytes += '\0';  // datagrams are read one by one
      continue;
    }
    const auto end = static_cast<uint32_t>(h.seq + h.payload_size);
    if (!half.started && !any) low = h.seq, high = end;
    if (!half.started && net::seq_less(h.seq, low)) low = h.seq;
    if (net::seq_less(high, end)) high = end;
    any = true;
  }
  if (!any) return true;
  if (high - low > kWidest) return false;
  half.started = true;
  half.begin = low;
  half.next = high;
  half.bytes.assign(high - low, '\0');
  half.there.assign(high - low, 0);
  bytes += high - low;
  bool whole = true;
  for (Held& h : held_) {
    if (!h.readable || h.payload_size == 0 || h.side != side) continue;
    for (size_t i = 0; i < h.payload_size; ++i) {
      const auto at = static_cast<int32_t>(h.seq + static_cast<uint32_t>(i) - low);
      if (at < 0 || static_cast<size_t>(at) >= half.bytes.size()) {  // sent again, and let go long ago
        h.blank = true;
        continue;
      }
      const char c = h.bytes[h.payload_at + i];
      if (half.there[static_cast<size_t>(at)] == 0) {
        half.there[static_cast<size_t>(at)] = 1;
        half.bytes[static_cast<size_t>(at)] = c;
      } else if (half.bytes[static_cast<size_t>(at)] != c) {
        h.blank = true;  // it says something else than what was read
      }
    }
  }
  for (const uint8_t there : half.there) whole = whole && there != 0;
  return whole;
}

bool StreamRedactor::overwrite(Half& half, uint8_t side, const std::vector<Secret>& secrets,
                               std::vector<uint8_t>& found) {
  std::vector<Range> ranges = SecretFinder(secrets).find(half.bytes, &found);
  redaction_.match(half.bytes, ranges);
  merge(ranges);
  for (const Range& r : ranges) ++tally_.rules[redaction_.name_of(r.rule)];
  if (ranges.empty()) return false;
  if (!half.packets.empty()) {
    for (const auto& [begin, index] : half.packets) {
      Held& h = held_[index];
      for (const Range& r : ranges)
        if (r.begin < begin + h.payload_size && r.end > begin)
          fill(h, std::max(r.begin, begin) - begin, std::min(r.end - begin, h.payload_size));
    }
    return true;
  }
  for (Held& h : held_) {
    if (!h.readable || h.payload_size == 0 || h.side != side || h.blank) continue;
    const size_t begin = h.seq - half.begin;
    for (auto r = std::lower_bound(ranges.begin(), ranges.end(), begin,
                                   [](const Range& range, size_t at) { return range.end <= at; });
         r != ranges.end() && r->begin < begin + h.payload_size; ++r)
      fill(h, std::max(r->begin, begin) - begin, std::min(r->end - begin, h.payload_size));
  }
  return true;
}

/// Lets go of everything in hand. `known`: the items tell all that there is to know about it.
void StreamRedactor::decide(bool known, const Emit& emit) {
  Listener& l = *listener_;
  if (!held_.empty()) {
    bool clear = true;
    known = known && !blind_;
    uint64_t bytes = 0;
    for (uint8_t side = 0; side < 2; ++side) clear = gather(halves_[side], side, bytes) && clear;
    // Whatever else the engine says: dissectors have taken these bytes, every one.
    const uint64_t read = engine_->counters().read_bytes;
    known = known && clear && read - std::exchange(read_before_, read) == bytes;
    if (known) {
      // Longest first, so that of two that begin at one place all is overwritten and counted once.
      std::vector<Secret> secrets = std::move(l.secrets);
      std::vector<net::Endpoint> clients = std::move(l.clients);
      const size_t own = secrets.size();
      secrets.insert(secrets.end(), l.known.begin(), l.known.end());
      std::vector<uint8_t> found[2] = {std::vector<uint8_t>(own), std::vector<uint8_t>(own)};
      for (uint8_t side = 0; side < 2; ++side) overwrite(halves_[side], side, secrets, found[side]);
      for (size_t i = 0; i < own; ++i) {
        const Secret& s = secrets[i];
        if (!s.verbatim) continue;
        const size_t from_client = clients[i] == first_ ? 0 : 1;
        const bool there = s.side == Secret::Side::kAny       ? found[0][i] != 0 || found[1][i] != 0
                           : s.side == Secret::Side::kRequest ? found[from_client][i] != 0
                                                              : found[1 - from_client][i] != 0;
        known = known && there;
      }
      for (size_t i = 0; i < own; ++i) {
        secrets[i].verbatim = false;
        const auto same = [&](const Secret& s) { return s.text == secrets[i].text; };
        if (std::any_of(l.known.begin(), l.known.end(), same)) continue;
        l.known.push_back(std::move(secrets[i]));
        if (l.known.size() > kMostKnown) l.known.pop_front();
      }
    }
    for (Held& h : held_) {
      if (!known || h.blank || !h.readable) blank(h);
      let_go(h, emit);
    }
  }
  l.secrets.clear();
  l.clients.clear();
  held_.clear();
  tally_.held_bytes -= held_bytes_;
  held_bytes_ = 0;
}

/// Filler for [begin, end) of the payload; the checksum stays as right, or as wrong, as it was.
void StreamRedactor::fill(Held& h, size_t begin, size_t end) {
  if (begin >= end) return;
  h.touched = true;
  auto* const bytes = reinterpret_cast<uint8_t*>(h.bytes.data());
  const bool tcp = h.tuple.transport == net::Transport::kTcp;
  const size_t field = h.header_at + (tcp ? 16 : 6);
  const uint16_t old = load_be16(bytes + field);
  bool fix = tcp || old != 0;  // a datagram without a checksum has none
  const Bytes segment(bytes + h.header_at, h.payload_at + h.payload_size - h.header_at);
  if (fix && h.missing == 0) {
    // What was wrong stays wrong; what the network card was to complete stays incomplete.
    uint32_t sum = 0;
    for (const net::Endpoint* e : {&h.tuple.src, &h.tuple.dst})
      sum = sum_of(Bytes(e->ip.bytes).subspan(e->ip.is_v4() ? 12 : 0), sum);
    sum += (tcp ? 6u : 17u) + static_cast<uint32_t>(segment.size());
    fix = sum_of(segment, sum) == 0xFFFF;
  }
  // RFC 1624: from the words that change, whatever else is in the packet.
  const size_t first = (h.payload_at - h.header_at + begin) & ~size_t{1};
  const size_t last = std::min((h.payload_at - h.header_at + end + 1) & ~size_t{1}, segment.size());
  const uint32_t before = sum_of(segment.subspan(first, last - first));
  std::fill_n(bytes + h.payload_at + begin, end - begin, kFiller);
  if (!fix) return;
  const uint32_t after = sum_of(segment.subspan(first, last - first));
  uint32_t sum = (~uint32_t{old} & 0xFFFF) + (~before & 0xFFFF) + after;
  while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
  uint32_t fresh = ~sum & 0xFFFF;
  if (!tcp && fresh == 0) fresh = 0xFFFF;
  bytes[field] = static_cast<uint8_t>(fresh >> 8);
  bytes[field + 1] = static_cast<uint8_t>(fresh);
}

void StreamRedactor::blank(Held& h) {
  if (h.readable) {
    if (h.payload_size == 0) return;
    fill(h, 0, h.payload_size);
    ++tally_.blanked;
    tally_.blanked_bytes += h.payload_size;
    return;
  }
  // No transport that is read here, or a fragment: the network's header is all that is kept.
  const Bytes b = as_bytes(h.bytes);
  size_t keep = std::min<size_t>(b.size(), 14);
  if (h.facts.link == net::LinkType::kEthernet && b.size() >= 34) {
    const uint16_t type = load_be16(&b[12]);
    if (type == 0x0800) keep = std::min<size_t>(b.size(), 14 + size_t{4} * (b[14] & 15));
    if (type == 0x86DD) keep = std::min<size_t>(b.size(), 54);
  }
  std::fill(h.bytes.begin() + static_cast<ptrdiff_t>(keep), h.bytes.end(), static_cast<char>(kFiller));
  h.touched = keep < b.size();
  ++tally_.blanked;
  tally_.blanked_bytes += b.size() - keep;
}

void StreamRedactor::let_go(Held& h, const Emit& emit) {
  if (h.touched) ++tally_.packets;
  // What the link adds behind the datagram may be anything.
  if (h.readable && h.payload_size != 0)
    std::fill(h.bytes.begin() + static_cast<ptrdiff_t>(h.payload_at + h.payload_size), h.bytes.end(), '\0');
  h.facts.bytes = as_bytes(h.bytes);
  emit(h.facts);
}

}  // namespace baleen::record
