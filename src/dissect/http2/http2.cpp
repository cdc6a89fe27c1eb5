#include "dissect/http2/http2.h"

#include <algorithm>

#include "dissect/http2/stream.h"
#include "dissect/http2/tunnel.h"
#include "item/json.h"

// Frames are taken one by one. Those whose content means something to an item are few: HEADERS, PUSH_PROMISE and their
// CONTINUATIONs (waited for as a whole, up to a limit), DATA (taken in whatever pieces come), RST_STREAM and GOAWAY.
// All others (settings, priorities, flow control) are stepped over: a capture has no window to keep.
//
// The two directions are two sequences of frames, whose order to each other is known only roughly. So nothing here
// depends on it but this: a request's first block comes before its answer's.

namespace baleen::dissect::http2 {
namespace {

using http::Draft;

size_t slot(uint32_t id) { return id >> 1 & 3; }

}  // namespace

Http2::Http2() = default;
Http2::~Http2() = default;

Step Http2::dissect(const Input& in, Output& out) {
  Side& side = side_of(in.direction);
  if (in.bytes.empty()) return Step::need(1);
  if (side.inside()) return content(side, in, 0, out);
  if (!side.begun) {
    const Step step = begin(side, in);
    if (step.kind != Step::Kind::kTook || step.bytes > 0) return step;
  }
  return frame(side, in, out);
}

/// Took nothing: a frame begins here.
Step Http2::begin(Side& side, const Input& in) {
  if (in.direction == Direction::kToServer) {
    const size_t n = std::min(in.bytes.size(), kPreface.size());
    if (as_text(in.bytes.first(n)) == kPreface.substr(0, n)) {
      if (n < kPreface.size()) return Step::need(n + 1);  // the next byte may show that it is none
      side.begun = true;
      return Step::took(n);
    }
  }
  if (in.bytes.size() < kFrameHead) return Step::need(kFrameHead);
  const FrameHead head = read_frame_head(in.bytes.data());
  side.begun = true;
  // RFC 9113 3.4: a server's first frame is SETTINGS. Anything else, and this is not the beginning.
  if (in.direction == Direction::kToClient && head.type == kSettings && !head.has(kAck) && is_valid(head))
    return Step::took(0);
  joined_ = true;
  side.decoder.forget();
  return is_usual(head) ? Step::took(0) : Step::lost();
}

Step Http2::refuse(Side& side) {
  side.refused = true;
  side.scanned = 0;
  side.decoder.forget();
  return Step::lost();
}

Step Http2::frame(Side& side, const Input& in, Output& out) {
  if (in.bytes.size() < kFrameHead) return Step::need(kFrameHead);
  const FrameHead head = read_frame_head(in.bytes.data());
  if (!is_valid(head)) return refuse(side);
  const uint8_t* const payload = in.bytes.data() + kFrameHead;
  const uint64_t size = kFrameHead + uint64_t{head.length};
  switch (head.type) {
    case kData: return data(side, in, head, out);
    case kHeaders:
    case kPushPromise: return block(side, in, out);
    case kContinuation:
      if (head.stream != side.too_long) return refuse(side);
      if (head.has(kEndHeaders)) side.too_long = 0;
      break;
    case kRstStream:
      if (in.bytes.size() < size) return Step::need(size);
      reset(in.direction, head.stream, load_be32(payload), out);
      break;
    case kGoaway:
      if (in.bytes.size() < kFrameHead + 8) return Step::need(kFrameHead + 8);
      go_away(in.direction, load_be32(payload) & INT32_MAX, load_be32(payload + 4), out);
      break;
    default: break;
  }
  return size <= in.bytes.size() ? Step::took(size) : Step::skip(size);
}

Step Http2::data(Side& side, const Input& in, const FrameHead& head, Output& out) {
  const size_t begin = kFrameHead + (head.has(kPadded) ? 1 : 0);
  if (in.bytes.size() < begin) return Step::need(begin);
  const uint8_t padding = head.has(kPadded) ? in.bytes[kFrameHead] : 0;
  if (begin - kFrameHead + padding > head.length) return refuse(side);
  side.stream = head.stream;
  side.left = head.length - padding - static_cast<uint32_t>(begin - kFrameHead);
  side.padding = padding;
  side.ends_stream = head.has(kEndStream);
  Stream* s = find(head.stream);
  if (s == nullptr && joined_ && find_tunnel(head.stream) == nullptr) s = join_stream(head.stream, in, out);
  if (s != nullptr) s->half(in.direction == Direction::kToClient).wire_size += kFrameHead + head.length;
  return content(side, in, begin, out);
}

Step Http2::content(Side& side, const Input& in, size_t at, Output& out) {
  const bool response = in.direction == Direction::kToClient;
  Stream* const stream = find(side.stream);
  Tunnel* const tunnel = stream == nullptr ? find_tunnel(side.stream) : nullptr;
  const auto here = std::min<size_t>(side.left, in.bytes.size() - at);
  if (stream != nullptr && stream->half(response).started)
    stream->half(response).keep(in.bytes.subspan(at, here), side.left, UINT64_MAX, out.settings().body_cap);
  else if (tunnel != nullptr)
    tunnel->feed(in.direction, in.bytes.subspan(at, here), in.time, out);
  else
    out.count(Counter::kSkippedBytes, here);
  side.left -= static_cast<uint32_t>(here);
  at += here;
  if (side.left == 0) {
    const auto padding = std::min<size_t>(side.padding, in.bytes.size() - at);
    side.padding -= static_cast<uint8_t>(padding);
    at += padding;
  }
  if (side.inside()) return Step::took(at);
  if (stream != nullptr && stream->reflects && response && stream->response.started) learn(*stream, out);
  if (side.ends_stream && stream != nullptr) end_half(*stream, response, out);
  if (side.ends_stream && tunnel != nullptr && tunnel->end(in.direction)) close_tunnel(side.stream, false, out);
  return Step::took(at);
}

/// A stream that was open when the capture began; null when it is one of which more is known, or it is over.
Stream* Http2::join_stream(uint32_t id, const Input& in, Output& out) {
  const bool response = in.direction == Direction::kToClient;
  if ((first_ != 0 && id >= first_) || recently_reset(id)) return nullptr;
  item::Item* const item = out.begin(kProtocol);
  Stream* const stream = make_stream(item, id);
  keep(*stream, out);
  const Block nothing(item->arena);
  Draft& draft = stream->half(response);
  draft.time = in.time;
  if (response) {
    start_response(*stream, nothing, 0);
    stream->request_done = true;
  } else {
    start_request(*stream, nothing, 0);
  }
  draft.error = "the beginning of the message was not captured";
  return stream;
}

/// A field block: a HEADERS or PUSH_PROMISE frame and the CONTINUATION frames that must follow it at once.
Step Http2::block(Side& side, const Input& in, Output& out) {
  const FrameHead first = read_frame_head(in.bytes.data());
  for (size_t at = side.scanned;;) {
    if (in.bytes.size() < at + kFrameHead) return side.scanned = static_cast<uint32_t>(at), Step::need(at + kFrameHead);
    const FrameHead head = read_frame_head(&in.bytes[at]);
    if (at > 0 && (head.type != kContinuation || head.stream != first.stream)) return refuse(side);
    const size_t end = at + kFrameHead + head.length;
    if (end > out.settings().header_cap) return skip_block(side, in, at, out);
    if (in.bytes.size() < end) return side.scanned = static_cast<uint32_t>(at), Step::need(end);
    Bytes part;
    if (!block_of(head, in.bytes.subspan(at + kFrameHead, head.length), part)) return refuse(side);
    if (head.type == kPushPromise && part.size() < 4) return refuse(side);
    at = end;
    if (!head.has(kEndHeaders)) continue;
    side.scanned = 0;
    take_block(side, in, first, at, out);
    return Step::took(at);
  }
}

/// Gives up on a field block of which the frames in the first `known` bytes are here. Where its frames end is known, so
/// nothing else is lost, but what it would add to the header table.
Step Http2::skip_block(Side& side, const Input& in, size_t known, Output& out) {
  const FrameHead first = read_frame_head(in.bytes.data());
  out.count(Counter::kMessageTooLong);
  side.decoder.forget();
  side.scanned = 0;
  side.too_long = known > 0 || !first.has(kEndHeaders) ? first.stream : 0;
  return Step::skip(known > 0 ? known : kFrameHead + uint64_t{first.length});
}

/// Decodes the block whose frames are the first `size` bytes.
void Http2::decode(Side& side, const Input& in, size_t size, Arena& arena, Block& fields, Output& out) {
  Bytes whole;
  for (size_t at = 0; at < size;) {
    const FrameHead head = read_frame_head(&in.bytes[at]);
    Bytes part;
    block_of(head, in.bytes.subspan(at + kFrameHead, head.length), part);
    if (head.type == kPushPromise) part = part.subspan(4);
    at += kFrameHead + head.length;
    if (whole.empty() && at == size) {
      whole = part;
      break;
    }
    if (whole.empty()) whole = {static_cast<uint8_t*>(arena.allocate(size, 1)), 0};
    if (!part.empty()) std::memcpy(const_cast<uint8_t*>(whole.data()) + whole.size(), part.data(), part.size());
    whole = {whole.data(), whole.size() + part.size()};
  }
  side.decoder.decode(whole, out.settings().header_cap, arena, fields);
}

void Http2::take_block(Side& side, const Input& in, const FrameHead& head, size_t size, Output& out) {
  const bool to_client = in.direction == Direction::kToClient;
  const bool promise = head.type == kPushPromise;
  const size_t promised_at = kFrameHead + (promise && head.has(kPadded) ? 1 : 0);
  const uint32_t id = promise ? load_be32(&in.bytes[promised_at]) & INT32_MAX : head.stream;
  const bool response = to_client && !promise;
  Stream* stream = find(id);
  const bool fresh = stream == nullptr;
  // A promise for a stream that is there, by a client, or of none; and what follows a stream that ended early or is no
  // longer HTTP's.
  Tunnel* const tunnel = fresh ? find_tunnel(id) : nullptr;
  if (recently_reset(id) || tunnel != nullptr || (promise && (!fresh || !to_client || id == 0))) {
    Arena scratch;
    Block ignored(scratch);
    decode(side, in, size, scratch, ignored, out);
    if (tunnel != nullptr && head.has(kEndStream) && tunnel->end(in.direction)) close_tunnel(id, false, out);
    return;
  }
  item::Item* const item = fresh ? out.begin(kProtocol) : stream->item;
  Block fields(item->arena);
  decode(side, in, size, item->arena, fields, out);
  if (fields.too_long) out.count(Counter::kMessageTooLong);
  if (fresh) {
    if (!response && !begins_message(fields, false) && !fields.malformed) return out.drop(item);
    stream = make_stream(item, id);
    stream->request_done = response || promise;
    if (!to_client && first_ == 0) first_ = id;
    keep(*stream, out);
  }
  Draft& draft = stream->half(response);
  if (draft.wire_size == 0) draft.time = in.time;
  draft.wire_size += size;
  if (draft.started) {
    add_trailers(draft, fields);
  } else if (!response) {
    start_request(*stream, fields, size);
  } else if (!start_response(*stream, fields, size)) {
    return;
  }
  if (head.has(kEndStream) && !promise) return end_half(*stream, response, out);
  if (response && opens_websocket(*stream)) open_tunnel(*stream, in.direction, out);
}

void Http2::end_half(Stream& stream, bool response, Output& out) {
  (response ? stream.response_done : stream.request_done) = true;
  if (stream.request_done && stream.response_done) finish(stream, out);
}

void Http2::reset(Direction direction, uint32_t id, uint32_t code, Output& out) {
  Stream* const stream = find(id);
  resets_[next_reset_++ % std::size(resets_)] = id;
  if (stream == nullptr) return close_tunnel(id, true, out);
  // RFC 9113 8.1: a server that has answered may reset the stream so that the rest of the request is not sent.
  if (!stream->response_done) {
    const std::string_view name = error_name(code);
    Arena& arena = stream->item->arena;
    stream->error =
        join({"stream reset by the ",
              direction == Direction::kToServer ? "client: " : "server: ", name.empty() ? decimal(code, arena) : name},
             arena);
  }
  finish(*stream, out);
}

/// RFC 9113 6.8: streams that the other end opened beyond `last` will not be looked at.
void Http2::go_away(Direction direction, uint32_t last, uint32_t code, Output& out) {
  const uint32_t parity = direction == Direction::kToClient ? 1 : 0;
  for (Stream* s = oldest_; s != nullptr;) {
    Stream* const next = s->newer;
    if (s->id > last && (s->id & 1) == parity && !s->response.started) {
      const std::string_view name = error_name(code);
      Arena& arena = s->item->arena;
      s->error = join({"refused by GOAWAY: ", name.empty() ? decimal(code, arena) : name}, arena);
      finish(*s, out);
    }
    s = next;
  }
}

// ---- streams ----

Stream* Http2::make_stream(item::Item* item, uint32_t id) {
  auto* const stream = item->arena.make<Stream>();
  stream->item = stream->request.item = stream->response.item = item;
  stream->id = id;
  stream->response.is_response = true;
  return stream;
}

/// RFC 7540 3.2: the request that asked for the upgrade is stream 1 as well, half closed; its answer is the first here.
void Http2::adopt(item::Item* opening, Output& out) {
  if (opening->request.present) {
    item::Item* const item = out.begin(kProtocol);
    std::string json;  // an upgrade happens once per connection, and seldom
    item::append_json(opening->request.payload, json);
    item->request = opening->request;
    item->request.payload = item::parse_json(json, item->arena).value_or(item::Value());
    Stream* const stream = make_stream(item, 1);
    stream->request.time = item->request.time;
    stream->request_done = true;
    keep(*stream, out);
  }
  out.finish(opening);
}

Stream* Http2::find(uint32_t id) {
  Stream*& recent = recent_[slot(id)];
  if (recent != nullptr && recent->id == id) return recent;
  for (Stream* s = newest_; s != nullptr; s = s->older)
    if (s->id == id) return recent = s;
  return nullptr;
}

bool Http2::recently_reset(uint32_t id) const {
  return std::find(std::begin(resets_), std::end(resets_), id) != std::end(resets_);
}

void Http2::keep(Stream& stream, Output& out) {
  if (open_ >= out.settings().pending_cap) {
    out.count(Counter::kTooManyPending);
    if (oldest_ != nullptr) {
      finish(*oldest_, out);
    } else {
      close_tunnel(tunnels_->stream(), false, out);
    }
  }
  stream.older = newest_;
  (newest_ != nullptr ? newest_->newer : oldest_) = &stream;
  newest_ = &stream;
  recent_[slot(stream.id)] = &stream;
  ++open_;
}

void Http2::forget(Stream& stream) {
  (stream.older != nullptr ? stream.older->newer : oldest_) = stream.newer;
  (stream.newer != nullptr ? stream.newer->older : newest_) = stream.older;
  if (recent_[slot(stream.id)] == &stream) recent_[slot(stream.id)] = nullptr;
  --open_;
}

void Http2::finish(Stream& stream, Output& out) {
  forget(stream);
  complete(stream, out);
  out.finish(stream.item);
}

// ---- WebSockets in streams ----

/// The call that opened it is an item of its own, as it is over HTTP/1, and the stream is no longer one of HTTP's.
void Http2::open_tunnel(Stream& stream, Direction by, Output& out) {
  auto tunnel = std::make_unique<Tunnel>(stream.id);
  const Draft early = stream.request;  // what the client has sent already
  forget(stream);
  stream.request.text.cut(0), stream.request.body_size = 0;
  complete(stream, out);
  // The bytes live in the item's arena, which is gone with the item.
  const std::vector<uint8_t> sent(early.text.view().begin(), early.text.view().end());
  tunnel->open(stream.item, out);
  tunnel->feed(opposite(by), sent, early.time, out);
  tunnel->next = std::move(tunnels_);
  tunnels_ = std::move(tunnel);
  ++open_;
}

Tunnel* Http2::find_tunnel(uint32_t id) const {
  Tunnel* tunnel = tunnels_.get();
  while (tunnel != nullptr && tunnel->stream() != id) tunnel = tunnel->next.get();
  return tunnel;
}

void Http2::close_tunnel(uint32_t id, bool reset, Output& out) {
  for (std::unique_ptr<Tunnel>* at = &tunnels_; *at != nullptr; at = &(*at)->next) {
    if ((*at)->stream() != id) continue;
    (*at)->close(reset, out);
    *at = std::move((*at)->next);
    --open_;
    return;
  }
}

// ---- loss and time ----

bool Http2::gap(Direction direction, uint64_t bytes, Output& out) {
  Side& side = side_of(direction);
  const bool response = direction == Direction::kToClient;
  if (bytes > 0 && bytes <= uint64_t{side.left} + side.padding) {
    const auto lost = static_cast<uint32_t>(std::min<uint64_t>(bytes, side.left));
    side.left -= lost;
    side.padding -= static_cast<uint8_t>(bytes - lost);
    if (Tunnel* const tunnel = find_tunnel(side.stream); tunnel != nullptr) {
      if (lost > 0) tunnel->lose(direction, lost, out);
      if (!side.inside() && side.ends_stream && tunnel->end(direction)) close_tunnel(side.stream, false, out);
    }
    if (Stream* s = find(side.stream); s != nullptr) {
      Draft& draft = s->half(response);
      draft.body_size += lost;
      if (lost > 0) draft.holed = true, draft.error = "bytes of the body were lost";
      if (!side.inside() && side.ends_stream) end_half(*s, response, out);
    }
    return true;
  }
  side.left = 0;
  side.padding = 0;
  side.scanned = side.too_long = 0;
  side.refused = false;
  side.begun = true;
  side.decoder.forget();
  for (Tunnel* t = tunnels_.get(); t != nullptr; t = t->next.get()) t->lose(direction, 0, out);
  for (Stream* s = oldest_; s != nullptr; s = s->newer) {
    Draft& draft = s->half(response);
    if (response ? s->response_done : s->request_done) continue;
    s->doubtful = true;
    if (!draft.started) continue;
    draft.holed = true;
    draft.error = "bytes of the message may have been lost";
  }
  return false;
}

Resync Http2::resync(const Input& in) {
  Side& side = side_of(in.direction);
  const size_t from = side.refused && !in.bytes.empty() ? 1 : 0;
  Resync r = find_frames({in.direction, in.bytes.subspan(from), in.time, in.end_of_stream});
  r.ruled_out += from;
  if (from > 0) side.refused = false;
  if (!r.found) return r;
  joined_ |= !side.begun;
  side.begun = true;
  side.decoder.forget();
  return r;
}

void Http2::expire(Timestamp before, Output& out) {
  for (Stream* s = oldest_; s != nullptr;) {
    Stream* const next = s->newer;
    const bool unanswered = s->request_done && !s->response.started;
    if ((unanswered || s->doubtful) && s->request.time < before && s->response.time < before) finish(*s, out);
    s = next;
  }
}

void Http2::close(bool reset, Output& out) {
  const char* const why = reset ? "connection reset" : "unexpected EOF";
  while (Stream* s = oldest_) {
    if (s->request.started && !s->request_done && s->request.error == nullptr) s->request.error = why;
    if (s->response.started && !s->response_done && s->response.error == nullptr) s->response.error = why;
    finish(*s, out);
  }
  while (tunnels_ != nullptr) close_tunnel(tunnels_->stream(), reset, out);
}

}  // namespace baleen::dissect::http2
