#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dissect/dissector.h"
#include "dissect/tls/decrypt/key_log.h"
#include "dissect/tls/decrypt/record_cipher.h"
#include "dissect/tls/decrypt/suite.h"

namespace baleen::dissect::tls {

/// What a ServerHello decided.
struct Chosen {
  uint16_t version = 0, cipher = 0;
  Bytes server_random;
  bool encrypt_then_mac = false;
};

struct Hello;
Chosen chosen_by(const Hello& server_hello);

/// Opens the records of one connection of TLS 1.2 or 1.3, as far as a key log knows its secrets. It follows the
/// records' numbers, the epochs (early data, handshake, application), KeyUpdate and renegotiation. After lost records
/// it finds its place by trying, within a bound. One thread.
class Decryption {
 public:
  enum class Outcome : uint8_t {
    kOpened,
    kWait,    // its secret is not known yet: again when KeyLog::version() has changed
    kFailed,  // this one cannot be opened; a later one may
    kNever,   // nor will any other of this direction
  };

  /// `log` outlives it. REQUIRES: a client random of 32 bytes.
  Decryption(const KeyLog& log, Bytes client_random, bool early_data);

  /// False when records of this version or suite cannot be opened here.
  bool choose(const Chosen& chosen);
  /// A ChangeCipherSpec record that was not sealed; in TLS 1.3 it means nothing.
  void change_cipher(Direction direction);
  /// Whether a record of that type would be sealed now.
  bool is_sealed(Direction direction, uint8_t type) const;
  /// `record` is a whole record that is sealed; what `out` shows lies in `room`, of kMostPlaintext bytes.
  Outcome open(Direction direction, Bytes record, std::span<uint8_t> room, Opened& out);
  /// Whether a sealed record need not be looked at: it would fail. It is counted as one that did.
  bool passes_over(Direction direction);
  /// Records were lost.
  void gap(Direction direction);
  /// Records whose secrets are missing fail from now on.
  void stop_waiting();

  Bytes client_random() const { return client_random_; }

 private:
  enum class Epoch : uint8_t { kPlain, kEarly, kHandshake, kApplication };
  struct Side {
    Epoch epoch = Epoch::kPlain;
    bool adrift = false;  // records were lost: number, even epoch, are only a lower bound
    bool never = false;
    uint64_t number = 0;  // of the next record in this epoch
    std::unique_ptr<RecordCipher> cipher;
    Secret traffic;                 // that `cipher` was made from, in TLS 1.3
    uint64_t asked = ~uint64_t{0};  // version of the log that had not the secret
    int64_t trial_bytes;            // that may still be tried in vain
    // The handshake message that is under way inside sealed records.
    uint8_t head[4] = {}, head_size = 0;
    uint32_t left = 0;
    std::vector<uint8_t> body;  // of messages that are read
  };

  Side& side(Direction d) { return sides_[static_cast<size_t>(d)]; }
  const Side& side(Direction d) const { return sides_[static_cast<size_t>(d)]; }
  bool is_13() const { return version_ >= 0x0304; }
  bool is_kept(uint8_t type) const;
  void read_encrypted_extensions(Bytes body);
  bool find(Direction direction, Epoch epoch, Secret& out) const;
  bool waits_for_server(const Side& side) const;
  bool may_wait(const Side& side) const;
  bool make_cipher(Direction direction);
  std::optional<Opened> search(Direction direction, Bytes record, std::span<uint8_t> room);
  std::optional<Opened> try_numbers(Side& side, RecordCipher& cipher, uint64_t first, Bytes record,
                                    std::span<uint8_t> room, uint64_t& found);
  void enter(Side& side, Epoch epoch);
  void accept(Direction direction, const Opened& opened);
  void read_messages(Direction direction, Bytes bytes);
  void message(Direction direction, uint8_t type);

  const KeyLog& log_;
  std::array<uint8_t, 32> client_random_, server_random_{};
  Suite suite_;
  uint16_t version_ = 0;
  bool early_data_;           // offered
  bool early_known_ = false;  // whether the server takes them
  bool encrypt_then_mac_ = false;
  bool patient_ = true;  // records wait for what is needed to open them
  Side sides_[2];
};

}  // namespace baleen::dissect::tls
