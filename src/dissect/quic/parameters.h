#pragma once

#include "dissect/build.h"
#include "dissect/quic/version.h"
#include "dissect/tls/hello.h"

namespace baleen::dissect::quic {

/// The transport parameters of a hello (RFC 9000 18) as a map by their names; null where there are none, or none with a
/// name here.
item::Value read_parameters(const tls::Hello& hello, const Version& version, Arena& arena);

}  // namespace baleen::dissect::quic
