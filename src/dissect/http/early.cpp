#include <utility>

#include "dissect/http/draft.h"
#include "dissect/http/head.h"
#include "dissect/http/http.h"

// A server may answer before it has read a request's head: because it is too long (431, 414), too slow (408), or no
// head at all (400). Then the answer's item waits for the rest of its request, or for the end of hope for it. Where
// requests were lost, or were before what we saw, such an answer may be to one of them: it stays a half then, since a
// wrong pair is worse than none.

namespace baleen::dissect::http {

/// Whether an answer that nothing waits for is to the request whose head is still coming.
bool Http::answers_early(const StatusLine& line, const Output& out) const {
  const Side& asks = sides_[static_cast<size_t>(Direction::kToServer)];
  const bool comes = asks.state == State::kHead && asks.scanned > 0 && !asks.lost;
  return line.status >= 400 && comes && !unsure_ && early_ == nullptr && out.saw_begin(Direction::kToServer);
}

item::Item* Http::begin_early(const StatusLine& line, Timestamp time, Output& out) {
  item::Item* const item = out.begin(line.version[7] == '0' ? kProtocol10 : kProtocol);
  item->match_key = 0;
  early_ = item->arena.make<Early>(
      Early{.item = item, .seen = sides_[static_cast<size_t>(Direction::kToServer)].scanned, .time = time});
  out.wake(Direction::kToServer);  // for note_early()
  return item;
}

/// What there is of the head, once: more may never come.
void Http::note_early(const Input& in) {
  if (!early_->lines.empty()) return;
  const std::string_view text = as_text(in.bytes).substr(0, early_->seen);
  const size_t end = text.rfind('\n');
  early_->lines = early_->item->arena.copy(end == std::string_view::npos ? text : text.substr(0, end + 1));
  early_->wire_size = text.size();
  early_->time = in.time;
}

/// The item that waits for the head which is there now; null when none does.
item::Item* Http::take_early() {
  Early* const early = std::exchange(early_, nullptr);
  return early != nullptr ? early->item : nullptr;
}

/// No more of the head will come. `why` is static.
void Http::end_early(const char* why, Output& out) {
  if (early_ == nullptr) return;
  const Early early = *early_;
  if (!early.lines.empty()) cut_request(early.lines, early.wire_size, early.time, why, out);
  if (take_early() == nullptr) return;
  early.item->outcome = item::Outcome::kNoRequest;
  early.item->match_key |= kRequestDone;
  if ((early.item->match_key & kResponseDone) == 0) return;  // whoever completes the answer finishes it
  out.count(Counter::kHalfResponses);
  out.finish(early.item);
}

}  // namespace baleen::dissect::http
