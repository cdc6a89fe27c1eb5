#pragma once

#include "dissect/framed.h"
#include "dissect/replies.h"

namespace baleen::dissect::smtp {

struct Mail;

/// SMTP (RFC 5321) and LMTP: commands and replies in order, the greeting, the mail that follows DATA as an item of its
/// own, AUTH, STARTTLS, BDAT.
class Smtp final : public Framed<Smtp, InOrderPairs> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in);

  Step dissect(const Input& in, Output& out) override;
  Measure measure(Direction direction, Bytes bytes);
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);
  void rewind(Direction direction) {
    lines_.rewind(direction);
    if (direction == Direction::kToClient) replies_.rewind();
  }
  void forget(Direction direction, Output& out);

 private:
  Step command(const Frame& frame, Output& out);
  Step reply(const Frame& frame, Output& out);
  Step mail(const Input& in, Output& out);
  void end_mail(Output& out);

  LineScan lines_;
  ReplyScan replies_;
  Mail* mail_ = nullptr;  // being sent; in its item's arena
  bool data_ = false;     // the server waits for the mail
  bool secret_ = false;   // the next line of the client answers an AUTH challenge
  bool chunked_ = false;  // BDAT has begun a mail, and has not ended it
  bool lmtp_ = false;
  uint32_t recipients_ = 0, more_answers_ = 0;  // LMTP: accepted; answers to one mail that are still to come
};

}  // namespace baleen::dissect::smtp
