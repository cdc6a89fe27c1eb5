#include "dissect/smtp/smtp.h"

#include "dissect/kept_text.h"

namespace baleen::dissect::smtp {

using item::Field;
using item::Item;
using item::Value;
using enum item::FieldType;

/// A mail as far as it was sent.
struct Mail {
  Item* item;
  KeptText text;
  uint64_t size = 0;
  Timestamp time{};
  size_t matched = 2;  // how much of kMailEnd its last bytes are: before the first one a line has ended
};

namespace {

constexpr std::string_view kMailEnd = "\r\n.\r\n";  // RFC 5321 4.5.2
constexpr size_t kDotLine = 3;                      // that is no part of the mail

/// How much of `text` belongs to a mail whose last bytes are the first `matched` of kMailEnd, which then is how much of
/// it the last ones are: all of it at the mail's end.
size_t find_mail_end(std::string_view text, size_t& matched) {
  char seam[2 * kMailEnd.size()];  // an end that began in what came before
  size_t there = matched;
  std::copy_n(kMailEnd.begin(), there, seam);
  there += text.copy(seam + there, kMailEnd.size() - 1);
  size_t end = std::string_view(seam, there).find(kMailEnd);
  if (end != std::string_view::npos) {
    end += kMailEnd.size() - matched;
  } else {  // dots are rarer than ends of lines
    size_t dot = text.find('.', 2);
    while (dot < text.size() && (text[dot - 1] != '\n' || text.substr(dot - 2, kMailEnd.size()) != kMailEnd))
      dot = text.find('.', dot + 1);
    if (dot < text.size()) end = dot + 3;
  }
  if (end != std::string_view::npos) {
    matched = kMailEnd.size();
    return end;
  }
  const std::string_view last = text.size() < kMailEnd.size() ? std::string_view(seam, there) : text;
  matched = std::min(kMailEnd.size() - 1, last.size());
  while (!last.ends_with(kMailEnd.substr(0, matched))) --matched;
  return text.size();
}

constexpr uint16_t kPorts[] = {25, 587, 2525};
constexpr Field kFields[] = {
    {"request.method", "smtp_command", kString,
     "The command: EHLO, MAIL, RCPT, DATA, QUIT; MESSAGE is the mail itself."},
    {"request.summary", "smtp_summary", kString, "The argument: address, host; of the mail its subject."},
    {"request.argument", "", kString, "What follows the command."},
    {"request.address", "smtp_address", kString, "Address of MAIL and RCPT."},
    {"request.credentials", "", kString, "What AUTH says.", true},
    {"request.from", "", kString, "From of the mail."},
    {"request.to", "", kString, "To of the mail."},
    {"request.subject", "", kString, "Subject of the mail."},
    {"request.headers", "", kMap, "Headers of the mail."},
    {"request.body", "", kString, "The mail behind its headers."},
    {"request.bodySize", "", kInt, "Bytes of the mail, headers included; of BDAT of the chunk."},
    {"response.code", "smtp_code", kInt, "Reply code: 250, 550."},
    {"response.status", "", kString, "The code as text."},
    {"response.text", "", kString, "Text of the reply."},
    {"response.lines", "", kList, "Lines of a reply that has several."},
    {"data.code", "", kInt,
     "Code of a greeting, of another reply that nobody asked for, or of LMTP's for a further recipient."},
    {"data.text", "", kString, "Its text."},
};

constexpr std::string_view kCommands[] = {"EHLO", "HELO", "LHLO", "MAIL", "RCPT",     "DATA", "RSET", "NOOP",   "QUIT",
                                          "VRFY", "EXPN", "HELP", "AUTH", "STARTTLS", "BDAT", "ETRN", "XCLIENT"};
constexpr size_t kMaxLine = 12288;

/// "FROM:<a@b> SIZE=5" -> a@b
std::string_view address_of(std::string_view argument) {
  const size_t open = argument.find('<'), close = argument.find('>');
  return open != std::string_view::npos && close != std::string_view::npos && close > open
             ? argument.substr(open + 1, close - open - 1)
             : std::string_view();
}

/// "1000 LAST"
bool is_last_chunk(std::string_view argument) {
  next_word(argument);
  return same_word(trimmed(argument), "LAST");
}

uint64_t chunk_of(std::string_view line) {
  std::string_view rest = without_end(line);
  return same_word(next_word(rest), "BDAT") ? number_of(next_word(rest)).value_or(0) : 0;
}

/// Headers; returns what stands behind the empty line.
std::string_view read_headers(std::string_view text, MapOf& out, Arena& arena) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    const std::string_view line = without_end(text.substr(0, end));
    text.remove_prefix(end);
    if (line.empty()) return text;
    const size_t colon = line.find(':');
    if (line[0] == ' ' || line[0] == '\t' || colon == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, colon), value = unfolded(line.substr(colon + 1), text, arena);
    if (is_printable(name)) out.add(name, text_or_bytes(value));
  }
  return {};
}

/// What a mail's headers say, and its body.
Value describe_mail(std::string_view text, MapOf& map, Arena& arena) {
  MapOf headers(arena);
  const std::string_view body = read_headers(text, headers, arena);
  const Value all = Value::map(headers.take(), true);
  const auto named = [&](std::string_view name) -> Value {
    for (const item::Member& m : all.members())
      if (same_word(m.name, name)) return m.value;
    return {};
  };
  const Value subject = named("Subject");
  map.add("from", named("From"));
  map.add("to", named("To"));
  map.add("subject", subject);
  map.add("headers", all);
  map.add("body", text_or_bytes(body, true));
  return subject;
}

}  // namespace

const item::Protocol Smtp::kProtocol = {
    .name = "smtp",
    .version = "1",
    .abbreviation = "SMTP",
    .long_name = "Simple Mail Transfer Protocol",
    .macro = "smtp",
    .reference = "https://datatracker.ietf.org/doc/html/rfc5321",
    .background = "#8a6d00",
    .foreground = "#ffffff",
    .priority = 10,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.method",
    .summary_path = "request.summary",
    .status_path = "response.status",
};

Probe Smtp::probe(const Input& in) {
  const std::string_view t = as_text(in.bytes);
  const size_t end = t.find('\n');
  if (in.direction == Direction::kToServer) {
    for (const std::string_view w : {"EHLO ", "HELO ", "LHLO ", "MAIL FROM:", "RCPT TO:"}) {
      if (starts_with_word(t, w)) {
        if (end == std::string_view::npos) return t.size() > 600 ? Probe::kNo : Probe::kUnsure;
        return Probe::kYes;
      }
      if (starts_with_word(w, t)) return Probe::kUnsure;
    }
    return Probe::kNo;
  }
  if (t.empty()) return Probe::kUnsure;
  if (!std::string_view("220").starts_with(t.substr(0, 3)) || (t.size() > 3 && t[3] != ' ' && t[3] != '-'))
    return Probe::kNo;
  if (end == std::string_view::npos) return t.size() > 600 ? Probe::kNo : Probe::kUnsure;
  const std::string_view line = t.substr(0, end);
  if (line.find("SMTP") != std::string_view::npos || line.find("LMTP") != std::string_view::npos) return Probe::kYes;
  return line.find("FTP") != std::string_view::npos ? Probe::kNo : Probe::kUnsure;
}

Probe Smtp::begins(Direction d, Bytes b) {
  // Only at the beginning of a line is anything certain; resync() comes here for each byte, so words must suffice.
  const std::string_view t = as_text(b);
  if (d == Direction::kToServer) {
    for (const std::string_view w : {"MAIL FROM:", "RCPT TO:", "DATA\r\n", "RSET\r\n", "QUIT\r\n", "EHLO ", "HELO "}) {
      if (starts_with_word(t, w)) return Probe::kYes;
      if (starts_with_word(w, t)) return Probe::kUnsure;
    }
    return Probe::kNo;
  }
  if (t.size() < 5) return Probe::kUnsure;
  if (t[0] != '\n') return Probe::kNo;
  return ReplyScan::is_code(t.substr(1)) && (t[4] == ' ' || t[4] == '-') ? Probe::kYes : Probe::kNo;
}

Step Smtp::dissect(const Input& in, Output& out) {
  if (in.direction == Direction::kToServer && data_ && !in.bytes.empty()) return mail(in, out);
  // After a loss a reply is found with the end of the line before it.
  if (in.direction == Direction::kToClient && !in.bytes.empty() && in.bytes[0] == '\n') return Step::took(1);
  return Framed::dissect(in, out);
}

Measure Smtp::measure(Direction d, Bytes b) {
  if (d == Direction::kToClient) return replies_.measure(b);
  const Measure end = lines_.line(d, b, kMaxLine);
  if (end.kind != Measure::Kind::kFrame) return end;
  const auto line = static_cast<size_t>(end.bytes);
  return Measure::frame(line + chunk_of(as_text(b.first(line))));
}

Step Smtp::message(const Frame& frame, Output& out) {
  return frame.to_server() ? command(frame, out) : reply(frame, out);
}

Step Smtp::command(const Frame& frame, Output& out) {
  Item* const item = out.begin(kProtocol);
  Arena& arena = item->arena;
  const std::string_view text = arena.copy(as_text(frame.bytes));
  const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
  const std::string_view line = without_end(text.substr(0, end));
  std::string_view rest = line;
  std::string_view word = next_word(rest);
  MapOf map(arena);
  const bool answer = std::exchange(secret_, false);
  if (answer) {
    map.add("method", "AUTH");
    map.add("credentials", text_or_bytes(line));
    map.add("summary", "");
  } else {
    word = upper(word, arena);
    const std::string_view argument = trimmed(rest);
    map.add("method", text_or_bytes(word));
    if (word == "AUTH") {
      const std::string_view mechanism = next_word(rest);
      map.add("argument", text_or_bytes(mechanism));
      if (const auto credentials = trimmed(rest); !credentials.empty())
        map.add("credentials", text_or_bytes(credentials));
      map.add("summary", text_or_bytes(mechanism));
    } else {
      map.add("argument", text_or_bytes(argument));
      const std::string_view address = address_of(argument);
      if (word == "MAIL" || word == "RCPT") map.add("address", text_or_bytes(address));
      map.add("summary", text_or_bytes(address.empty() ? argument : address));
    }
    if (word == "BDAT") {  // RFC 3030 2: the first chunk has the headers
      if (std::exchange(chunked_, !is_last_chunk(argument))) {
        map.add("body", text_or_bytes(text.substr(end), frame.cut));
      } else {
        describe_mail(text.substr(end), map, arena);
      }
      map.add("bodySize", chunk_of(line));
      if (frame.cut) map.add("truncated", true);
    }
    if (word == "RSET" || word == "EHLO" || word == "HELO") chunked_ = false;
    if (word == "LHLO") lmtp_ = true;
    // RFC 4954 4: what follows answers a challenge, unless the server refuses; so it is known for a secret even where
    // the server's side was not captured.
    if (word == "AUTH" && trimmed(rest).empty()) secret_ = true;
  }
  set(item->request, map.build(), frame);
  // DATA is the last command of a group (RFC 2920 3.1): what comes next is the mail, unless the server refuses. So it
  // is found even where the server's side was not captured.
  if (!answer && word == "DATA") data_ = true;
  const bool known = answer || std::find(std::begin(kCommands), std::end(kCommands), word) != std::end(kCommands);
  if (!known) out.count(Counter::kMalformed);
  waiting_.ask(item, out);
  return Step::took(frame.size);
}

Step Smtp::reply(const Frame& frame, Output& out) {
  const int code = ReplyScan::code_of(as_text(frame.bytes));
  // RFC 2033 4.2: a mail is answered for each of its recipients; the first answer is the item's, the others stand
  // alone.
  const bool another = more_answers_ > 0;
  if (another) --more_answers_;
  Item* item = another ? nullptr : waiting_.answer();
  const bool greeting = another || (item == nullptr && (code == 220 || code == 554 || code == 421));
  if (item == nullptr) item = greeting ? out.begin(kProtocol) : begin_orphan(kProtocol, out);
  MapOf map(item->arena);
  describe_reply(item->arena.copy(as_text(frame.bytes)), map, item->arena);
  if (greeting) {
    set(item->data, map.build(), frame);
    finish_single(item, out);
    return Step::took(frame.size);
  }
  set(item->response, map.build(), frame);
  const std::string_view method = item->request.payload["method"].text();
  const bool tls = method == "STARTTLS" && code == 220;
  if (method == "DATA" && code != 354) data_ = false;
  if (method == "AUTH") secret_ = code == 334;
  if (method == "RCPT" && code / 100 == 2) ++recipients_;
  if (method == "MAIL" || method == "RSET") recipients_ = 0;
  const bool last_chunk = method == "BDAT" && is_last_chunk(item->request.payload["argument"].text());
  if ((method == "MESSAGE" || last_chunk) && recipients_ > 0) {
    if (lmtp_) more_answers_ = recipients_ - 1;
    recipients_ = 0;
  }
  out.finish(item);
  return tls ? Step::switch_to("tls", frame.size) : Step::took(frame.size);
}

/// The mail up to the line with nothing but a dot (RFC 5321 4.5.2).
Step Smtp::mail(const Input& in, Output& out) {
  const std::string_view t = as_text(in.bytes);
  if (mail_ == nullptr) {
    Item* const item = out.begin(kProtocol);
    mail_ = item->arena.make<Mail>(Mail{.item = item, .time = in.time});
  }
  const size_t take = find_mail_end(t, mail_->matched);
  const size_t cap = out.settings().body_cap, room = cap - std::min(mail_->text.size(), cap);
  mail_->text.add(in.bytes.first(std::min(take, room)), take, cap, mail_->item->arena);
  mail_->size += take;
  if (mail_->matched == kMailEnd.size()) {
    mail_->text.cut(mail_->size - kDotLine);
    end_mail(out);
  }
  return Step::took(take);
}

void Smtp::forget(Direction d, Output& out) {
  more_answers_ = recipients_ = 0;
  if (d != Direction::kToServer) return;
  chunked_ = false;
  end_mail(out);
}

void Smtp::end_mail(Output& out) {
  data_ = false;
  Mail* const m = std::exchange(mail_, nullptr);
  if (m == nullptr) return;
  Arena& arena = m->item->arena;
  MapOf map(arena);
  map.add("method", "MESSAGE");
  const Value subject = describe_mail(m->text.view(), map, arena);
  map.add("bodySize", m->size);
  if (m->text.size() + kDotLine < m->size) {
    map.add("truncated", true);
    out.count(Counter::kBodyCapped);
  }
  map.add("summary", subject);
  m->item->request = {map.build(), m->time, m->size, true};
  waiting_.ask(m->item, out);
}

}  // namespace baleen::dissect::smtp
