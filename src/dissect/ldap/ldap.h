#pragma once

#include "dissect/framed.h"

namespace baleen::dissect::ldap {

/// LDAP version 2 and 3 (RFC 4511): every operation, controls, several answers per search, StartTLS. One item per
/// operation; the entries and references that a search finds are part of its response.
class Ldap final : public Framed<Ldap, KeyedMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);
  void forget(Direction direction, Output& out);
  void expire(Timestamp before, Output& out) override;

 private:
  Step request(const Frame& frame, uint32_t id, Output& out);
  Step response(const Frame& frame, uint32_t id, uint8_t operation, Output& out);

  bool sealed_ = false;  // a SASL layer hides what follows
};

}  // namespace baleen::dissect::ldap
