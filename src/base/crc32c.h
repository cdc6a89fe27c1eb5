#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace baleen {

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `bytes`, continued from `crc` (0 to begin). With SSE 4.2
/// where the processor has it. Google Cloud Storage and S3 check uploads with it.
uint32_t crc32c(Bytes bytes, uint32_t crc = 0);

}  // namespace baleen
