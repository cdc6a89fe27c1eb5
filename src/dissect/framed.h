#pragma once

// What protocols have in common whose messages say, near their front, how long they are. A dissector D gives
//   Measure measure(Direction, Bytes) const           how long the message at the front is
//   Step message(const Frame&, Output&)               what it means; took() stands for "go on behind it"
//   static Probe begins(Direction, Bytes)             whether a message begins here, for resync(); or a member function
// and, where it keeps more than the queue of requests, forget(): bytes were lost, or it is over; where it remembers how
// far measure() has looked, rewind(): those bytes are gone.
//
// A message beyond Settings::header_cap is handed over by its first bytes, and the rest of it is skipped.

#include <algorithm>
#include <utility>

#include "dissect/dissector.h"
#include "dissect/matcher.h"

namespace baleen::dissect {

struct Measure {
  enum class Kind : uint8_t { kFrame, kNeed, kBad };
  Kind kind;
  uint64_t bytes = 0;

  static Measure frame(uint64_t n) { return {Kind::kFrame, n}; }
  static Measure need(uint64_t n) { return {Kind::kNeed, n}; }
  static Measure bad() { return {Kind::kBad}; }
};

/// One message, or its first bytes.
struct Frame {
  Direction direction;
  Bytes bytes;
  uint64_t size;  // on the stream
  Timestamp time;
  bool cut;  // not all of it is in `bytes`
  bool is_datagram;
  uint32_t missing = 0;  // of a datagram: bytes that were not captured

  bool to_server() const { return direction == Direction::kToServer; }
};

inline void set(item::Message& message, item::Value payload, const Frame& frame) {
  message.payload = payload;
  message.time = frame.time;
  message.size = frame.size;
  message.present = true;
}

/// A request, not yet finished.
inline item::Item* begin_request(const item::Protocol& card, Output& out) { return out.begin(card); }

/// An answer whose question nobody saw; not yet finished.
inline item::Item* begin_orphan(const item::Protocol& card, Output& out) {
  item::Item* item = out.begin(card);
  item->outcome = item::Outcome::kNoRequest;
  out.count(Counter::kHalfResponses);
  return item;
}

/// An item for an answer that nothing waits for: of a datagram whose question may still come, then `early` is set and
/// EarlyAnswers::keep() takes what is made of it; else an orphan.
inline item::Item* begin_unasked(const item::Protocol& card, const EarlyAnswers& answers, uint64_t key,
                                 const Frame& frame, bool& early, Output& out) {
  early = frame.is_datagram && answers.may_be(key);
  if (!early) return begin_orphan(card, out);
  item::Item* item = out.begin(card);
  item->outcome = item::Outcome::kNoRequest;
  return item;
}

/// A message that stands alone.
inline void finish_single(item::Item* item, Output& out) {
  item->outcome = item::Outcome::kSingle;
  out.finish(item);
}

/// Says in the item that a message was not what its protocol wants.
inline void mark_malformed(item::Item* item, std::string_view why, Output& out) {
  item->outcome = item::Outcome::kDissection;
  item->error_message = why;
  out.count(Counter::kMalformed);
}

/// Whether a message could begin at the front, for every place of the input in turn.
template <class Begins>
Resync resync_by(const Input& in, Begins begins) {
  for (size_t at = 0; at < in.bytes.size(); ++at) {
    switch (begins(in.direction, in.bytes.subspan(at))) {
      case Probe::kYes: return {at, true};
      case Probe::kUnsure:
        if (!in.end_of_stream) return {at, false};
        break;
      case Probe::kNo: break;
    }
  }
  return {in.bytes.size(), false};
}

/// Answers that come in the order of their questions. After lost bytes nothing is paired until the conversation has
/// turned around once: an answer was seen, and a question after it.
class InOrderPairs {
 public:
  void ask(item::Item* item, Output& out) {
    if (adrift_ && !answered_) return InOrderMatcher::finish_without_answer(item, out);
    adrift_ = false;
    waiting_.push(item, out);
  }
  /// The item that this answers, now the caller's; null when it cannot be known.
  item::Item* answer() {
    answered_ = true;
    return adrift_ ? nullptr : waiting_.pop();
  }
  item::Item* front() const { return adrift_ ? nullptr : waiting_.front(); }
  void lose(Output& out) {
    waiting_.finish_all(out);
    adrift_ = true;
    answered_ = false;
  }
  bool empty() const { return waiting_.empty(); }
  void expire(Timestamp before, Output& out) { waiting_.expire(before, out); }
  void finish_all(Output& out) { waiting_.finish_all(out); }

 private:
  InOrderMatcher waiting_;
  bool adrift_ = false, answered_ = false;
};

/// The session of a protocol with framed messages; D as said above, `Waiting` one of the matchers.
template <class D, class Waiting>
class Framed : public Session {
 public:
  Step dissect(const Input& in, Output& out) override {
    if (in.bytes.empty()) return Step::need();
    const Measure m = self().measure(in.direction, in.bytes);
    if (m.kind == Measure::Kind::kBad) return lose(in.direction);
    const uint64_t wanted = m.kind == Measure::Kind::kNeed
                                ? m.bytes
                                : std::min<uint64_t>(m.bytes, std::max<size_t>(out.settings().header_cap, 64));
    if (in.bytes.size() < wanted && !in.end_of_stream) return Step::need(wanted);
    if (m.kind == Measure::Kind::kNeed) {  // nothing more will come
      out.count(Counter::kMalformed);
      return Step::took(in.bytes.size());
    }
    const Bytes bytes = in.bytes.first(static_cast<size_t>(std::min<uint64_t>(wanted, in.bytes.size())));
    const Frame frame{in.direction, bytes, m.bytes, in.time, bytes.size() < m.bytes, in.datagram, in.missing};
    const Step step = self().message(frame, out);
    if (step.kind == Step::Kind::kLost) return lose(in.direction);
    if (step.kind != Step::Kind::kTook) return step;
    return m.bytes <= in.bytes.size() ? Step::took(m.bytes) : Step::skip(m.bytes);
  }
  bool gap(Direction direction, uint64_t, Output& out) override {
    lost_here_[static_cast<size_t>(direction)] = false;
    if constexpr (requires { self().rewind(direction); }) self().rewind(direction);
    if constexpr (requires { waiting_.lose(out); }) waiting_.lose(out);
    if constexpr (requires { self().forget(direction, out); }) self().forget(direction, out);
    return false;
  }
  Resync resync(const Input& in) override {
    const auto begins = [this](Direction d, Bytes b) { return self().begins(d, b); };
    if (!std::exchange(lost_here_[static_cast<size_t>(in.direction)], false) || in.bytes.empty())
      return resync_by(in, begins);
    // What stands here was no message, whatever it looks like.
    Resync r = resync_by({in.direction, in.bytes.subspan(1), in.time, in.end_of_stream}, begins);
    ++r.ruled_out;
    return r;
  }
  void expire(Timestamp before, Output& out) override { waiting_.expire(before, out); }
  void close(bool, Output& out) override {
    if constexpr (requires { self().forget(Direction::kToServer, out); }) {
      self().forget(Direction::kToServer, out);
      self().forget(Direction::kToClient, out);
    }
    waiting_.finish_all(out);
  }

 protected:
  Waiting waiting_;

 private:
  Step lose(Direction direction) {
    lost_here_[static_cast<size_t>(direction)] = true;
    return Step::lost();
  }
  bool lost_here_[2] = {false, false};

  D& self() { return static_cast<D&>(*this); }
};

}  // namespace baleen::dissect
