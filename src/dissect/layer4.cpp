#include <algorithm>

#include "dissect/association.h"
#include "dissect/build.h"
#include "dissect/engine.h"
#include "dissect/l4/cards.h"
#include "dissect/l4/icmp.h"
#include "dissect/l4/raw.h"
#include "item/flow_id.h"

// Items that speak of packets and flows, whatever these carry. An ICMP error belongs to the flow of the packet that it
// quotes, so that who looks at a stream sees why it failed; all other ICMP packets between two hosts are a stream of
// their own.

namespace baleen::dissect {
namespace {

using item::Value;

constexpr size_t kMostReports = 4096;  // of a second

/// Not a redirect, and not that a packet was too big: those do not stop the flow.
bool is_error(const net::Decoded& d) {
  const uint8_t type = d.icmp.type;
  return d.tuple.transport == net::Transport::kIcmp6 ? type == 1 || type == 3 || type == 4
                                                     : (type == 3 && d.icmp.code != 4) || type == 11 || type == 12;
}

std::string_view name_of(StreamEnd end) {
  switch (end) {
    case StreamEnd::kFin: return "fin";
    case StreamEnd::kReset: return "reset";
    case StreamEnd::kIdle: return "idle";
    case StreamEnd::kReused: return "reused";
    case StreamEnd::kEvicted: return "evicted";
    case StreamEnd::kFinished: return "";
  }
  return "";
}

void add_traffic(MapOf& data, const l4::Traffic& sent, int local) {
  data.add("local_pkts", Value(sent.packets[local]));
  data.add("local_bytes", Value(sent.bytes[local]));
  data.add("remote_pkts", Value(sent.packets[1 - local]));
  data.add("remote_bytes", Value(sent.bytes[1 - local]));
}

/// Per second, over at least one.
void add_rates(MapOf& data, const l4::Traffic& sent, int local, Duration time) {
  const double seconds = std::max(1.0, std::chrono::duration<double>(time).count());
  const auto rate = [&](uint64_t n) { return Value(static_cast<uint64_t>(static_cast<double>(n) / seconds + 0.5)); };
  data.add("local_pps", rate(sent.packets[local]));
  data.add("local_bps", rate(sent.bytes[local]));
  data.add("remote_pps", rate(sent.packets[1 - local]));
  data.add("remote_bps", rate(sent.bytes[1 - local]));
}

bool has_begun(const Flow& flow) {
  const l4::Traffic& sent = flow.connection->sent;
  return flow.key.transport == net::Transport::kUdp || (sent.packets[0] != 0 && sent.packets[1] != 0);
}

/// What only an association has. REQUIRES: it is followed.
void add_association(MapOf& data, const Flow& flow, Arena& arena) {
  const l4::Connection& c = *flow.connection;
  data.add_text("abort_cause", l4::abort_cause_name(c.abort_cause, arena));
  if (flow.session) {
    ListOf protocols(arena);
    for (const uint32_t protocol : static_cast<const Association&>(*flow.session).protocols)
      protocols.push(Value(l4::sctp_protocol_name(protocol, arena)));
    if (!protocols.empty()) data.add("protocols", protocols.build());
  }
  data.add("sctp_metrics", l4::sctp_metrics(c, flow.client_half, arena));
}

std::string_view summary(std::string_view state, std::string_view end, const l4::Traffic& sent, const Value& protocols,
                         Arena& arena) {
  std::string_view text = end.empty() ? state : join({state, " by ", end}, arena);
  text = join({text, ", ", decimal(sent.all_packets(), arena), " packets, ",
               decimal(sent.bytes[0] + sent.bytes[1], arena), " bytes"},
              arena);
  for (const Value& protocol : protocols.elements()) text = join({text, ", ", protocol.text()}, arena);
  return text;
}

uint64_t flow_id_of(const Flow& flow) {
  return item::flow_id(flow.client().ip, flow.server(), flow.key.transport == net::Transport::kUdp);
}

Value joined_flow(const Flow& flow, Arena& arena) {
  MapOf map(arena);
  map.add("stream", Value(flow.stream));
  map.add("client", arena.copy(net::to_string(flow.client())));
  map.add("server", arena.copy(net::to_string(flow.server())));
  if (flow.connection != nullptr && flow.connection->protocols[0] != nullptr)
    map.add("l7", Value(flow.connection->protocols[0]->abbreviation));
  return map.build();
}

}  // namespace

void Engine::on_icmp(const net::Packet& packet, const Slot& slot) {
  ++counters_.icmp_packets;
  const net::Decoded& d = slot.decoded;
  Flow* flow = nullptr;
  bool joined = false;
  if (!d.icmp.quoted.empty()) {
    if (const auto quoted = net::quoted_tuple(d.icmp.quoted)) {
      const net::FlowKey key = net::flow_key(*quoted).key;
      flow = table_.find(key, table_.hash(key));
      joined = flow != nullptr;
    }
  }
  if (joined && flow->connection != nullptr && is_error(d)) {
    flow->connection->icmp = true;
    flow->connection->icmp_v6 = d.tuple.transport == net::Transport::kIcmp6;
    flow->connection->icmp_type = d.icmp.type;
    flow->connection->icmp_code = d.icmp.code;
  }
  if (!options_.l4.icmp) return tell_loose(packet);
  if (!joined) {
    flow = table_.find(slot.key.key, slot.hash);
    if (flow == nullptr) flow = open(slot, Flow::List::kUdp, packet);
    if (!flow->session) flow->session = std::make_unique<l4::Echoes>();
    flow->state = Flow::State::kIgnored;  // nothing to detect
    touch_udp(*flow, packet.time);
  }
  flow_ = flow;
  tell(*flow, packet, d);
  if (!is_sampled(flow->key)) return;
  item::Item* const item = begin(l4::kIcmp);
  MapOf data(item->arena);
  l4::describe_icmp(d, data, item->arena);
  if (joined) {
    data.add("flow", joined_flow(*flow, item->arena));
  } else if (const auto rtt = static_cast<l4::Echoes&>(*flow->session).pair(d, packet.time)) {
    data.add("rtt_us", Value(int64_t{rtt->count() / 1000}));
  }
  data.add("flow_id", Value(flow_id_of(*flow)));
  item->outcome = item::Outcome::kSingle;
  item->data = {data.build(), packet.time, uint64_t{4} + d.payload.size() + d.payload_missing, true};
  finish_between(item, d.tuple.src, d.tuple.dst);
}

// ---- packets ----

/// Of a datagram, or of a packet of SCTP.
void Engine::tell_raw(const Flow& flow, const net::Packet& packet, const net::Decoded& d) {
  if (!is_sampled(flow.key)) return;
  const bool udp = d.tuple.transport == net::Transport::kUdp;
  item::Item* const item = begin(udp ? l4::kUdp : l4::kSctp);
  MapOf data(item->arena);
  (udp ? l4::describe_udp : l4::describe_sctp)(d, options_.settings.body_cap, data, item->arena);
  item->outcome = item::Outcome::kSingle;
  finish_raw(item, data, flow, packet, d);
}

void Engine::tell_segment(const Flow& flow, int from, const net::Packet& packet, const net::Decoded& d) {
  l4::Connection* const c = flow.connection;
  const l4::TcpSide before = c != nullptr ? c->side[from] : l4::TcpSide{};
  if (c != nullptr) c->observe_tcp(from, d, packet.time, flow.client_half);
  if (l4::tcp_method(d).empty() || !is_sampled(flow.key)) return;
  item::Item* const item = begin(l4::kTcp);
  MapOf data(item->arena);
  l4::describe_tcp(d, before, c != nullptr ? c->side[from] : before, options_.settings.body_cap, data, item->arena);
  const bool reset = (d.tcp.flags & net::tcp_flag::kRst) != 0;
  item->outcome = reset ? item::Outcome::kConnection : item::Outcome::kSingle;
  if (reset)
    item->error_message =
        c != nullptr && c->refused ? "Reset: the connection was refused" : "Reset: the connection was reset";
  finish_raw(item, data, flow, packet, d);
}

/// A connection ended badly, and no packet said so.
void Engine::tell_failure(const Flow& flow, std::string_view failure, Timestamp time) {
  item::Item* const item = begin(l4::kTcp);
  MapOf data(item->arena);
  const std::string_view text = item->arena.copy(failure);
  data.add("method", text.substr(0, text.find(':')));
  data.add("flow_id", Value(flow_id_of(flow)));
  data.add("summary", text);
  item->outcome = item::Outcome::kConnection;
  item->error_message = text;
  item->data = {data.build(), time, 0, true};
  finish_between(item, flow.client(), flow.server());
}

void Engine::finish_raw(item::Item* item, MapOf& data, const Flow& flow, const net::Packet& packet,
                        const net::Decoded& d) {
  data.add("flow_id", Value(flow_id_of(flow)));
  item->data = {data.build(), packet.time, d.payload.size() + uint64_t{d.payload_missing}, true};
  finish_between(item, d.tuple.src, d.tuple.dst);
}

// ---- connections ----

/// That over which the conversation in hand runs; null when it is not followed.
l4::Connection* Engine::connection_of(Flow& flow) const {
  if (Flow& outer = outermost(flow); !is_channel(outer)) return outer.connection;
  if (!options_.l4.of_sctp()) return nullptr;
  const Flow* const association = find_channel(outermost(flow), 0);
  return association != nullptr ? association->connection : nullptr;
}

void Engine::watch(Flow& flow, Timestamp time) { flow.connection = connections_.take(&flow, time, now_); }

/// Says what came of the connection, and forgets it.
void Engine::end_watch(Flow& flow, StreamEnd end) {
  l4::Connection* const c = flow.connection;
  flow_ = &flow;
  report(flow, end != StreamEnd::kFinished ? "closed" : has_begun(flow) ? "in_progress" : "open", end);
  if (c->group != nullptr) groups_.leave(c->group, now_);
  flow.connection = nullptr;
  connections_.give(c);
}

/// Connections that go on say so from time to time.
void Engine::report_due() {
  for (size_t n = 0; n < kMostReports; ++n) {
    l4::Connection* const c = connections_.oldest();
    if (c == nullptr || now_ - c->reported_at < options_.l4_report) break;
    Flow& flow = *c->flow;
    if (flow.key.transport == net::Transport::kUdp && now_ - c->last > options_.l4_quiet) {
      end_watch(flow, StreamEnd::kIdle);
      continue;
    }
    flow_ = &flow;
    if (c->sent.all_packets() != c->reported.all_packets())
      report(flow, has_begun(flow) ? "in_progress" : "open", StreamEnd::kFinished);
    connections_.requeue(c, now_);
  }
  close_quiet_groups(false);
}

void Engine::report(Flow& flow, std::string_view state, StreamEnd end) {
  l4::Connection& c = *flow.connection;
  const net::Transport transport = flow.key.transport;
  const bool tcp = transport == net::Transport::kTcp, sctp = transport == net::Transport::kSctp;
  const bool closed = state == "closed";
  const int local = flow.client_half;
  const l4::Traffic fresh = c.sent.since(c.reported);
  if (!sctp) count_in_group(flow, fresh);
  if (tcp ? options_.l4.tcp_conn : sctp ? options_.l4.sctp_conn : options_.l4.udp_conn) {
    item::Item* const item = begin(tcp ? l4::kTcpConn : sctp ? l4::kSctpConn : l4::kUdpConn);
    Arena& arena = item->arena;
    const Value protocols = l4::protocols_seen(c.protocols, arena);
    MapOf data(arena);
    data.add("state", Value(state));
    data.add_text("closed_by", closed ? name_of(end) : "");
    add_traffic(data, c.sent, local);
    const bool whole = closed || end == StreamEnd::kFinished;
    add_rates(data, whole ? c.sent : fresh, local, whole ? c.last - c.begin : now_ - c.reported_at);
    data.add("group_id", Value(flow_id_of(flow)));
    data.add("l7_detected", protocols);
    data.add("start_time", Value(to_ms(c.begin)));
    data.add("duration_us", Value(int64_t{(c.last - c.begin).count() / 1000}));
    if (c.icmp) data.add("icmp_error", l4::icmp_name(c.icmp_v6, c.icmp_type, c.icmp_code, arena));
    data.add("summary", summary(state, closed ? name_of(end) : "", c.sent, protocols, arena));
    if (tcp) data.add("tcp_metrics", l4::tcp_metrics(c, local, arena));
    if (sctp) add_association(data, flow, arena);
    const bool reset = end == StreamEnd::kReset, idle = end == StreamEnd::kIdle;
    item->error_message = sctp ? c.sctp_failure(reset, idle, arena) : c.failure(reset, idle, arena);
    item->outcome = item->error_message.empty() ? item::Outcome::kSingle : item::Outcome::kConnection;
    item->data = {data.build(), c.last, c.sent.bytes[0] + c.sent.bytes[1], true};
    finish_between(item, flow.client(), flow.server());
  }
  if (tcp && closed && options_.l4.tcp && end == StreamEnd::kIdle) {
    Arena scratch;
    if (const std::string_view why = c.failure(false, true, scratch); !why.empty()) tell_failure(flow, why, c.last);
  }
  c.reported = c.sent;
  l4::Group* const group = c.group;
  if (group == nullptr) return;
  group->stream = flow.stream;
  group->vlan = flow.vlan;
  group->index = flow.items++;
  if (now_ - group->reported_at < options_.l4_report) return;
  report_group(*group, false);
  group->index = flow.items++;
}

// ---- flows ----

void Engine::count_in_group(Flow& flow, const l4::Traffic& fresh) {
  l4::Connection& c = *flow.connection;
  if (c.group == nullptr) {
    if (groups_.full() && groups_.quietest() != nullptr) {
      report_group(*groups_.quietest(), true);
      groups_.erase(groups_.quietest());
    }
    c.group = groups_.join({flow.client().ip, flow.server(), flow.key.transport}, c.begin, now_);
    if (c.group == nullptr) {
      ++counters_.ungrouped;
      return;
    }
  }
  l4::Group& group = *c.group;
  const int local = flow.client_half;
  group.sent.add({{fresh.packets[local], fresh.packets[1 - local]}, {fresh.bytes[local], fresh.bytes[1 - local]}});
  group.begin = std::min(group.begin, c.begin);
  group.last = std::max(group.last, c.last);
  for (const item::Protocol* p : c.protocols) {
    if (p == nullptr) break;
    for (const item::Protocol*& seen : group.protocols) {
      if (seen == nullptr) seen = p;
      if (seen == p) break;
    }
  }
}

void Engine::report_group(l4::Group& group, bool closed) {
  const bool tcp = group.key.transport == net::Transport::kTcp;
  if (tcp ? !options_.l4.tcp_flow : !options_.l4.udp_flow) return;
  item::Item* const item = items_.take();
  Arena& arena = item->arena;
  item->protocol = tcp ? &l4::kTcpFlow : &l4::kUdpFlow;
  item->origin = options_.origin;
  item->source = options_.source;
  item->stream = group.stream;
  item->stream_kind = tcp ? item::StreamKind::kTcp : item::StreamKind::kUdp;
  item->vlan = group.vlan;
  item->index = group.index;
  item->client.address = {group.key.client, 0};
  item->server.address = group.key.server;
  const std::string_view state = closed ? "closed" : "in_progress";
  const Value protocols = l4::protocols_seen(group.protocols, arena);
  MapOf data(arena);
  data.add("state", Value(state));
  add_traffic(data, group.sent, 0);
  add_rates(data, closed ? group.sent : group.sent.since(group.reported), 0,
            closed ? group.last - group.begin : now_ - group.reported_at);
  data.add("group_id", Value(group.id));
  data.add("connections", Value(uint64_t{group.total}));
  data.add("l7_detected", protocols);
  data.add("start_time", Value(to_ms(group.begin)));
  data.add("duration_us", Value(int64_t{(group.last - group.begin).count() / 1000}));
  data.add("summary", summary(state, "", group.sent, protocols, arena));
  item->outcome = item::Outcome::kSingle;
  item->data = {data.build(), group.last, group.sent.bytes[0] + group.sent.bytes[1], true};
  group.reported = group.sent;
  group.reported_at = now_;
  count(Counter::kItems, 1);
  observer_.on_item(item::ItemRef(item));
}

void Engine::close_quiet_groups(bool all) {
  while (l4::Group* const group = groups_.quietest()) {
    if (!all && now_ - group->quiet_since < options_.l4_linger) return;
    report_group(*group, true);
    groups_.erase(group);
  }
}

}  // namespace baleen::dissect
