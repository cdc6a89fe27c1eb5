#include "dissect/ftp/ftp.h"

#include "net/address.h"

namespace baleen::dissect::ftp {

using item::Field;
using item::Item;
using item::Value;
using enum item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {21};
constexpr Field kFields[] = {
    {"request.method", "ftp_command", kString, "The command: USER, PASS, RETR, STOR, LIST, QUIT."},
    {"request.summary", "ftp_summary", kString, "The argument: file, directory, user; nothing of PASS."},
    {"request.argument", "", kString, "What follows the command."},
    {"request.password", "", kString, "The argument of PASS, ACCT and ADAT.", true},
    {"request.dataAddress", "", kString, "Where PORT and EPRT ask the server to connect to: address and port."},
    {"response.code", "ftp_code", kInt, "Code of the final reply: 226, 530."},
    {"response.status", "", kString, "The code as text."},
    {"response.text", "", kString, "Text of the reply."},
    {"response.lines", "", kList, "Lines of a reply that has several."},
    {"response.preliminary", "", kInt, "Code of the reply before the final one, such as 150."},
    {"response.dataAddress", "", kString,
     "Where the answer to PASV and EPSV lets the client connect to: address and port of the data connection."},
    {"response.dataConnection", "", kMap,
     "Of RETR, STOR, STOU, APPE, LIST, NLST and MLSD: the connection that carried the file or the list. `address` is "
     "where "
     "it was opened to, `mode` by whom: passive by the client, active by the server."},
    {"data.code", "", kInt, "Code of the greeting."},
    {"data.text", "", kString, "Text of the greeting."},
};

constexpr std::string_view kCommands[] = {
    "USER", "PASS", "ACCT", "CWD",  "CDUP", "SMNT", "QUIT", "REIN", "PORT", "PASV", "TYPE", "STRU",
    "MODE", "RETR", "STOR", "STOU", "APPE", "ALLO", "REST", "RNFR", "RNTO", "ABOR", "DELE", "RMD",
    "MKD",  "PWD",  "LIST", "NLST", "SITE", "SYST", "STAT", "HELP", "NOOP", "FEAT", "OPTS", "AUTH",
    "PBSZ", "PROT", "CCC",  "EPRT", "EPSV", "MLSD", "MLST", "SIZE", "MDTM", "LANG", "HOST", "CLNT",
    "XPWD", "XCUP", "XMKD", "XRMD", "XCWD", "ADAT", "MIC",  "CONF", "ENC",  "LPRT", "LPSV", "MFMT",
    "MFCT", "MFF",  "HASH", "XCRC", "XMD5", "AVBL", "COMB", "DSIZ", "RANG", "THMB", "XSHA1"};
constexpr std::string_view kTransfers[] = {"RETR", "STOR", "STOU", "APPE", "LIST", "NLST", "MLSD"};
constexpr size_t kMaxLine = 8192;

/// "10,0,0,1,7,138" (RFC 959 4.1.2), anywhere in the text, as "10.0.0.1:1930".
std::string_view host_port(std::string_view text, Arena& arena) {
  for (size_t from = text.find_first_of("0123456789"); from != std::string_view::npos;
       from = text.find_first_of("0123456789", from)) {
    uint64_t n[6];
    size_t have = 0, at = from;
    while (have < 6) {
      const size_t end = std::min(text.find_first_not_of("0123456789", at), text.size());
      const auto number = number_of(text.substr(at, end - at));
      if (!number || *number > 255) break;
      n[have++] = *number;
      at = end;
      if (have < 6 && (at >= text.size() || text[at++] != ',')) break;
    }
    if (have == 6)
      return join({decimal(n[0], arena), ".", decimal(n[1], arena), ".", decimal(n[2], arena), ".",
                   decimal(n[3], arena), ":", decimal(n[4] << 8 | n[5], arena)},
                  arena);
    from = std::max(at, from + 1);
  }
  return {};
}

/// "|1|10.0.0.1|1930|" of EPRT, "|||1930|" of a reply to EPSV (RFC 2428), with the address "host" where none is named.
std::string_view extended_port(std::string_view text, std::string_view host, Arena& arena) {
  const size_t open = text.find_first_of("|!(");
  if (open == std::string_view::npos) return {};
  text.remove_prefix(text[open] == '(' ? open + 1 : open);
  if (text.size() < 5) return {};
  const char mark = text[0];
  std::string_view part[3];
  text.remove_prefix(1);
  for (std::string_view& p : part) {
    const size_t end = text.find(mark);
    if (end == std::string_view::npos) return {};
    p = text.substr(0, end);
    text.remove_prefix(end + 1);
  }
  if (!number_of(part[2]) || !is_printable(part[1])) return {};
  if (!part[1].empty()) host = part[1];
  const bool six = host.find(':') != std::string_view::npos;
  return join({six ? "[" : "", host, six ? "]:" : ":", part[2]}, arena);
}

std::string_view server_address(const Output& out, Arena& arena) {
  char text[46];
  return arena.copy(std::string_view(text, net::write_address(out.server().ip, text)));
}

bool is_transfer(std::string_view command) {
  return std::find(std::begin(kTransfers), std::end(kTransfers), command) != std::end(kTransfers);
}

bool is_command(std::string_view word) {
  return std::any_of(std::begin(kCommands), std::end(kCommands),
                     [&](std::string_view c) { return same_word(c, word); });
}

}  // namespace

const item::Protocol Ftp::kProtocol = {
    .name = "ftp",
    .version = "1",
    .abbreviation = "FTP",
    .long_name = "File Transfer Protocol",
    .macro = "ftp",
    .reference = "https://datatracker.ietf.org/doc/html/rfc959",
    .background = "#5a5a8a",
    .foreground = "#ffffff",
    .priority = 10,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.method",
    .summary_path = "request.summary",
    .status_path = "response.status",
};

Probe Ftp::probe(const Input& in) {
  const std::string_view t = as_text(in.bytes);
  const size_t end = t.find('\n');
  if (in.direction == Direction::kToServer) {
    for (const std::string_view w : {"USER ", "FEAT\r", "SYST\r", "AUTH TLS\r", "AUTH SSL\r", "PASV\r", "EPSV\r"}) {
      if (starts_with_word(w, t)) return Probe::kUnsure;
      if (!starts_with_word(t, w)) continue;
      if (end == std::string_view::npos) return t.size() > 300 ? Probe::kNo : Probe::kUnsure;
      // IRC's USER has four words.
      return is_printable(without_end(t.substr(0, end + 1))) &&
                     t.substr(w.size(), end - w.size()).find(" :") == std::string_view::npos
                 ? Probe::kYes
                 : Probe::kNo;
    }
    return Probe::kNo;
  }
  if (t.empty()) return Probe::kUnsure;
  if (!std::string_view("220").starts_with(t.substr(0, 3)) || (t.size() > 3 && t[3] != ' ' && t[3] != '-'))
    return Probe::kNo;
  if (end == std::string_view::npos) return t.size() > 600 ? Probe::kNo : Probe::kUnsure;
  const std::string_view line = t.substr(0, end);
  if (line.find("SMTP") != std::string_view::npos) return Probe::kNo;
  return line.find("FTP") != std::string_view::npos ? Probe::kYes : Probe::kUnsure;
}

Probe Ftp::begins(Direction d, Bytes b) {
  const std::string_view t = as_text(b);
  if (d == Direction::kToServer) {
    const size_t end = t.substr(0, 512).find_first_of(" \r\n");
    if (end == std::string_view::npos) return t.size() < 5 && is_printable(t) ? Probe::kUnsure : Probe::kNo;
    return end >= 3 && is_command(t.substr(0, end)) ? Probe::kYes : Probe::kNo;
  }
  if (t.size() < 4) return Probe::kUnsure;
  return ReplyScan::is_code(t) && (t[3] == ' ' || t[3] == '-') ? Probe::kYes : Probe::kNo;
}

Measure Ftp::measure(Direction d, Bytes b) {
  if (d == Direction::kToClient) return replies_.measure(b);
  const Measure end = lines_.line(d, b, kMaxLine);
  if (end.kind != Measure::Kind::kFrame) return end;
  const auto line = static_cast<size_t>(end.bytes);
  return Measure::frame(line);
}

/// Each transfer has a connection of its own, which the command before it has agreed on (RFC 959 3.2, 5.2): to the
/// address in the answer to PASV or EPSV, or to that of PORT or EPRT.
void Ftp::tell_data_connection(Item& item, int code, MapOf& response) {
  const Value request = item.request.payload;
  const std::string_view method = request["method"].text();
  const bool announced = code == 227 || code == 229;
  if (announced || ((method == "PORT" || method == "EPRT") && code / 100 == 2)) {
    std::string_view address = request["dataAddress"].text();
    for (const item::Member& m : response.kept())
      if (announced && m.name == "dataAddress") address = m.value.text();
    data_address_ = address;
    passive_ = announced;
  } else if (is_transfer(method) && !data_address_.empty()) {
    MapOf map(item.arena);
    map.add("mode", passive_ ? "passive" : "active");
    map.add("address", item.arena.copy(data_address_));
    response.add("dataConnection", map.build());
    data_address_.clear();
  }
}

Step Ftp::message(const Frame& frame, Output& out) {
  if (frame.to_server()) {
    Item* const item = out.begin(kProtocol);
    Arena& arena = item->arena;
    std::string_view rest = without_end(arena.copy(as_text(frame.bytes)));
    while (!rest.empty() && (rest[0] & 0x80) != 0) rest.remove_prefix(1);  // Telnet's IP and Synch before ABOR
    const std::string_view word = upper(next_word(rest), arena), argument = trimmed(rest);
    const bool secret = word == "PASS" || word == "ACCT" || word == "ADAT";
    MapOf map(arena);
    map.add("method", text_or_bytes(word));
    map.add(secret ? "password" : "argument", text_or_bytes(argument));
    map.add("summary", secret ? Value("") : text_or_bytes(argument));
    if (word == "PORT") map.add_text("dataAddress", host_port(argument, arena));
    if (word == "EPRT") map.add_text("dataAddress", extended_port(argument, {}, arena));
    set(item->request, map.build(), frame);
    waiting_.ask(item, out);
    return Step::took(frame.size);
  }
  const int code = ReplyScan::code_of(as_text(frame.bytes));
  if (code < 200 && waiting_.front() != nullptr) {  // a preliminary reply: the final one follows (RFC 959 4.2.1)
    Item* const item = waiting_.front();
    item->match_key = static_cast<uint64_t>(code);
    return Step::took(frame.size);
  }
  Item* item = waiting_.answer();
  const bool greeting = item == nullptr && (code == 220 || code == 120 || code == 421);
  if (item == nullptr) item = greeting ? out.begin(kProtocol) : begin_orphan(kProtocol, out);
  MapOf map(item->arena);
  describe_reply(item->arena.copy(as_text(frame.bytes)), map, item->arena);
  if (item->match_key != 0) map.add("preliminary", item->match_key);
  const std::string_view text = trimmed(map.kept()[2].value.text());
  if (code == 227) map.add_text("dataAddress", host_port(text, item->arena));
  if (code == 229) map.add_text("dataAddress", extended_port(text, server_address(out, item->arena), item->arena));
  tell_data_connection(*item, code, map);
  set(greeting ? item->data : item->response, map.build(), frame);
  const bool tls = code == 234 && item->request.payload["method"].text() == "AUTH";
  if (greeting) {
    finish_single(item, out);
  } else {
    out.finish(item);
  }
  return tls ? Step::switch_to("tls", frame.size) : Step::took(frame.size);
}

}  // namespace baleen::dissect::ftp
