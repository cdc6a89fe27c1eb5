#include "dissect/memcached/datagrams.h"

#include <algorithm>

#include "dissect/memcached/memcached.h"
#include "dissect/memcached/reply.h"

// Answers of several datagrams are joined, in whatever order these come.

namespace baleen::dissect::memcached {
namespace {

constexpr size_t kPartOverhead = 64;  // bytes that a part takes beside its own

}  // namespace

std::optional<DatagramHead> datagram_at(Bytes b) {
  if (b.size() <= kDatagramHead || load_be16(&b[6]) != 0) return std::nullopt;
  const DatagramHead head{load_be16(&b[0]), load_be16(&b[2]), load_be16(&b[4])};
  return head.part < head.parts ? std::optional(head) : std::nullopt;
}

Step Memcached::datagram(const Input& in, Output& out) {
  const auto head = datagram_at(in.bytes);
  if (!head) return Step::lost();
  const Input behind{in.direction, in.bytes.subspan(kDatagramHead), in.time, true, true, in.missing};
  if (in.direction == Direction::kToClient && head->parts > 1) {
    join(*head, behind, out);
  } else if (head->part == 0) {
    messages(head->request, behind, out);
  } else {  // a request has one datagram (protocol.txt, "UDP protocol")
    out.count(Counter::kSkippedBytes, in.bytes.size());
  }
  return Step::took(in.bytes.size());
}

/// The messages of a datagram, or of several that belong together.
void Memcached::messages(uint16_t request, const Input& in, Output& out) {
  request_ = request;
  lines_ = {};
  for (Bytes rest = in.bytes; !rest.empty();) {
    const Step step = Framed::dissect({in.direction, rest, in.time, true}, out);
    if (step.kind != Step::Kind::kTook && step.kind != Step::Kind::kSkip) break;
    rest = rest.subspan(static_cast<size_t>(std::min<uint64_t>(step.bytes, rest.size())));
  }
  if (reply_ != nullptr) {
    reply_->capped = true;
    finish_reply(reply_->values.empty() ? "OK" : "HIT", out);
  }
  request_.reset();
}

/// One datagram of an answer that has several.
void Memcached::join(const DatagramHead& head, const Input& in, Output& out) {
  if (joins_ == nullptr) joins_ = std::make_unique<Joins>();
  auto& answers = joins_->answers;
  auto at = std::find_if(answers.begin(), answers.end(), [&](const auto& a) { return a.request == head.request; });
  if (at != answers.end() && at->parts != head.parts) {  // the number is in use again
    read_joined(at, out);
    at = answers.end();
  }
  if (at == answers.end()) {
    if (answers.size() >= Joins::kMost) {
      out.count(Counter::kTooManyPending);
      read_joined(answers.begin(), out);
    }
    at = answers.insert(answers.end(), {.request = head.request, .parts = head.parts, .time = in.time});
  }
  if (!at->here.try_emplace(head.part, in.bytes.begin(), in.bytes.end()).second) return;  // it came twice
  if (in.missing > 0) at->whole = std::min<uint32_t>(at->whole, head.part + 1u);
  at->bytes += in.bytes.size() + kPartOverhead;
  joins_->bytes += in.bytes.size() + kPartOverhead;
  if (at->here.size() == at->parts) return read_joined(at, out);
  while (joins_->bytes > out.settings().header_cap) {
    out.count(Counter::kBodyCapped);
    read_joined(answers.begin(), out);
  }
}

/// Reads an answer as far as it is there from its beginning, and forgets it.
void Memcached::read_joined(std::list<Joins::Answer>::iterator answer, Output& out) {
  std::vector<uint8_t> front;
  uint32_t next = 0;
  size_t skipped = 0;
  for (const auto& [part, bytes] : answer->here) {
    if (part == next && next < answer->whole) {
      front.insert(front.end(), bytes.begin(), bytes.end());
      ++next;
    } else {
      skipped += bytes.size();
    }
  }
  const uint16_t request = answer->request;
  const Timestamp time = answer->time;
  joins_->bytes -= answer->bytes;
  joins_->answers.erase(answer);
  if (skipped > 0) out.count(Counter::kSkippedBytes, skipped);
  if (!front.empty()) messages(request, {Direction::kToClient, front, time, true}, out);
}

}  // namespace baleen::dissect::memcached
