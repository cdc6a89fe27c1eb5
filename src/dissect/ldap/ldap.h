#pragma once

#include "dissect/framed.h"

namespace baleen::dissect::ldap {

/// LDAP version 2 and 3 (RFC 4511) and CLDAP (over UDP, as Active Directory has it): every operation, controls, several
/// answers per search, StartTLS, SASL layers that sign but do not encrypt. One item per operation; the entries,
/// references and intermediate responses that an operation brings are part of its response.
class Ldap final : public Framed<Ldap, KeyedMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = true;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);
  void expire(Timestamp before, Output& out) override;
  void close(bool reset, Output& out) override;

 private:
  Step sealed(const Frame& frame, Output& out);
  Step request(const Frame& frame, uint32_t id, Output& out);
  Step response(const Frame& frame, uint32_t id, uint8_t operation, Output& out);
  void replace(uint32_t id, Output& out);
  void wait(uint32_t id, item::Item* item, Output& out);
  void give_up(item::Item* item, Output& out);

  bool sealed_ = false;  // a SASL layer may wrap what follows
};

}  // namespace baleen::dissect::ldap
