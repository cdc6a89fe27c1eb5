#pragma once

#include "dissect/build.h"
#include "item/value.h"

namespace baleen::dissect::cassandra {

enum Opcode : uint8_t {
  kError = 0x00,
  kStartup = 0x01,
  kReady = 0x02,
  kAuthenticate = 0x03,
  kCredentials = 0x04,  // of version 1 only
  kOptions = 0x05,
  kSupported = 0x06,
  kQuery = 0x07,
  kResult = 0x08,
  kPrepare = 0x09,
  kExecute = 0x0A,
  kRegister = 0x0B,
  kEvent = 0x0C,
  kBatch = 0x0D,
  kAuthChallenge = 0x0E,
  kAuthResponse = 0x0F,
  kAuthSuccess = 0x10,
};

std::string_view opcode_name(uint8_t opcode);
bool is_request(uint8_t opcode);

/// Adds what the body says; false when it is not what the operation wants. The body lives as long as the arena.
bool describe(uint8_t opcode, uint8_t version, uint8_t flags, Bytes body, MapOf& out, Arena& arena);

}  // namespace baleen::dissect::cassandra
