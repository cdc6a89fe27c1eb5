#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "item/value.h"

namespace baleen::dissect::tls {

/// What a certificate in DER (RFC 5280 4.1) says: subject, issuer, serialNumber, notBefore, notAfter (RFC 3339),
/// names (of the subject's alternative names), isCa, signatureAlgorithm, keyAlgorithm. Null when it is not one. The
/// bytes live as long as the arena.
item::Value read_certificate(Bytes der, Arena& arena);

}  // namespace baleen::dissect::tls
