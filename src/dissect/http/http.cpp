#include "dissect/http/http.h"

#include <algorithm>

#include "dissect/dns/over_https.h"
#include "dissect/http/chars.h"
#include "dissect/http/draft.h"
#include "dissect/http/head.h"

// The session keeps two state machines, one per direction, and a queue of the requests that wait.
//
// A request enters the queue when its head is complete, not when its body is: a server may answer early (413, 401). So
// an item can be in three hands: the queue's (waits for its answer), its request's draft (body not complete), its
// response's draft. The marks in Item::match_key say which halves are complete; whoever completes the second half
// finishes the item.
//
// Heads and the queue here; bodies in body.cpp; answers that come before their request's head in early.cpp; what
// follows a loss in resync.cpp.
//
// A message that is in hand as a whole never touches the heap or the session: its draft lies on the stack.

namespace baleen::dissect::http {
namespace {

using item::Item;
using item::Member;
using item::Outcome;
using item::Value;

constexpr size_t kMaxHold = 256 << 10;
constexpr uint64_t kMaybeBare = 32;  // a Mark: nothing of the announced body has come, and it need not

std::string_view without_cr(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

std::string_view first_line(std::string_view head) { return without_cr(head.substr(0, head.find('\n'))); }

/// The fields of the head whose copy is `copy`.
Fields fields_of(std::string_view copy, const Head& head, Arena& arena) {
  std::span<const uint32_t> ends;
  if (head.all_lines && head.lines.count <= LineEnds::kRoom) {
    ends = {head.lines.at + 1, head.lines.count - 2};  // without the start line and the empty line
  } else {
    const auto all = arena.array<uint32_t>(static_cast<size_t>(std::count(copy.begin(), copy.end(), '\n')));
    size_t at = 0;
    for (uint32_t& end : all) {
      at = copy.find('\n', at);
      end = static_cast<uint32_t>(at++);
    }
    ends = std::span<const uint32_t>(all).subspan(1, all.size() - 2);
  }
  Fields fields = parse_fields(copy, head.line_end + 1, ends.first(std::min(ends.size(), kMaxFields)), arena);
  if (ends.size() > kMaxFields) fields.malformed = true, fields.as_sent = false;
  return fields;
}

/// Whether a response's head says that a body follows it.
bool announces_body(std::string_view head) {
  for (size_t at = head.find('\n'); at != std::string_view::npos; at = head.find('\n', at + 1)) {
    const std::string_view line = head.substr(at + 1, head.find('\n', at + 1) - at - 1);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    if (alike(line.substr(0, colon), "content-length")) return trim(without_cr(line.substr(colon + 1))) != "0";
    if (alike(line.substr(0, colon), "transfer-encoding")) return true;
  }
  return false;
}

/// Who speaks after a 101 (RFC 9110 15.2.2); "" leaves it to the probes.
std::string_view upgraded_to(std::string_view upgrade) {
  const std::string_view name = upgrade.substr(0, upgrade.find_first_of(",/ "));
  if (alike(name, "websocket")) return "websocket";
  if (alike(name, "h2c")) return "http2";
  return "";
}

}  // namespace

Probe Http::probe(const Input& in) {
  std::string_view text = as_text(in.bytes);
  while (!text.empty() && (text.front() == '\r' || text.front() == '\n')) text.remove_prefix(1);  // RFC 9112 2.2
  if (in.bytes.size() - text.size() > 16) return Probe::kNo;
  if (text.empty()) return Probe::kUnsure;
  const bool request = in.direction == Direction::kToServer;
  if (!(request ? may_become_request_line(text) : may_become_status_line(text))) return Probe::kNo;
  // A status line shows what it is with its first characters; a request line with its last.
  if (!request) return probe_status_line(text);
  const size_t limit = Settings{}.header_cap;
  const size_t end = text.substr(0, limit).find('\n');
  if (end == std::string_view::npos && in.missing != 0) return is_cut_request_line(text) ? Probe::kYes : Probe::kNo;
  if (end == std::string_view::npos) return text.size() >= limit ? Probe::kNo : Probe::kUnsure;
  return parse_request_line(first_line(text)).ok ? Probe::kYes : Probe::kNo;
}

Step Http::dissect(const Input& in, Output& out) {
  Side& side = side_of(in.direction);
  switch (side.state) {
    case State::kHead: return head(side, in, out);
    case State::kSkip: {
      const uint64_t left = std::exchange(side.left, 0);
      side.state = State::kHead;
      out.count(Counter::kSkippedBytes, left);
      return Step::skip(left);
    }
    case State::kBroken: {
      side.state = State::kHead;
      side.lost = true;
      return Step::lost();
    }
    case State::kRefused: return Step::lost();
    default:
      if ((side.draft->item->match_key & kMaybeBare) != 0) return maybe_bare(side, in, out);
      return body(side, in, 0, *side.draft, out);
  }
}

Step Http::head(Side& side, const Input& in, Output& out) {
  const bool is_request = in.direction == Direction::kToServer;
  side.lost = false;
  if (in.bytes.empty()) return Step::need(1);
  if (is_request && hold_ && !in.end_of_stream && in.bytes.size() < kMaxHold) return Step::need();

  // RFC 9112 2.2: empty lines before a start line are ignored.
  size_t empty = 0;
  while (empty < in.bytes.size() && (in.bytes[empty] == '\r' || in.bytes[empty] == '\n')) ++empty;
  if (empty > 0) return Step::took(empty);

  const size_t cap = out.settings().header_cap;
  const Bytes bytes = in.bytes.first(std::min(in.bytes.size(), cap));
  const std::string_view text = as_text(bytes);
  const size_t from = std::exchange(side.scanned, 0);
  if (from < kTelling && !(is_request ? may_become_request_line(text) : may_become_status_line(text)))
    return is_request ? broken_request(side, in, bytes, out) : refuse(side, out);

  LineEnds lines;
  const size_t size = find_head_end(bytes, from, lines);
  if (size == 0) {
    // The start line is judged as soon as it is there, so that the end of the head is not waited for in vain.
    if (lines.count > 0 && from <= text.find('\n')) {
      const std::string_view line = first_line(text);
      if (!(is_request ? parse_request_line(line).ok : parse_status_line(line).ok))
        return is_request ? broken_request(side, in, bytes, out) : refuse(side, out);
    }
    if (in.bytes.size() >= cap) return out.count(Counter::kMessageTooLong), refuse(side, out);
    side.scanned = static_cast<uint32_t>(bytes.size());
    if (is_request && early_ != nullptr) note_early(in);
    return Step::need(bytes.size() + 1);
  }
  const size_t line_end = from == 0 ? lines.at[0] : text.find('\n');
  Head head{text.substr(0, size), without_cr(text.substr(0, line_end)), line_end, lines, from == 0};
  if (!is_request) return response(side, in, head, out);
  const RequestLine line = parse_request_line(head.line);
  return line.ok ? request(side, in, head, line, out) : broken_request(side, in, bytes, out);
}

/// A head that is none but for its start line is a request all the same: a server will answer it.
Step Http::broken_request(Side& side, const Input& in, Bytes bytes, Output& out) {
  const std::string_view text = as_text(bytes);
  const Probe probe = probe_broken_head(text);
  if (probe == Probe::kUnsure && !in.end_of_stream && bytes.size() < out.settings().header_cap)
    return Step::need(bytes.size() + 1);
  if (probe != Probe::kYes) return refuse(side, out);
  LineEnds lines;
  const size_t size = find_head_end(bytes, 0, lines);
  const size_t line_end = lines.at[0];
  const Head head{text.substr(0, size), without_cr(text.substr(0, line_end)), line_end, lines, true};
  return request(side, in, head, guess_request_line(head.line), out);
}

Step Http::refuse(Side& side, Output& out) {
  if (&side == &side_of(Direction::kToServer)) end_early("malformed head", out);
  side.state = State::kRefused;
  return Step::lost();
}

Step Http::request(Side& side, const Input& in, const Head& head, const RequestLine& line, Output& out) {
  Draft draft;
  Item* const answered = take_early();
  draft.item = answered != nullptr ? answered : out.begin(line.version == "HTTP/1.0" ? kProtocol10 : kProtocol);
  draft.time = in.time;
  draft.wire_size = head.text.size();
  const std::string_view copy = draft.arena().copy(head.text);
  const Fields fields = fields_of(copy, head, draft.arena());
  const auto here = [&](std::string_view part) {
    return part.empty() ? part : copy.substr(static_cast<size_t>(part.data() - head.text.data()), part.size());
  };
  start_request(draft, {here(line.method), here(line.target), here(line.version), true}, fields, copy);
  if (!line.ok) draft.error = "malformed request line";

  uint64_t& marks = draft.item->match_key;
  const bool bare = line.method == "HEAD";
  marks = answered != nullptr ? marks & (kResponseDone | (bare ? kMaybeBare : 0)) : 0;
  marks |= bare ? uint64_t{kHeadMethod} : line.method == "CONNECT" ? uint64_t{kConnect} : 0;
  // RFC 9110 7.8: Upgrade asks for another protocol, if Connection names it.
  if (fields.has(Known::kUpgrade) && list_has(fields[Known::kConnection], "upgrade")) marks |= kUpgrade;
  hold_ = answered == nullptr && (marks & (kConnect | kUpgrade)) != 0;
  if (answered == nullptr) waiting_.push(draft.item, out);

  // RFC 9112 6.3. Items 3, 4: Transfer-Encoding overrides Content-Length; in a request it must end in "chunked".
  if (fields.has(Known::kTransferEncoding)) {
    if (!alike(last_of(fields[Known::kTransferEncoding]), "chunked"))
      return broken(side, draft, "a request's last transfer coding is not chunked", head.text.size(), out);
    draft.chunked = true;
    side.state = State::kChunkSize;
    return body(side, in, head.text.size(), draft, out);
  }
  // Item 5: one valid length, or nobody knows where the message ends. Item 7: no length, no body.
  if (fields.has(Known::kContentLength)) {
    const ContentLength length = parse_content_length(fields[Known::kContentLength]);
    if (!length.valid) return broken(side, draft, "invalid or conflicting Content-Length", head.text.size(), out);
    side.left = length.value;
  }
  side.state = State::kLength;
  return body(side, in, head.text.size(), draft, out);
}

Step Http::response(Side& side, const Input& in, const Head& head, Output& out) {
  const StatusLine line = parse_status_line(head.line);
  if (!line.ok) return refuse(side, out);
  Draft fresh;
  Draft& draft = side.draft != nullptr ? *side.draft : fresh;  // there is one after 1xx
  if (draft.item == nullptr) {
    draft.item = waiting_.pop();
    if (draft.item == nullptr) {
      if (answers_early(line, out)) {
        draft.item = begin_early(line, in.time, out);
      } else {
        draft.item = out.begin(line.version[7] == '0' ? kProtocol10 : kProtocol);
        draft.item->outcome = Outcome::kNoRequest;
        draft.item->match_key = kRequestDone;
      }
      if (announces_body(head.text)) draft.item->match_key |= kMaybeBare;
    }
  }
  draft.time = in.time;
  draft.wire_size += head.text.size();
  const std::string_view copy = draft.arena().copy(head.text);
  const Fields fields = fields_of(copy, head, draft.arena());
  const auto here = [&](std::string_view part) {
    return part.empty() ? part : copy.substr(static_cast<size_t>(part.data() - head.text.data()), part.size());
  };
  const StatusLine kept{here(line.version), here(line.reason), line.status, true};
  if (line.status < 200 && line.status != 101) return interim(side, draft, kept, fields, head.text.size());

  start_response(draft, kept, fields, copy);
  const uint64_t marks = draft.item->match_key;
  if (hold_ && (marks & (kConnect | kUpgrade)) != 0) {
    hold_ = false;
    out.wake(Direction::kToServer);
  }
  // RFC 9110 15.2.2 and 9.3.6: from here on it is another protocol's connection.
  const bool tunnel = (marks & kConnect) != 0 && line.status / 100 == 2;
  if (line.status == 101 || tunnel)
    return hand_over(draft, tunnel ? "" : upgraded_to(fields[Known::kUpgrade]), head.text.size(), out);

  // RFC 9112 6.3. Item 1: no body, whatever the fields say.
  side.state = State::kLength;
  side.left = 0;
  if ((marks & kHeadMethod) != 0 || line.status == 204 || line.status == 304)
    return body(side, in, head.text.size(), draft, out);
  if (fields.has(Known::kTransferEncoding)) {  // items 3, 4
    draft.chunked = alike(last_of(fields[Known::kTransferEncoding]), "chunked");
    side.state = draft.chunked ? State::kChunkSize : State::kUntilClose;
  } else if (fields.has(Known::kContentLength)) {  // items 5, 6
    const ContentLength length = parse_content_length(fields[Known::kContentLength]);
    if (!length.valid) return broken(side, draft, "invalid or conflicting Content-Length", head.text.size(), out);
    side.left = length.value;
  } else {  // item 8
    side.state = State::kUntilClose;
  }
  if ((marks & kMaybeBare) == 0) return body(side, in, head.text.size(), draft, out);
  keep_for_later(side, draft);
  return Step::took(head.text.size());
}

/// An answer whose request was not seen may be to HEAD: then the next one follows in place of the body that it
/// announces (RFC 9112 6.3 item 1).
Step Http::maybe_bare(Side& side, const Input& in, Output& out) {
  const Probe next = probe_status_line(as_text(in.bytes));
  if (next == Probe::kUnsure && !in.end_of_stream) return Step::need(in.bytes.size() + 1);
  Draft& draft = *side.draft;
  draft.item->match_key &= ~kMaybeBare;
  if (next != Probe::kYes) return body(side, in, 0, draft, out);
  side.state = State::kHead;
  side.left = 0;
  finish(draft, out);
  return head(side, in, out);
}

Step Http::interim(Side& side, Draft& draft, const StatusLine& line, const Fields& fields, size_t size) {
  Arena& arena = draft.arena();
  const auto members = arena.array<Member>(4);
  members[0] = {"status", line.status};
  members[1] = {"statusText", line.reason};
  members[2] = {"httpVersion", line.version};
  members[3] = {"headers", Value::map(fields.members, true)};
  draft.interim = arena.make<Interim>(Interim{Value::map(members), draft.interim});
  keep_for_later(side, draft);
  return Step::took(size);
}

Step Http::hand_over(Draft& draft, std::string_view to, size_t used, Output& out) {
  end_early("the connection was handed over", out);
  give_up(Direction::kToServer, "the connection was handed over", out);
  Item* const opening = complete(draft, out);
  while (Item* item = waiting_.pop()) finish_unanswered(item, out);
  hold_ = false;
  for (Side& side : sides_) side = Side();
  return Step::switch_to(to, used, opening);
}

void Http::keep_for_later(Side& side, Draft& draft) {
  if (side.draft == nullptr) side.draft = draft.arena().make<Draft>(draft);
}

void Http::finish(Draft& draft, Output& out) {
  if (Item* const item = complete(draft, out); item != nullptr) out.finish(item);
}

/// The item, when its other half is complete, too: the caller's now, else null.
Item* Http::complete(Draft& draft, Output& out) {
  Item* const item = draft.item;
  finish_payload(draft, out);
  if (draft.error != nullptr) {
    out.count(Counter::kMalformed);
    if (item->outcome == Outcome::kPaired) item->outcome = Outcome::kDissection;
    item->error_message = draft.error;
  }
  side_of(draft.is_response ? Direction::kToClient : Direction::kToServer).draft = nullptr;
  item->match_key |= draft.is_response ? kResponseDone : kRequestDone;
  if ((item->match_key & (kRequestDone | kResponseDone)) != (kRequestDone | kResponseDone)) return nullptr;
  if (item->outcome == Outcome::kNoRequest) out.count(Counter::kHalfResponses);
  if (dns::is_dns_message(draft.content_type)) dns::over_https(*item, out);
  return item;
}

void Http::finish_unanswered(Item* item, Output& out) {
  if ((item->match_key & kRequestDone) != 0) return InOrderMatcher::finish_without_answer(item, out);
  // Its request is not complete; whoever completes it finishes the item.
  item->outcome = Outcome::kNoResponse;
  item->match_key |= kResponseDone;
  out.count(Counter::kHalfRequests);
}

void Http::give_up(Direction direction, const char* why, Output& out) {
  Side& side = side_of(direction);
  if (Draft* draft = side.draft; draft != nullptr) {
    side.draft = nullptr;
    if (!draft->started) {  // 1xx came, but no final answer
      finish_unanswered(draft->item, out);
    } else {
      draft->error = why;
      finish(*draft, out);
    }
  }
  side = Side();
}

bool Http::gap(Direction direction, uint64_t bytes, Output& out) {
  Side& side = side_of(direction);
  const bool counted = side.state == State::kLength || side.state == State::kChunkData || side.state == State::kSkip;
  if (side.state == State::kUntilClose || (counted && bytes > 0 && bytes <= side.left)) {
    if (counted) side.left -= bytes;
    if (side.state == State::kSkip) {
      if (side.left == 0) side.state = State::kHead;
      return true;
    }
    side.draft->holed = true;
    side.draft->item->match_key &= ~kMaybeBare;
    side.draft->error = "bytes of the body were lost";
    side.draft->body_size += bytes;
    side.draft->wire_size += bytes;
    if (side.left == 0 && side.state == State::kChunkData) side.state = State::kChunkEnd;
    if (side.left == 0 && side.state == State::kLength) {
      side.state = State::kHead;
      finish(*side.draft, out);
    }
    return true;
  }
  give_up(direction, "bytes of the message were lost", out);
  side.lost = true;
  if (direction == Direction::kToServer) {
    end_early("bytes of the head were lost", out);
    unsure_ = true;
  }
  if (direction == Direction::kToClient) {
    // How many answers lay in there nobody knows; a wrong pair is worse than none.
    while (Item* item = waiting_.pop()) finish_unanswered(item, out);
    hold_ = false;
  }
  return false;
}

void Http::expire(Timestamp before, Output& out) {
  if (early_ != nullptr && early_->time < before) end_early("the end of the head never came", out);
  while (Item* item = waiting_.front()) {
    if ((item->match_key & kRequestDone) == 0 || item->time() >= before) break;
    finish_unanswered(waiting_.pop(), out);
  }
  if (waiting_.empty()) hold_ = false;
}

void Http::close(bool reset, Output& out) {
  const char* const why = reset ? "connection reset" : "unexpected EOF";
  end_early(why, out);
  give_up(Direction::kToServer, why, out);
  Side& answers = side_of(Direction::kToClient);
  // RFC 9112 8: a body that ends with the connection is complete, unless the connection broke.
  if (answers.state == State::kUntilClose && answers.draft != nullptr && !reset) {
    answers.state = State::kHead;
    finish(*answers.draft, out);
  }
  give_up(Direction::kToClient, why, out);
  while (Item* item = waiting_.pop()) finish_unanswered(item, out);
  hold_ = false;
}

}  // namespace baleen::dissect::http
