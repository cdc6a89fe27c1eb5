// A handshake is over, as far as anybody without keys can tell, when the server has chosen TLS 1.3 (all that follows is
// encrypted) or, before 1.3, when it has changed the cipher. What its messages say is read in handshake.cpp.

#include "dissect/tls/tls.h"

#include <array>
#include <memory>
#include <vector>

#include "dissect/tls/decrypt/decryption.h"
#include "dissect/tls/handshake.h"
#include "dissect/tls/hello.h"

namespace baleen::dissect::tls {

namespace {

/// Room for the records that this thread opens: one for each TLS inside TLS. What is shown to the inner conversation
/// lies there until it has been looked at.
template <class T>
class Lease {
 public:
  Lease() {
    if (depth_ == pool_.size()) pool_.push_back(std::make_unique<T>());
    held_ = pool_[depth_++].get();
  }
  ~Lease() { --depth_; }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  T& operator*() const { return *held_; }

 private:
  static inline thread_local std::vector<std::unique_ptr<T>> pool_;
  static inline thread_local size_t depth_ = 0;
  T* held_;
};
using RecordRoom = std::array<uint8_t, RecordCipher::kMostPlaintext>;

constexpr size_t kShortestCommand = 5;  // "PWD" with its line end

/// Whether a command of FTP begins so: no record does.
bool may_be_command(Bytes b) {
  const std::string_view word = as_text(b).substr(0, kShortestCommand);
  for (size_t i = 0; i < word.size(); ++i) {
    const bool letter = (word[i] >= 'A' && word[i] <= 'Z') || (word[i] >= 'a' && word[i] <= 'z');
    const bool end = word[i] == ' ' || word[i] == '\r' || word[i] == '\n';
    if (!(i < 3 ? letter : i == 3 ? letter || end : end || word[3] == ' ' || word[3] == '\r')) return false;
  }
  return !b.empty();
}

constexpr size_t kMaxRecord = 16384 + 2048;
bool is_record_head(Bytes b) {
  return b[0] >= kChangeCipherSpec && b[0] <= kHeartbeat && b[1] == 3 && b[2] <= 4 && load_be16(&b[3]) <= kMaxRecord &&
         load_be16(&b[3]) > 0;
}

}  // namespace

Probe Tls::probe(const Input& in) {
  const Bytes b = in.bytes;
  const bool client = in.direction == Direction::kToServer;
  if (b.empty()) return Probe::kUnsure;
  if (client && (b[0] & 0x80) != 0 && (b.size() < 3 || b[2] == 1) && (b.size() < 4 || b[3] == 3))
    return b.size() < 11 ? Probe::kUnsure : measure_v2_hello(b) != 0 ? Probe::kYes : Probe::kNo;
  if (b[0] != kHandshake) return Probe::kNo;
  if (b.size() > 1 && b[1] != 3) return Probe::kNo;
  if (b.size() < kRecordHead) return Probe::kUnsure;
  if (!is_record_head(b)) return Probe::kNo;
  // The head of a ClientHello (1) or ServerHello (2), up to the length of the session identifier; a record may end
  // before that, and another goes on.
  const Bytes hello = b.subspan(kRecordHead, std::min<size_t>(b.size() - kRecordHead, load_be16(&b[3])));
  const bool all_there = hello.size() == load_be16(&b[3]);
  if (!hello.empty() && hello[0] != (client ? 1 : 2)) return Probe::kNo;
  if (hello.size() > 1 && hello[1] != 0) return Probe::kNo;
  if (hello.size() > 3 && (size_t{hello[2]} << 8 | hello[3]) < 38) return Probe::kNo;
  const bool draft = !client && hello.size() > 4 && hello[4] == 0x7F;  // of TLS 1.3
  if (hello.size() > 4 && hello[4] != 3 && !draft) return Probe::kNo;
  if (hello.size() > 5 && hello[5] > (draft ? 28 : 4)) return Probe::kNo;
  if (hello.size() > 38) return hello[38] <= 32 ? Probe::kYes : Probe::kNo;
  if (!all_there) return Probe::kUnsure;
  const Bytes next = b.subspan(kRecordHead + hello.size());
  if (next.size() < kRecordHead) return Probe::kUnsure;
  return next[0] == kHandshake && is_record_head(next) ? Probe::kYes : Probe::kNo;
}

Probe Tls::begins(Direction, Bytes b) {
  if (b[0] < kChangeCipherSpec || b[0] > kHeartbeat) return Probe::kNo;
  if (b.size() < kRecordHead) return Probe::kUnsure;
  if (!is_record_head(b)) return Probe::kNo;
  const size_t next = kRecordHead + load_be16(&b[3]);
  if (b.size() < next + kRecordHead) return Probe::kUnsure;
  return is_record_head(b.subspan(next)) ? Probe::kYes : Probe::kNo;
}

Measure Tls::measure(Direction direction, Bytes b) const {
  if ((b[0] & 0x80) != 0 && direction == Direction::kToServer && handshake_ == nullptr && !done_) {
    if (b.size() < 11) return Measure::need(11);
    const size_t size = measure_v2_hello(b);
    return size != 0 ? Measure::frame(size) : Measure::bad();
  }
  if (b[0] < kChangeCipherSpec || b[0] > kHeartbeat) return Measure::bad();
  if (b.size() < kRecordHead) return Measure::need(kRecordHead);
  return is_record_head(b) ? Measure::frame(kRecordHead + load_be16(&b[3])) : Measure::bad();
}

Tls::Tls() = default;
Tls::~Tls() = default;

Step Tls::dissect(const Input& in, Output& out) {
  // RFC 4217 12.3: after CCC (RFC 2228) a control connection of FTP goes on in the clear.
  if (done_ && in.direction == Direction::kToServer && may_be_command(in.bytes)) {
    if (in.bytes.size() < kShortestCommand && !in.end_of_stream) return Step::need(kShortestCommand);
    if (in.bytes.size() >= kShortestCommand) return Step::switch_to("ftp", 0);
  }
  if (in.bytes.size() < kRecordHead || !is_record_head(in.bytes)) return Framed::dissect(in, out);
  const uint8_t type = in.bytes[0];
  if (decryption_) {
    if (decryption_->is_sealed(in.direction, type)) return open_record(in, out);
    // Once, when all of it is there: the next record of this direction is sealed.
    if (type == kChangeCipherSpec && in.bytes.size() >= kRecordHead + load_be16(&in.bytes[3]))
      decryption_->change_cipher(in.direction);
  }
  // What cannot be read need not be waited for.
  if (done_ || type == kApplicationData || encrypted_[static_cast<size_t>(in.direction)]) {
    if (type == kApplicationData && in.direction == Direction::kToClient) finish(out);
    return Step::skip(kRecordHead + load_be16(&in.bytes[3]));
  }
  return Framed::dissect(in, out);
}

void Tls::begin_decryption(const Hello& hello, Output& out) {
  const KeyLog* const log = out.settings().key_log;
  if (log != nullptr && !log->is_idle() && hello.random.size() == 32 && !decryption_)
    decryption_ = std::make_unique<Decryption>(*log, hello.random, hello.has_early_data);
}

/// A record that is sealed, and may be opened now or later.
Step Tls::open_record(const Input& in, Output& out) {
  const size_t size = kRecordHead + load_be16(&in.bytes[3]);
  if (decryption_->passes_over(in.direction)) {
    close_record(in, out);
    return Step::skip(size);
  }
  if (in.bytes.size() < size) return in.end_of_stream ? Step::took(in.bytes.size()) : Step::need(size);
  const Bytes record = in.bytes.first(size);
  const Lease<RecordRoom> room;
  Opened opened;
  Decryption::Outcome outcome = decryption_->open(in.direction, record, *room, opened);
  if (outcome == Decryption::Outcome::kWait) {
    if (!in.end_of_stream && in.bytes.size() < out.settings().sealed_cap) {
      out.await_secrets();
      return Step::need();
    }
    decryption_->stop_waiting();
    out.wake(opposite(in.direction));
    outcome = decryption_->open(in.direction, record, *room, opened);
  }
  if (outcome != Decryption::Outcome::kOpened) {
    close_record(in, out);
    return Step::took(size);
  }
  out.count(Counter::kDecrypted);
  closed_[static_cast<size_t>(in.direction)] = false;
  if (opened.type == kApplicationData) {
    finish(out);
    if (!opened.plaintext.empty() &&
        !out.pass_inner(in.direction, opened.plaintext, in.time, decryption_->client_random()))
      decryption_.reset();  // nobody wants it
  } else if (opened.type == kHandshake) {
    if (handshake_ != nullptr) read_messages(in.direction, opened.plaintext, out);
    out.wake(opposite(in.direction));  // early data wait for the server to take them
  } else if (opened.type == kAlert && handshake_ != nullptr && opened.plaintext.size() == 2) {
    note_alert(in.direction, opened.plaintext, size, in.time, out);
  }
  return Step::took(size);
}

/// A sealed record stays closed.
void Tls::close_record(const Input& in, Output& out) {
  out.count(Counter::kUndecryptable);
  if (in.direction == Direction::kToClient) finish(out);
  if (!std::exchange(closed_[static_cast<size_t>(in.direction)], true)) out.lose_inner(in.direction);
}

Step Tls::message(const Frame& frame, Output& out) {
  if ((frame.bytes[0] & 0x80) != 0) {
    v2_hello(frame, out);
    return Step::took(frame.size);
  }
  switch (frame.bytes[0]) {
    case kHandshake: read_handshake(frame, out); break;
    case kAlert: alert(frame, out); break;
    case kChangeCipherSpec:
      // In TLS 1.3 it means nothing (RFC 8446 D.4).
      if (handshake_ != nullptr && (handshake_->retry || handshake_->version >= 0x0304)) break;
      encrypted_[static_cast<size_t>(frame.direction)] = true;
      if (!frame.to_server()) finish(out);
      break;
    default: break;
  }
  return Step::took(frame.size);
}

void Tls::forget(Direction direction, Output& out) {
  if (decryption_) {
    decryption_->gap(direction);
    out.lose_inner(direction);
  }
  finish(out);
}

}  // namespace baleen::dissect::tls
