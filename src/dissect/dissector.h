#pragma once

// The contract between the stream engine and the dissectors.
//
// A dissector is a state machine for one conversation (both directions). It gets bytes in order, without holes,
// and turns them into items. Two laws hold for each, and the common harness tests them:
//
//   Law of cuts. Cut the same streams any way: the items are the same. Once a dissector has answered anything but
//   kNeed, more bytes would not have changed what it made of those it took.
//   Law of work. Every byte is looked at a bounded number of times, however it drips in: keep scan state across kNeed.

#include <concepts>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "item/item.h"

namespace baleen::dissect {

namespace tls {
class KeyLog;
}
namespace grpc {
class Descriptors;
}

enum class Direction : uint8_t { kToServer = 0, kToClient = 1 };
inline Direction opposite(Direction d) {
  return d == Direction::kToServer ? Direction::kToClient : Direction::kToServer;
}

/// The front of one direction's stream, as far as it is there; or a datagram, which has end_of_stream set as well.
struct Input {
  Direction direction;
  Bytes bytes;         // contiguous; valid until dissect() returns
  Timestamp time;      // of the packet that brought the first of `bytes`
  bool end_of_stream;  // no more will come in this direction
  bool datagram = false;
  // Of a datagram: bytes behind `bytes` that were sent, but not captured (snap length). Of a stream only where it is
  // cut off: not zero says that those behind `bytes` were lost.
  uint32_t missing = 0;
};

/// What a dissector made of the front of its input.
struct Step {
  enum class Kind : uint8_t {
    kTook,    // `bytes` were used up; call again when more is there. A large message may be taken in pieces
    kNeed,    // nothing used; at least `bytes` in all are needed before asking again makes sense (0: any more)
    kSkip,    // the next `bytes` of the stream are of no interest, whether they are there yet or not
    kLost,    // this is not, or no longer, a message: resync() looks for the next
    kSwitch,  // `bytes` were used up; from here on both directions speak the protocol named `to` ("" = ask the probes)
    kDone,    // nothing that follows on this conversation is of interest; it is only counted
  };
  Kind kind;
  uint64_t bytes = 0;
  std::string_view to{};
  item::Item* opening = nullptr;  // kSwitch: the item that asked for it, whole; the next session adopts it

  static Step took(uint64_t n) { return {Kind::kTook, n}; }
  static Step need(uint64_t n = 0) { return {Kind::kNeed, n}; }
  static Step skip(uint64_t n) { return {Kind::kSkip, n}; }
  static Step lost() { return {Kind::kLost}; }
  static Step switch_to(std::string_view protocol, uint64_t used, item::Item* opening = nullptr) {
    return {Kind::kSwitch, used, protocol, opening};
  }
  static Step done() { return {Kind::kDone}; }
};

/// Where a message could begin again after loss: the first `ruled_out` bytes are no beginning; `found` says that
/// one stands right after them, otherwise more bytes are needed to tell.
struct Resync {
  size_t ruled_out = 0;
  bool found = false;
};

/// Whether these first bytes of a direction are this protocol's. kUnsure only asks for more bytes; an answer of
/// kNo or kYes is final for every continuation. The direction in the Input is a guess that the engine will turn
/// around when only the other one fits: answer for bytes that go in that direction.
enum class Probe : uint8_t { kNo, kUnsure, kYes };

/// Causes that are counted, never logged.
enum class Counter : uint8_t {
  kItems,
  kHalfRequests,
  kHalfResponses,
  kMalformed,
  kResyncs,
  kGapBytes,
  kSkippedBytes,
  kBodyCapped,
  kDecodeFailed,
  kTooManyPending,
  kUnknownProtocol,
  kMessageTooLong,
  kEvictedItems,
  kDecrypted,
  kUndecryptable,
  kForgotten,  // notes that made room for later ones while something could still refer to them
  kCount
};

/// Limits and switches that dissectors obey; one value for a worker's life or until it is swapped between batches.
struct Settings {
  size_t body_cap = 1 << 20;      // bytes of a body that an item keeps
  size_t header_cap = 256 << 10;  // bytes of a header block or of any message that must be seen whole
  uint32_t pending_cap = 1024;    // requests of one conversation that wait for their answers
  Duration answer_timeout = std::chrono::seconds(10);  // after which a datagram's answer no longer counts as one
  bool decode_bodies = true;                           // undo content encodings
  const tls::KeyLog* key_log = nullptr;  // secrets of TLS; null: nothing is decrypted. Outlives the sessions
  size_t sealed_cap = 128 << 10;         // bytes of a direction that wait for their secrets
  // Of the messages of gRPC; null: they are read by their wire format alone. What servers tell of theirs is added.
  // Outlives the sessions.
  grpc::Descriptors* descriptors = nullptr;
};

/// What a dissector may do to the world: make items. The engine sets stream, ends, index and source of each.
///
/// An item begun is owned by the dissector until it is finished or dropped, exactly once. Everything that the item
/// shall show must be copied into its arena: input bytes are gone after the call.
class Output {
 public:
  virtual item::Item* begin(const item::Protocol& protocol) = 0;
  virtual void finish(item::Item* item) = 0;
  /// The number within its stream that the next item to be finished will have.
  virtual uint64_t next_index() const { return 0; }
  virtual void drop(item::Item* item) = 0;
  /// What that direction holds back (its session answered kNeed to bytes that it had no use for yet) is to be shown to
  /// the session again after this step.
  virtual void wake(Direction) {}
  /// Whether what that direction has said was seen from its first byte on, for all that one packet can tell.
  virtual bool saw_begin(Direction) const { return false; }
  /// What the conversation in hand carries in this direction: a conversation of its own, whose protocol is found like
  /// any other's. Its items say `tls`, and by which secrets (the ClientHello's random). False when nobody wants any of
  /// it.
  virtual bool pass_inner(Direction, Bytes plaintext, Timestamp, Bytes client_random) { return false; }
  /// Bytes of it were lost, nobody knows how many.
  virtual void lose_inner(Direction) {}
  /// The session has answered kNeed for lack of secrets: it is to be asked again when Settings::key_log has others, and
  /// told by expire() when that takes too long.
  virtual void await_secrets() {}
  virtual void count(Counter counter, uint64_t n = 1) = 0;
  virtual const Settings& settings() const = 0;
  /// The ends of the conversation in hand, as the engine knows them now.
  virtual const net::Endpoint& client() const = 0;
  virtual const net::Endpoint& server() const = 0;

 protected:
  ~Output() = default;
};

/// One conversation's dissector, as the engine holds it. Idle conversations are many: keep it small (HTTP: 128 bytes)
/// and hold no buffers between messages.
class Session {
 public:
  virtual ~Session() = default;
  virtual Step dissect(const Input& in, Output& out) = 0;
  /// The item by which another protocol handed this conversation over, with what was agreed on in it: whole, not
  /// finished, and the session's from now on. Called before everything else, if at all.
  virtual void adopt(item::Item* opening, Output& out) { out.finish(opening); }
  /// What is there of this direction and was not used yet will not become longer, as the bytes behind it were lost;
  /// gap() follows. Nothing of it is used up: an item may be made of what it says.
  virtual void cut_off(const Input&, Output&) {}
  /// `bytes` of this direction were lost (0: unknown number): what waits for them waits in vain. Returns true when
  /// the dissector skips over exactly these bytes by itself (they lay inside a body) and needs no resync.
  virtual bool gap(Direction direction, uint64_t bytes, Output& out) = 0;
  virtual Resync resync(const Input& in) = 0;
  /// Time passes, by the packets' clocks: give up on what waits since before `before`.
  virtual void expire(Timestamp before, Output& out) = 0;
  /// The conversation is over (`reset`: by RST). Finish or drop every item that is still held.
  virtual void close(bool reset, Output& out) = 0;
};

/// What a datagram and its answer have in common, where the answer may come between other addresses than the question
/// went (a broadcast is answered by unicast).
struct Meeting {
  std::string key;  // empty: none of that kind
  bool asks = false;
};

/// What each folder of src/dissect/ exports in its `Protocol`'s entry of protocols.def.
struct ProtocolEntry {
  std::string_view name;  // "http"; what Step::switch_to names
  const item::Protocol* card;
  std::span<const item::Protocol* const> cards;  // all that its items may carry, `card` among them
  bool over_tcp, over_udp;
  bool reads_cut;     // its sessions make something of what is cut off, also of the first bytes
  bool answers_tell;  // its answers cannot be anything else, whatever the question looked like
  Probe (*probe)(const Input& in);
  std::unique_ptr<Session> (*make)();
  Meeting (*meeting)(const net::FiveTuple& ends,
                     const Input& datagram) = nullptr;  // null: answers come back to the question
};

/// REQUIRES of a dissector class D:
///   static constexpr ProtocolEntry facts are built by entry<D>(); D derives from Session and has
///   static const item::Protocol kProtocol; static constexpr bool kTcp, kUdp; static Probe probe(const Input&).
template <class D>
concept Dissector = std::derived_from<D, Session> && std::default_initializable<D> && requires(const Input& in) {
  { D::kProtocol } -> std::convertible_to<const item::Protocol&>;
  { D::probe(in) } -> std::same_as<Probe>;
  { D::kTcp } -> std::convertible_to<bool>;
  { D::kUdp } -> std::convertible_to<bool>;
};

/// A dissector whose items carry several cards (versions, variants) lists them all in `static const …* const kCards[]`.
template <Dissector D>
std::span<const item::Protocol* const> cards_of() {
  if constexpr (requires { D::kCards; }) {
    return D::kCards;
  } else {
    static constexpr const item::Protocol* kOnly[] = {&D::kProtocol};
    return kOnly;
  }
}

/// A dissector whose answers alone tell has `static constexpr bool kAnswersTell = true`.
template <Dissector D>
constexpr bool answers_tell() {
  if constexpr (requires { D::kAnswersTell; }) {
    return D::kAnswersTell;
  } else {
    return false;
  }
}

/// A dissector whose answers may come from elsewhere has `static Meeting meeting(const net::FiveTuple&, const Input&)`;
/// it is asked about datagrams to the ports of its cards.
template <Dissector D>
constexpr auto meeting_of() -> Meeting (*)(const net::FiveTuple&, const Input&) {
  if constexpr (requires { &D::meeting; }) {
    return &D::meeting;
  } else {
    return nullptr;
  }
}

/// A dissector that reads a first message which is cut off has `static constexpr bool kReadsCut = true`.
template <Dissector D>
constexpr bool reads_cut() {
  if constexpr (requires { D::kReadsCut; }) {
    return D::kReadsCut;
  } else {
    return false;
  }
}

template <Dissector D>
ProtocolEntry entry(std::string_view name) {
  return {.name = name,
          .card = &D::kProtocol,
          .cards = cards_of<D>(),
          .over_tcp = D::kTcp,
          .over_udp = D::kUdp,
          .reads_cut = reads_cut<D>(),
          .answers_tell = answers_tell<D>(),
          .probe = &D::probe,
          .make = []() -> std::unique_ptr<Session> { return std::make_unique<D>(); },
          .meeting = meeting_of<D>()};
}

}  // namespace baleen::dissect
