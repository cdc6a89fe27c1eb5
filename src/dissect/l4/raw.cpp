#include "dissect/l4/raw.h"

#include <algorithm>

namespace baleen::dissect::l4 {

using item::Value;

namespace {

constexpr Name kChunks[] = {
    {0, "Data"},         {1, "Init"},       {2, "InitAck"},       {3, "Sack"},        {4, "Heartbeat"},
    {5, "HeartbeatAck"}, {6, "Abort"},      {7, "Shutdown"},      {8, "ShutdownAck"}, {9, "Error"},
    {10, "CookieEcho"},  {11, "CookieAck"}, {12, "Ecne"},         {13, "Cwr"},        {14, "ShutdownComplete"},
    {15, "Auth"},        {64, "IData"},     {128, "AsconfAck"},   {130, "ReConfig"},  {132, "Pad"},
    {192, "ForwardTsn"}, {193, "Asconf"},   {194, "IForwardTsn"},
};

// https://www.iana.org/assignments/sctp-parameters, "SCTP Payload Protocol Identifiers"
constexpr Name kProtocols[] = {
    {0, "Unspecified"},
    {1, "IUA"},
    {2, "M2UA"},
    {3, "M3UA"},
    {4, "SUA"},
    {5, "M2PA"},
    {6, "V5UA"},
    {7, "H.248"},
    {8, "BICC"},
    {9, "TALI"},
    {10, "DUA"},
    {11, "ASAP"},
    {12, "ENRP"},
    {13, "H.323"},
    {14, "Q.IPC"},
    {15, "SIMCO"},
    {16, "DDP segment"},
    {17, "DDP control"},
    {18, "S1AP"},
    {19, "RUA"},
    {20, "HNBAP"},
    {21, "ForCES-HP"},
    {22, "ForCES-MP"},
    {23, "ForCES-LP"},
    {24, "SBc-AP"},
    {25, "NBAP"},
    {27, "X2AP"},
    {28, "IRCP"},
    {29, "LCS-AP"},
    {30, "MPICH2"},
    {31, "SABP"},
    {32, "FGP"},
    {33, "PPP"},
    {34, "CALCAPP"},
    {35, "SSP"},
    {36, "NPMP-CONTROL"},
    {37, "NPMP-DATA"},
    {38, "ECHO"},
    {39, "DISCARD"},
    {40, "DAYTIME"},
    {41, "CHARGEN"},
    {42, "3GPP RNA"},
    {43, "3GPP M2AP"},
    {44, "3GPP M3AP"},
    {45, "SSH"},
    {46, "Diameter"},
    {47, "Diameter DTLS"},
    {48, "R14P"},
    {49, "GDT"},
    {50, "WebRTC DCEP"},
    {51, "WebRTC String"},
    {52, "WebRTC Binary Partial"},
    {53, "WebRTC Binary"},
    {54, "WebRTC String Partial"},
    {55, "3GPP PUA"},
    {56, "WebRTC String Empty"},
    {57, "WebRTC Binary Empty"},
    {58, "3GPP XwAP"},
    {59, "3GPP Xw-Control Plane"},
    {60, "NGAP"},
    {61, "XnAP"},
    {62, "F1AP"},
    {63, "HTTP"},
    {64, "E1AP"},
    {65, "ELE2"},
    {66, "NGAP DTLS"},
    {67, "XnAP DTLS"},
    {68, "F1AP DTLS"},
    {69, "E1AP DTLS"},
    {70, "E2-CP"},
    {71, "E2-UP"},
    {72, "E2-DU"},
    {73, "W1AP"},
};

struct Flag {
  uint8_t bit;
  std::string_view name;
};
constexpr Flag kFlags[] = {{net::tcp_flag::kSyn, "SYN"}, {net::tcp_flag::kFin, "FIN"}, {net::tcp_flag::kRst, "RST"},
                           {net::tcp_flag::kPsh, "PSH"}, {net::tcp_flag::kAck, "ACK"}, {net::tcp_flag::kUrg, "URG"}};

std::string_view flags_text(uint8_t flags, Arena& arena) {
  char text[32];
  size_t size = 0;
  for (const Flag& f : kFlags) {
    if ((flags & f.bit) == 0) continue;
    if (size != 0) text[size++] = ',';
    std::copy(f.name.begin(), f.name.end(), text + size);
    size += f.name.size();
  }
  return arena.copy(std::string_view(text, size));
}

void add_payload(Bytes payload, size_t cap, MapOf& data, Arena& arena) {
  if (payload.empty()) return;
  const bool cut = payload.size() > cap;
  data.add("payload", text_or_bytes(arena.copy(as_text(payload.first(std::min(cap, payload.size())))), cut));
}

/// What Wireshark calls tcp.analysis: the number that this segment made larger says what it is.
Value analysis(const TcpSide& before, const TcpSide& after, Arena& arena) {
  const struct {
    uint32_t TcpSide::* number;
    std::string_view name;
  } kinds[] = {
      {&TcpSide::fast_retransmissions, "fast_retransmission"},
      {&TcpSide::retransmissions, "retransmission"},
      {&TcpSide::out_of_order, "out_of_order"},
      {&TcpSide::missing, "lost_segment"},
      {&TcpSide::duplicate_acks, "duplicate_ack"},
      {&TcpSide::zero_windows, "zero_window"},
      {&TcpSide::full_windows, "window_full"},
      {&TcpSide::keep_alives, "keep_alive"},
  };
  ListOf list(arena);
  for (const auto& kind : kinds)
    if (after.*kind.number > before.*kind.number) list.push(Value(kind.name));
  return list.empty() ? Value() : list.build();
}

}  // namespace

std::string_view chunk_name(uint8_t type, Arena& arena) {
  const std::string_view name = name_in(kChunks, type);
  return !name.empty() ? name : join({"Type", decimal(type, arena)}, arena);
}

std::string_view sctp_protocol_name(uint32_t protocol, Arena& arena) {
  const std::string_view name = name_in(kProtocols, protocol);
  return !name.empty() ? name : decimal(protocol, arena);
}

std::string_view tcp_method(const net::Decoded& d) {
  const uint8_t flags = d.tcp.flags;
  if ((flags & net::tcp_flag::kRst) != 0) return "RST";
  if ((flags & net::tcp_flag::kSyn) != 0) return (flags & net::tcp_flag::kAck) != 0 ? "SYN-ACK" : "SYN";
  if (!d.payload.empty() || d.payload_missing != 0) return "DATA";
  return (flags & net::tcp_flag::kFin) != 0 ? "FIN" : "";
}

void describe_tcp(const net::Decoded& d, const TcpSide& before, const TcpSide& after, size_t cap, MapOf& data,
                  Arena& arena) {
  const std::string_view flags = flags_text(d.tcp.flags, arena);
  const uint64_t length = d.payload.size() + uint64_t{d.payload_missing};
  data.add("method", tcp_method(d));
  data.add("flags", flags);
  data.add("seq", Value(uint64_t{d.tcp.seq}));
  data.add("ack", Value(uint64_t{d.tcp.ack}));
  data.add("window", Value(int{d.tcp.window}));
  data.add("length", Value(length));
  data.add("checksum", Value(uint64_t{d.checksum}));
  add_payload(d.payload, cap, data, arena);
  if (const Value odd = analysis(before, after, arena); !odd.is_null()) data.add("analysis", odd);
  data.add("summary", join({"[", flags, "] seq ", decimal(d.tcp.seq, arena), " ack ", decimal(d.tcp.ack, arena), ", ",
                            decimal(length, arena), " bytes"},
                           arena));
}

void describe_udp(const net::Decoded& d, size_t cap, MapOf& data, Arena& arena) {
  const uint64_t length = 8 + d.payload.size() + uint64_t{d.payload_missing};
  data.add("length", Value(length));
  data.add("checksum", Value(uint64_t{d.checksum}));
  add_payload(d.payload, cap, data, arena);
  data.add("summary", join({decimal(d.tuple.src.port, arena), " -> ", decimal(d.tuple.dst.port, arena), ", ",
                            decimal(length - 8, arena), " bytes"},
                           arena));
}

void describe_sctp(const net::Decoded& d, size_t cap, MapOf& data, Arena& arena) {
  ListOf chunks(arena);
  std::string_view names, telling;
  net::SctpChunks each(d.payload, d.payload_missing);
  net::SctpChunk chunk;
  size_t room = cap;
  while (each.next(chunk)) {
    const std::string_view name = chunk_name(chunk.type, arena);
    // An ABORT ends all; otherwise the first tells most that is no acknowledgement.
    if (telling.empty() || telling == "Sack" || chunk.type == net::sctp_chunk::kAbort) telling = name;
    if (chunks.size() < chunks.kMost)
      names = names.empty() ? name : names.size() > 256 ? names : join({names, ", ", name}, arena);
    MapOf map(arena);
    map.add("type", name);
    map.add("flags", Value(int{chunk.flags}));
    map.add("length", Value(4 + chunk.body.size() + uint64_t{chunk.missing}));
    const auto content = net::sctp_data(chunk);
    if (content) {
      map.add("tsn", Value(uint64_t{content->tsn}));
      map.add("stream", Value(int{content->stream}));
      map.add("sequence", Value(uint64_t{content->sequence}));
      if (content->begins) {
        map.add("protocolId", Value(uint64_t{content->protocol}));
        map.add("protocol", sctp_protocol_name(content->protocol, arena));
      }
      add_payload(content->bytes, room, map, arena);
      room -= std::min(room, content->bytes.size());
    }
    chunks.push(map.build());
  }
  data.add("chunkType", telling);
  data.add("length", Value(12 + d.payload.size() + uint64_t{d.payload_missing}));
  data.add("checksum", Value(uint64_t{d.checksum}));
  data.add("verificationTag", Value(uint64_t{d.sctp_tag}));
  data.add("chunks", chunks.build());
  data.add("summary", names);
}

}  // namespace baleen::dissect::l4
